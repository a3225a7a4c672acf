"""Async teardowns that threads begin or wait for, on loops that go on and on loops that stop."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from gated import until
from gates import Gate
from loops import CAP, LoopThread

from warmcache import warm
from warmcache._core.drivers import async_teardown
from warmcache._core.state import standstill


@pytest.fixture
def one() -> Iterator[LoopThread]:
    with LoopThread() as thread:
        yield thread


def ended_on(loops: list[Any]) -> Any:
    """Return an async loader whose async teardown notes on which loop it runs."""

    async def end(_: str) -> None:
        loops.append(asyncio.get_running_loop())

    @warm(policy="lru", maxsize=1, teardown=end)
    async def load(name: str) -> str:
        return name

    return load


@pytest.mark.race
def test_a_thread_waits_for_a_teardown_of_its_key_on_a_loop_that_goes_on(one: LoopThread) -> None:
    may_end = threading.Event()

    async def end(_: str) -> None:
        while not may_end.is_set():  # noqa: ASYNC110
            await asyncio.sleep(0.001)

    @warm(policy="lru", maxsize=2, wait=CAP, teardown=end)
    def load(name: str) -> str:
        return name

    load("a")
    one.call(lambda: load.evict("a"))
    assert ["dying"] == [entry.state for entry in load.cache.entries()]
    with ThreadPoolExecutor(1) as pool:
        again = pool.submit(load, "a")
        asyncio.run(until(lambda: load.cache._store.ledger.waiting))
        may_end.set()
        assert "a" == again.result(CAP)


@pytest.mark.race
def test_what_a_loop_has_not_begun_as_it_stops_runs_elsewhere_and_once() -> None:
    loops: list[Any] = []
    load, loop, stopping, called = ended_on(loops), asyncio.new_event_loop(), Gate(), Gate()

    def call(*args: Any, **options: Any) -> Any:
        handle = asyncio.BaseEventLoop.call_soon_threadsafe(loop, *args, **options)
        called.arrived.set()
        return handle

    def stop() -> None:
        stopping.wait()
        loop.stop()  # what was called meanwhile has to wait until it runs again

    loop.run_until_complete(load("a"))
    loop.call_soon_threadsafe = call  # type: ignore[method-assign]
    loop.call_soon(stop)
    with ThreadPoolExecutor(2) as pool:
        running = pool.submit(loop.run_forever)
        stopping.until_reached()
        clearing = pool.submit(load.cache.clear)
        called.until_reached()
        stopping.open()
        running.result(CAP)
        clearing.result(CAP)
    assert 1 == len(loops) and loops[0] is not loop
    loop.run_until_complete(asyncio.sleep(0))
    assert 1 == len(loops)
    loop.close()


def test_a_load_stands_still_no_more_once_the_teardown_that_it_waited_for_has_ended(
    one: LoopThread,
) -> None:
    loops: list[Any] = []
    other = ended_on(loops)
    one.run(lambda: other("a"))

    @warm
    def load() -> dict[Any, Any]:
        other.cache.clear()
        return {**standstill._behind}

    assert {} == load()
    assert [one.loop] == loops


def test_a_task_is_not_kept_once_its_teardown_has_ended(one: LoopThread) -> None:
    load = ended_on([])
    one.run(lambda: load("a"))
    one.call(load.cache.clear)
    one.run(lambda: until(lambda: not load.cache.entries()))
    one.run(lambda: until(lambda: not kept_of(one.loop)))


def kept_of(loop: Any) -> list[Any]:
    return [task for task in async_teardown.TASKS if task.get_loop() is loop]
