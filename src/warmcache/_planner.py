"""The decisions: hit, join, evict, load, wait, refuse.

Every way to get, store or remove a value is a *plan*: a generator that decides
under the lock and yields what has to be done outside it, one :class:`Step` at a
time. A plan does no I/O, waits for nothing and runs no user code; ``_drive.py``
carries the steps out, once for threads and once for asyncio, so that the logic
exists once.
"""

from __future__ import annotations

import copy
import time
from collections.abc import Callable, Generator, Hashable, Iterable
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any, TypeAlias, TypeVar

from ._entry import (
    Entry,
    Hold,
    HotEntries,
    Loaded,
    Origin,
    Removal,
    RemovalCause,
    State,
    seconds_between,
    tick,
)
from ._order import Rank
from ._scopes import hot_paths_off
from ._sizes import parse_size
from ._store import CHAIN, Claim, Flight, Store, inside
from .errors import CapacityError, ClosedError, LoadCycleError, WarmMissError

T = TypeVar("T")


@dataclass(slots=True)
class Call:
    """Run ``function`` here and now; the plan gets what it returns or raises."""

    function: Callable[[], Any]


@dataclass(slots=True)
class Load:
    """Run a loader; the plan gets ``(value, finish, loop)``, see :class:`Loaded`."""

    request: Request


@dataclass(slots=True)
class Launch:
    """Carry out the plan of a load: at once, or in a task of its own."""

    flight: Flight
    plan: Plan[None]


@dataclass(slots=True)
class TearDown:
    """Tear these entries down; the plan gets the exceptions that it led to."""

    entries: list[Entry]


@dataclass(slots=True)
class Wait:
    """Wait for ``future``, ``timeout`` seconds at most; the plan gets whether it came."""

    future: Future[None]
    timeout: float | None = None


Step: TypeAlias = Call | Load | Launch | TearDown | Wait
Plan: TypeAlias = Generator[Step, Any, T]


@dataclass(slots=True)
class Request:
    """What one call of a loader asks for.

    ``weight`` is None when only the value can tell; then ``weigh`` is asked.
    """

    key: Hashable
    origin: Origin
    load: Callable[[], Any]
    weight: float | None
    weigh: Callable[[Any], Any]
    expires: Callable[[Hashable, Any, Any], Any]
    validate: Callable[[Any], object] | None
    hot: HotEntries | None
    hot_key: Any
    may_load: bool


class Context:
    """What a plan needs of its cache beyond the store: the policy, and patience."""

    __slots__ = ("rank", "store", "wait")

    def __init__(self, store: Store, rank: Rank, wait: float) -> None:
        self.store = store
        self.rank = rank
        self.wait = wait


# -- getting -----------------------------------------------------------------------


def get(cache: Context, request: Request, hold: Hold) -> Plan[Entry]:
    """Return a live entry for ``request``, leased to ``hold``; load it if need be."""
    store, counted = cache.store, False
    while True:
        flight = None
        with store.lock:
            store.check_open()
            doomed = store.expire(store.timer()) if store.deadlines is not None else []
            entry = store.live.get(request.key)
            if entry is not None:
                store.hold(entry, hold)
            else:
                if not counted:
                    counted = True
                    store.misses += 1
                    request.origin.misses += 1
                flight, mine = _join_or_begin(store, request, hold)
        if doomed:
            yield TearDown(doomed)
        if flight is not None:
            if mine:
                yield Launch(flight, fly(cache, request, flight))
            entry = yield from _arrival(store, flight, hold, mine)
            if entry is not None:
                return entry
        elif entry is not None and (yield from _still_valid(store, request, entry, hold)):
            with store.lock:
                if not counted:
                    entry.hits += 1
                entry.used = tick()
                _heat(entry)
            return entry


def _join_or_begin(store: Store, request: Request, hold: Hold) -> tuple[Flight, bool]:
    chain = CHAIN.get()
    flight = store.flights.get(request.key)
    mine = flight is None
    if flight is None:
        if not request.may_load:
            raise WarmMissError(f"{request.key!r} is not warm, and loading is forbidden here")
        if any(entry in chain for entry in store.dying.get(request.key, ())):
            raise LoadCycleError(f"{request.key!r} was asked for by its own teardown")
        flight = store.flights[request.key] = Flight(request.key, hold)
    else:
        flight.joined.append(hold)
        store.waits += 1
    # The edge first, the search second: of two threads that close a cycle at the
    # same moment, at least one then sees it.
    if chain and isinstance(chain[-1], Flight):
        chain[-1].blocked_on.append(flight)
    if flight.reaches(chain):
        _leave(flight, hold)
        raise LoadCycleError(f"loading {request.key!r} waits for itself")
    return flight, mine


def _leave(flight: Flight, hold: Hold) -> None:
    chain = CHAIN.get()
    if hold in flight.joined:
        flight.joined.remove(hold)
    if chain and isinstance(chain[-1], Flight) and flight in chain[-1].blocked_on:
        chain[-1].blocked_on.remove(flight)


