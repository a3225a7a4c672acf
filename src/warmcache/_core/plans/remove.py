"""Plans that remove: what leases end, what is evicted, what goes at the end."""

from __future__ import annotations

import time
from collections.abc import Iterable

from warmcache._core.state.entry import Entry, LeaseRecord, State
from warmcache._core.state.flights import CHAIN
from warmcache._core.state.records import Removal, RemovalCause
from warmcache._core.state.store import Store
from warmcache._core.state.use_clock import tick

from .steps import CacheView, Plan, TearDown, Wait


def release(store: Store, entry: Entry, record: LeaseRecord) -> Plan[None]:
    """End a lease; the last one on a removed entry tears it down."""
    with store.lock:
        doomed = store.end_lease(entry, record, tick())
    if doomed:
        yield TearDown([entry])


def evict(store: Store, entries: Iterable[Entry], cause: RemovalCause) -> Plan[list[Removal]]:
    """Remove those of ``entries`` that are still live; return what was removed."""
    with store.lock:
        removed = [entry for entry in entries if entry.state is State.LIVE]
        doomed = [entry for entry in removed if store.condemn(entry, cause)]
        removals = [store.removal(entry) for entry in removed]
    yield TearDown(doomed)
    return removals


def evict_victims(cache: CacheView, count: int) -> Plan[list[Removal]]:
    """Remove the next ``count`` victims; return what was removed."""
    store = cache.store
    doomed: list[Entry] = []
    removals: list[Removal] = []
    try:
        with store.lock:
            while len(doomed) < count and (entry := store.order.take(cache.rank)) is not None:
                store.condemn(entry, RemovalCause.EXPLICIT)
                doomed.append(entry)
                removals.append(store.removal(entry))
    finally:
        yield TearDown(doomed)
    return removals


def make_up(cache: CacheView, weight: float, cause: RemovalCause) -> Plan[float]:
    """Remove idle entries, lowest rank first, until they make up ``weight``.

    One goes if that is 0, for nobody knows. Returns what they weighed, which is less
    when too little is idle.
    """
    store = cache.store
    with store.lock:
        first = store.order.take(cache.rank)
        victims = [] if first is None else [first]
        if first is not None and weight > first.weight:
            victims, _ = store.victims(weight, cache.rank, first=first)
        doomed = [entry for entry in victims if store.condemn(entry, cause)]
    yield TearDown(doomed)
    return sum(entry.weight for entry in doomed)


def end(store: Store, entry: Entry, patience: float) -> Plan[bool]:
    """Remove ``entry`` as the process ends, whoever leases it; whether it is gone.

    If it is being torn down already, that has ``patience`` seconds, unless it is this
    thread that is doing so: then a signal has interrupted it.
    """
    doomed = False
    with store.lock:
        if entry.state is State.LIVE:
            doomed = store.condemn(entry, RemovalCause.CLOSED)
        for record in entry.leases:
            doomed = store.end_lease(entry, record)
    yield TearDown([entry] if doomed else [])
    deadline = time.monotonic() + patience
    while not doomed and entry not in CHAIN.get():
        with store.lock:
            if entry.state is State.GONE or entry in store.lingering:
                return True
            change = store.change()
        if not (yield Wait(change, deadline - time.monotonic())):
            return False
    return doomed


def close(store: Store) -> Plan[list[Exception]]:
    """Remove everything, last loaded first, and refuse whatever comes after."""
    with store.lock:
        store.closed = True
        entries = sorted(store.live.values(), key=lambda entry: entry.loaded, reverse=True)
        doomed = [entry for entry in entries if store.condemn(entry, RemovalCause.CLOSED)]
        store.wake()
    errors: list[Exception] = yield TearDown(doomed)
    return errors
