"""What would wait for itself is an error at once, or has its answer, and never hangs."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

import pytest
from gates import CAP

import warmcache
from warmcache import LoadCycleError, warm
from warmcache.testing import assert_consistent


def test_a_loader_asking_for_its_own_key_gets_an_error_not_a_hang() -> None:
    @warm(policy="lru", maxsize=4)
    def load(name: str) -> str:
        return load({"a": "b", "b": "c", "c": "a"}[name])

    with pytest.raises(LoadCycleError, match=r"load\('a'\)"):
        load("a")
    assert_consistent(load.cache)


@pytest.mark.race
def test_loaders_that_wait_for_each_other_across_threads_get_an_error(start: Any) -> None:
    both = threading.Barrier(2, timeout=CAP)

    @warm(policy="lru", maxsize=4)
    def left() -> str:
        both.wait()
        return right()

    @warm(policy="lru", maxsize=4)
    def right() -> str:
        both.wait()
        return left()

    calls = [start(left), start(right)]
    assert all(isinstance(call.exception(CAP), LoadCycleError) for call in calls)


def test_a_teardown_asking_for_its_own_key_gets_an_error_not_a_hang() -> None:
    errors: list[type[Exception]] = []

    def tear_down(name: str) -> None:
        try:
            load(name)
        except Exception as error:
            errors.append(type(error))

    @warm(policy="lru", maxsize=4, teardown=tear_down)
    def load(name: str) -> str:
        return name

    load("a")
    load.evict("a")
    assert [LoadCycleError] == errors


def test_a_load_that_was_refused_as_it_waits_for_itself_is_under_way_no_more() -> None:
    def tear_down(name: str) -> None:
        with pytest.raises(LoadCycleError):
            load(name)
        under_way.extend(info.key for info in load.cache.entries() if info.state == "loading")

    under_way: list[object] = []

    @warm(policy="lru", maxsize=4, teardown=tear_down)
    def load(name: str) -> str:
        return name

    load("a")
    load.evict("a")
    assert [] == under_way
    assert [] == load.cache.entries()


def test_who_was_refused_what_waits_for_itself_does_not_lease_it_as_it_arrives() -> None:
    @warm(policy="lru", maxsize=4)
    def load(name: str) -> str:
        with pytest.raises(LoadCycleError):
            load(name)
        return name

    assert "a" == load("a")
    assert [0] == [info.leases for info in load.cache.entries()]
    assert_consistent(load.cache)


@pytest.mark.race
def test_the_garbage_collector_may_run_user_code_inside_the_lock() -> None:
    """A finalizer that asks the very cache whose lock is held gets an answer."""
    cache: warmcache.LRUCache[Any, Any] = warmcache.LRUCache(3)
    seen: list[int] = []
    with cache._store.lock:
        cache["x"] = 1
        seen.append(len(cache))
        cache.evict()
    assert [1] == seen
    assert_consistent(cache)


def test_a_size_that_asks_for_what_is_being_weighed_gets_an_error_not_a_hang() -> None:
    torn_down: list[str] = []

    def weigh(value: str) -> int:
        return len(load("a"))

    @warm(policy="lru", maxsize=9, size=weigh, teardown=torn_down.append)
    def load(name: str) -> str:
        return name

    with pytest.raises(LoadCycleError):
        load("a")
    assert ["a"] == torn_down
    assert_consistent(load.cache)


# -- a load that would wait for itself -------------------------------------------------


@pytest.mark.parametrize("maxsize", [1, "1kB"])
def test_a_victims_teardown_that_asks_for_what_it_makes_room_for_is_refused(maxsize: Any) -> None:
    refused: list[str] = []

    def teardown(value: str) -> None:
        with pytest.raises(LoadCycleError):
            load("b")
        refused.append(value)

    @warm(policy="lru", maxsize=maxsize, size=1 if maxsize == 1 else 600, teardown=teardown)
    def load(name: str) -> str:
        return name

    load("a")
    assert "b" == load("b") and ["a"] == refused
    load.cache.detach(load.cache_key("b"))


def test_the_teardown_of_what_could_not_be_weighed_cannot_ask_for_it_again() -> None:
    refused: list[str] = []

    def teardown(value: str) -> None:
        with pytest.raises(LoadCycleError):
            load("a")
        refused.append(value)

    @warm(policy="lru", maxsize="1kB", size=lambda value: 1 / 0, teardown=teardown)
    def load(name: str) -> str:
        return name

    with pytest.raises(ZeroDivisionError):
        load("a")
    assert ["a"] == refused


async def test_an_async_victims_teardown_that_asks_for_what_it_makes_room_for_is_refused() -> None:
    refused: list[str] = []

    async def teardown(value: str) -> None:
        with pytest.raises(LoadCycleError):
            await load("b")
        refused.append(value)

    @warm(policy="lru", maxsize=1, teardown=teardown)
    async def load(name: str) -> str:
        return name

    await load("a")
    async with asyncio.timeout(CAP):
        assert "b" == await load("b")
    assert ["a"] == refused
    load.cache.detach(load.cache_key("b"))


@pytest.mark.parametrize("maxsize", [2, 3])
@pytest.mark.parametrize("how", ["load", "store"])
def test_what_a_victims_teardown_stores_evicts_what_is_idle_and_no_more(
    maxsize: int, how: str
) -> None:
    cache: warmcache.LRUCache[Any, Any] = warmcache.LRUCache(maxsize, wait=0)
    torn_down: list[str] = []

    def tear_down(name: str) -> None:
        torn_down.append(name)
        if name == "a":
            load("inner") if how == "load" else cache.__setitem__("inner", "inner")

    @warm(cache=cache, teardown=tear_down)
    def load(name: str) -> str:
        return name

    for name in "abc"[:maxsize]:
        load(name)
    assert "outer" == load("outer")
    assert ["a", "b"] == torn_down
    assert maxsize == len(cache)
    assert_consistent(cache)
