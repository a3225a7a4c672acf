"""All caches of this process that are open, and how to empty them all."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from warmcache._core.drivers.threads import run
from warmcache._core.plans import remove
from warmcache._core.plans.cache_view import CacheView
from warmcache._core.plans.steps import Plan
from warmcache._core.state.entry import Entry
from warmcache._tracebacks import one_frame

from .cache import MADE, Cache


def all_caches() -> list[Cache[Any, Any]]:
    """Return the caches of this process that are open, the oldest first.

    Those that loaders have made for themselves are among them: ``cache.name`` says whose each is.
    They are known weakly: a cache that nobody refers to any more is not kept by this. In a forked
    child they are the child's own, and empty at first.
    """
    made = [cache for ref in MADE.valuerefs() if (cache := ref()) is not None]
    return [cache for cache in made if not cache._store.closed]


@one_frame
def clear_all() -> None:
    """Tear down everything that is warm in this process, and leave all caches open.

    It is for programs that go on, or begin again, as the lifespan of a web app does: what is
    asked for next is loaded anew. The last loaded goes first, whichever cache it is in. What is
    leased goes with its last lease, and a load under way arrives afterwards. What fails is logged.
    Where a loop is running, teardowns that are ``async`` are begun and not waited for: there,
    await :func:`clear_all_async`.
    """
    for view, plan in _clearing():
        run(plan, view)


@one_frame
async def clear_all_async() -> None:
    """Do the same as :func:`clear_all` on an event loop, and await what is ``async``."""
    from warmcache._core.drivers.event_loop import run_async

    for view, plan in _clearing():
        await run_async(plan, view)


def _clearing() -> Iterator[tuple[CacheView, Plan[Any]]]:
    """Yield what there is to be carried out, for each entry, and in which cache."""
    views = [cache._view for cache in all_caches()]
    warm: list[tuple[float, CacheView, Entry]] = []
    for view in views:
        with view.store.lock:
            warm += [(entry.loaded, view, entry) for entry in view.store.live.values()]
    warm.sort(key=lambda each: each[0])
    while warm:
        _, view, entry = warm.pop()
        yield view, remove.this(view, entry)
        del entry
    for view in views:
        with view.store.lock:
            view.store.order.forget()
