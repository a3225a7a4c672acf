"""The driver for asyncio, imported by the first loader or teardown that is ``async``."""

from __future__ import annotations

import asyncio
import contextvars
import time
from collections.abc import Iterable
from typing import Any, TypeVar

from warmcache._core.plans.steps import Call, Launch, Load, Plan, Step, TearDown
from warmcache._core.state.entry import Entry, LeaseRecord
from warmcache._core.state.one_shot import OneShot
from warmcache._core.state.store import Store

from .async_teardown import _keep, _tear_down_one
from .teardown import tear_down

T = TypeVar("T")


def lease_record_of_this_task() -> LeaseRecord:
    """Return a lease's record for the running task."""
    return LeaseRecord(time.monotonic(), asyncio.current_task())


async def run_async(plan: Plan[T], store: Store) -> T:
    """Carry out ``plan`` in this task and return its result; see :func:`_drive.run`."""
    try:
        return await _go_on(next(plan), plan, store)
    except StopIteration as stop:
        return stop.value  # type: ignore[no-any-return]


async def _go_on(step: Step, plan: Plan[T], store: Store) -> T:
    try:
        while True:
            try:
                box = [await _perform(step, store)]
            except BaseException as error:
                step = plan.throw(error)
            else:
                step = plan.send(box.pop())
    except StopIteration as stop:
        return stop.value  # type: ignore[no-any-return]


async def _perform(step: Step, store: Store) -> Any:
    if isinstance(step, TearDown):
        return await tear_down_async(store, step.entries)
    if isinstance(step, Load):
        return await step.request.load()
    if isinstance(step, Call):
        return step.function()
    if isinstance(step, Launch):
        _launch(step.plan, store)
        return None
    store.check_anybody_there(step.signal)
    return await _wait(step.signal, step.timeout)


def _launch(plan: Plan[None], store: Store) -> None:
    """Carry ``plan`` out in a task of its own: who asked for it may be cancelled.

    It begins here, for a loop that ends may cancel a task that never ran: what has
    begun can be closed, and then gives back what it had reserved.
    """
    context, begun = contextvars.copy_context(), []
    try:
        first = context.run(next, plan)
    except StopIteration:
        return  # it is over, without a load: it was refused

    async def rest() -> None:
        begun.append(True)
        await _go_on(first, plan, store)

    def over(_: object) -> None:
        if not begun and isinstance(first, TearDown):
            tear_down(store, first.entries)
        plan.close()

    task = asyncio.get_running_loop().create_task(rest(), context=context)
    task.add_done_callback(over, context=context)
    _keep(task)


async def _wait(signal: OneShot, seconds: float | None) -> bool:
    if not signal.happened:
        loop = asyncio.get_running_loop()
        waiter = loop.create_future()

        def happened() -> None:
            if not waiter.done():
                waiter.set_result(None)

        def from_any_thread() -> None:
            try:
                loop.call_soon_threadsafe(happened)
            except RuntimeError:
                pass  # the loop has ended, and who waited with it

        signal.call_back(from_any_thread)
        await asyncio.wait([waiter], timeout=seconds)
    return signal.happened


async def tear_down_async(store: Store, entries: Iterable[Entry]) -> list[Exception]:
    """Tear down condemned entries in this task; see :func:`_drive.tear_down`."""
    failures: list[Exception] = []
    interrupt: BaseException | None = None
    for entry in entries:
        if store.inherited:
            break
        interrupt = await _tear_down_one(store, entry, None, failures) or interrupt
    if interrupt is not None:
        raise interrupt
    return failures
