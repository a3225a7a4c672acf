"""The plan that gets a value: a hit, a join, or a load of one's own."""

from __future__ import annotations

from functools import partial
from types import MemberDescriptorType, TracebackType

from warmcache._core.state.entry import Entry, LeaseRecord, State
from warmcache._core.state.flights import CHAIN, Flight, leads_to
from warmcache._core.state.ledger import Claim
from warmcache._core.state.outer_leases import outlived
from warmcache._core.state.records import RemovalCause
from warmcache._core.state.standstill import go_on
from warmcache._core.state.store import Store
from warmcache._core.state.use_clock import tick
from warmcache._log import log
from warmcache._signatures import UnawaitedError
from warmcache._texts import text_of

from .cache_view import CacheView
from .load import fly
from .refuse import Vain, forbidden, in_vain, refusal, waits_for_itself
from .remove import release
from .steps import Ask, Disguised, Launch, Plan, Request, TearDown, Wait


def get(cache: CacheView, request: Request, record: LeaseRecord) -> Plan[Entry]:
    """Return a live entry for ``request``, leased to ``record``; load it if need be."""
    return _get(cache, request, record)  # type: ignore[return-value]  # for it loads


def get_warm(cache: CacheView, request: Request, record: LeaseRecord) -> Plan[Entry | None]:
    """Return a live entry for ``request``, leased to ``record``; None where there is none."""
    return _get(cache, request, record, only_warm=True)


def _get(
    cache: CacheView, request: Request, record: LeaseRecord, *, only_warm: bool = False
) -> Plan[Entry | None]:
    store, counted, rejected = cache.store, False, False
    while True:
        flight: Flight | None = None
        mine, vain = False, None
        with store.lock:
            store.check_open()
            doomed = store.expire(store.timer()) if store.deadlines is not None else []
            if store.has_orphans:
                doomed += store.condemn_orphans()
            entry = store.live.get(request.key) if not doomed else None
            if entry is None and store.deadlines is not None and not (doomed or rejected):
                entry = outlived(store.leased, request.key, record)
            if entry is not None:
                store.lease(entry, record)
            elif only_warm and not doomed:
                return None
            elif not doomed:
                if not counted:
                    counted = True
                    if request.key in store.flights:
                        store.counts.joined += 1
                    else:
                        store.counts.misses += 1
                        request.source.misses += 1
                flight, mine, vain = _join_or_begin(store, request, record)
        if vain is not None:
            raise vain()
        if doomed:
            yield TearDown(doomed)
        elif flight is not None:
            arrived = yield from _arrival(cache, request, flight, record, mine=mine)
            if arrived is not None:
                if flight.returned is None:
                    return arrived
                if (yield from _still_valid(cache, request, arrived, record)):
                    return arrived
                rejected = True
        elif entry is not None:
            if (yield from _still_valid(cache, request, entry, record)):
                with store.lock:
                    if counted:
                        entry.used = tick()
                    else:
                        store.used(entry, request.key)
                    if request.hot is not None and entry.provenance.source is request.source:
                        store.heat_for(entry, request.hot, request.hot_key)
                return entry
            rejected = True


def request_for(entry: Entry) -> Request:
    """Return what asks for a parked ``entry`` by its key alone, whose loader nobody knows."""
    source, weight = entry.provenance.source, entry.weight
    return Request(
        key=entry.key,
        source=source,
        load=lambda: None,
        hot=None,
        hot_key=None,
        may_load=False,
        hint=None,
        owner=None,
        freeze=None,
        weight=weight,
        weigh=lambda value: weight,
        sized=False,
        expires=None,
        validate=None,
        validate_errors=(),
    )


def _join_or_begin(
    store: Store, request: Request, record: LeaseRecord
) -> tuple[Flight | None, bool, Vain | None]:
    """Return the flight, whether it is one's own, and what to raise if there is none."""
    chain = CHAIN.get()
    flight = store.flights.get(request.key)
    mine = flight is None
    if flight is None:
        if not request.may_load and not store.below(request.key):
            return None, False, partial(forbidden, request.key)
        flight = Flight(request.key, record, request.source, store.timer())
        store.flights[request.key] = flight
        flight.blocked_on.extend(store.dying.get(request.key, ()))
    else:
        flight.joined.append(record)
        store.waited(flight)
    # The edge first, the search second: of two threads that close a cycle at the
    # same moment, at least one then sees it.
    if chain:
        chain[-1].blocked_on.append(flight)
        if leads_to(flight, chain):
            leave(flight, record)
            if mine:
                del store.flights[request.key]
            return None, False, partial(waits_for_itself, request.key)
        if not mine:  # what the load lacks, those may have that wait for it from now on
            store.ledger.wake()
    return flight, mine, None


