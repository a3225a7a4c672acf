"""Tasks that are cancelled inside of ``load.alease(...)``, and loops that end meanwhile."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

import pytest
from aleased import Model, loading
from gates import Gate

import warmcache
from warmcache import warm
from warmcache.testing import assert_consistent

CAP = 5.0


class Slow:
    """A loader that waits at a gate."""

    def __init__(self) -> None:
        self.gate = Gate()
        self.made: list[Model] = []
        self.load: Any = warm(policy="lru", maxsize=1, teardown="close")(self.make)

    def make(self, name: str) -> Model:
        self.gate.wait()
        self.made.append(Model(name))
        return self.made[-1]

    async def use(self) -> Any:
        async with self.load.alease("a") as model:
            return model


def until(claim: Any) -> None:
    pause = threading.Event()
    for _ in range(5_000):
        if claim():
            return
        pause.wait(0.001)
    raise AssertionError("it never came true")


@pytest.mark.race
async def test_a_task_that_is_cancelled_goes_and_the_load_serves_the_others() -> None:
    slow = Slow()
    first, second = asyncio.create_task(slow.use()), asyncio.create_task(slow.use())
    await asyncio.to_thread(slow.gate.until_reached)
    first.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asyncio.wait_for(first, CAP)
    slow.gate.open()
    assert await asyncio.wait_for(second, CAP) is slow.made[0]
    await asyncio.to_thread(until, lambda: not _leases(slow.load))
    assert slow.load("a") is slow.made[0]
    assert_consistent(slow.load.cache)


@pytest.mark.race
async def test_what_nobody_waits_for_any_more_stays_warm_and_unleased() -> None:
    slow = Slow()
    task = asyncio.create_task(slow.use())
    await asyncio.to_thread(slow.gate.until_reached)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    slow.gate.open()
    await asyncio.to_thread(until, lambda: slow.load.contains("a") and not _leases(slow.load))
    slow.load.evict("a")
    assert 1 == len(slow.made[0].closed_by)
    assert_consistent(slow.load.cache)


@pytest.mark.race
async def test_a_cancellation_as_the_load_ends_loses_no_lease() -> None:
    for turns in range(4):
        slow = Slow()
        task = asyncio.create_task(slow.use())
        await asyncio.to_thread(slow.gate.until_reached)
        slow.gate.open()
        await asyncio.to_thread(until, lambda slow=slow: slow.load.contains("a"))
        for _ in range(turns):
            await asyncio.sleep(0)
        task.cancel()
        await asyncio.wait([task])
        await asyncio.to_thread(until, lambda slow=slow: not _leases(slow.load))
        assert_consistent(slow.load.cache)


@pytest.mark.race
def test_a_loop_that_ends_meanwhile_leaves_the_load_to_its_thread() -> None:
    slow = Slow()

    async def main() -> None:
        asyncio.create_task(slow.use())  # noqa: RUF006
        await asyncio.to_thread(slow.gate.until_reached)

    asyncio.run(main())
    slow.gate.open()
    until(lambda: slow.load.contains("a") and not _leases(slow.load))
    assert_consistent(slow.load.cache)
    slow.load.cache.close()
    assert 1 == len(slow.made[0].closed_by)


@pytest.mark.race
async def test_a_lease_of_disabled_that_nobody_waits_for_tears_its_value_down() -> None:
    slow = Slow()

    async def use() -> None:
        with warmcache.disabled():
            async with slow.load.alease("a"):
                pytest.fail("it was entered")

    task = asyncio.create_task(use())
    await asyncio.to_thread(slow.gate.until_reached)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    slow.gate.open()
    await asyncio.to_thread(until, lambda: slow.made and slow.made[0].closed_by)
    assert 1 == len(slow.made[0].closed_by)


def _leases(load: Any) -> int:
    return sum(entry.leases for entry in load.cache.entries())


async def test_under_anyio_it_works_with_the_backend_that_is_asyncio() -> None:
    anyio = pytest.importorskip("anyio")
    slow = Slow()
    async with anyio.create_task_group() as group:
        with anyio.CancelScope() as scope:
            group.start_soon(
                asyncio.to_thread, _cancel_at_the_gate, slow, scope, asyncio.get_running_loop()
            )
            await slow.use()
            pytest.fail("it was cancelled")
    slow.gate.open()
    await asyncio.to_thread(until, lambda: slow.load.contains("a") and not _leases(slow.load))
    with anyio.fail_after(CAP):
        assert slow.made[0] is await slow.use()


def _cancel_at_the_gate(slow: Slow, scope: Any, loop: Any) -> None:
    slow.gate.until_reached()
    loop.call_soon_threadsafe(scope.cancel)


def test_another_framework_is_told_what_to_do() -> None:
    for act in (_enter, _enter_disabled):
        entering = act(loading())
        with pytest.raises(RuntimeError, match="needs a running event loop of asyncio"):
            entering.send(None)


async def _enter(load: Any) -> None:
    async with load.alease("a"):
        raise AssertionError


async def _enter_disabled(load: Any) -> None:
    with warmcache.disabled():
        async with load.alease("a"):
            raise AssertionError
