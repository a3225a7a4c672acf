"""The plan of a load: make room, load, weigh, publish."""

from __future__ import annotations

import math
from collections.abc import Hashable
from functools import partial
from typing import Any

from warmcache._core.state.entry import Entry, Provenance, State, seconds_between
from warmcache._core.state.flights import CHAIN, Flight, as_part_of
from warmcache._core.state.hot_paths import hot_paths_off
from warmcache._core.state.ledger import Claim
from warmcache._core.state.records import RemovalCause
from warmcache._core.state.store import Store
from warmcache._sizes import parse_size
from warmcache.errors import CapacityError

from .make_room import LOOK, room
from .refuse import refusal
from .remove import make_up
from .steps import CacheView, Call, Load, Plan, Request, TearDown, Wait

_TRIES = 3  # of a load that runs out of memory


def _heat(store: Store, entry: Entry) -> None:
    """Put a live entry on its loader's hit path (called with the lock held)."""
    provenance = entry.provenance
    hot = provenance.hot() if provenance.hot is not None else None
    if hot is not None and entry.state is State.LIVE and not store.inherited:
        hot[provenance.hot_key] = entry
        if hot_paths_off():  # a scope began just now, and may have emptied it before
            hot.pop(provenance.hot_key, None)


def fly(cache: CacheView, request: Request, flight: Flight) -> Plan[None]:
    """Make room, load, publish; the outcome is left in ``flight``."""
    store = cache.store
    try:
        # All of it is part of the load: a victim's teardown that asks for it would wait
        # for itself.
        with as_part_of(flight):
            yield from _after_teardown_of(store, request.key)
            if store.meter is None:
                claim = Claim(request.key, request.weight or request.hint or 0)
            else:
                claim = store.meter.claim(store, request)
            yield from room(cache, claim, flight=flight)
            yield from _load(cache, request, flight)
    except Exception as error:
        flight.error = error
    finally:
        with store.lock:
            if store.flights.get(request.key) is flight:
                del store.flights[request.key]
            if flight.weight:
                store.unreserve(flight.weight)
                flight.weight = 0
        flight.done.happen()


def _after_teardown_of(store: Store, key: Hashable) -> Plan[None]:
    """Let a teardown of the same key end first: its port or file may be exclusive."""
    while True:
        with store.lock:
            if key not in store.dying:
                return
            change = store.change()
        if store.meter is None:
            yield Wait(change)
        else:  # nobody may come to look whether its memory is back
            yield Wait(change, LOOK)
            yield Call(partial(store.meter.look, store))


def _load(cache: CacheView, request: Request, flight: Flight) -> Plan[None]:
    store = cache.store
    entry, before = yield from _loaded(cache, request, flight)
    try:
        now = entry.loaded_at
        entry.expires = yield Call(lambda: request.expires(entry.key, entry.value, now))
        if store.meter is not None:
            yield from _measure(cache, request, flight, entry, before)
        elif request.weight is None:
            yield from _weigh(cache, request, flight, entry)
        yield from _publish(store, entry, flight)
    except BaseException as error:
        cause = RemovalCause.SIZE if isinstance(error, CapacityError) else RemovalCause.CLOSED
        with store.lock:
            entry.weight, flight.weight = flight.weight, 0
            store.turn_away(entry, cause)
        yield TearDown([entry])
        raise


def _loaded(cache: CacheView, request: Request, flight: Flight) -> Plan[tuple[Entry, Any]]:
    """Load; where that ran out of metered memory, make room and try again, twice at most.

    Returns the entry, and what the meter saw before the try that succeeded.
    """
    store = cache.store
    tries = _TRIES
    while True:
        tries -= 1
        lacked: float | None = None
        before = store.meter.begin(store, flight) if store.meter is not None else None
        began = store.timer()
        try:
            value, finish, loop = yield Load(request)
        except Exception as error:
            if store.meter is None or (lacked := store.meter.lacked(error)) is None:
                raise
            if not tries or lacked == math.inf or flight.exhausted:
                _give_up(store, flight, error)
                raise
        else:
            ended = store.timer()
            seconds = seconds_between(began, ended)
            provenance = Provenance(
                request.source, seconds, finish, loop, request.hot, request.hot_key
            )
            return Entry(request.key, value, flight.weight, provenance, ended), before
        # Out here the error is gone, and with its frames what they had allocated.
        if not (yield from make_up(cache, lacked, RemovalCause.PRESSURE)):
            tries = min(tries, 1)
        yield Call(store.flush)


def _give_up(store: Store, flight: Flight, error: Exception) -> None:
    """Tell what the memory went to; loads that asked for this one need not try again."""
    if not flight.exhausted:
        with store.lock:
            error.add_note(store.in_words())
    for outer in CHAIN.get():
        if isinstance(outer, Flight):
            outer.exhausted = True


def _weigh(cache: CacheView, request: Request, flight: Flight, entry: Entry) -> Plan[None]:
    """Ask what a loaded value weighs, and make room for what was not reserved."""
    store = cache.store
    size = yield Call(lambda: request.weigh(entry.value))
    weight = parse_size(size)
    if weight > store.limit:
        with store.lock:
            raise refusal(store, Claim(request.key, weight))
    if weight > flight.weight:
        yield from room(cache, Claim(request.key, weight - flight.weight), flight=flight)
    with store.lock:
        store.recharge(flight, weight)
    entry.weight = weight


def _measure(
    cache: CacheView, request: Request, flight: Flight, entry: Entry, before: Any
) -> Plan[None]:
    """Charge a loaded value with what it takes; idle victims make up what was not reserved.

    The memory is taken already: waiting for a lease to end would not give any back.
    """
    store, meter = cache.store, cache.store.meter
    assert meter is not None
    weight = yield Call(lambda: meter.weigh(store, request, flight, entry, before))
    with store.lock:
        if weight > store.limit:
            raise refusal(store, Claim(request.key, weight))
        store.recharge(flight, weight)
        entry.weight = weight
        debt = store.committed - store.dying_weight - store.limit
    if debt > store.slack:
        yield from make_up(cache, debt, RemovalCause.SIZE)


def _publish(store: Store, entry: Entry, flight: Flight) -> Plan[None]:
    """Make a loaded entry visible, held by all who wait for it, and end its flight."""
    while True:
        with store.lock:
            store.check_open()
            usurper = store.live.get(entry.key)  # handed in while we were loading
            if usurper is None:
                entry.leases = tuple(flight.joined)
                entry.base_uses = len(flight.joined)
                store.counts.loads += 1
                store.counts.load_seconds += entry.provenance.seconds
                store.publish(entry)
                _heat(store, entry)
                flight.entry, flight.weight = entry, 0
                del store.flights[entry.key]
                return
            doomed = [usurper] if store.condemn(usurper, RemovalCause.REPLACED) else []
        yield TearDown(doomed)
