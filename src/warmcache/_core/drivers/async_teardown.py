"""Teardowns that have to be awaited, whoever began them.

Each is awaited on the loop that loaded the value, for what it closes is bound to that. Who removes
the value may be elsewhere:

- a task of that loop awaits it;
- a task of another loop has it moved there, and waits without blocking its own;
- a thread in which no loop runs has it moved there, and waits;
- a synchronous act on a loop's thread has it started, on its own loop or another, and goes on. If
  it waited, its loop would stand still, and two loops could wait for each other for ever. What is
  not torn down yet stays charged.

A loop that has ended runs nothing. Then it is the loop at hand, or else one made for it.
"""

from __future__ import annotations

import asyncio
import contextvars
import threading
from collections.abc import Awaitable, Callable, Collection, Coroutine
from functools import partial
from typing import Any, TypeAlias

from warmcache._core.plans.cache_view import CacheView
from warmcache._core.state.entry import Entry
from warmcache._core.state.flights import CHAIN, keep_chain, restore_chain
from warmcache._core.state.one_shot import OneShot
from warmcache._core.state.standstill import for_ever, go_on, standing_here
from warmcache._log import debugging

from .let_go import let_go

_Loop: TypeAlias = asyncio.AbstractEventLoop
# What is left of a teardown. It gives what must reach the caller: a KeyboardInterrupt or the like.
Rest: TypeAlias = Callable[[], Coroutine[Any, Any, BaseException | None]]

TASKS: set[asyncio.Task[Any]] = set()  # that run: what asyncio itself references only weakly


def keep_running(task: asyncio.Task[Any]) -> None:
    """Refer to ``task`` until it is done."""
    TASKS.add(task)
    task.add_done_callback(TASKS.discard)


def cancelled_here() -> bool:
    """Whether this task was cancelled; if not, a CancelledError is just what some code raised."""
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0


async def finish(
    cache: CacheView, entry: Entry, pending: Awaitable[object], failures: list[Exception]
) -> BaseException | None:
    """Await ``pending``, what is left of a teardown, and let the value go, in this task.

    Returns what must reach the caller: a KeyboardInterrupt or the like.
    """
    error: BaseException | None = None
    kept, me = keep_chain(), threading.get_ident()
    entry.doomed_by = None  # as long as this task alone can go on with it
    try:
        CHAIN.set((*CHAIN.get(), entry))
        await pending
    except BaseException as raised:
        error = raised
        if isinstance(raised, asyncio.CancelledError) and not cancelled_here():
            error = RuntimeError("it was cancelled, and nobody had asked for that")
            error.__cause__ = raised
    finally:
        entry.doomed_by = me
        restore_chain(kept)
    del pending
    return let_go(cache, entry, error, failures, debugging())


def hand_over(
    cache: CacheView, entry: Entry, pending: Awaitable[object], failures: list[Exception]
) -> BaseException | None:
    """Finish an asynchronous teardown that a synchronous act has begun.

    Returns what must reach the caller: a KeyboardInterrupt or the like. From what is only started
    here that reaches who runs this loop.
    """
    try:
        here: _Loop | None = asyncio.get_running_loop()
    except RuntimeError:
        here = None
    loop = loop_for(cache, entry, pending, here)
    rest: Rest = partial(finish, cache, entry, pending, failures)
    if here is None:
        return _run_on(loop, entry, rest, standing_here())
    if loop is here:
        _start(here, entry, rest)
    else:
        move(loop, entry, rest, partial(_raise_on, here))
    return None


def loop_for(
    cache: CacheView, entry: Entry, pending: Awaitable[object], here: _Loop | None
) -> _Loop | None:
    """Return the loop on which ``pending`` is to be awaited, and note it; None: one made for it."""
    loop = pending.get_loop() if asyncio.isfuture(pending) else entry.provenance.loop
    if loop is None or not loop.is_running():
        loop = here
    if loop is not None:
        with cache.store.lock:
            cache.store.awaited_on(entry, loop)
    return loop


def move(
    loop: _Loop | None, entry: Entry, rest: Rest, then: Callable[[BaseException | None], object]
) -> None:
    """Run ``rest()`` of ``entry`` on another thread's loop; a thread waits for that.

    ``then`` is called there with what must reach the caller.
    """

    def run() -> None:
        then(_run_on(loop, entry, rest))

    context = contextvars.copy_context()
    threading.Thread(target=context.run, args=(run,), name="warmcache-teardown").start()
    _leave_to_others(entry)


def _leave_to_others(entry: Entry) -> None:
    """Note that others go on with it: who is interrupted now must not let its value go at once."""
    entry.doomed_by = None


def _run_on(
    loop: _Loop | None, entry: Entry, rest: Rest, standing: Collection[Any] = ()
) -> BaseException | None:
    """Run ``rest()`` of ``entry`` on another thread's loop, or on one made for it.

    That is where the other ends too early. It is not waited for where the loop waits in turn for
    what is ``standing`` meanwhile, nor by who is interrupted. Returns what must reach the caller.
    That a loop has cancelled it, for it ends, is none of that.
    """
    begun, over = threading.Lock(), OneShot()
    outcome: list[BaseException | None] = []

    async def body() -> None:
        outcome.append(None)
        outcome.append(await rest())

    def start() -> None:
        if loop is not None and begun.acquire(blocking=False):
            task = loop.create_task(body())
            task.add_done_callback(lambda _: over.happen())
            keep_running(task)

    if loop is not None and _called(loop, start):
        try:
            while not for_ever(standing, [loop]):
                if over.wait(0.1) or loop.is_closed():
                    break
                if not loop.is_running() and begun.acquire(blocking=False):
                    break
            else:
                return None
        except BaseException:
            if begun.acquire(blocking=False):
                move(loop, entry, rest, lambda _: None)
            _leave_to_others(entry)
            raise
        finally:
            go_on(standing)
    if not outcome:
        outcome.append(None)
        try:
            asyncio.run(_raising(rest))  # a Ctrl-C cancels it, and is a KeyboardInterrupt here
        except BaseException as interrupt:
            outcome.append(interrupt)
    return None if isinstance(outcome[-1], asyncio.CancelledError) else outcome[-1]


def _called(loop: _Loop, start: Callable[[], object]) -> bool:
    try:
        loop.call_soon_threadsafe(start)
    except RuntimeError:  # it has ended
        return False
    return True


async def _raising(rest: Rest) -> None:
    interrupt = await rest()
    if interrupt is not None:
        raise interrupt


def _start(loop: _Loop, entry: Entry, rest: Rest) -> None:
    """Start ``rest()`` on this thread's loop; in a thread, should the loop end first."""
    begun: list[bool] = []

    async def body() -> None:
        begun.append(True)
        _raise_on(loop, await rest())

    def ended(_: object) -> None:
        if not begun:
            move(None, entry, rest, lambda _: None)

    task = loop.create_task(body())
    _leave_to_others(entry)
    task.add_done_callback(ended)
    keep_running(task)


def _raise_on(loop: _Loop, interrupt: BaseException | None) -> None:
    """Have ``interrupt``, if there is any, reach who runs ``loop``."""

    def reraise() -> None:
        assert interrupt is not None
        raise interrupt

    if interrupt is not None and not isinstance(interrupt, asyncio.CancelledError):
        _called(loop, reraise)


def await_soon(pending: Awaitable[object]) -> None:
    """Have ``pending`` awaited: by the running loop when it can, else here and now."""

    async def wait() -> None:
        await pending

    try:
        keep_running(asyncio.get_running_loop().create_task(wait()))
    except RuntimeError:
        asyncio.run(wait())
