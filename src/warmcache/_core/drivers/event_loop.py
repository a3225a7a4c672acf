"""The driver for asyncio, imported by the first loader or teardown that is ``async``."""

from __future__ import annotations

import asyncio
import contextvars
import threading
import time
from collections.abc import Callable, Iterable
from functools import partial
from typing import Any, TypeVar

from warmcache._core.plans.cache_view import CacheView
from warmcache._core.plans.steps import (
    Aside,
    Ask,
    Disguised,
    Elsewhere,
    Flush,
    Launch,
    Load,
    Plan,
    Step,
    TearDown,
)
from warmcache._core.state.entry import Entry, LeaseRecord, State
from warmcache._core.state.flights import CHAIN, Flight
from warmcache._core.state.loading_threads import LOADING
from warmcache._core.state.one_shot import OneShot
from warmcache._log import debugging
from warmcache._signatures import isawaitable

from .aside import NoThreadError, aside, aside_to_its_end
from .async_teardown import Rest, cancelled_here, finish, keep_running, loop_for, move
from .handed_over import tear_down_what_is_mine
from .let_go import is_dumped, let_go, may_block, teardown_of
from .lingering import flush
from .loop_ends import tell_when_closed
from .mending import mend, mend_after
from .teardown import begin_teardown, tear_down

T = TypeVar("T")


def running_loop() -> asyncio.AbstractEventLoop:
    """Return the running event loop, which another framework may have awaited this without."""
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        raise RuntimeError(
            "what is async here needs a running event loop of asyncio, and there is none; under "
            "another framework, such as trio, call a loader that is not async in a thread"
        ) from None


def running_task() -> asyncio.Task[Any] | None:
    """Return the running task; None in a callback of the loop."""
    return asyncio.current_task(running_loop())


def lease_record_of_this_task() -> LeaseRecord:
    """Return a lease's record for the running task."""
    return LeaseRecord(time.monotonic(), running_task())


async def run_async(plan: Plan[T], cache: CacheView, step: Step | None = None) -> T:
    """Carry out ``plan`` in this task and return its result, as ``threads.run`` does.

    One that has begun goes on with ``step``.
    """
    if LOADING:
        tear_down_what_is_mine()
    error: BaseException | None = None
    try:
        box: list[Any] = []
        while True:
            try:
                if error is not None:
                    step = plan.throw(Disguised.where_needed(error))
                    error = None
                elif step is None:
                    step = next(plan)
                box.append(await _perform(step, cache))
                step = plan.send(box.pop())
            except BaseException as raised:
                error = None  # or it would keep itself alive, and all frames that it went through
                if plan.gi_frame is not None:  # type: ignore[attr-defined]  # it goes on, and is told
                    error = raised
                elif isinstance(raised, StopIteration):
                    return raised.value  # type: ignore[no-any-return]
                elif isinstance(raised, Disguised):
                    found = raised.error
                    break
                else:
                    raise
    except BaseException as raised:
        plan.close()  # it may have been left between two steps
        mend_after(cache, raised)
        raise
    try:
        raise found  # out here, or the disguise would be its context
    finally:
        del found


async def _perform(step: Step, cache: CacheView) -> Any:
    if isinstance(step, TearDown):
        return await tear_down_async(cache, step.entries)
    if isinstance(step, Load):
        return await load(step, cache)
    if isinstance(step, Ask):
        answer = step.function()
        return await answer if isawaitable(answer) else answer
    if isinstance(step, Launch):
        _launch(step.flight, cache)
        return None
    if isinstance(step, Flush):
        return flush(cache)
    if isinstance(step, Aside):
        if step.to_its_end:
            value, _ = await aside_to_its_end(step.function, "warmcache-unpark")
            return value
        return await aside(step.function, "warmcache-node")
    if isinstance(step, Elsewhere):
        return await run_async(step.plan, step.cache)
    cache.store.check_anybody_there(step.signal)
    return await wait(step.signal, step.timeout)


async def load(step: Load, cache: CacheView) -> None:
    """Run an async loader in this task."""
    if step.request.source.loop_bound:
        tell_when_closed(asyncio.get_running_loop(), cache.store)
    try:
        step.box[0] = await step.request.load()
    except asyncio.CancelledError as error:
        if cancelled_here():
            raise
        raise Disguised(error) from None  # a loader's own, as any other error of it


def _launch(flight: Flight, cache: CacheView) -> None:
    """Carry a load out in a task of its own: who asked for it may be cancelled.

    It begins here, for a loop that ends may cancel a task that never ran: what has
    begun can be closed, and then gives back what it had reserved.
    """
    plan, context, begun = flight.plan, contextvars.copy_context(), []
    assert plan is not None
    context.run(CHAIN.set, (*CHAIN.get(), flight))
    first: Step | None = None

    async def rest() -> None:
        begun.append(True)
        await run_async(plan, cache, first)

    def over(_: object) -> None:
        if not begun and isinstance(first, TearDown):
            tear_down(cache, first.entries)
        plan.close()
        if not flight.ended:
            mend(cache)

    try:
        first = context.run(next, plan)
        task = asyncio.get_running_loop().create_task(rest(), context=context)
        task.add_done_callback(over, context=context)
        keep_running(task)
    except StopIteration:
        pass  # it is over, without a load: it was refused
    except BaseException:
        plan.close()
        raise


