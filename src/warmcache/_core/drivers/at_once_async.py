"""Loads on an event loop that wait for nothing but their loader, carried out without a plan.

The same as ``at_once.py``, with the same functions, for what is ``async``: where nothing is torn
down there is room at once, the loader runs in a task of its own, for who asks may be cancelled,
and what it gave is published, leased to who asked until that goes on. As soon as there is more to
do than that, the plan does it.
"""

from __future__ import annotations

import asyncio
import contextvars
from collections import defaultdict

from warmcache._core.plans.cache_view import CacheView
from warmcache._core.plans.get import leave
from warmcache._core.plans.load import end_own_lease, fly, freeze_loaded, give_up, unboxed
from warmcache._core.plans.loaded import load_record, tell_of_load
from warmcache._core.plans.steps import Disguised, Load, Request
from warmcache._core.state.at_once import reserve_at_once, vanish_at_once
from warmcache._core.state.entry import Entry, LeaseRecord
from warmcache._core.state.flights import Flight, keep_chain
from warmcache._core.state.landing import end_flight, land
from warmcache._core.state.loading_threads import LOADING
from warmcache._log import debugging

from .async_teardown import TASKS
from .at_once import begin_flight, is_taken, may_land
from .event_loop import load, release_async, run_async, wait
from .handed_over import tear_down_what_is_mine
from .let_go import vanished
from .mending import mend


async def load_at_once_async(
    cache: CacheView, request: Request, record: LeaseRecord
) -> Entry | None:
    """Load what is not warm; return its entry, leased to ``record``, or None if it takes a plan."""
    store, weight = cache.store, request.weight
    if (
        weight is None
        or not request.may_load
        or store.tears_down
        or cache.meter is not None
        or store.deadlines is not None
        or request.expires is not None
    ):
        return None
    if LOADING:
        tear_down_what_is_mine()
    context, kept, logs = contextvars.copy_context(), keep_chain(), debugging()
    with store.lock:
        gone, watched = None, logs or store.observers.all
        if not is_taken(store, request.key, weight):
            gone = vanish_at_once(store, request.key, weight, cache, watched)
        if gone is None:
            return None
        flight: Flight = context.run(begin_flight, store, request.key, request.source, record, kept)
        reserve_at_once(store, weight, flight)
    vanished(store, gone, logs, watched)
    task = asyncio.get_running_loop().create_task(_fly(cache, request, flight), context=context)

    flight.at_once = True  # from here on its task ends it

    def over(ended: asyncio.Task[None]) -> None:
        TASKS.discard(ended)  # here, for each callback of a task costs as much as a call
        flight.at_once = False
        if not flight.ended:  # the task was cancelled, maybe before it ran
            mend(cache)

    TASKS.add(task)
    task.add_done_callback(over, context=context)
    try:
        with store.lock:
            done = None if flight.ended else flight.wait()
        if done is not None:
            await wait(done, None)
        if (error := flight.error) is not None:
            raise error.error if isinstance(error, Disguised) else error
    except BaseException as error:
        with store.lock:
            leave(flight, record)
            entry = flight.entry
        if entry is not None and not isinstance(error, GeneratorExit):
            await release_async(cache, entry, record)  # it was there already
        raise
    with store.lock:
        leave(flight, record)
    return flight.entry


async def _fly(cache: CacheView, request: Request, flight: Flight) -> None:
    """Load and publish; the outcome is left in ``flight``."""
    store = cache.store
    try:
        flight.box = defaultdict(request.load)
        began = store.timer()
        await load(Load(request, flight.box), cache)
        entry = unboxed(request, flight, began, store.timer())
        if request.freeze is not None:
            freeze_loaded(store, request, flight)
        if flight.lease is not None:
            await run_async(end_own_lease(store, flight), cache)
        told = debugging() or store.load_listener is not None
        record = load_record(entry, flight) if told else None
        with store.lock:
            if may_land(store, request.key, request.owner):
                land(store, entry, flight)
        if flight.ended:
            if record is not None:
                tell_of_load(store, record)
        else:
            flight.plan = fly(cache, request, flight)
            await run_async(flight.plan, cache)
    except Exception as error:
        await run_async(give_up(store, request, flight, error), cache)
        flight.error, flight.trace = Disguised.where_needed(error), Disguised.trace_of(error)
        with store.lock:
            end_flight(store, flight)
    except BaseException as error:
        if flight.joined and not isinstance(error, GeneratorExit):
            flight.error = error  # for who began it; who joined takes over
        raise
