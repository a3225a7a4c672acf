"""Plans that make room, and those that store, release and remove."""

from __future__ import annotations

import time

from warmcache._core.state.entry import Entry, LeaseRecord
from warmcache._core.state.flights import CHAIN, Flight
from warmcache._core.state.ledger import Claim
from warmcache._core.state.records import RemovalCause
from warmcache._core.state.store import Store

from .refuse import refusal, withheld_by
from .steps import CacheView, Call, Plan, TearDown, Wait

LOOK = 0.25  # seconds after which to look at the device again

# -- making room -------------------------------------------------------------------


def room(
    cache: CacheView, claim: Claim, *, flight: Flight | None = None, replacing: bool = False
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
    cache: CacheView, claim: Claim, flight: Flight | None, replacing: bool
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
    gain = old.weight if old is not None and not old.leases else 0
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
    cache: CacheView, claim: Claim, flight: Flight | None, deadline: float, blocked: bool
) -> float | None:
    """Return how long to wait for room; refuse where that is pointless.

    A teardown under way ends by itself, a lease (``blocked``) may not.
    """
    store, now = cache.store, time.monotonic()
    me = flight.record if flight is not None else LeaseRecord(now)
    own = claim.weight > store.limit - withheld_by(me, store)
    if own or (blocked and now >= deadline):
        raise refusal(store, claim, own=own)
    return deadline - now if blocked else None


# -- storing and removing ----------------------------------------------------------