async def wait(signal: OneShot, seconds: float | None) -> bool:
    """Wait for ``signal`` without blocking the loop; return whether it happened."""
    if not signal.happened:
        loop = asyncio.get_running_loop()
        waiter = loop.create_future()

        def happened() -> None:
            if not waiter.done():
                waiter.set_result(None)

        def from_any_thread() -> None:
            try:
                if asyncio._get_running_loop() is loop:  # the documented one raises instead
                    happened()
                else:
                    loop.call_soon_threadsafe(happened)
            except RuntimeError:
                pass  # the loop has ended, and who waited with it

        signal.call_back(from_any_thread)
        if seconds is None:
            await waiter
        else:
            await asyncio.wait([waiter], timeout=seconds)
    return signal.happened


async def tear_down_async(cache: CacheView, entries: Iterable[Entry]) -> list[Exception]:
    """Tear down condemned entries in this task, as ``tear_down`` does in a thread.

    What would block the loop, a teardown that is not async, runs in a thread meanwhile.
    """
    failures: list[Exception] = []
    interrupt: BaseException | None = None
    for entry in entries:
        if cache.store.inherited:
            break
        if entry.parks:
            interrupt = await _parked_aside(cache, entry, failures) or interrupt
            continue
        thread = entry.provenance.thread
        if _may_block(cache, entry) and not (thread is not None and thread.is_here):
            interrupt = await _torn_down_aside(cache, entry, failures) or interrupt
            continue
        pending, error = begin_teardown(cache, entry, debugging())
        if pending is None:
            interrupt = let_go(cache, entry, error, failures, debugging()) or interrupt
        else:
            rest = partial(finish, cache, entry, pending, failures)
            here = asyncio.get_running_loop()
            loop = loop_for(cache, entry, pending, here)
            interrupt = await (rest() if loop is here else _moved(loop, entry, rest)) or interrupt
            del rest
        del error, pending
    if interrupt is not None:
        raise interrupt
    return failures


def _may_block(cache: CacheView, entry: Entry) -> bool:
    """Whether something of the user's runs at the end of ``entry`` that would block the loop."""
    if is_dumped(entry):
        return True
    provenance, value = entry.provenance, getattr(entry, "value", None)
    if provenance.finish is not None:
        return provenance.loop is None  # it is the rest of a generator that is not async
    teardown = teardown_of(provenance.source, value)
    return cache.store.reclaim is not None if teardown is None else may_block(teardown, value)


def _claimed(cache: CacheView, entry: Entry) -> Callable[[], list[Exception]]:
    """Return what tears ``entry`` down in a thread, or parks it, unless somebody was faster."""
    condemned_by = entry.doomed_by

    def work() -> list[Exception]:
        with cache.store.lock:
            if entry.called or entry.doomed_by != condemned_by or entry.state is not State.DYING:
                return []  # who was interrupted meanwhile has mended this
            entry.doomed_by = threading.get_ident()
        return tear_down(cache, [entry])

    return work


async def _torn_down_aside(
    cache: CacheView, entry: Entry, failures: list[Exception]
) -> BaseException | None:
    """Tear ``entry`` down in a thread, unless somebody is at it; return what must reach the caller.

    If it turns out to have something to be awaited, that thread waits for the loop to do so.
    """
    try:
        failures += await aside(_claimed(cache, entry), "warmcache-teardown")
    except NoThreadError:
        failures += tear_down(cache, [entry])
    except BaseException as interrupt:
        return interrupt
    return None


async def _parked_aside(
    cache: CacheView, entry: Entry, failures: list[Exception]
) -> BaseException | None:
    """Park ``entry``, or tear it down, in a thread; return what must reach the caller."""
    try:
        raised, interrupt = await aside_to_its_end(_claimed(cache, entry), "warmcache-park")
        failures += raised
    except NoThreadError:
        failures += tear_down(cache, [entry])
        return None
    except BaseException as error:
        with cache.store.lock:
            entry.doomed_by = threading.get_ident()  # who mends what this has left
        return error
    return interrupt


async def _moved(
    loop: asyncio.AbstractEventLoop | None, entry: Entry, rest: Rest
) -> BaseException | None:
    """Have ``rest()`` of ``entry`` run on another thread's loop; wait without blocking this one.

    To be cancelled ends the waiting only. Returns what must reach the caller.
    """
    over = OneShot()
    outcome: list[BaseException | None] = []

    def then(interrupt: BaseException | None) -> None:
        outcome.append(interrupt)
        over.happen()

    move(loop, entry, rest, then)
    try:
        await wait(over, None)
    except BaseException as interrupt:
        return interrupt
    return outcome[0]


async def release_async(cache: CacheView, entry: Entry, record: LeaseRecord) -> None:
    """End a lease, as ``threads.release`` does."""
    try:
        with cache.store.lock:
            doomed = cache.store.end_lease(entry, record)
        if doomed:
            await tear_down_async(cache, [entry])
    except BaseException as error:
        record.over = True
        mend_after(cache, error)
        raise
