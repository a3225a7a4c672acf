"""``@warm`` on async generator functions: their teardown is awaited, wherever it comes from."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator
from typing import Any

import pytest

import warmcache
from warmcache import warm
from warmcache.testing import assert_consistent

CAP = 5.0


class Case:
    """A loader whose teardown awaits something, and what happened in which thread."""

    def __init__(self, **options: Any) -> None:
        self.events: list[Any] = []
        self.loops: list[Any] = []
        self.load: Any = warm(**{"policy": "lru", "maxsize": 2, **options})(self.make)

    async def make(self, name: str) -> AsyncIterator[str]:
        self.events.append(("up", name))
        self.loops.append(asyncio.get_running_loop())
        yield f"model {name}"
        self.events.append(("down", name))
        await asyncio.sleep(0)
        self.events.append(("gone", name))
        self.loops.append(asyncio.get_running_loop())


UP, DOWN, GONE = ("up", "a"), ("down", "a"), ("gone", "a")


async def test_the_rest_is_awaited_by_whoever_removes_it() -> None:
    case = Case(maxsize=1)
    assert "model a" == await case.load("a") == await case.load("a")
    await case.load("b")
    assert [UP, DOWN, GONE, ("up", "b")] == case.events

    await case.load.evict("b")
    assert ("gone", "b") == case.events[-1]
    await case.load("a")
    async with case.load.lease("a"):
        await case.load.cache_clear()
        assert UP == case.events[-1]
    assert GONE == case.events[-1]
    assert_consistent(case.load.cache)


async def test_failing_before_the_yield_is_a_failed_load_and_none_is_an_error() -> None:
    @warm
    async def load(name: str) -> AsyncIterator[str]:
        if name == "bad":
            raise OSError("no file")
        for part in name:
            yield part

    with pytest.raises(OSError, match="no file"):
        await load("bad")
    with pytest.raises(RuntimeError, match=r"load\(\) yielded nothing to keep warm"):
        await load("")
    assert not load.cache.entries()


async def test_a_second_yield_is_a_failed_teardown(caplog: pytest.LogCaptureFixture) -> None:
    closed: list[str] = []

    @warm
    async def load() -> AsyncIterator[int]:
        try:
            yield 1
            yield 2
        finally:
            closed.append("finally")

    await load()
    await load.evict()

    assert "yielded a second time" in caplog.text and ["finally"] == closed
    assert 1 == load.cache.stats().teardown_failures and not load.contains()


def test_the_end_of_a_loop_does_not_end_what_is_not_bound_to_it() -> None:
    case = Case(loop_bound=False)
    asyncio.run(case.load("a"))
    assert [UP] == case.events and case.load.contains("a")

    assert "model a" == asyncio.run(case.load("a"))
    assert [UP] == case.events


def test_teardown_after_its_loop_closed_runs_in_a_loop_of_its_own() -> None:
    case = Case()
    asyncio.run(case.load("a"))
    case.load.cache.clear()

    assert [UP, DOWN, GONE] == case.events
    assert case.loops[0].is_closed() and case.loops[0] is not case.loops[1]
    assert_consistent(case.load.cache)


def test_teardown_after_its_loop_closed_runs_in_the_loop_that_removes_it() -> None:
    case = Case()
    asyncio.run(case.load("a"))

    async def evict() -> asyncio.AbstractEventLoop:
        await case.load.evict("a")
        assert GONE == case.events[-1]
        return asyncio.get_running_loop()

    assert asyncio.run(evict()) is case.loops[1]


async def test_a_sync_removal_in_another_thread_runs_the_rest_on_the_loop_that_loaded() -> None:
    case = Case()
    await case.load("a")
    removed = await asyncio.wait_for(
        asyncio.to_thread(case.load.cache.evict, key=case.load.cache_key("a")), CAP
    )

    assert 1 == len(removed) and [UP, DOWN, GONE] == case.events
    assert [asyncio.get_running_loop()] * 2 == case.loops
    assert_consistent(case.load.cache)


async def test_a_sync_removal_inside_the_loop_starts_the_rest_and_loads_wait_for_it() -> None:
    case = Case(maxsize=1)
    await case.load("a")
    case.load.cache.clear()

    assert not case.load.contains("a"), "nobody gets it any more"
    assert ["dying"] == [entry.state for entry in case.load.cache.entries()]
    assert 1 == case.load.cache.stats().dying, "its room is not free yet"
    await asyncio.wait_for(case.load("b"), CAP)
    assert [UP, DOWN, GONE, ("up", "b")] == case.events
    assert_consistent(case.load.cache)


async def test_the_same_key_asked_for_while_it_is_torn_down_is_loaded_after() -> None:
    case = Case()
    await case.load("a")
    case.load.cache.clear()
    await asyncio.wait_for(case.load("a"), CAP)

    assert [UP, DOWN, GONE, UP] == case.events


def test_a_sync_removal_by_expiry_is_handed_to_the_loop_that_loaded() -> None:
    gone = threading.Event()
    case = Case(idle_ttl=0.01, on_removal=lambda removal: gone.set())

    async def load_and_stay() -> None:
        await case.load("a")
        assert await asyncio.to_thread(gone.wait, CAP)

    asyncio.run(load_and_stay())

    assert [UP, DOWN, GONE] == case.events and case.loops[0] is case.loops[1]


def test_a_removal_in_the_last_turn_of_a_loop_begins_its_teardown_and_frees_the_room() -> None:
    case = Case()

    async def remove_and_leave() -> None:
        await case.load("a")
        case.load.cache.clear()

    asyncio.run(remove_and_leave())

    assert DOWN in case.events, "it began, though the loop may have cut it short"
    assert not case.load.cache.entries()
    assert "model a" == asyncio.run(asyncio.wait_for(case.load("a"), CAP))
    assert_consistent(case.load.cache)


@pytest.mark.race
def test_a_removal_in_another_thread_survives_the_end_of_the_loop() -> None:
    case = Case()
    removed: list[Any] = []

    def remove() -> None:
        removed.extend(case.load.cache.evict(key=case.load.cache_key("a")))

    async def leave_while_it_is_removed() -> None:
        await case.load("a")
        thread.start()
        while not case.load.cache.stats().dying:  # the loop stands still meanwhile
            pass

    thread = threading.Thread(target=remove)
    asyncio.run(leave_while_it_is_removed())
    thread.join(CAP)

    assert not thread.is_alive() and 1 == len(removed)
    assert DOWN in case.events and not case.load.cache.entries()
    assert_consistent(case.load.cache)


@pytest.mark.race
async def test_cancelling_who_tears_down_still_buries_the_entry() -> None:
    case = Case()
    tearing, forever = asyncio.Event(), asyncio.Event()

    @warm(cache=case.load.cache)
    async def load() -> AsyncIterator[int]:
        yield 1
        tearing.set()
        await forever.wait()

    await load()
    task = asyncio.create_task(load.evict())
    await asyncio.wait_for(tearing.wait(), CAP)
    task.cancel()
    await asyncio.wait([task])

    assert task.cancelled() and not load.cache.entries()
    assert_consistent(load.cache)


async def test_inside_disabled_the_lease_runs_the_rest() -> None:
    case = Case()
    with warmcache.disabled():
        async with case.load.lease("a") as value:
            assert "model a" == value and [UP] == case.events
    assert [UP, DOWN, GONE] == case.events and not case.load.contains("a")


def test_closing_the_cache_awaits_the_rest_last_loaded_first() -> None:
    case = Case()

    async def load_two() -> None:
        await case.load("a")
        await case.load("b")

    asyncio.run(load_two())
    case.load.cache.close()

    assert [("gone", "b"), ("gone", "a")] == [e for e in case.events if e[0] == "gone"]
