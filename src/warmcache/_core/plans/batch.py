"""The plans that load several keys by one call of a loader.

Loads of one key are flights of the store. Here one flight stands for several keys, which a batch
*takes on* and which are in ``store.batches`` until what they came to is stored. Whoever wants one
of them waits for that flight: another batch, or a load of that key alone (a flight of its own,
which asks here before it loads). The promises:

- *Nothing is loaded twice.* A batch takes on, under the lock, all that it wants and that is neither
  warm nor being loaded. A key leaves ``store.batches`` only once its value is stored, so there is
  no moment at which it was loaded and is neither there nor warm.
- *Nobody waits for ever.* A batch loads what it has taken on first, and waits for what others have
  taken on then. Only loaders can wait for what waits for them, and that is found as a cycle, as it
  is with loads of one key.
- *Each value is an ordinary load.* It is stored by the plan ``get``, whose loader only hands it
  over: room, weights, ends, counts and listeners are those of any load. But the values of a batch
  exist before there is room for them.
- *An error is the error of a call.* Who wanted all that a failed call was given gets its error.
  Who wanted only a part of it cannot know whether that was what failed, and tries again itself.

Tried and rejected: a flight of the store for each key of a batch. Each would have had room
reserved before the loader runs, and no batch could have been larger than the cache.
"""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable, Collection, Hashable, Mapping, Sequence, Set
from functools import partial
from typing import Any, NamedTuple, TypeAlias

from warmcache._core.state.entry import LeaseRecord, seconds_between
from warmcache._core.state.flights import CHAIN, BatchFlight, leads_to
from warmcache._core.state.landing import end_batch
from warmcache._core.state.ledger import Claim
from warmcache._core.state.standstill import go_on
from warmcache._core.state.store import Store
from warmcache._log import debugging
from warmcache._texts import first_texts_of
from warmcache.errors import WarmMissError

from .cache_view import CacheView
from .get import get, get_warm, own_copy
from .loaded import is_failed_load, log_failed_load
from .refuse import Vain, in_vain, refusal, waits_for_itself
from .remove import release
from .steps import Ask, Box, Disguised, Kept, Launch, Load, Plan, Produced, Request, Wait

Requests = Mapping[Hashable, Request]
_Taken: TypeAlias = tuple[BatchFlight | None, list[BatchFlight], list[Hashable]]


class BatchLoader(NamedTuple):
    """What loads several keys.

    ``load`` takes the keys and gives what each comes to, in their order; ``hand_over`` makes a
    loader that gives what was loaded already. On an event loop, both give what is to be awaited.
    ``at_once`` does without a plan what a request asks for, where it can; whether it did.
    """

    load: Callable[[Sequence[Hashable]], Any]
    hand_over: Callable[[Produced], Callable[[], Any]]
    at_once: Callable[[CacheView, Request, LeaseRecord], bool] | None = None


def gather(
    cache: CacheView, wanted: Requests, record: LeaseRecord, loader: BatchLoader
) -> Plan[dict[Hashable, Any]]:
    """Return the values of all keys that are ``wanted``, those that are not warm loaded together.

    What a request says of its load does not matter: the ``loader`` loads them.
    """
    values: dict[Hashable, Any] = {}
    while missing := {key: wanted[key] for key in wanted if key not in values}:
        yield from _take_warm(cache, missing, record, values)
        cold = {key: wanted[key] for key in missing if key not in values}
        if cold:
            yield from _gather(cache, cold, wanted, record, loader, values)
    return values


def from_batch(cache: CacheView, key: Hashable, record: LeaseRecord) -> Plan[Produced | None]:
    """Return what ``key`` comes to, if a batch is loading it; None: whoever asks loads it.

    Who asks is a load of that key, which began after the batch did: no batch takes on a
    key whose load is under way.
    """
    while True:
        flight = _join(cache.store, key)
        if flight is None:
            return None
        try:
            yield from _wait(cache, flight, record)
        finally:
            _leave(flight)
        if flight.produced is not None:
            return flight.produced[key]  # type: ignore[no-any-return]
        _raise_if_shared(flight, {key})


def _take_warm(
    cache: CacheView, wanted: Requests, record: LeaseRecord, values: dict[Hashable, Any]
) -> Plan[None]:
    """Put the values into ``values`` that are warm, and still good."""
    for key, request in wanted.items():
        if key not in cache.store.live:
            continue
        yield from _hold(cache, get_warm, request, record, values)


