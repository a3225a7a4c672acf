"""What user code raises reaches the caller as it is, whatever it means to Python or to asyncio."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator
from typing import Any

import pytest
from gated import until
from gates import CAP, Gate, waiting

import warmcache
from warmcache import TLRUCache, warm
from warmcache.testing import assert_consistent


def stop(*_: Any) -> Any:
    raise StopIteration("it is over")


def name_of(name: str) -> str:
    return name


HOOKS: dict[str, dict[str, Any]] = {
    "size": dict(policy="lru", maxsize=9, size=stop),
    "size_hint": dict(policy="ram", size_hint=stop),
    "key": dict(key=stop),
    "key of an argument": dict(key={"name": stop}),
    "ttu": dict(policy="tlru", maxsize=9, ttu=stop),
    "getsizeof": dict(policy="lru", maxsize=9, getsizeof=stop),
}


def check_stops(call: Any) -> None:
    with pytest.raises(StopIteration, match="it is over") as caught:
        call()
    assert caught.value.__context__ is None, "as it was raised"


def test_a_loaders_stop_iteration_reaches_the_caller_and_nothing_is_kept() -> None:
    load = warm(stop)
    check_stops(lambda: load("a"))
    check_stops(lambda: load.lease("a").__enter__())
    check_stops(lambda: load.warm_up(["a"]))
    with warmcache.disabled():
        check_stops(lambda: load("a"))
    assert [] == load.cache.entries()
    assert_consistent(load.cache)


def test_the_stop_iteration_of_a_load_inside_a_load_reaches_the_outer_caller() -> None:
    inner = warm(stop)
    check_stops(lambda: warm(lambda: inner("a"))())


@pytest.mark.parametrize("hook", HOOKS)
def test_the_stop_iteration_of_a_hook_reaches_the_caller(hook: str) -> None:
    load: Any = warm(**HOOKS[hook])(name_of)
    check_stops(lambda: load("a"))
    assert [] == load.cache.entries()
    assert_consistent(load.cache)


def test_the_stop_iteration_of_a_cache_of_mappings_reaches_the_caller() -> None:
    cache: Any = TLRUCache(9, ttu=stop)
    check_stops(lambda: cache.update(a=1))
    check_stops(lambda: warmcache.LRUCache(9).evict(where=stop) or warm_one().evict(where=stop))


def warm_one() -> Any:
    cache: Any = warmcache.LRUCache(9)
    cache["a"] = 1
    return cache


@pytest.mark.race
def test_each_who_waits_has_the_stop_iteration_as_its_own(start: Any) -> None:
    gate = Gate()

    @warm
    def load(name: str) -> str:
        gate.wait()
        raise StopIteration("it is over")

    calls = [start(lambda: load("a")) for _ in range(3)]
    gate.until_reached()
    waiting(load.cache, 2)
    gate.open()
    errors = [call.exception(CAP) for call in calls]
    assert [StopIteration] * 3 == [type(error) for error in errors]
    assert 3 == len(set(map(id, errors)))


def test_a_teardown_and_a_listener_that_stop_iteration_have_failed() -> None:
    load = warm(policy="lru", maxsize=1, teardown=stop, on_removal=stop)(name_of)
    load("a")
    assert "b" == load("b")
    assert 1 == load.cache.stats().teardown_failures
    load.cache.detach(load.cache_key("b"))


# -- CancelledError --------------------------------------------------------------------


class Case:
    """An async loader that raises what a library might that cancels a task of its own."""

    def __init__(self, error: type[BaseException] = asyncio.CancelledError) -> None:
        self.error = error
        self.loads = 0
        self.go = asyncio.Event()
        self.load = warm(self.make)

    async def make(self, name: str) -> str:
        self.loads += 1
        await self.go.wait()
        raise self.error("a library's")


async def test_a_cancelled_error_that_nobody_asked_for_reaches_all_callers_of_one_load() -> None:
    case = Case()
    calls = [asyncio.create_task(case.load("a")) for _ in range(3)]
    await until(lambda: 2 == case.load.cache.stats().waits)
    case.go.set()
    await asyncio.wait(calls, timeout=CAP)

    assert 1 == case.loads and all(call.cancelled() for call in calls)
    assert [] == case.load.cache.entries()
    with pytest.raises(asyncio.CancelledError, match="a library's"):
        await case.load("a")
    assert_consistent(case.load.cache)


async def test_a_generators_cancelled_error_that_nobody_asked_for_reaches_the_caller() -> None:
    loads: list[int] = []

    @warm
    async def load() -> AsyncIterator[int]:
        loads.append(1)
        raise asyncio.CancelledError
        yield 1

    with pytest.raises(asyncio.CancelledError):
        await asyncio.wait_for(load(), CAP)
    assert [1] == loads


async def test_an_inner_task_that_a_loader_cancels_and_awaits_is_its_own_affair() -> None:
    loads: list[int] = []

    @warm
    async def load() -> None:
        loads.append(1)
        inner = asyncio.create_task(asyncio.sleep(CAP))
        await asyncio.sleep(0)
        inner.cancel()
        await inner

    calls = await asyncio.gather(load(), load(), return_exceptions=True)
    assert [asyncio.CancelledError] * 2 == [type(error) for error in calls] and [1] == loads


async def test_a_loader_that_cancels_the_task_it_runs_in_is_not_called_again_and_again() -> None:
    loads: list[int] = []

    @warm
    async def load() -> None:
        loads.append(1)
        task = asyncio.current_task()
        assert task is not None
        task.cancel()
        await asyncio.sleep(0)

    calls = await asyncio.gather(*[load() for _ in range(3)], return_exceptions=True)
    assert [asyncio.CancelledError] * 3 == [type(error) for error in calls]
    assert len(loads) <= 3, "once for each who asks"


@pytest.mark.race
def test_who_waits_on_another_loop_has_the_cancelled_error_that_nobody_asked_for() -> None:
    loading, go = threading.Event(), threading.Event()
    loads: list[int] = []

    @warm
    async def load() -> None:
        loads.append(1)
        loading.set()
        await asyncio.to_thread(go.wait, CAP)
        raise asyncio.CancelledError

    cancelled: list[bool] = []

    def call() -> None:
        try:
            asyncio.run(load())
        except asyncio.CancelledError:
            cancelled.append(True)

    threads = [threading.Thread(target=call) for _ in range(2)]
    threads[0].start()
    assert loading.wait(CAP)
    threads[1].start()
    waiting(load.cache, 1)
    go.set()
    for thread in threads:
        thread.join(CAP)
    assert [True, True] == cancelled and [1] == loads
