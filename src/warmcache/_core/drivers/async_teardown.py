"""Teardowns that have to be awaited, whoever began them."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

from warmcache._core.plans.cache_view import CacheView
from warmcache._core.state.entry import Entry
from warmcache._core.state.flights import CHAIN
from warmcache._core.state.one_shot import OneShot

from .let_go import destroy, let_go

_tasks: set[asyncio.Task[Any]] = set()  # what asyncio itself references only weakly


def keep_running(task: asyncio.Task[Any]) -> None:
    """Refer to ``task`` until it is done."""
    _tasks.add(task)
    task.add_done_callback(_tasks.discard)


async def tear_down_one(
    cache: CacheView, entry: Entry, pending: Awaitable[object] | None, failures: list[Exception]
) -> BaseException | None:
    """Tear one entry down in this task; ``pending`` is what is left of that, if it has begun.

    Returns what must reach the caller: a KeyboardInterrupt or the like.
    """
    error: BaseException | None = None
    outer, me = CHAIN.get(), threading.get_ident()
    try:
        CHAIN.set((*outer, entry))
        if pending is None:
            pending = destroy(cache, entry)
        entry.doomed_by = None  # for as long as this task alone can go on with it
        if pending is not None:
            await pending
    except BaseException as raised:
        if not entry.called:
            raise  # it was interrupted before it began, and is still to be done
        error = raised
    finally:
        entry.doomed_by = me
        CHAIN.set(outer)
    del pending
    return let_go(cache, entry, error, failures)


def hand_over(
    cache: CacheView, entry: Entry, pending: Awaitable[object], failures: list[Exception]
) -> None:
    """Finish an asynchronous teardown that a synchronous act has begun.

    It runs on the loop that loaded the value. On that loop's own thread it can only
    be started here: the entry stays charged until the loop has got round to it.
    """
    loop = entry.provenance.loop
    try:
        running: asyncio.AbstractEventLoop | None = asyncio.get_running_loop()
    except RuntimeError:
        running = None
    rest = partial(tear_down_one, cache, entry, pending, failures)
    if loop is not None and loop is not running and loop.is_running() and _run_on(loop, rest):
        return
    if running is not None:
        _start(running, rest)
    else:
        asyncio.run(rest())  # its loop has ended


def _run_on(loop: asyncio.AbstractEventLoop, rest: Callable[[], Any]) -> bool:
    """Run ``rest()`` on another thread's loop; whether it began before the loop ended."""
    begun, over = threading.Lock(), OneShot()
    outcome: list[bool] = []

    async def body() -> None:
        outcome.append(True)
        await rest()

    def start() -> None:
        if begun.acquire(blocking=False):
            task = loop.create_task(body())
            task.add_done_callback(lambda _: over.happen())
            keep_running(task)

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
    keep_running(task)


def await_soon(pending: Awaitable[object]) -> None:
    """Have ``pending`` awaited: by the running loop when it can, else here and now."""

    async def wait() -> None:
        await pending

    try:
        keep_running(asyncio.get_running_loop().create_task(wait()))
    except RuntimeError:
        asyncio.run(wait())
