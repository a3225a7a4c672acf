"""The plan that stores what was handed in through the mapping."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import Any, TypeVar

from warmcache._core.state.entry import Entry, LeaseRecord, State
from warmcache._core.state.ledger import Claim
from warmcache._core.state.records import RemovalCause
from warmcache._core.state.store import Store
from warmcache.errors import WarmMissError

from .cache_view import CacheView
from .get import get, request_for
from .make_room import room
from .meter import Meter
from .refuse import refusal
from .remove import release
from .steps import Aside, Plan, TearDown

T = TypeVar("T")


def put(cache: CacheView, new: Entry, claim: Claim, *, replace: bool = True) -> Plan[Any]:
    """Store what was handed in, replacing what was there; return the value that is stored.

    Unless ``replace``: then what is there stays, and what is parked comes back. As long as a value
    has an entry under this key, and be it retired under a lease, it is that entry that is stored
    anew, or the value would be torn down twice.
    """
    store, value = cache.store, new.value  # which may be removed again before this returns
    arrived = False

    def granted() -> None:
        nonlocal arrived
        # Somebody was faster, and is not to be replaced.
        if new.key in store.live or (not replace and store.below(new.key)):
            store.ledger.unreserve(claim.weight)
        else:
            if cache.meter is not None:
                new.weight = cache.meter.charge(new, claim.weight)
                store.ledger.unreserve(claim.weight - new.weight)
                claim.weight = new.weight
            arrive(store, new, claim)
            arrived = True

    while not arrived:
        doomed = []
        with store.lock:
            store.check_open()
            old = store.live.get(new.key)
            if old is not None and not replace:
                return old.value
            there = store.entry_with(new.key, value)
            below = [each for each in store.below(new.key) if not replace or each.value is value]
            same = next((each for each in below if each.value is value), None)
            as_before = None if same is None else _ends_as(store, same, new)
            if there is not None and there is not old and not below:
                doomed = store.displace(new.key)
                if not doomed:
                    store.revive(there)
        if below:
            try:
                yield from _bring_back(cache, same or below[0])
            except BaseException:
                if as_before is not None:
                    as_before()
                raise
            if same is not None:
                new.weight = same.weight  # it was weighed without its bytes
        elif there is None:
            yield from room(cache, claim, replacing=replace, granted=granted)
        elif doomed:
            yield TearDown(doomed)
        elif (yield from _touch(cache, there, new)):
            break
    if arrived and cache.meter is not None and cache.meter.shared:
        yield from _granted_later(cache, cache.meter, new)
    return value


def _ends_as(store: Store, entry: Entry, new: Entry) -> Callable[[], None]:
    """Have ``entry`` end when ``new`` would; return what has it end as before. Wants the lock.

    Unless it was stored again meanwhile: then it ends as that says.
    """
    loaded = entry.loaded

    def at(expires: Any, seen_at: Any) -> None:
        with store.lock:
            if entry.loaded == loaded:
                entry.expires, entry.seen_at = expires, seen_at
                if store.deadlines is not None and entry.state is State.LIVE:
                    store.deadlines.renew(entry)

    before = partial(at, entry.expires, entry.seen_at)
    at(new.expires, new.loaded_at)
    return before


def _bring_back(cache: CacheView, entry: Entry) -> Plan[None]:
    """Have what is parked live again, for it is not to be replaced."""
    record = LeaseRecord(time.monotonic())
    try:
        with suppress(WarmMissError):  # it has left meanwhile
            found = yield from get(cache, request_for(entry), record)  # maybe another by now
            yield from release(cache, found, record)
    except BaseException:
        record.over = True
        raise


def _granted_later(cache: CacheView, meter: Meter, entry: Entry) -> Plan[None]:
    """Have the room of what exists granted by other processes, as far as they can.

    It is leased meanwhile: it cost no load, so it would be the first to go for it.
    """

    def ask(record: LeaseRecord) -> Plan[None]:
        with cache.store.lock:
            if entry.state is not State.LIVE:
                return
            cache.store.lease(entry, record)
        yield Aside(meter.true_up)

    yield from _with_lease(cache, entry, ask)


def arrive(store: Store, new: Entry, claim: Claim) -> None:
    """Make visible what was handed in, and its room just granted; the lock is held."""
    if claim.carried:
        new.base_uses = claim.carried + 1.0
    try:
        store.publish(new)
    except Exception:  # the timer has raised, and the value is still the caller's
        store.ledger.unreserve(claim.weight)
        raise


def put_ended(cache: CacheView, new: Entry) -> Plan[None]:
    """Tear down what was handed in when its time had ended already, and what it replaces."""
    store = cache.store
    with store.lock:
        store.check_open()
        same = store.entry_with(new.key, new.value)
        doomed = store.displace(new.key)
        if same is None:
            new.weight = 0  # it never had a place
            store.turn_away(new, RemovalCause.EXPIRED)
            doomed.append(new)
    yield TearDown(doomed)


def _touch(cache: CacheView, entry: Entry, new: Entry) -> Plan[bool]:
    """Store the very object that is there: a use, and its weight and time anew.

    Returns whether it was there still.
    """
    store, claim = cache.store, Claim(entry.key, 0)
    claim.present = True

    def reweigh() -> None:
        if entry.state is State.LIVE:
            store.restamp(entry, new)
        store.reweigh(entry, new.weight, claim.weight)

    def touch(record: LeaseRecord) -> Plan[bool]:
        with store.lock:
            if new.weight > store.ledger.limit:
                raise refusal(cache, Claim(entry.key, new.weight))
            if entry.state is not State.LIVE:
                return False
            store.lease(entry, record)
            as_before = _ends_as(store, entry, new)  # it may be waited for
            claim.weight = claim.least = max(0, new.weight - entry.weight)
        try:
            if claim.weight:
                yield from room(cache, claim, granted=reweigh)
            else:
                with store.lock:
                    reweigh()
        except BaseException:
            as_before()
            raise
        return True

    return (yield from _with_lease(cache, entry, touch))


def _with_lease(cache: CacheView, entry: Entry, work: Callable[[LeaseRecord], Plan[T]]) -> Plan[T]:
    """Carry out ``work``, which may lease ``entry`` to the record that it gets; end that lease."""
    record = LeaseRecord(time.monotonic())
    try:
        done = yield from work(record)
    except BaseException as error:
        record.over = True
        if isinstance(error, Exception):
            yield from release(cache, entry, record)
        raise
    record.over = True
    yield from release(cache, entry, record)
    return done
