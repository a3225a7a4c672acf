"""One task, and one context, for the whole life of what an async generator loader yields."""

from __future__ import annotations

import asyncio
import contextvars
import gc
import weakref
from collections.abc import AsyncIterator
from typing import Any

import pytest
from gated import until
from loops import CAP, LoopThread
from removals import REMOVALS, Remove, removed_early, until_removed

import warmcache
from warmcache import RemovalCause, warm
from warmcache._core.state.hot_paths import SCOPES
from warmcache.testing import assert_consistent

var: contextvars.ContextVar[str] = contextvars.ContextVar("var", default="nothing")


class Value:
    """What can be referred to weakly."""


class Case:
    """A generator loader that says which task and context each part of it ran in."""

    def __init__(self, **options: Any) -> None:
        self.tasks: list[Any] = []
        self.seen: list[str] = []
        self.load: Any = warm(**{"policy": "lru", "maxsize": 1, **options})(self.make)
        self.cache = self.load.cache

    async def make(self, name: str) -> AsyncIterator[Value]:
        self.seen.append(var.get())
        token = var.set(f"inside of {name}")
        self.tasks.append(asyncio.current_task())
        try:
            yield Value()
        finally:
            self.tasks.append(asyncio.current_task())
            await asyncio.sleep(0)
            self.seen.append(var.get())
            var.reset(token)  # a ValueError in any other context

    def ended_in_one_task(self) -> bool:
        begun, ended = self.tasks[:2]
        return begun is ended and 0 == self.cache.stats().teardown_failures


@pytest.mark.parametrize("remove", REMOVALS)
async def test_the_task_that_entered_ends_it_whatever_removes_it(remove: Remove) -> None:
    case = Case()
    await asyncio.create_task(case.load("a"))
    await asyncio.create_task(remove(case))  # type: ignore[arg-type]
    assert case.ended_in_one_task()
    assert "inside of a" == case.seen[1]
    case.cache.clear()
    await until(lambda: not case.cache.entries())
    assert_consistent(case.cache)


def test_another_loop_has_the_task_end_it_on_its_own_loop() -> None:
    case = Case()
    with LoopThread() as one, LoopThread() as other:
        one.run(lambda: case.load("a"))
        other.run(lambda: case.load.evict("a"))
        assert case.ended_in_one_task() and one.loop is case.tasks[0].get_loop()


def test_another_thread_has_the_task_end_it() -> None:
    case = Case()
    with LoopThread() as one:
        one.run(lambda: case.load("a"))
        case.cache.close()
        assert case.ended_in_one_task()


async def test_inside_of_disabled_a_lease_has_one_task_too() -> None:
    case = Case()
    with warmcache.disabled():
        async with case.load.lease("a"):
            pass
    assert case.ended_in_one_task()


async def test_what_is_loaded_inside_of_disabled_keeps_no_hit_path_off() -> None:
    case = Case()
    with warmcache.disabled():
        value = await case.load("a")
    gc.collect()
    assert value and not SCOPES


async def test_the_load_sees_the_callers_context_and_the_caller_not_the_loads() -> None:
    case = Case()
    token = var.set("the caller's")
    await case.load("a")
    assert ["the caller's"] == case.seen and "the caller's" == var.get()
    var.reset(token)
    await case.load.evict("a")
    assert case.ended_in_one_task()


async def test_loads_that_the_end_asks_for_are_part_of_the_teardown() -> None:
    refused: list[type[Exception]] = []

    @warm
    async def load(name: str) -> AsyncIterator[str]:
        yield name
        try:
            await load(name)
        except warmcache.LoadCycleError as error:
            refused.append(type(error))

    await load("a")
    await asyncio.wait_for(load.evict("a"), CAP)
    assert [warmcache.LoadCycleError] == refused


async def test_a_load_that_the_beginning_asks_for_is_part_of_the_load() -> None:
    @warm
    async def load(name: str) -> AsyncIterator[str]:
        await load(name)
        yield name

    with pytest.raises(warmcache.LoadCycleError):
        await asyncio.wait_for(load("a"), CAP)


