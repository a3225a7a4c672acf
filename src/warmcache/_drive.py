"""The two drivers: they carry out a plan's steps, for threads and for asyncio.

Whatever runs user code runs here: loads, teardowns, reclaims, listeners. No lock is
ever held around them. Before an entry's room counts as free its teardown has
returned and every reference to its value that the library holds has been dropped.
"""

from __future__ import annotations

import asyncio
import gc
import inspect
import logging
import traceback
import weakref
from collections.abc import Awaitable, Callable, Iterable
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeoutError
from typing import Any, TypeVar

from ._entry import Entry
from ._flight import inside
from ._steps import Call, Launch, Load, Plan, Step, TearDown, Wait
from ._store import Store

T = TypeVar("T")

log = logging.getLogger("warmcache")
_tasks: set[asyncio.Task[Any]] = set()  # what asyncio itself references only weakly


def run(plan: Plan[T], store: Store) -> T:
    """Carry out ``plan`` in this thread and return its result."""
    try:
        step = next(plan)
        while True:
            try:
                # In a box, so that no local keeps a value alive past its teardown.
                box = [_perform(step, store)]
            except BaseException as error:
                step = plan.throw(error)
            else:
                step = plan.send(box.pop())
    except StopIteration as stop:
        return stop.value  # type: ignore[no-any-return]


def _perform(step: Step, store: Store) -> Any:
    if isinstance(step, TearDown):
        return tear_down(store, step.entries)
    if isinstance(step, Load):
        return step.request.load()
    if isinstance(step, Call):
        return step.function()
    if isinstance(step, Launch):
        return run(step.plan, store)
    return _wait(step)


def _wait(step: Wait) -> bool:
    try:
        step.future.result(step.timeout)
    except FutureTimeoutError:
        return False
    return True


async def run_async(plan: Plan[T], store: Store) -> T:
    """Carry out ``plan`` in this task and return its result."""
    try:
        step = next(plan)
        while True:
            try:
                box = [await _perform_async(step, store)]
            except BaseException as error:
                step = plan.throw(error)
            else:
                step = plan.send(box.pop())
    except StopIteration as stop:
        return stop.value  # type: ignore[no-any-return]


async def _perform_async(step: Step, store: Store) -> Any:
    if isinstance(step, TearDown):
        return await tear_down_async(store, step.entries)
    if isinstance(step, Load):
        return await step.request.load()
    if isinstance(step, Call):
        return step.function()
    if isinstance(step, Launch):
        # A task of its own: cancelling whoever asked first must not cancel the load.
        keep(asyncio.get_running_loop().create_task(run_async(step.plan, store)))
        return None
    return await _wait_async(step)


async def _wait_async(step: Wait) -> bool:
    if not step.future.done():
        waiter = asyncio.wrap_future(_follower(step.future))
        done, _ = await asyncio.wait([waiter], timeout=step.timeout)
        return bool(done)
    return True


def _follower(future: Future[None]) -> Future[None]:
    """Return a future that follows ``future`` but may be cancelled on its own."""
    follower: Future[None] = Future()

    def follow(_: object) -> None:
        if follower.set_running_or_notify_cancel():
            follower.set_result(None)

    future.add_done_callback(follow)
    return follower


def keep(task: asyncio.Task[Any]) -> None:
    """Keep ``task`` alive until it is done."""
    _tasks.add(task)
    task.add_done_callback(_tasks.discard)


# -- letting go --------------------------------------------------------------------


def tear_down(store: Store, entries: Iterable[Entry]) -> list[Exception]:
    """Tear down condemned entries in this thread; return what went wrong.

    A failing teardown never stops the next. A KeyboardInterrupt or the like is
    raised once all of them have run.
    """
    failures: list[Exception] = []
    interrupt: BaseException | None = None
    for entry in entries:
        error: BaseException | None = None
        pending: Awaitable[object] | None = None
        if entry.how.finish is not None or entry.origin.teardown is not None:
            try:
                with inside(entry):
                    pending = _destroy(entry)
            except BaseException as raised:
                error = raised
        if pending is not None:
            _hand_over(store, entry, pending, failures)
        else:
            interrupt = _bury(store, entry, error, failures) or interrupt
        del error, pending
    if interrupt is not None:
        raise interrupt
    return failures


