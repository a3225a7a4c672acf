"""The plan of a load: make room, load, weigh, publish.

One flight is one plan, whoever waits for it; what becomes of it is left in the flight. The
promises it keeps, in the order in which they could be broken:

- *Room before the load.* The claim is granted before the loader runs. What the value weighs is
  known before, or asked afterwards and made up for then (``_weigh``), or measured, when its
  memory is taken already and waiting would give none back (``_measure``).
- *Nothing between "loaded" and "first used".* To publish makes the entry visible and leased to
  all who wait for it, under one lock.
- *What is loaded leaves by a teardown.* Whatever goes wrong after the loader has returned, the
  value is turned away: torn down in the room that was reserved for it.
- *What was reserved is given back.* Whatever happens, the flight ends: it is out of the store's
  flights, its reservation is returned, and who waits is woken.

Cases that are easy to forget: a value was handed in under this key meanwhile (it is replaced, for
callers wait for what *they* loaded); the cache was closed meanwhile, or who owns what is loaded
(the value is torn down, and they get ClosedError); a teardown of this key is still running (its
port or file may be exclusive, so the load waits for it), or would begin beside the loader, as a
last lease ends (so the load leases what is retired of its key, and tears it down itself when the
loader has returned); and the loader, or a victim's teardown, asks for this very key: all of the
plan runs as part of the flight, so that this is found and not waited for.

A load that runs out of metered memory is tried again, outside of the ``except``: out there the
error is gone, and with its frames what the failed try had allocated.

What is parked is not loaded: it comes back as part of the load (``coming_back.py``).
"""

from __future__ import annotations

import math
import time
from collections import defaultdict
from functools import partial
from typing import Any

from warmcache._core.state.entry import Entry, Provenance, earlier, new_entry, seconds_between
from warmcache._core.state.flights import CHAIN, Flight
from warmcache._core.state.growth import Growth
from warmcache._core.state.landing import (
    end_in_vain,
    end_lease_of,
    land,
    lease_retired,
    turned_away,
)
from warmcache._core.state.ledger import Claim
from warmcache._core.state.records import RemovalCause
from warmcache._core.state.standstill import go_on
from warmcache._core.state.store import Store
from warmcache._log import debugging
from warmcache._sizes import parse_size
from warmcache.errors import CapacityError

from .cache_view import CacheView
from .loaded import is_failed_load, load_record, log_failed_load, tell_of_load
from .make_room import LOOK, room
from .meter import Meter
from .refuse import in_vain, may_not_end, refusal
from .remove import make_up
from .share import made_up
from .steps import Aside, Ask, Disguised, Flush, Load, Owner, Plan, Request, TearDown, Wait

_TRIES = 3  # of a load that runs out of memory


def fly(
    cache: CacheView, request: Request, flight: Flight, claim: Claim | None = None
) -> Plan[None]:
    """Make room, load, publish; the outcome is left in ``flight``.

    What was begun at once goes on where it is: with a ``claim`` that was not granted, or with
    what it has loaded. If it is interrupted it leaves all as it is: whoever carries it out mends
    that.
    """
    store, meter, deadline = cache.store, cache.meter, time.monotonic() + cache.wait
    try:
        if flight.loaded is None:
            if request.key in store.dying:
                yield from _after_teardown(cache, request, flight)
            yield from room(cache, claim or _claim(cache, request), flight=flight)
        if meter is not None and meter.shared:
            yield from _load_agreed(cache, meter, request, flight, deadline)
        else:
            yield from _load(cache, request, flight)
    except Exception as error:
        flight.error, flight.trace = error, Disguised.trace_of(error)
        if isinstance(error, CapacityError):
            flight.forbidden |= error.own
    except BaseException as error:
        if flight.joined and not isinstance(error, GeneratorExit):
            flight.error = error  # for who began it; who joined takes over
        raise
    if not flight.ended:
        with store.lock:
            doomed = end_in_vain(store, flight)
        if doomed:
            yield TearDown(doomed)
        if meter is not None and meter.shared:  # what it had reserved is room for others
            yield Aside(meter.give_back_to_node)


def _load_agreed(
    cache: CacheView, meter: Meter, request: Request, flight: Flight, deadline: float
) -> Plan[None]:
    """Load what other processes have granted, too. Raises CapacityError when they do not."""
    try:
        refused = yield Aside(lambda: meter.agree(cache, flight, deadline - time.monotonic()))
        if refused is not None:
            with cache.store.lock:
                raise refusal(cache, Claim(request.key, flight.weight), node=refused)
        yield from _load(cache, request, flight)
    finally:
        meter.landed(flight)


