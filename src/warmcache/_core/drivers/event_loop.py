"""The driver for asyncio, imported by the first loader or teardown that is ``async``."""

from __future__ import annotations

import asyncio
import contextvars
import threading
import time
from collections.abc import Awaitable, Callable, Iterable
from functools import partial
from typing import Any, TypeVar

from warmcache._core.plans.steps import Call, Launch, Load, Plan, Step, TearDown
from warmcache._core.state.entry import Entry, Hold
from warmcache._core.state.flights import inside
from warmcache._core.state.one_shot import Signal
from warmcache._core.state.store import Store

from .threads import bury, destroy, tear_down

T = TypeVar("T")

_tasks: set[asyncio.Task[Any]] = set()  # what asyncio itself references only weakly


def hold_for_this_task() -> Hold:
    """Return a lease's record for the running task."""
    return Hold(time.monotonic(), asyncio.current_task())


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


async def _wait(signal: Signal, seconds: float | None) -> bool:
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


def _keep(task: asyncio.Task[Any]) -> None:
    _tasks.add(task)
    task.add_done_callback(_tasks.discard)


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


async def _tear_down_one(
    store: Store, entry: Entry, pending: Awaitable[object] | None, failures: list[Exception]
) -> BaseException | None:
    error: BaseException | None = None
    try:
        with inside(entry):
            if pending is None:
                pending = destroy(store, entry)
            if pending is not None:
                await pending
    except BaseException as raised:
        error = raised
    del pending
    return bury(store, entry, error, failures)


def hand_over(
    store: Store, entry: Entry, pending: Awaitable[object], failures: list[Exception]
) -> None:
    """Finish an asynchronous teardown that a synchronous act has begun.

    It runs on the loop that loaded the value. On that loop's own thread it can only
    be started here: the entry stays charged until the loop has got round to it.
    """
    loop = entry.how.loop
    try:
        running: asyncio.AbstractEventLoop | None = asyncio.get_running_loop()
    except RuntimeError:
        running = None
    rest = partial(_tear_down_one, store, entry, pending, failures)
    if loop is not None and loop is not running and loop.is_running() and _run_on(loop, rest):
        return
    if running is not None:
        _start(running, rest)
    else:
        asyncio.run(rest())  # its loop has ended


def _run_on(loop: asyncio.AbstractEventLoop, rest: Callable[[], Any]) -> bool:
    """Run ``rest()`` on another thread's loop; whether it began before the loop ended."""
    begun, over = threading.Lock(), Signal()
    outcome: list[bool] = []

    async def body() -> None:
        outcome.append(True)
        await rest()

    def start() -> None:
        if begun.acquire(blocking=False):
            task = loop.create_task(body())
            task.add_done_callback(lambda _: over.happen())
            _keep(task)

    try:
        loop.call_soon_threadsafe(start)
    except RuntimeError:
        return False
    while not over.wait(0.1):
        if not loop.is_running() and begun.acquire(blocking=False):
            return False
        if loop.is_closed():
            break
    return bool(outcome)


def _start(loop: asyncio.AbstractEventLoop, rest: Callable[[], Any]) -> None:
    """Start ``rest()`` on this thread's loop; in a thread, should the loop end first."""
    begun: list[bool] = []

    async def body() -> None:
        begun.append(True)
        await rest()

    def ended(_: object) -> None:
        if not begun:
            threading.Thread(target=lambda: asyncio.run(rest())).start()

    task = loop.create_task(body())
    task.add_done_callback(ended)
    _keep(task)


def finish(pending: Awaitable[object]) -> None:
    """Have ``pending`` awaited: by the running loop when it can, else here and now."""

    async def wait() -> None:
        await pending

    try:
        _keep(asyncio.get_running_loop().create_task(wait()))
    except RuntimeError:
        asyncio.run(wait())
