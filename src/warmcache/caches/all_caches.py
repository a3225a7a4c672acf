"""All caches of this process that are open, and how to empty or close them all."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator
from operator import itemgetter
from typing import Any

from warmcache import _checks as checks
from warmcache._core.drivers.threads import run
from warmcache._core.plans import remove
from warmcache._core.plans.cache_view import CacheView
from warmcache._core.plans.steps import Plan
from warmcache._core.state.entry import Entry
from warmcache._core.state.records import Removal
from warmcache._process.at_exit import PATIENCE, as_patience, close_now, closing
from warmcache._tracebacks import called_from, one_frame

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


@one_frame
def evict(*, tag: str) -> list[Removal]:
    """Tear down what has ``tag`` in all caches of this process; return what was removed.

    The last loaded goes first, whichever cache it is in. What is leased goes with its last lease,
    and is among what is returned. A load under way arrives afterwards. What fails is logged. Where
    a loop is running, teardowns that are ``async`` are begun and not waited for.

    Raises:
        TypeError: ``tag`` is no text; nothing was removed.
        ValueError: it is empty; nothing was removed.
    """
    checks.text("tag", tag)
    return evicted(all_caches(), lambda entry: tag in entry.tags)


def evicted(caches: Collection[Cache[Any, Any]], wanted: Callable[[Entry], bool]) -> list[Removal]:
    """Tear down what is ``wanted`` of what is warm in ``caches``; return what was removed."""
    removed: list[Removal] = []
    for cache in caches:
        cache._expire()
    for view, entry in last_loaded_first(caches, wanted):
        removed += run(remove.this(view, entry, view.store.removal), view)
        del entry
    return removed


def last_loaded_first(
    caches: Iterable[Cache[Any, Any]], wanted: Callable[[Entry], bool]
) -> Iterator[tuple[CacheView, Entry]]:
    """Yield what is ``wanted`` of what is live in ``caches`` now, and in which it is."""
    warm: list[tuple[float, CacheView, Entry]] = []
    for view in [cache._view for cache in caches]:
        with view.store.lock:
            warm += [(each.loaded, view, each) for each in view.store.kept() if wanted(each)]
    warm.sort(key=itemgetter(0))
    while warm:
        _, view, entry = warm.pop()
        yield view, entry
        del entry


def _clearing() -> Iterator[tuple[CacheView, Plan[Any]]]:
    """Yield what there is to be carried out, for each entry, and in which cache."""
    caches = all_caches()
    views = [cache._view for cache in caches]
    for view, entry in last_loaded_first(caches, lambda entry: True):
        yield view, remove.this(view, entry, remove.its_key)
        del entry
    for view in views:
        with view.store.lock:
            view.store.order.forget()


@one_frame
def close_all(*, patience: float = PATIENCE) -> None:
    """Tear down everything that is warm in this process, as its end does, and close all caches.

    Whether they tear anything down or not, and were used or not. Their entries go in this
    thread, the last loaded first, whichever cache they are in; then those that are leased, for
    nobody will release them. What fails is logged. A program that goes on, as an app that is
    started anew, calls :func:`clear_all`: what is closed here stays closed.

    In the main thread, a teardown that takes more than ``patience`` seconds is interrupted
    by an exception, and a line in the log names what was left so. Each time that happens
    the next ones have half as long. (Not on Windows, which has no timers for that.)

    Args:
        patience: seconds that a teardown may take; ``math.inf`` is no limit.

    Raises:
        TypeError: ``patience`` is no number; nothing was closed.
        ValueError: it is not more than 0; nothing was closed.
    """
    seconds = as_patience(patience)
    remedy = "a program that goes on calls clear_all() instead, which leaves caches open"
    things = {id(thing): thing for thing in (*closing(), *all_caches())}
    close_now([*things.values()], seconds, f"close_all() {called_from()}; {remedy}")