def _claim(cache: CacheView, request: Request) -> Claim:
    with cache.store.lock:
        for entry in cache.store.below(request.key):
            return Claim(request.key, entry.weight)
    if cache.meter is not None:
        return cache.meter.claim(cache.store, request)
    return Claim(request.key, request.weight or request.hint or 0)


def _after_teardown(
    cache: CacheView, request: Request, flight: Flight, *, loads_now: bool = False
) -> Plan[None]:
    """Wait for what is torn down of this key; if it ``loads_now``, have the rest wait for it."""
    store, meter, me = cache.store, cache.meter, flight.record
    deadline = time.monotonic() + cache.wait
    while True:
        with store.lock:
            dying = store.dying.get(request.key)
            if dying is None:
                if loads_now and store.leased:
                    lease_retired(store, flight)
                return
            timeout = None if meter is None else LOOK
            own = in_vain(me, {each.loop for each in dying if each.loop is not None})
            if own or may_not_end(me, store):
                left = deadline - time.monotonic()
                if own or left <= 0:
                    go_on()
                    raise refusal(cache, Claim(request.key, request.weight or 0), own=own)
                timeout = left if timeout is None else min(timeout, left)
            change = store.ledger.change()
        try:
            yield Wait(change, timeout)
        finally:
            go_on()
        if meter is not None:  # nobody may come to look whether its memory is back
            yield Ask(lambda: meter.look(store))


def _load(cache: CacheView, request: Request, flight: Flight) -> Plan[None]:
    store, meter = cache.store, cache.meter
    growth: Growth | None = None
    try:
        if flight.loaded is None:
            if meter is None:
                yield from _after_teardown(cache, request, flight, loads_now=True)
                flight.box = defaultdict(request.load)
                began = store.timer()
                yield Load(request, flight.box)
                unboxed(request, flight, began, store.timer())
            else:
                growth = yield from _tried(cache, meter, request, flight)
            if request.freeze is not None and flight.returned is None:  # else it is frozen
                yield Ask(partial(freeze_loaded, store, request, flight), "freeze")
        entry = flight.loaded
        assert entry is not None
        if flight.lease is not None:
            yield from end_own_lease(store, flight)
        if flight.returned is not None:
            from .coming_back import land_again

            yield from land_again(cache, flight, entry, request.owner)
            return
        expires = request.expires
        if expires is not None:
            entry.expires = yield Ask(lambda: expires(entry.key, entry.value, entry.loaded_at))
        if meter is not None and growth is not None:
            yield from _measure(cache, meter, request, flight, entry, growth)
        elif request.weight is None:
            yield from _weigh(cache, request, flight, entry)
        yield from _land(store, entry, flight, request.owner)
    except Exception as error:
        yield from give_up(store, request, flight, error)
        raise


def unboxed(request: Request, flight: Flight, began: Any, ended: Any) -> Entry:
    """Return the entry that what was loaded becomes; it alone has the value from now on."""
    box = flight.box
    assert box is not None
    produced = box[0]
    seconds = ended - began
    if seconds.__class__ is not float:
        seconds = seconds_between(began, ended)
    given_by, dump = "loader", None
    if len(produced) == 3:
        value, finish, loop = produced
    else:
        value, finish, loop, kept = produced
        dump = kept.dump
        if kept.from_disk:
            given_by = "disk"
        if kept.seconds is not None:
            flight.paid, seconds = seconds if kept.paid is None else kept.paid, kept.seconds
        ended = earlier(ended, kept.age)
    key, source, _, hot, hot_key = request[:5]  # faster than by their names
    provenance = Provenance(source, seconds, finish, loop, hot, hot_key, given_by, dump)
    if source.thread is not None:
        provenance.thread = source.thread()
    entry = new_entry(key, value, flight.weight, provenance, ended)
    flight.loaded = entry
    box.clear()
    return entry


def freeze_loaded(store: Store, request: Request, flight: Flight) -> None:
    """Put what nobody can change in the place of what was loaded, as a part of that load."""
    entry, began = flight.loaded, store.timer()
    assert entry is not None
    assert request.freeze is not None
    entry.value = request.freeze(entry.value)
    seconds = seconds_between(began, store.timer())
    entry.provenance.seconds += seconds
    if flight.paid is not None:
        flight.paid += seconds