def _gather(
    cache: CacheView,
    missing: Requests,
    wanted: Requests,
    record: LeaseRecord,
    loader: BatchLoader,
    values: dict[Hashable, Any],
) -> Plan[None]:
    """Load what nobody loads yet, and then wait for the rest."""
    mine, others, alone = _take_on(cache.store, missing, record)
    try:
        if mine is not None:
            mine.plan = _fly(cache, mine, missing, loader)
            yield Launch(mine)
            if not mine.stored.happened:
                yield Wait(mine.stored)
            if mine.error is not None:
                raise mine.error
            _take(mine, missing, values)
        for flight in others:
            yield from _wait(cache, flight, record)
            _take(flight, missing, values)
            _raise_if_shared(flight, wanted.keys())
        for key in alone:
            yield from _hold(cache, get, missing[key], record, values)
    finally:
        for each in [mine, *others]:
            if each is not None:
                _leave(each)


def _hold(
    cache: CacheView,
    getting: Callable[[CacheView, Request, LeaseRecord], Plan[Any]],
    request: Request,
    record: LeaseRecord,
    values: dict[Hashable, Any],
) -> Plan[None]:
    """Put what ``getting`` a request gives into ``values``, if anything, held until it is there."""
    lease = _another(record)
    try:
        entry = yield from getting(cache, request, lease)
        if entry is not None:
            values[request.key] = entry.value
            yield from release(cache, entry, lease)
    except BaseException:
        lease.over = True
        raise


def _take(flight: BatchFlight, missing: Requests, values: dict[Hashable, Any]) -> None:
    """Put what ``flight`` came to into ``values``, as far as it is missing."""
    if flight.produced is not None:
        for key in missing.keys() & flight.keys:
            values[key] = flight.produced[key][0]


# -- who loads what ----------------------------------------------------------------------------


def _take_on(store: Store, missing: Requests, record: LeaseRecord) -> _Taken:
    """Take on what nobody else loads.

    Return the flight for that, those by which others load the rest, and of which keys
    loads are under way that belong to no batch. What has become warm is in none of them.
    """
    with store.lock:
        taken = _taken_on(store, missing, record)
    if callable(taken):
        raise taken()
    return taken


def _taken_on(store: Store, missing: Requests, record: LeaseRecord) -> _Taken | Vain:
    others: dict[BatchFlight, None] = {}  # in order, each once
    free, alone, barred = list[Hashable](), list[Hashable](), list[Hashable]()
    store.check_open()
    joined = 0
    for key, request in missing.items():
        flight = store.batches.get(key)
        if flight is not None:
            others[flight] = None
            joined += 1
        elif key in store.flights:
            alone.append(key)
        elif key not in store.live:
            (free if request.may_load else barred).append(key)
    if barred:
        return partial(_forbidden, barred)
    if (vain := _wait_for(store, others, missing)) is not None:
        return vain
    store.counts.joined += joined
    if not free:
        return None, [*others], alone
    mine = BatchFlight(tuple(free), record, missing[free[0]].source, store.timer())
    store.batches.update(dict.fromkeys(free, mine))
    if chain := CHAIN.get():
        chain[-1].blocked_on.append(mine)
    return mine, [*others], alone


def _join(store: Store, key: Hashable) -> BatchFlight | None:
    """Return the flight of the batch that loads ``key``, if one does."""
    with store.lock:
        flight = store.batches.get(key)
        vain = None if flight is None else _wait_for(store, [flight], [key])
    if vain is not None:
        raise vain()
    return flight


def _wait_for(
    store: Store, others: Collection[BatchFlight], wanted: Collection[Hashable]
) -> Vain | None:
    """Note that what this is inside of waits for ``others``; return what makes an error if in vain.

    Who has loaded is not waited for, though it may be storing that still, and wait for this. The
    edge first, the search second, as where a load of one key is joined.
    """
    chain = CHAIN.get()
    others = [flight for flight in others if not flight.ended]
    for flight in others:
        store.waited(flight)
    if not (chain and others):
        return None
    chain[-1].blocked_on.extend(others)
    for flight in others:
        if leads_to(flight, chain):
            for each in others:
                _leave(each)
            return partial(waits_for_itself, next(key for key in wanted if key in flight.keys))
    store.ledger.wake()  # what the load lacks, those may have that wait for it from now on
    return None


