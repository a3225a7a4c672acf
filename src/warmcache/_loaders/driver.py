"""What carries a plan out that is part of a loader's call."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from warmcache._core.drivers.threads import run
from warmcache._core.plans.cache_view import CacheView
from warmcache._core.plans.steps import Plan

Driver = Callable[[Plan[Any], CacheView], Any]


def driver(*, on_loop: bool) -> Driver:
    """Return what carries a plan out at once; ``on_loop``, what returns what is to be awaited."""
    if not on_loop:
        return run
    from warmcache._core.drivers.event_loop import run_async

    return run_async