def give_up(store: Store, request: Request, flight: Flight, error: Exception) -> Plan[None]:
    """Have torn down what a failed load has brought all the same, and what it leased."""
    began = flight.box is not None or flight.returned is not None
    flight.forbidden |= not is_failed_load(error)
    if began and not flight.forbidden:  # else its loader was never called
        with store.lock:
            store.counts.load_failures += 1
        if debugging():
            log_failed_load(store, flight, error)
    if flight.loaded is None and flight.box:
        unboxed(request, flight, flight.began, flight.began)
    if flight.lease is not None:
        yield from end_own_lease(store, flight)
    if flight.loaded is not None:
        cause = RemovalCause.SIZE if isinstance(error, CapacityError) else RemovalCause.CLOSED
        with store.lock:
            doomed = turned_away(store, flight.loaded, flight, cause)
        yield TearDown(doomed)
    yield from refused(request.freeze)


def refused(freeze: Any) -> Plan[None]:
    """Do what is left to do of what ``freeze`` has refused, if it was that: it may block."""
    if (step := getattr(freeze, "refused", None)) is not None:
        yield step


def end_own_lease(store: Store, flight: Flight) -> Plan[None]:
    with store.lock:
        doomed = end_lease_of(store, flight)
    if doomed:
        yield TearDown(doomed)


# -- memory that is measured ---------------------------------------------------------


def _tried(cache: CacheView, meter: Meter, request: Request, flight: Flight) -> Plan[Growth]:
    """Load; where that ran out of memory, make room and try again, twice at most.

    Returns what the meter knows of the try that succeeded.
    """
    store, tries = cache.store, _TRIES
    while True:
        tries -= 1
        yield from _after_teardown(cache, request, flight, loads_now=True)
        growth = meter.begin(store, flight)
        try:
            back = False
            if meter.host is not None:
                from .coming_back import brought_back

                back = yield from brought_back(store, meter.host, request, flight)
            if not back:
                flight.box = defaultdict(request.load)
                began = store.timer()
                yield Load(request, flight.box)
                unboxed(request, flight, began, store.timer())
        except Exception as error:
            lacked = meter.lacked(error)
            if lacked is None:
                raise
            if not tries or lacked == math.inf or growth.exhausted:
                _give_up(store, growth, error)
                raise
        else:
            return growth
        claim = Claim(request.key, lacked)
        if not (yield from made_up(cache, lacked, claim)):
            tries = min(tries, 1)
        yield Flush()


def _give_up(store: Store, growth: Growth, error: Exception) -> None:
    """Tell what the memory went to; loads that asked for this one need not try again."""
    if not growth.exhausted:
        with store.lock:
            error.add_note(store.ledger.in_words())
    for outer in CHAIN.get():
        if isinstance(outer, Flight) and outer.growth is not None:
            outer.growth.exhausted = True


def _measure(
    cache: CacheView,
    meter: Meter,
    request: Request,
    flight: Flight,
    entry: Entry,
    growth: Growth,
) -> Plan[None]:
    """Charge a loaded value with what it takes; idle victims make up what was not reserved."""
    store, ledger = cache.store, cache.store.ledger
    weight = yield Ask(lambda: meter.weigh(store, request, flight, entry, growth))
    with store.lock:
        weight = meter.charge(entry, weight)
        if weight > ledger.limit:
            raise refusal(cache, Claim(request.key, weight))
        ledger.recharge(flight, weight)
        entry.weight = weight
        debt = ledger.committed - ledger.dying - ledger.limit
    if meter.shared:
        debt = max(debt, (yield Aside(meter.true_up)))
    if debt > ledger.slack:
        yield from make_up(cache, debt, RemovalCause.SIZE, Claim(request.key, weight))


# -- weights and landing -------------------------------------------------------------


def _weigh(cache: CacheView, request: Request, flight: Flight, entry: Entry) -> Plan[None]:
    """Ask what a loaded value weighs, and make room for what was not reserved."""
    store = cache.store
    weight = parse_size((yield Ask(lambda: request.weigh(entry.value), "size")))
    if weight > store.ledger.limit:
        with store.lock:
            raise refusal(cache, Claim(request.key, weight))
    if weight > flight.weight:
        yield from room(cache, Claim(request.key, weight - flight.weight), flight=flight)
    with store.lock:
        store.ledger.recharge(flight, weight)
    entry.weight = weight


def _land(store: Store, entry: Entry, flight: Flight, owner: Owner | None) -> Plan[None]:
    """Make a loaded entry visible, leased to all who wait for it, and end its flight."""
    told = debugging() or store.load_listener is not None
    load = load_record(entry, flight) if told else None
    while True:
        with store.lock:
            store.check_open()
            if owner is not None:
                owner.check_open()
            doomed = store.displace(entry.key)  # what was handed in while we were loading
            if not doomed:
                land(store, entry, flight)
                break
        yield TearDown(doomed)
    if load is not None:
        yield Ask(lambda: tell_of_load(store, load), "on_load")
