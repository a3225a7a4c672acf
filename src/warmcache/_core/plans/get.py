"""The plan that gets a value: a hit, a join, or a load of one's own."""

from __future__ import annotations

import copy

from warmcache._core.state.entry import Entry, LeaseRecord, State
from warmcache._core.state.flights import CHAIN, Flight
from warmcache._core.state.records import RemovalCause
from warmcache._core.state.store import Store
from warmcache._core.state.use_clock import tick
from warmcache._texts import text_of
from warmcache.errors import LoadCycleError, WarmMissError

from .cache_view import CacheView
from .load import fly
from .remove import release
from .steps import Ask, Launch, Plan, Request, TearDown, Wait


def get(cache: CacheView, request: Request, record: LeaseRecord) -> Plan[Entry]:
    """Return a live entry for ``request``, leased to ``record``; load it if need be."""
    store, counted = cache.store, False
    while True:
        flight: Flight | None = None
        mine = False
        with store.lock:
            store.check_open()
            doomed = store.expire(store.timer()) if store.deadlines is not None else []
            entry = store.live.get(request.key) if not doomed else None
            if entry is not None:
                store.lease(entry, record)
            elif not doomed:
                if not counted:
                    counted = True
                    store.counts.misses += 1
                    request.source.misses += 1
                flight, mine = _join_or_begin(store, request, record)
        if doomed:
            yield TearDown(doomed)
        elif flight is not None:
            arrived = yield from _arrival(cache, request, flight, record, mine=mine)
            if arrived is not None:
                return arrived
        elif entry is not None and (yield from _still_valid(cache, request, entry, record)):
            with store.lock:
                if counted:
                    entry.used = tick()
                else:
                    store.used(entry)
                store.heat(entry)
            return entry


def _join_or_begin(store: Store, request: Request, record: LeaseRecord) -> tuple[Flight, bool]:
    chain = CHAIN.get()
    flight = store.flights.get(request.key)
    mine = flight is None
    if flight is None:
        if not request.may_load:
            key = text_of(request.key)
            raise WarmMissError(f"{key} is not warm, and loading is forbidden here")
        flight = store.flights[request.key] = Flight(request.key, record)
        flight.blocked_on.extend(store.dying.get(request.key, ()))
    else:
        flight.joined.append(record)
        store.waited(flight)
    # The edge first, the search second: of two threads that close a cycle at the
    # same moment, at least one then sees it.
    if chain:
        chain[-1].blocked_on.append(flight)
        if flight.reaches(chain):
            _leave(flight, record)
            if mine:
                del store.flights[request.key]
            raise LoadCycleError(f"loading {text_of(request.key)} waits for itself")
    return flight, mine


def _leave(flight: Flight, record: LeaseRecord) -> None:
    chain = CHAIN.get()
    if record in flight.joined:
        flight.joined.remove(record)
    if chain and flight in chain[-1].blocked_on:
        chain[-1].blocked_on.remove(flight)
    if not flight.joined:
        flight.error = None  # it owns frames, and they own us


def _arrival(
    cache: CacheView, request: Request, flight: Flight, record: LeaseRecord, *, mine: bool
) -> Plan[Entry | None]:
    """Load, or wait for who does, and share the outcome; None when it was abandoned."""
    store = cache.store
    try:
        if mine:
            yield Launch(fly(cache, request, flight))
        if not flight.ended:
            with store.lock:
                done = None if flight.ended else flight.wait()
            if done is not None:
                yield Wait(done)
        if flight.error is not None:
            raise flight.error if mine else _own_copy(flight.error)
    except BaseException:
        with store.lock:
            _leave(flight, record)
            entry = flight.entry
        if entry is not None:  # cancelled when the value was there already: give it back
            yield from release(cache, entry, record)
        raise
    with store.lock:
        _leave(flight, record)
    return flight.entry


def _own_copy(error: Exception) -> Exception:
    """Return an exception for one waiter, so that no waiter holds another's frames."""
    try:
        twin = copy.copy(error)
    except Exception:
        return error
    if type(twin) is not type(error) or twin.args != error.args:
        return error
    twin.__cause__, twin.__context__ = error.__cause__, error.__context__
    twin.__suppress_context__ = error.__suppress_context__
    return twin.with_traceback(error.__traceback__)


def _still_valid(
    cache: CacheView, request: Request, entry: Entry, record: LeaseRecord
) -> Plan[bool]:
    if request.validate is None:
        return True
    validate, valid = request.validate, False
    try:
        valid = bool((yield Ask(lambda: validate(entry.value))))
    except BaseException:
        yield from release(cache, entry, record)
        raise
    if not valid:
        with cache.store.lock:
            if entry.state is State.LIVE:
                cache.store.condemn(entry, RemovalCause.INVALID)
        yield from release(cache, entry, record)
    return valid
