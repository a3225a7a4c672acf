"""Loads, and stores, that wait for nobody, carried out without a plan.

Most misses find nobody else there: there is room at once or idle victims make it, the loader runs,
and what it gave is published. A plan, its driver and their generators would cost several times
what there is to decide. So here is the same load in one piece. It decides nothing of its own: each
decision is made by the function that the plan asks, in the same order, under the same lock
(``room_at_once`` or :func:`decide`, ``lease_retired``, ``land``, :func:`give_up`). And as soon as
one of them says that it is to wait, the plan goes on with the same flight from there.

The same goes for what is handed in through the mapping.

It is not taken where the value alone can tell its weight, where memory is measured, where entries
end by themselves, and where somebody loads this key already or tears it down.
"""

from __future__ import annotations

from collections import defaultdict
from typing import Any

from warmcache._core.plans.cache_view import CacheView
from warmcache._core.plans.get import leave
from warmcache._core.plans.load import end_own_lease, fly, give_up, unboxed
from warmcache._core.plans.make_room import Case, decide
from warmcache._core.plans.put import arrive
from warmcache._core.plans.steps import Disguised, Request
from warmcache._core.state.entry import Entry, LeaseRecord
from warmcache._core.state.flights import CHAIN, Flight
from warmcache._core.state.ledger import Claim
from warmcache._core.state.store import Store

from .let_go import vanished
from .mending import mend_after
from .teardown import tear_down
from .threads import release, run


def load_at_once(
    cache: CacheView, request: Request, record: LeaseRecord, *, keep: bool
) -> tuple[Entry, Any] | None:
    """Load what is not warm; return its entry and value, or None if it takes a plan from the start.

    The entry is leased to ``record`` if that is to ``keep`` it.
    """
    store = cache.store
    if (
        request.weight is None
        or not request.may_load
        or cache.meter is not None
        or store.deadlines is not None
    ):
        return None
    claim = Claim(request.key, request.weight)
    flight: Flight | None = None
    kept = CHAIN.keep()
    try:
        with store.lock:
            if _is_taken(store, claim):
                return None
            flight = _begin(store, request, record)
            flight.at_once = True
            granted, gone = _step(cache, claim, flight)
        if granted:
            vanished(store, gone)
        elif not _room(cache, claim, flight, gone):
            return _by_plan(cache, request, flight, claim, keep=keep)
        flight.box = defaultdict(request.load)
        began = store.timer()
        flight.box[0]  # which calls the loader; from here, see threads.run
        entry = unboxed(request, flight, began, store.timer())
        if flight.lease is not None:
            run(end_own_lease(store, flight), cache)
        # Observers are told of who holds it, and so of who asked, and when.
        done = None if keep or store.observers else record
        landed: tuple[Entry, Any] | None = None
        with store.lock:
            if not store.closed and request.key not in store.live:
                landed = entry, entry.value
                store.land(entry, flight, done)
        if landed is None:
            return _by_plan(cache, request, flight, claim, keep=keep)
        if done is None and not keep:
            release(cache, entry, record)
        return landed
    except Exception as error:
        if flight is not None and not flight.ended:
            run(give_up(store, request, flight, error), cache)
            # For who has joined.
            flight.error, flight.trace = Disguised.where_needed(error), error.__traceback__
            with store.lock:
                store.ledger.drop(claim)
                store.end_flight(flight)
        raise
    finally:  # who called this mends what was interrupted, if this is not under way any more
        if flight is not None:
            flight.at_once = False
        CHAIN.restore(kept)
        if flight is not None and (kept is not None or flight.error is not None):
            leave(flight, record)


def _is_taken(store: Store, claim: Claim) -> bool:
    """Whether somebody is there already, or there is something to be refused."""
    key = claim.key
    return (
        key in store.live
        or (bool(store.flights) and key in store.flights)
        or (bool(store.dying) and key in store.dying)
        or store.closed
        or claim.weight > store.ledger.limit
    )


def _begin(store: Store, request: Request, record: LeaseRecord) -> Flight:
    """Count a miss and begin its flight, as the plan does; nobody can wait for it yet."""
    flight = Flight(request.key, record, request.source, store.timer())
    store.flights[request.key] = flight
    store.counts.misses += 1
    request.source.misses += 1
    if CHAIN.keep() is None:
        CHAIN.restore(((flight,), record.thread))
    else:
        chain = CHAIN.get()
        if chain:
            chain[-1].blocked_on.append(flight)
        CHAIN.set((*chain, flight))
    return flight


def _step(cache: CacheView, claim: Claim, flight: Flight) -> tuple[bool, list[Entry]]:
    """Take one step towards room; return whether it is there, and what is to go."""
    store = cache.store
    if store.tears_down:
        step = decide(cache, claim, flight, replacing=False)
        if isinstance(step, list):
            return False, step
        granted, gone = step is Case.GRANTED, []
    else:
        made = store.room_at_once(claim.weight, cache.rank)
        if made is None:
            return False, []
        store.ledger.reserve(claim, flight)
        granted, gone = True, made
    if granted and store.leased:
        store.lease_retired(flight)
    return granted, gone


def _room(cache: CacheView, claim: Claim, flight: Flight, gone: list[Entry]) -> bool:
    """Tear down what has to go, step by step; whether there is room then, and no wait."""
    store, granted = cache.store, False
    while gone and not granted:
        tear_down(cache, gone)
        with store.lock:
            if store.closed or claim.key in store.dying:
                return False
            granted, gone = _step(cache, claim, flight)
    return granted


def _by_plan(
    cache: CacheView, request: Request, flight: Flight, claim: Claim, *, keep: bool
) -> tuple[Entry, Any]:
    """Go on by the plan, from where the flight is."""
    flight.plan = fly(cache, request, flight, claim)
    run(flight.plan, cache)
    if flight.error is not None:
        raise flight.error.error if isinstance(flight.error, Disguised) else flight.error
    entry = flight.entry
    assert entry is not None
    value = entry.value
    if not keep:
        release(cache, entry, flight.record)
    return entry, value


def put_at_once(cache: CacheView, new: Entry, claim: Claim) -> bool:
    """Store what was handed in, replacing what was there; whether that could be done at once."""
    store = cache.store
    if cache.meter is not None or store.deadlines is not None:
        return False
    try:
        while True:
            with store.lock:
                old = store.live.get(new.key)
                if store.closed or store.leased or (old is not None and old.value is new.value):
                    return False
                step = decide(cache, claim, None, replacing=True)
                if step is Case.GRANTED:
                    arrive(store, new, claim)
                    return True
            if not isinstance(step, list):
                return False
            tear_down(cache, step)
    except BaseException as error:
        with store.lock:
            store.ledger.drop(claim)
        mend_after(cache, error)
        raise
