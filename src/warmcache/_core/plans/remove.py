"""Plans that remove: by key or by choice, for room, at the end of a lease, at the end of all.

A removal has one form: under the lock, entries are chosen and condemned; then they are torn
down without it. What is leased is only taken out of sight, and goes with its last lease.

An entry that is gone tells nothing any more. So what the caller wants to know of each one
removed is what a ``note`` takes of it, under the lock, too.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Hashable, Iterable
from operator import attrgetter
from typing import Any, TypeVar

from warmcache._core.state.entry import Entry, LeaseRecord, Source, State
from warmcache._core.state.flights import CHAIN, leads_to
from warmcache._core.state.ledger import Claim
from warmcache._core.state.loading_threads import LoadingThread
from warmcache._core.state.outer_leases import OuterLeases
from warmcache._core.state.records import RemovalCause
from warmcache._core.state.store import Store

from .cache_view import CacheView
from .refuse import refused_by_predecessor
from .steps import Plan, TearDown, Wait

T = TypeVar("T")


def its_key(entry: Entry) -> Hashable:
    return entry.key


def its_value(entry: Entry) -> Any:
    return entry.value


def its_pair(entry: Entry) -> tuple[Any, Any]:
    return entry.key, entry.value


def its_weight(entry: Entry) -> float:
    return entry.weight


def release(cache: CacheView, entry: Entry, record: LeaseRecord) -> Plan[None]:
    """End a lease; the last one on a removed entry tears it down."""
    with cache.store.lock:
        doomed = cache.store.end_lease(entry, record)
    if doomed:
        yield TearDown([entry])


def chosen(
    cache: CacheView,
    choose: Callable[[Store], Iterable[Entry]],
    cause: RemovalCause,
    note: Callable[[Entry], T],
) -> Plan[list[T]]:
    """Remove what ``choose`` returns, as far as it is there; return a note of each.

    That is what is live, or parked, or is being parked; but what a load has back from where it
    is parked arrives, as what is being loaded does, and goes only if that fails.

    It is called with the lock held, as all that it decides from may change without. When a
    ``note`` raises, for the clock does, those before are torn down all the same.
    """
    store = cache.store
    doomed: list[Entry] = []
    noted: list[T] = []
    try:
        with store.lock:
            for entry in choose(store):
                if entry.kept:
                    if store.condemn(entry, cause):
                        doomed.append(entry)
                    if not store.is_coming_back(entry):
                        noted.append(note(entry))
    except Exception:
        yield TearDown(doomed)
        raise
    if doomed:
        yield TearDown(doomed)
    return noted


class Successor:
    """Who takes the place of a source: to load what, into which cache, by which lease."""

    __slots__ = ("cache", "key", "record")

    def __init__(self, cache: CacheView, record: LeaseRecord, key: Callable[[], Hashable]) -> None:
        self.cache = cache
        self.record = record
        self.key = key  # made only where it is to be named


def replaced(cache: CacheView, source: Source, successor: Successor | None = None) -> Plan[None]:
    """Remove what there is of ``source``, for another takes its place; return once it is gone.

    Whoever tears it down is waited for. What is leased is not in the way of who has the same
    ledger. A ``successor`` with another cache, whose ledger knows nothing of this one, waits for
    it as long as for room, and is refused then; at once, if it is inside of such a lease itself.
    """
    store, chain = cache.store, CHAIN.get()
    if successor is not None and successor.cache is cache:
        successor = None
    deadline: float | None = None

    def own(store: Store) -> list[Entry]:
        return [entry for entry in store.kept() if entry.provenance.source is source]

    yield from chosen(cache, own, RemovalCause.REPLACED, its_key)
    while True:
        with store.lock:
            dying = [
                entry
                for entries in store.dying.values()
                for entry in entries
                if entry.provenance.source is source
                and entry not in store.lingering
                and not isinstance(entry.loop, LoadingThread)  # which may never come
                and not leads_to(entry, chain)
            ]
            held: list[Entry] = []
            if successor is not None:
                held = [
                    entry
                    for entry in store.leased
                    if entry.state is State.RETIRED and entry.provenance.source is source
                ]
            if not dying and not held:
                return
            timeout: float | None = None
            first = deadline is None
            if successor is not None and held:
                if deadline is None:
                    deadline = time.monotonic() + successor.cache.wait
                timeout = deadline - time.monotonic()
                outer = OuterLeases(successor.record)
                inside = any(record in outer for each in held for record in each.leases)
                if inside or timeout <= 0:
                    raise refused_by_predecessor(successor.cache, successor.key(), held, own=inside)
            if chain:
                chain[-1].blocked_on.extend(dying)
            change = store.ledger.change()
        if successor is not None and held and first:
            with successor.cache.store.lock:  # one lock at a time
                successor.cache.store.waited(Claim(successor.key(), 0))
        yield Wait(change, timeout)
        with store.lock:
            store.ledger.forget(change)


def by_key(
    cache: CacheView, key: Hashable, cause: RemovalCause, note: Callable[[Entry], T]
) -> Plan[list[T]]:
    """Remove the entry of ``key``, if there is one; return a note of it."""

    def found(store: Store) -> list[Entry]:
        entry = store.live.get(key)
        return store.below(key) if entry is None else [entry]

    return chosen(cache, found, cause, note)


def this(cache: CacheView, entry: Entry, note: Callable[[Entry], T]) -> Plan[list[T]]:
    """Remove one entry, if it is still there; return a note of it."""
    return chosen(cache, lambda store: [entry], RemovalCause.EXPLICIT, note)


def with_its_owner(cache: CacheView, entry: Entry) -> Plan[list[Exception]]:
    """Remove one entry, if it is still there, for whom it belongs to has ended."""
    with cache.store.lock:
        doomed = entry.kept and cache.store.condemn(entry, RemovalCause.CLOSED)
    if not doomed:
        return []
    errors: list[Exception] = yield TearDown([entry])
    return errors


def tagged(cache: CacheView, tag: str, note: Callable[[Entry], T]) -> Plan[list[T]]:
    """Remove what has ``tag``, the last loaded first; return a note of each."""

    def found(store: Store) -> list[Entry]:
        entries = [entry for entry in store.kept() if tag in entry.tags]
        return sorted(entries, key=attrgetter("loaded"), reverse=True)

    return chosen(cache, found, RemovalCause.EXPLICIT, note)


def everything(cache: CacheView) -> Plan[list[Hashable]]:
    """Remove all that is live, what came last first, then what is parked; return the keys."""
    return chosen(
        cache,
        lambda store: [*list(store.live.values())[::-1], *store.all_below()],
        RemovalCause.EXPLICIT,
        its_key,
    )


def expired(cache: CacheView, now: Any, note: Callable[[Entry], T]) -> Plan[list[T]]:
    """Remove what has ended by ``now``; return a note of each."""
    return chosen(cache, lambda store: store.due(now), RemovalCause.EXPIRED, note)


def orphans(cache: CacheView) -> Plan[None]:
    """Remove what is bound to event loops that are closed."""
    with cache.store.lock:
        doomed = cache.store.condemn_orphans()
    if doomed:
        yield TearDown(doomed)


def of_thread(cache: CacheView, thread: LoadingThread) -> Plan[list[Hashable]]:
    """Remove what ``thread``, which ends, has loaded and alone can tear down."""

    def own(store: Store) -> list[Entry]:
        return [each for each in store.live.values() if each.provenance.thread is thread]

    return chosen(cache, own, RemovalCause.CLOSED, its_key)


def victims(cache: CacheView, count: int, note: Callable[[Entry], T]) -> Plan[list[T]]:
    """Remove the next ``count`` victims and return a note of each.

    When ``rank`` raises, those before are torn down all the same.
    """
    store = cache.store
    doomed: list[Entry] = []
    noted: list[T] = []
    try:
        with store.lock:
            while len(doomed) < count and (entry := store.order.take(cache)) is not None:
                store.condemn(entry, RemovalCause.EXPLICIT)
                doomed.append(entry)
                noted.append(note(entry))
    except Exception:
        yield TearDown(doomed)
        raise
    yield TearDown(doomed)
    return noted


def make_up(
    cache: CacheView, weight: float, cause: RemovalCause, claim: Claim | None = None
) -> Plan[float]:
    """Remove idle entries, lowest rank first, until they make up ``weight``.

    One goes if that is 0, for nobody knows. It is for ``claim``, if it is for any. Returns what
    they weighed, which is less when too little is idle. What others had of them, too, does not
    count: more go for that.
    """
    store, freed = cache.store, 0.0
    while True:
        with store.lock:
            first = store.order.take(cache)
            taken = [] if first is None else [first]
            if first is not None and weight - freed > first.weight:
                taken, _ = store.victims(weight - freed, cache, first=first)
            wanted = None if claim is None else store.newcomer(claim)
            doomed = [entry for entry in taken if store.condemn(entry, cause, wanted)]
            condemned = sum(entry.weight for entry in doomed)
        yield TearDown(doomed)
        made = sum(entry.weight for entry in doomed)
        freed += made
        if made >= condemned or freed >= weight:
            return freed


def end(cache: CacheView, entry: Entry, patience: float) -> Plan[bool]:
    """Remove ``entry`` as the process ends, whoever leases it; whether it is gone.

    If it is being torn down already, or handed over to its thread for that, that has ``patience``
    seconds, unless it is this thread that is doing so: then a signal has interrupted it.
    """
    store, doomed = cache.store, False
    with store.lock:
        if entry.kept:
            doomed = store.condemn(entry, RemovalCause.CLOSED)
        for record in entry.leases:
            doomed = store.end_lease(entry, record)
    yield TearDown([entry] if doomed else [])
    deadline = time.monotonic() + patience
    while entry not in CHAIN.get():
        with store.lock:
            if entry.state is State.GONE or entry in store.lingering:
                return True
            if doomed and not isinstance(entry.loop, LoadingThread):
                return True
            change = store.ledger.change()
        if not (yield Wait(change, deadline - time.monotonic())):
            return False
    return doomed


def close(cache: CacheView, why: str) -> Plan[list[Exception]]:
    """Remove everything, last loaded first, and refuse whatever comes after, saying ``why``."""
    store = cache.store
    with store.lock:
        store.close(why)
        entries = sorted(store.kept(), key=lambda entry: entry.loaded, reverse=True)
        doomed = [entry for entry in entries if store.condemn(entry, RemovalCause.CLOSED)]
    try:
        errors: list[Exception] = yield TearDown(doomed)
    finally:
        close_host(cache)
    return errors


def close_host(cache: CacheView) -> None:
    """Have the host tier of a cache that is closed keep no memory for values to come."""
    if cache.meter is not None and cache.meter.host is not None:
        cache.meter.host.close()


def below(cache: CacheView) -> list[Entry]:
    """Condemn what is parked of a cache that is closed; return what is to be torn down."""
    store = cache.store
    return [entry for entry in store.all_below() if store.condemn(entry, RemovalCause.CLOSED)]


def torn_down(entry: Entry) -> Plan[None]:
    """Tear down what was condemned before."""
    yield TearDown([entry])
