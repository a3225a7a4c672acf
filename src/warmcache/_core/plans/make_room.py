"""Plans that make room, and those that store, release and remove."""

from __future__ import annotations

import time
from collections.abc import Iterable
from typing import Any

from warmcache._core.state.entry import Entry, Hold, Removal, RemovalCause, State, tick
from warmcache._core.state.flights import CHAIN, Claim, Flight
from warmcache._core.state.store import Store

from .refuse import refusal, withheld_by
from .steps import Call, Context, Plan, TearDown, Wait

LOOK = 0.25  # seconds after which to look at the device again

# -- making room -------------------------------------------------------------------


def room(
    cache: Context, claim: Claim, *, flight: Flight | None = None, replacing: bool = False
) -> Plan[None]:
    """Reserve room for ``claim``: by what is free, by eviction, or by waiting.

    Nothing is evicted for what cannot fit. With ``replacing``, the live entry of the
    same key goes first, and counts as room. Raises CapacityError or ClosedError.
    """
    store = cache.store
    deadline: float | None = None
    meter = store.meter
    try:
        while True:
            if meter is not None:
                yield Call(lambda: meter.look(store))
            with store.lock:
                store.check_open()
                if claim.weight > store.most_for(claim):
                    raise refusal(store, claim)
                granted, doomed, blocked = _make_room(cache, claim, flight, replacing)
                if granted:
                    return
                if not doomed:
                    if deadline is None:
                        deadline = time.monotonic() + cache.wait
                        store.counts.waits += 1
                    timeout = _patience(cache, claim, flight, deadline, blocked)
                    if meter is not None:  # nobody tells us what others give back
                        timeout = LOOK if timeout is None else min(timeout, LOOK)
                    change = store.change()
            if doomed:
                yield TearDown(doomed)
            else:
                yield Wait(change, timeout)  # pyright: ignore[reportPossiblyUnboundVariable]
    finally:
        with store.lock:
            store.settle(claim)


def _make_room(
    cache: Context, claim: Claim, flight: Flight | None, replacing: bool
) -> tuple[bool, list[Entry], bool]:
    """Take one step towards room: whether it is granted, what must die, whether blocked."""
    store = cache.store
    doomed = store.expire(store.timer()) if store.deadlines is not None else []
    if doomed:
        return False, doomed, False
    old = store.live.get(claim.key) if replacing else None
    _borrow(store, claim, flight)
    free = store.free_for(claim)
    weight = _least(store, claim) if claim.alone else claim.weight
    if old is None and weight <= free + store.slack:
        if claim.alone:
            claim.weight = max(weight, free)
        store.reserve(claim, flight)
        return True, [], False
    demand = store.owed + (0 if claim.owed else weight)
    short = demand - free - store.dying_weight
    if old is None and short <= store.slack:  # another thread is mid-teardown; its room is coming
        return False, [], False
    if short > store.idle_weight + store.slack:
        return False, [], short > store.idle_weight + store.elastic_weight + store.slack
    within_budget = demand - store.dying_weight <= store.limit - store.committed
    if old is None and 0 < claim.evicted >= weight and within_budget:
        return False, [], True  # evicting gave the device nothing back: others hold it
    gain = old.weight if old is not None and not old.holds else 0
    victims, passed = store.victims(short - gain, cache.rank, old)
    claim.carried = 0 if old is None or passed else old.uses
    if old is not None and store.condemn(old, RemovalCause.REPLACED):
        doomed.append(old)
    doomed += [entry for entry in victims if store.condemn(entry, RemovalCause.SIZE)]
    claim.evicted += sum(entry.weight for entry in victims)
    if not claim.owed:
        claim.owed = weight
        store.owed += weight
    if old is not None and not doomed:  # it was leased and is only retired
        return _make_room(cache, claim, flight, replacing)
    return False, doomed, False


def _least(store: Store, claim: Claim) -> float:
    """Return the room to make for a load of which nobody knows how much it takes."""
    possible = store.free + store.idle_weight + store.dying_weight
    return min(claim.weight, max(possible, claim.weight / 4))


def _borrow(store: Store, claim: Claim, flight: Flight | None) -> None:
    """Take room from the loads that wait for this one, where theirs was a guess.

    That is those which it is part of, and others that have joined it: they end only
    after it, so it would wait for their room for ever.
    """
    outer = CHAIN.get()
    for other in list(store.flights.values()):
        if other is flight or not other.elastic:
            continue
        if other in outer or (flight is not None and other.reaches((flight,))):
            part = min(other.weight, claim.weight - store.free_for(claim))
            if part > 0:
                other.weight -= part
                store.unreserve(part)


def _patience(
    cache: Context, claim: Claim, flight: Flight | None, deadline: float, blocked: bool
) -> float | None:
    """Return how long to wait for room; refuse where that is pointless.

    A teardown under way ends by itself, a lease (``blocked``) may not.
    """
    store, now = cache.store, time.monotonic()
    me = flight.hold if flight is not None else Hold(now)
    own = claim.weight > store.limit - withheld_by(me, store)
    if own or (blocked and now >= deadline):
        raise refusal(store, claim, own=own)
    return deadline - now if blocked else None


# -- storing and removing ----------------------------------------------------------


def put(cache: Context, new: Entry, *, replace: bool = True) -> Plan[Any]:
    """Store what was handed in through the mapping, replacing what was there.

    Unless ``replace``: then what is there stays. Returns the value that is stored.
    """
    store = cache.store
    claim = Claim(new.key, new.weight, present=True)
    while True:
        with store.lock:
            store.check_open()
            old = store.live.get(new.key)
            if old is not None and not replace:
                return old.value
            touched = old is not None and old.value is new.value
        if not touched:
            yield from room(cache, claim, replacing=True)
        elif old is not None and (yield from _touch(cache, old, new)):
            return new.value
        with store.lock:
            if not touched and not store.closed and new.key not in store.live:
                if claim.carried:
                    new.base_uses = claim.carried + 1
                store.publish(new)
                return new.value
            if not touched:
                store.unreserve(claim.weight)  # somebody was faster; once more


def _touch(cache: Context, entry: Entry, new: Entry) -> Plan[bool]:
    """Store the very object that is there: a use, and its weight and time anew.

    Returns whether it was there still.
    """
    store, hold = cache.store, Hold(time.monotonic())
    with store.lock:
        if new.weight > store.limit:
            raise refusal(store, Claim(entry.key, new.weight))
        if entry.state is not State.LIVE:
            return False
        store.hold(entry, hold)
        store.restamp(entry, new)
    claim = Claim(entry.key, max(0, new.weight - entry.weight), present=True)
    try:
        if claim.weight:
            yield from room(cache, claim)
        with store.lock:
            store.reweigh(entry, new.weight, claim.weight)
    finally:
        yield from release(store, entry, hold)
    return True


def release(store: Store, entry: Entry, hold: Hold) -> Plan[None]:
    """End a lease; the last one on a removed entry tears it down."""
    with store.lock:
        doomed = store.unhold(entry, hold, tick())
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


def evict_victims(cache: Context, count: int) -> Plan[list[Removal]]:
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


def relieve(cache: Context, weight: float, cause: RemovalCause) -> Plan[float]:
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
        for hold in entry.holds:
            doomed = store.unhold(entry, hold)
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