async def test_the_task_is_named_after_its_loader_and_ends_with_the_value() -> None:
    case = Case()
    await case.load("a")
    [task] = [each for each in asyncio.all_tasks() if "make()" in each.get_name()]
    await case.load.evict("a")
    assert task.done() and [task, task] == case.tasks


async def test_nothing_keeps_the_value_the_task_or_what_failed_alive() -> None:
    case = Case()
    value = weakref.ref(await case.load("a"))
    await case.load.evict("a")
    assert value() is None

    class TroubleError(Exception):
        pass

    @warm
    async def fail() -> AsyncIterator[int]:
        raise TroubleError
        yield 1

    try:
        await fail()
    except TroubleError as error:
        trouble = weakref.ref(error)
    await asyncio.sleep(0)
    assert trouble() is None


# -- the end of its loop -----------------------------------------------------------------


def test_after_the_end_of_its_loop_another_task_ends_it_in_its_context() -> None:
    case = Case(loop_bound=False)
    asyncio.run(case.load("a"))
    assert case.load.contains("a") and 1 == len(case.tasks)
    case.cache.close()
    assert ["nothing", "inside of a"] == case.seen
    assert 0 == case.cache.stats().teardown_failures, "the token could be reset"


def test_a_loop_that_was_stopped_and_never_runs_again_is_as_one_that_has_ended(
    caplog: pytest.LogCaptureFixture,
) -> None:
    case = Case()
    loop = asyncio.new_event_loop()
    loop.run_until_complete(case.load("a"))
    case.cache.close()
    loop.close()
    case.tasks.clear()
    gc.collect()
    assert ["nothing", "inside of a"] == case.seen and "" == caplog.text


# -- cancelled ---------------------------------------------------------------------------


@pytest.mark.race
async def test_a_load_that_is_cancelled_ends_the_task_with_it() -> None:
    entered, ended = asyncio.Event(), asyncio.Event()

    @warm
    async def load() -> AsyncIterator[int]:
        try:
            entered.set()
            await asyncio.Event().wait()
            yield 1
        finally:
            ended.set()

    asked = asyncio.create_task(load())
    await entered.wait()
    flight = next(each for each in asyncio.all_tasks() if "_fly" in repr(each.get_coro()))
    flight.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asked
    assert ended.is_set() and [] == load.cache.entries()


@pytest.mark.race
async def test_a_removal_that_is_cancelled_before_the_task_goes_on_is_cancelled() -> None:
    case = Case()
    await case.load("a")
    removal = asyncio.create_task(case.load.evict("a"))
    await asyncio.sleep(0)  # it has told the task to end
    assert 1 == len(case.tasks)
    removal.cancel()
    with pytest.raises(asyncio.CancelledError):
        await removal
    assert 2 == len(case.tasks), "the rest has begun, and was cancelled in the midst"
    assert [] == case.cache.entries()


async def test_a_task_group_across_the_yield_is_left_by_its_task() -> None:
    beats: list[int] = []

    @warm
    async def load() -> AsyncIterator[asyncio.Event]:
        stop = asyncio.Event()

        async def beat() -> None:
            beats.append(1)
            await stop.wait()

        async with asyncio.TaskGroup() as group:
            group.create_task(beat())
            yield stop
            stop.set()

    await load()
    await until(lambda: beats)
    await load.evict()
    assert 0 == load.cache.stats().teardown_failures


async def test_what_a_task_group_has_ended_that_failed_is_removed(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def crash() -> None:
        raise OSError("its client has crashed")

    @warm(teardown=None)
    async def load(crashes: bool) -> AsyncIterator[int]:
        async with asyncio.TaskGroup() as group:
            if crashes:
                asyncio.get_running_loop().call_soon(lambda: group.create_task(crash()))
            yield 1

    await load(True)
    await removed_early(load, caplog)
    assert 1 == await load(False)
    await load.cache_clear()


async def test_what_a_timeout_across_the_yield_has_ended_is_removed() -> None:
    @warm
    async def load() -> AsyncIterator[int]:
        async with asyncio.timeout(0.01):
            yield 1

    await load()
    await until_removed(load)
    assert {RemovalCause.INVALID: 1} == load.cache.stats().removals
