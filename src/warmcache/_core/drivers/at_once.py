"""Loads, and stores, that wait for nobody, carried out without a plan.

Most misses find nobody else there: there is room at once or idle victims make it, the loader runs,
and what it gave is published. A plan, its driver and their generators would cost several times
what there is to decide. So here is the same load in one piece. What becomes of entries it leaves
to the functions that the plan asks, in the same order, under the same lock (the order's ``take``,
``condemn``, ``lease_retired``, ``land``, :func:`give_up`). And as soon as there is more to decide
than who goes, for others make room too, wait for some or have what is needed, the plan goes on
with the same flight from there.

The same goes for what is handed in through the mapping.

It is not taken where the value alone can tell its weight, where memory is measured, where entries
end by themselves, and where somebody loads this key already or tears it down.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Hashable
from typing import Any

from warmcache import _log
from warmcache._core.plans.cache_view import CacheView
from warmcache._core.plans.get import leave
from warmcache._core.plans.load import end_own_lease, fly, freeze_loaded, give_up, unboxed
from warmcache._core.plans.loaded import load_record, tell_of_load
from warmcache._core.plans.put import arrive
from warmcache._core.plans.steps import Disguised, Owner, Request
from warmcache._core.state.at_once import condemn_at_once, reserve_at_once, vanish_at_once
from warmcache._core.state.entry import Entry, LeaseRecord, Source
from warmcache._core.state.flights import Flight, go_inside, keep_chain, restore_chain
from warmcache._core.state.landing import end_flight, land, lease_retired
from warmcache._core.state.ledger import Claim
from warmcache._core.state.loading_threads import HANDED_OVER
from warmcache._core.state.store import Store
from warmcache._log import DEBUG, debugging

from .handed_over import tear_down_what_is_mine
from .let_go import vanished
from .mending import mend_after
from .teardown import tear_down_at_once
from .threads import release, run


def load_at_once(
    cache: CacheView, request: Request, record: LeaseRecord, done: LeaseRecord | None
) -> tuple[Entry, Any] | None:
    """Load what is not warm; return its entry and value, or None if it takes a plan from the start.

    The entry is leased to ``record``, unless that is ``done`` once it has the value.
    """
    store = cache.store
    # As a plain tuple, and all at once: each by its name would take as long as all of them.
    key, source, load, _, _, may_load, _, owner, freeze, weight, _, _, expires, _, _ = request[:]
    if (
        weight is None
        or not may_load
        or cache.meter is not None
        or store.deadlines is not None
        or expires is not None
    ):
        return None
    if HANDED_OVER:
        tear_down_what_is_mine()
    flight: Flight | None = None
    claim: Claim | None = None
    watched: object = False
    kept, logs = keep_chain(), _log.known.get(DEBUG)
    if logs is None:
        logs = debugging()
    try:
        with store.lock:
            if is_taken(store, key, weight):
                return None
            flight = begin_flight(store, key, source, record, kept)
            flight.at_once = True  # from here on this ends it, below
            if store.tears_down:
                claim = Claim(key, weight)
                gone = condemn_at_once(store, claim, cache, logs, flight)
                granted = not gone and gone is not None and _granted(store, claim, flight)
            else:
                watched = logs or store.observers.all
                gone = vanish_at_once(store, key, weight, cache, watched)
                if granted := gone is not None:
                    reserve_at_once(store, weight, flight)
        if claim is None:
            if gone:
                vanished(store, gone, logs, watched)
        elif gone:
            ended = tear_down_at_once(cache, gone, logs)
            with store.lock:
                if ended is not None:
                    store.gone(ended)
                granted = _granted(store, claim, flight)
            if ended is not None:
                ended.empty_of_the_rest()
        if not granted:
            return _by_plan(cache, request, flight, claim, done)
        timer = store.timer
        box: defaultdict[int, Any] = defaultdict(load)
        flight.box = box
        began = timer()
        box[0]  # which calls the loader; from here, see threads.run
        entry = unboxed(request, flight, began, timer())
        if freeze is not None:
            freeze_loaded(store, request, flight)
        if flight.lease is not None:
            run(end_own_lease(store, flight), cache)
        # Observers are told of who holds it, and so of who asked, and when; and it stays there
        # until who listens has heard of it.
        told = load_record(entry, flight) if logs or store.load_listener is not None else None
        unleased = None if store.observers.all or told is not None else done
        landed: tuple[Entry, Any] | None = None
        with store.lock:
            if may_land(store, key, owner):
                landed = entry, entry.value
                land(store, entry, flight, unleased)
        if landed is None:
            return _by_plan(cache, request, flight, claim, done)
        if told is not None:
            tell_of_load(store, told)
        if unleased is not done:
            release(cache, entry, record)
        return landed
    except Exception as error:
        if flight is not None and not flight.ended:
            run(give_up(store, request, flight, error), cache)
            # For who has joined.
            flight.error, flight.trace = Disguised.where_needed(error), error.__traceback__
            with store.lock:
                if claim is not None:
                    store.ledger.drop(claim)
                end_flight(store, flight)
        raise
    finally:  # who called this mends what was interrupted, if this is not under way any more
        if flight is not None:
            flight.at_once = False
        restore_chain(kept)
        if flight is not None and (kept is not None or flight.error is not None):
            leave(flight, record)


def is_taken(store: Store, key: Hashable, weight: float) -> bool:
    """Whether somebody is there already, or there is something to be refused."""
    if key in store.live or store.closed or weight > store.ledger.limit:
        return True
    if store.flights or store.dying:  # or the key would be hashed twice for nothing
        return key in store.flights or key in store.dying
    return False


def may_land(store: Store, key: Hashable, owner: Owner | None) -> bool:
    """Whether what was loaded can be published as it is: nothing has ended or come between."""
    if store.closed or key in store.live:
        return False
    return owner is None or not owner.ended


def begin_flight(
    store: Store, key: Hashable, source: Source, record: LeaseRecord, kept: Any
) -> Flight:
    """Count a miss and begin its flight, as the plan does; nobody can wait for it yet."""
    timer = store.timer
    flight = Flight(key, record, source, timer())
    store.flights[key] = flight
    store.counts.misses += 1
    source.misses += 1
    outer = go_inside(flight, kept)
    if outer:
        outer[-1].blocked_on.append(flight)
    return flight


def _granted(store: Store, claim: Claim, flight: Flight) -> bool:
    """Reserve the room that was made, unless others have come between."""
    if store.closed or claim.key in store.dying or not store.ledger.grant(claim, flight):
        return False
    if store.leased:
        lease_retired(store, flight)
    return True


def _by_plan(
    cache: CacheView,
    request: Request,
    flight: Flight,
    claim: Claim | None,
    done: LeaseRecord | None,
) -> tuple[Entry, Any]:
    """Go on by the plan, from where the flight is."""
    flight.plan = fly(cache, request, flight, claim)
    run(flight.plan, cache)
    if flight.error is not None:
        raise flight.error.error if isinstance(flight.error, Disguised) else flight.error
    entry = flight.entry
    assert entry is not None
    value = entry.value
    if done is not None:
        release(cache, entry, done)
    return entry, value


def store_at_once(cache: CacheView, new: Entry, claim: Claim) -> bool:
    """Store what was handed in, replacing what was there; whether that could be done at once."""
    store = cache.store
    if cache.meter is not None or store.deadlines is not None:
        return False
    if HANDED_OVER:
        tear_down_what_is_mine()
    logs = _log.known.get(DEBUG)
    if logs is None:
        logs = debugging()
    try:
        with store.lock:
            old = store.live.get(new.key)
            if store.closed or store.leased or (old is not None and old.value is new.value):
                return False
            doomed = condemn_at_once(store, claim, cache, logs, None, old)
            if not doomed:
                return doomed is not None and _arrived(store, new, claim)
        ended = tear_down_at_once(cache, doomed, logs)
        with store.lock:
            if ended is not None:
                store.gone(ended)
            arrived = _arrived(store, new, claim)
        if ended is not None:
            ended.empty_of_the_rest()
        return arrived
    except BaseException as error:
        with store.lock:
            store.ledger.drop(claim)
        mend_after(cache, error)
        raise


def _arrived(store: Store, new: Entry, claim: Claim) -> bool:
    """Make visible what was handed in, unless others have come between."""
    if store.closed:  # and nobody is owed room any more
        store.ledger.drop(claim)
        return False
    if store.leased or new.key in store.live or not store.ledger.grant(claim):
        return False
    arrive(store, new, claim)
    return True
