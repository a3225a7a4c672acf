"""What carries a plan out that is part of a loader's call."""

from __future__ import annotations

import functools
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
    run_async: Driver = drivers()[1].run_async
    return run_async


@functools.cache
def drivers() -> tuple[Any, Any]:
    """Return the drivers for event loops: the one for loads at once, and the one for all else.

    Each import where they are used would take half a microsecond.
    """
    from warmcache._core.drivers import at_once_async, event_loop

    return at_once_async, event_loop