def leave(flight: Flight, record: LeaseRecord) -> None:
    chain = CHAIN.get()
    if record in flight.joined:
        flight.joined.remove(record)
    if chain and flight in chain[-1].blocked_on:
        chain[-1].blocked_on.remove(flight)
    if not flight.joined:
        flight.error = flight.trace = None  # they own frames, and those own us


def _arrival(
    cache: CacheView, request: Request, flight: Flight, record: LeaseRecord, *, mine: bool
) -> Plan[Entry | None]:
    """Load, or wait for who does, and share the outcome; None when it was abandoned."""
    store = cache.store
    try:
        if mine:
            flight.plan = fly(cache, request, flight)
            yield Launch(flight)
        if not flight.ended:
            with store.lock:
                done = None if flight.ended else flight.wait()
                if done is not None and in_vain(record, [flight]):
                    raise refusal(cache, Claim(request.key, request.weight or 0), own=True)
            if done is not None:
                yield Wait(done)
                go_on()
        if mine and flight.error is not None:
            raise flight.error
        # Who joined a load that was cancelled, or that only who began it may not do, takes over.
        if isinstance(flight.error, Exception) and not flight.forbidden:
            raise own_copy(flight.error, flight.trace)
    except BaseException as error:
        go_on()
        with store.lock:
            leave(flight, record)
            entry = flight.entry
        if entry is not None and not isinstance(error, GeneratorExit):
            yield from release(cache, entry, record)  # it was there already when this was cancelled
        raise
    with store.lock:
        leave(flight, record)
    return flight.entry


def own_copy(error: BaseException, trace: TracebackType | None) -> BaseException:
    """Return an exception for one waiter, so that no waiter holds another's frames.

    Its ``trace`` is of the load alone.
    """
    if isinstance(error, Disguised):
        return Disguised(own_copy(error.error, trace))
    twin = _like(error)
    if twin is None:
        return error.with_traceback(trace)
    twin.__cause__, twin.__context__ = error.__cause__, error.__context__
    twin.__suppress_context__ = error.__suppress_context__
    if hasattr(twin, "__notes__"):
        twin.__notes__ = [*twin.__notes__]  # who adds one, adds it to his own
    return twin.with_traceback(trace)


def _like(error: BaseException) -> BaseException | None:
    """Return an exception that is equal to ``error``; None where none can be made."""
    try:
        import copy  # which few need before anything fails

        twin = copy.copy(error)
        if type(twin) is type(error) and twin.args == error.args:
            return twin
    except Exception:
        pass
    kind = type(error)
    try:  # many have an __init__ that does not take what it makes of it, args
        twin = kind.__new__(kind, *error.args)
        vars(twin).update(vars(error))
        for name, slot in [each for base in kind.__mro__ for each in vars(base).items()]:
            if isinstance(slot, MemberDescriptorType) and hasattr(error, name):
                setattr(twin, name, getattr(error, name))
        return twin if twin.args == error.args and str(twin) == str(error) else None
    except Exception:
        return None


def means_invalid(
    error: BaseException, validate_errors: type[Exception] | tuple[type[Exception], ...]
) -> bool:
    """Whether what ``validate`` raised says that the value is not good; else it says nothing."""
    raised = error.error if isinstance(error, Disguised) else error
    return isinstance(raised, validate_errors) and not isinstance(raised, UnawaitedError)


def log_invalid(call: str, error: BaseException) -> None:
    """Log by what ``validate`` has said that the value of a call is not good."""
    from traceback import format_exception_only

    text = "".join(format_exception_only(error)).strip()
    log().warning("validate of %s raised %s: it is loaded again", call, text)


def _still_valid(
    cache: CacheView, request: Request, entry: Entry, record: LeaseRecord
) -> Plan[bool]:
    if request.validate is None:
        return True
    validate, valid = request.validate, False
    try:
        valid = bool((yield Ask(lambda: validate(entry.value), "validate")))
    except GeneratorExit:
        raise
    except BaseException as error:
        if not means_invalid(error, request.validate_errors):
            yield from release(cache, entry, record)
            raise
        log_invalid(text_of(entry.key), error)
    if not valid:
        with cache.store.lock:
            if entry.state is State.LIVE:
                cache.store.condemn(entry, RemovalCause.INVALID)
        yield from release(cache, entry, record)
    return valid
