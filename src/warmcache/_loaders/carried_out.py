"""A plan that is part of a load, carried out where that runs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from warmcache._core.drivers.threads import run
from warmcache._core.plans.cache_view import CacheView
from warmcache._core.plans.steps import Plan


def carried_out(plan: Callable[[], Plan[Any]], view: CacheView, *, on_loop: bool) -> Any:
    """Return what a plan returns that ``plan`` makes; ``on_loop``, what is to be awaited for it."""
    if not on_loop:
        return run(plan(), view)
    from warmcache._core.drivers.event_loop import run_async

    return run_async(plan(), view)