def _arrival(store: Store, flight: Flight, hold: Hold, mine: bool) -> Plan[Entry | None]:
    """Wait for a load and share its outcome; None when it was abandoned."""
    try:
        yield Wait(flight.done)
        if flight.error is not None:
            raise flight.error if mine else _own_copy(flight.error)
        return flight.entry
    except BaseException:
        entry = flight.entry
        if entry is not None:  # cancelled between the load and here: give it back
            yield from release(store, entry, hold)
        raise
    finally:
        with store.lock:
            _leave(flight, hold)
            if not flight.joined:
                flight.error = None  # it owns frames, and they own us


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


def _still_valid(store: Store, request: Request, entry: Entry, hold: Hold) -> Plan[bool]:
    if request.validate is None:
        return True
    validate, valid = request.validate, False
    try:
        valid = bool((yield Call(lambda: validate(entry.value))))
    except BaseException:
        yield from release(store, entry, hold)
        raise
    if not valid:
        with store.lock:
            if entry.state is State.LIVE:
                store.condemn(entry, RemovalCause.INVALID)
        yield from release(store, entry, hold)
    return valid


def _heat(entry: Entry) -> None:
    """Put a live entry on its loader's hit path (called with the lock held)."""
    how = entry.how
    if how.hot is not None and entry.state is State.LIVE:
        how.hot[how.hot_key] = entry
        if hot_paths_off():  # a scope began just now, and may have emptied it before
            how.hot.pop(how.hot_key, None)


# -- loading -----------------------------------------------------------------------


def fly(cache: Context, request: Request, flight: Flight) -> Plan[None]:
    """Make room, load, publish; the outcome is left in ``flight``."""
    store = cache.store
    try:
        yield from _after_teardown_of(store, request.key)
        yield from room(cache, Claim(request.key, request.weight or 0), flight=flight)
        flight.entry = yield from _load(cache, request, flight)
    except Exception as error:
        flight.error = error
    finally:
        with store.lock:
            if store.flights.get(request.key) is flight:
                del store.flights[request.key]
            if flight.weight:
                store.unreserve(flight.weight)
                flight.weight = 0
        flight.done.set_result(None)


def _after_teardown_of(store: Store, key: Hashable) -> Plan[None]:
    """Let a teardown of the same key end first: its port or file may be exclusive."""
    while True:
        with store.lock:
            if key not in store.dying:
                return
            change = store.waiter()
        yield Wait(change)


def _load(cache: Context, request: Request, flight: Flight) -> Plan[Entry]:
    store = cache.store
    began = store.timer()
    with inside(flight):
        value, finish, loop = yield Load(request)
    ended = store.timer()
    how = Loaded(seconds_between(began, ended), finish, loop, request.hot, request.hot_key)
    entry = Entry(request.key, value, flight.weight, request.origin, ended, how=how)
    del value, finish
    try:
        entry.expires = yield Call(lambda: request.expires(entry.key, entry.value, ended))
        if request.weight is None:
            weight = parse_size((yield Call(lambda: request.weigh(entry.value))))
            yield from room(cache, Claim(request.key, weight), flight=flight)
            entry.weight = weight
        yield from _publish(store, entry, flight)
    except BaseException as error:
        cause = RemovalCause.SIZE if isinstance(error, CapacityError) else RemovalCause.CLOSED
        with store.lock:
            entry.weight, flight.weight = flight.weight, 0
            store.turn_away(entry, cause)
        yield TearDown([entry])
        raise
    return entry


def _publish(store: Store, entry: Entry, flight: Flight) -> Plan[None]:
    """Make a loaded entry visible, held by all who wait for it, and end its flight."""
    while True:
        with store.lock:
            store.check_open()
            usurper = store.live.get(entry.key)  # handed in while we were loading
            if usurper is None:
                entry.holds = tuple(flight.joined)
                entry.base_uses = len(flight.joined)
                store.loads += 1
                store.load_seconds += entry.how.seconds
                store.publish(entry)
                _heat(entry)
                flight.weight = 0
                del store.flights[entry.key]
                return
            doomed = [usurper] if store.condemn(usurper, RemovalCause.REPLACED) else []
        yield TearDown(doomed)


# -- making room -------------------------------------------------------------------


def room(
    cache: Context, claim: Claim, *, flight: Flight | None = None, replacing: bool = False
) -> Plan[None]:
    """Reserve room for ``claim``: by what is free, by eviction, or by waiting.

    Nothing is evicted for what cannot fit. With ``replacing``, the live entry of the
    same key goes first, and counts as room. Raises CapacityError or ClosedError.
    """
    store = cache.store
    if claim.weight > store.limit:
        with store.lock:
            raise store.refusal(claim)
    deadline: float | None = None
    try:
        while True:
            with store.lock:
                store.check_open()
                granted, doomed, blocked = _make_room(cache, claim, flight, replacing)
                if granted:
                    return
                if not doomed:
                    if blocked:
                        deadline = _patience(cache, claim, flight, deadline)
                    store.waits += 1
                    change = store.waiter()
            if doomed:
                yield TearDown(doomed)
            else:
                yield Wait(change, deadline - time.monotonic() if blocked and deadline else None)
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
    if old is None and claim.weight <= store.free + store.slack:
        store.reserve(claim, flight)
        return True, [], False
    demand = store.owed + (0 if claim.owed else claim.weight)
    short = demand - store.free - store.dying_weight - store.slack
    if old is None and short <= 0:  # another thread is mid-teardown; its room is coming
        return False, [], False
    if short > store.idle_weight:
        return False, [], True
    victims = _victims(cache, claim, old, short)
    if old is not None and store.condemn(old, RemovalCause.REPLACED):
        doomed.append(old)
    doomed += [entry for entry in victims if store.condemn(entry, RemovalCause.SIZE)]
    if not claim.owed:
        claim.owed = True
        store.owed += claim.weight
    return False, doomed, False