async def tear_down_async(store: Store, entries: Iterable[Entry]) -> list[Exception]:
    """Tear down condemned entries in this task; see :func:`tear_down`."""
    failures: list[Exception] = []
    interrupt: BaseException | None = None
    for entry in entries:
        interrupt = await _destroy_async(store, entry, None, failures) or interrupt
    if interrupt is not None:
        raise interrupt
    return failures


def _destroy(entry: Entry) -> Awaitable[object] | None:
    """Run the user's teardown; return what is still to be awaited, if anything."""
    if entry.how.finish is not None:
        pending = entry.how.finish()
    elif entry.origin.teardown is not None:
        pending = entry.origin.teardown(entry.value)
    else:
        return None
    return pending if inspect.isawaitable(pending) else None


async def _destroy_async(
    store: Store, entry: Entry, pending: Awaitable[object] | None, failures: list[Exception]
) -> BaseException | None:
    error: BaseException | None = None
    try:
        with inside(entry):
            if pending is None:
                pending = _destroy(entry)
            if pending is not None:
                await pending
    except BaseException as raised:
        error = raised
    del pending
    return _bury(store, entry, error, failures)


def _hand_over(
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
    rest = _destroy_async(store, entry, pending, failures)
    if loop is not None and loop is not running and loop.is_running():
        asyncio.run_coroutine_threadsafe(rest, loop).result()
    elif running is not None:
        keep(running.create_task(rest))
    else:
        asyncio.run(rest)  # its loop has ended


def finish_at_exit(finish: Callable[[], object]) -> None:
    """Run a teardown that belongs to no entry, as the process ends."""
    try:
        pending = finish()
        if inspect.iscoroutine(pending):
            asyncio.run(pending)
    except Exception as raised:
        log.error("teardown of an unowned value failed:\n%s", _defused(raised))


def _bury(
    store: Store, entry: Entry, error: BaseException | None, failures: list[Exception]
) -> BaseException | None:
    """Drop the value, give its memory back, free its room, tell the listener.

    Returns ``error`` when it is one that must reach the caller.
    """
    if error is not None:
        text = _defused(error)
        log.error("teardown of %s (%s) failed:\n%s", repr(entry.key), entry.cause.value, text)
        if isinstance(error, Exception):
            failures.append(error)
    watch = _weakly(entry.value) if store.reclaim is not None else None
    del entry.value
    if entry.how.finish is not None:
        entry.how.finish = None
    if store.reclaim is not None:
        _reclaim(store, watch)
    with store.lock:
        removal = store.bury(entry, failed=error is not None)
    if store.listener is not None:
        try:
            store.listener(removal)
        except Exception as raised:
            log.error("listener failed on %r:\n%s", removal, _defused(raised))
    return error if not isinstance(error, Exception) else None


def _reclaim(store: Store, watch: weakref.ref[Any] | None) -> None:
    try:
        if watch is not None and watch() is not None:
            gc.collect()
        if store.reclaim is not None:
            store.reclaim()
    except Exception as raised:
        log.error("reclaim failed:\n%s", _defused(raised))


def _weakly(value: Any) -> weakref.ref[Any] | None:
    try:
        return weakref.ref(value)
    except TypeError:
        return None


def _defused(error: BaseException) -> str:
    """Return the traceback as text, and take it off the exception.

    A traceback owns the frames it went through, and they own the value.
    """
    text = "".join(traceback.format_exception(error)).rstrip()
    link: BaseException | None = error
    seen: set[int] = set()
    while link is not None and id(link) not in seen:
        seen.add(id(link))
        link.__traceback__ = None
        link = link.__cause__ or link.__context__
    return text