def _forbidden(keys: Sequence[Hashable]) -> WarmMissError:
    are = "is" if len(keys) == 1 else "are"
    return WarmMissError(f"{first_texts_of(keys)} {are} not warm, and loading is forbidden here")


def _leave(flight: BatchFlight) -> None:
    chain = CHAIN.get()
    if chain and flight in chain[-1].blocked_on:
        chain[-1].blocked_on.remove(flight)


def _wait(cache: CacheView, flight: BatchFlight, record: LeaseRecord) -> Plan[None]:
    """Wait until the loader of ``flight`` is over."""
    with cache.store.lock:
        done = None if flight.ended else flight.wait()
        if done is not None and in_vain(record, [flight]):
            raise refusal(cache, Claim(flight.key, 0), own=True)
    if done is not None:
        try:
            yield Wait(done)
        finally:
            go_on()


def _raise_if_shared(flight: BatchFlight, wanted: Set[Hashable]) -> None:
    """Raise the error of another's ``flight``, if it is that of who wanted all this."""
    error = flight.error
    # What was cancelled, or forbidden to others, is none of who waits.
    if (
        flight.produced is None
        and isinstance(error, Exception)
        and not flight.forbidden
        and flight.keys <= wanted
    ):
        raise own_copy(error, flight.trace)


# -- the load ----------------------------------------------------------------------------------


def _fly(
    cache: CacheView, flight: BatchFlight, missing: Requests, loader: BatchLoader
) -> Plan[None]:
    """Load what was taken on, and store it; the outcome is left in ``flight``."""
    store = cache.store
    wanted = {key: missing[key] for key in missing if key in flight.keys}
    request = missing[flight.key]._replace(load=lambda: loader.load([*wanted]))
    try:
        box: Box = defaultdict(request.load)
        began = store.timer()
        yield Load(request, box)
        shared = _shared_out(box[0], seconds_between(began, store.timer()))
        flight.produced = dict(zip(wanted, shared, strict=True))
        with store.lock:
            flight.end()
        yield from _store(cache, flight, wanted, loader)
    except Exception as error:
        _count_failed(store, flight, error)
        flight.error, flight.trace = error, Disguised.trace_of(error)
    finally:
        with store.lock:
            end_batch(store, flight)


def _store(
    cache: CacheView, flight: BatchFlight, wanted: Requests, loader: BatchLoader
) -> Plan[None]:
    """Store what was loaded, each as any load; of what fails then, the first is the flight's."""
    assert flight.produced is not None
    for key, request in wanted.items():
        load = loader.hand_over(flight.produced[key])
        asks = request._replace(load=load, may_load=True)
        try:
            if loader.at_once is not None:
                lease = _another(flight.record)
                done = yield Ask(partial(loader.at_once, cache, asks, lease))
                if done:
                    continue
            yield from _hold(cache, get, asks, flight.record, {})
        except Exception as error:
            if flight.error is None:
                flight.error, flight.trace = error, Disguised.trace_of(error)


def _shared_out(loaded: Sequence[Produced], seconds: float) -> list[Produced]:
    """Return what was loaded, each with its share of the ``seconds`` of the call."""
    fresh = [each for each in loaded if len(each) == 3 or not each[3].from_disk]
    share = seconds / max(1, len(fresh))
    return [_with_share(each, share) for each in loaded]


def _with_share(produced: Produced, share: float) -> Produced:
    kept = Kept() if len(produced) == 3 else produced[3]
    seconds = share if kept.seconds is None else kept.seconds
    paid = seconds if kept.from_disk else share
    kept = Kept(seconds, kept.age, kept.from_disk, kept.dump, paid)
    return produced[0], None, produced[2], kept


def _count_failed(store: Store, flight: BatchFlight, error: Exception) -> None:
    count, failed = len(flight.keys), is_failed_load(error)
    flight.forbidden = not failed
    with store.lock:
        store.counts.misses += count
        store.counts.load_failures += count * failed
        flight.source.misses += count
    if failed and debugging():
        log_failed_load(store, flight, error)


def _another(record: LeaseRecord) -> LeaseRecord:
    """Return a lease's record for the same caller: each lease has its own."""
    return LeaseRecord(time.monotonic(), record.task)