def _victims(cache: Context, claim: Claim, old: Entry | None, short: float) -> list[Entry]:
    """Take idle entries off the order, lowest rank first, until ``short`` is made up.

    As in cachetools, an entry about to be replaced may come up itself; its successor
    then starts its count of uses anew.
    """
    order = cache.store.order
    gain = old.weight if old is not None and not old.holds else 0
    claim.carried = old.uses if old is not None else 0
    victims: list[Entry] = []
    try:
        while gain < short and (entry := order.take(cache.rank)) is not None:
            if entry is old:
                claim.carried = 0
            else:
                victims.append(entry)
                gain += entry.weight
    except BaseException:
        for entry in victims:
            order.add(entry)
        if old is not None and not old.holds:
            order.add(old)
        raise
    return victims


def _patience(
    cache: Context, claim: Claim, flight: Flight | None, deadline: float | None
) -> float:
    """Return until when to wait for a lease to end; refuse where that is pointless."""
    store, now = cache.store, time.monotonic()
    me = flight.hold if flight is not None else Hold(now)
    if deadline is None:
        deadline = now + cache.wait
    if now >= deadline or claim.weight > store.limit - store.mine(me):
        raise store.refusal(claim)
    return deadline


# -- storing and removing ----------------------------------------------------------


def put(cache: Context, new: Entry, *, replace: bool = True) -> Plan[Any]:
    """Store what was handed in through the mapping, replacing what was there.

    Unless ``replace``: then what is there stays. Returns the value that is stored.
    """
    store = cache.store
    claim = Claim(new.key, new.weight)
    while True:
        with store.lock:
            store.check_open()
            old = store.live.get(new.key)
        if old is not None:
            if not replace:
                return old.value
            if old.value is new.value:
                yield from _touch(cache, old, new)
                return new.value
        yield from room(cache, claim, replacing=True)
        with store.lock:
            if not store.closed and new.key not in store.live:
                if claim.carried:
                    new.base_uses = claim.carried + 1
                store.publish(new)
                return new.value
            store.unreserve(claim.weight)  # somebody was faster; once more


def _touch(cache: Context, entry: Entry, new: Entry) -> Plan[None]:
    """Store the very object that is there: a use, and its weight and time anew."""
    store, hold = cache.store, Hold(time.monotonic())
    if new.weight > store.limit:
        with store.lock:
            raise store.refusal(Claim(entry.key, new.weight))
    claim = Claim(entry.key, max(0, new.weight - entry.weight))
    with store.lock:
        if entry.state is not State.LIVE:
            return
        store.hold(entry, hold)
        store.restamp(entry, new)
    try:
        if claim.weight:
            yield from room(cache, claim)
        with store.lock:
            store.reweigh(entry, new.weight, claim.weight)
    finally:
        yield from release(store, entry, hold)


def release(store: Store, entry: Entry, hold: Hold) -> Plan[None]:
    """End a lease; the last one on a removed entry tears it down."""
    with store.lock:
        doomed = store.unhold(entry, hold, tick())
    if doomed:
        yield TearDown([entry])


def remove(store: Store, entries: Iterable[Entry], cause: RemovalCause) -> Plan[list[Exception]]:
    """Remove those of ``entries`` that are still live; return what their teardowns raised."""
    with store.lock:
        doomed = [
            entry
            for entry in entries
            if entry.state is State.LIVE and store.condemn(entry, cause)
        ]
    errors: list[Exception] = yield TearDown(doomed)
    return errors


def close(store: Store) -> Plan[list[Exception]]:
    """Remove everything, last loaded first, and refuse whatever comes after."""
    with store.lock:
        store.closed = True
        entries = sorted(store.live.values(), key=lambda entry: entry.loaded, reverse=True)
        store.wake()
    errors = yield from remove(store, entries, RemovalCause.CLOSED)
    return errors


def evict(store: Store, entries: Iterable[Entry], cause: RemovalCause) -> Plan[list[Removal]]:
    """Remove those of ``entries`` that are still live; return what was removed."""
    with store.lock:
        removed = [entry for entry in entries if entry.state is State.LIVE]
        doomed = [entry for entry in removed if store.condemn(entry, cause)]
        removals = [store.removal(entry) for entry in removed]
    if doomed:
        yield TearDown(doomed)
    return removals
