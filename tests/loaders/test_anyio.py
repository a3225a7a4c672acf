"""What an async generator loader has open across its yield, with anyio."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
from gated import until
from loops import LoopThread
from removals import REMOVALS, Remove, removed_early

from warmcache import warm
from warmcache.testing import assert_consistent

anyio = pytest.importorskip("anyio")


class Case:
    """A loader of what lives in a task group of anyio, in a cancel scope."""

    def __init__(self) -> None:
        self.beats: list[int] = []
        self.crash = asyncio.Event()
        self.load: Any = warm(policy="lru", maxsize=1)(self.make)
        self.cache = self.load.cache

    async def make(self, name: str) -> AsyncIterator[str]:
        with anyio.CancelScope(), anyio.move_on_after(60):
            async with anyio.create_task_group() as group:
                group.start_soon(self.beat)
                group.start_soon(self.fail)
                yield name
                group.cancel_scope.cancel()

    async def beat(self) -> None:
        self.beats.append(1)
        await anyio.sleep_forever()

    async def fail(self) -> None:
        await self.crash.wait()
        raise OSError("its client has crashed")


@pytest.mark.parametrize("remove", REMOVALS)
async def test_anyios_task_group_and_scopes_are_left_by_their_task(remove: Remove) -> None:
    case = Case()
    await asyncio.create_task(case.load("a"))
    await until(lambda: case.beats)
    await asyncio.create_task(remove(case))
    assert 0 == case.cache.stats().teardown_failures
    await case.load.cache_clear()
    assert 0 == case.cache.stats().teardown_failures
    assert_consistent(case.cache)


def test_anyios_task_group_is_left_by_its_task_when_another_loop_or_thread_removes_it() -> None:
    with LoopThread() as one, LoopThread() as other:
        case = Case()
        one.run(lambda: case.load("a"))
        other.run(lambda: case.load.evict("a"))
        one.run(lambda: case.load("a"))
        case.cache.clear()
        assert 0 == case.cache.stats().teardown_failures


async def test_what_anyios_task_group_has_ended_that_failed_is_removed(
    caplog: pytest.LogCaptureFixture,
) -> None:
    case = Case()
    await case.load("a")
    case.crash.set()
    await removed_early(case.load, caplog)
    case.crash.clear()
    assert "a" == await case.load("a")
    await case.load.cache_clear()


def test_a_value_inside_of_anyio_is_loaded_in_a_callers_scope_and_outlives_it() -> None:
    async def main() -> None:
        case = Case()
        with anyio.move_on_after(60) as scope:
            async with anyio.create_task_group() as group:
                group.start_soon(case.load, "a")
            scope.cancel()
        assert "a" == await case.load("a") and [1] == case.beats
        await case.load.evict("a")
        assert 0 == case.cache.stats().teardown_failures

    anyio.run(main)
