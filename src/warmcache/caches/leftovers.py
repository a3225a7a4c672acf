"""What is left in a cache when the cache is garbage-collected, or the process ends."""

from __future__ import annotations

import time
import weakref
from functools import partial

from warmcache._core.drivers.lingering import free_what_came_back
from warmcache._core.drivers.threads import run
from warmcache._core.plans import remove
from warmcache._core.plans.cache_view import CacheView
from warmcache._core.state.entry import Entry, LeaseRecord, State
from warmcache._process.at_exit import ClosesAtExit, ExitJob, Overdue, close_at_exit
from warmcache._process.janitor import janitor
from warmcache._process.own_threads import waited_for


def tear_down_leftovers_of(cache: ClosesAtExit, view: CacheView) -> None:
    """Have what is left torn down when ``cache`` is collected or the process ends.

    The finalizer keeps the entries alive, and through them, maybe, the cache itself: so this
    is for caches in which something has a teardown.
    """
    close_at_exit(cache)
    weakref.finalize(cache, _abandoned, view).atexit = False


def _abandoned(view: CacheView) -> None:
    """Have the entries of a cache that was garbage-collected torn down.

    A finalizer may run anywhere, even inside this store's own lock, so the janitor
    does it.
    """
    store = view.store
    if (store.kept() and store.tears_down) or store.flights or store.lingering:
        janitor.defer(lambda: _end(view))


def _end(view: CacheView) -> None:
    run(remove.close(view, "the cache was garbage-collected"), view)
    free_what_came_back(view.store, at_once=True)


def all_of(view: CacheView, patience: float, why: str) -> list[ExitJob]:
    """Close a cache, saying ``why``; return what is to be torn down, even what is leased."""
    store = view.store
    with store.lock:
        store.close(why)
        entries = [each for each in store.alive() if each.kept or each not in store.lingering]
    return [_exit_job(view, entry, patience) for entry in entries]


def unless_leased(view: CacheView, patience: float) -> list[tuple[object, object, ExitJob]]:
    """Return what has a teardown, as :meth:`ClosesAtExit.warm_at_exit` says, and close nothing.

    The main thread has ended, and so have leases that are its own, or a daemon's.
    """
    running = {each.ident for each in waited_for()}
    with view.store.lock:
        entries = [
            (entry.value, entry.provenance.finish, entry)
            for entry in view.store.alive()
            if entry.state in (State.LIVE, State.PARKED, State.RETIRED)
            and _has_teardown(view, entry)
            and not any(record.thread in running for record in entry.leases)
        ]
    return [(value, finish, _exit_job(view, entry, patience)) for value, finish, entry in entries]


def _has_teardown(view: CacheView, entry: Entry) -> bool:
    provenance = entry.provenance
    return (
        provenance.finish is not None
        or provenance.source.teardown is not None
        or view.meter is not None
    )


def idle_of(view: CacheView, patience: float, why: str) -> list[ExitJob]:
    """Close a cache, saying ``why``; remove all, and return what nobody leases, to be torn down.

    Nobody can lease that any more: it is retired under a lease of ours, which letting it go
    ends. What others lease goes with their leases.
    """
    store, record = view.store, LeaseRecord(time.monotonic())
    with store.lock:
        parked = remove.below(view)
        dying = [entry for each in store.dying.values() for entry in each if entry not in parked]
        idle = [entry for entry in store.live.values() if not entry.leases]
        for entry in idle:
            store.lease(entry, record)
        run(remove.close(view, why), view)  # which tears nothing down, for all is leased now

    def tear_down(entry: Entry) -> None:
        run(remove.torn_down(entry), view)

    def release(entry: Entry) -> None:
        run(remove.release(view, entry, record), view)
        free_what_came_back(view.store, at_once=True)

    return [
        *(_exit_job(view, entry, patience) for entry in dying if entry not in store.lingering),
        *(ExitJob(each.loaded, False, each.key, partial(tear_down, each)) for each in parked),
        *(ExitJob(entry.loaded, False, entry.key, partial(release, entry)) for entry in idle),
    ]


def _exit_job(view: CacheView, entry: Entry, patience: float) -> ExitJob:
    job = partial(_end_of, view, entry, patience)
    return ExitJob(entry.loaded, bool(entry.leases), entry.key, job)


def _end_of(view: CacheView, entry: Entry, patience: float) -> None:
    if not run(remove.end(view, entry, patience), view):
        raise Overdue("another thread is still tearing it down")
    free_what_came_back(view.store, at_once=True)  # nobody waits for the memory any more
