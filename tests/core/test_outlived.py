"""A time that ends inside of a lease: who is inside gets that value still."""

from __future__ import annotations

import functools
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from gates import CAP

from warmcache import TTLCache, warm
from warmcache.testing import ManualClock, assert_consistent


class Timed:
    """A loader of objects that live ten seconds, in a cache with room for one."""

    def __init__(self, **options: Any) -> None:
        self.clock = ManualClock()
        self.torn_down: list[Any] = []
        self.options = {
            **dict(policy="ttl", maxsize=1, ttl=10, timer=self.clock, wait=0.01),
            **dict(teardown=self.torn_down.append),
            **options,
        }
        self.load: Any = warm(**self.options)(self.make)

    def make(self, name: str) -> object:
        return object()


def test_who_is_inside_of_a_lease_whose_time_has_ended_gets_that_value() -> None:
    case = Timed()
    with case.load.lease("a") as value:
        case.clock.advance(11)
        assert case.load("a") is value
        with case.load.lease("a") as again, case.load.lease("a") as once_more:
            assert value is again is once_more
        assert [] == case.torn_down, "it is held by the outer lease"
    assert [value] == case.torn_down
    assert case.load("a") is not value
    assert_consistent(case.load.cache)


def test_it_gets_that_value_though_there_were_room_and_though_others_have_another() -> None:
    case = Timed(maxsize=2)
    with case.load.lease("a") as value:
        case.clock.advance(11)
        with ThreadPoolExecutor(1) as pool:
            other = pool.submit(case.load, "a").result(CAP)
        assert other is not value, "who is outside has none whose time has ended"
        assert case.load("a") is other, "what is live is for all"
        case.clock.advance(11)
        assert case.load("a") is value


def test_another_key_is_not_what_it_is_inside_of() -> None:
    case = Timed(maxsize=2)
    with case.load.lease("a") as value:
        case.clock.advance(11)
        assert case.load("b") is not value


def test_a_value_that_is_no_longer_valid_is_not_got_again() -> None:
    case = Timed(maxsize=2, validate=lambda value: value in good)
    good: list[Any] = []
    with case.load.lease("a") as value:
        good.append(value)
        case.clock.advance(11)
        assert case.load("a") is value
        good.clear()
        assert case.load("a") is not value


def test_who_removed_it_inside_of_its_lease_loads_it_anew() -> None:
    case = Timed(maxsize=2)
    with case.load.lease("a") as value:
        case.load.evict("a")
        assert case.load("a") is not value


def test_a_lease_of_a_bare_cache_can_be_nested_when_its_time_has_ended() -> None:
    clock = ManualClock()
    cache: TTLCache[str, object] = TTLCache(1, ttl=10, timer=clock)
    cache["a"] = value = object()
    with cache.lease("a"):
        clock.advance(11)
        with cache.lease("a") as again:
            assert again is value
    with pytest.raises(KeyError):
        with cache.lease("a"):
            pytest.fail("its time has ended")


@pytest.mark.parametrize("nested", ["call", "lease", "a load inside of a load"])
async def test_an_async_lease_can_be_nested_when_its_time_has_ended(nested: str) -> None:
    case = Timed()

    async def make(name: str) -> object:
        return object()

    load = warm(**case.options)(make)

    @warm
    async def outer() -> object:
        return await load("a")

    async with load.lease("a") as value:
        case.clock.advance(11)
        if nested == "call":
            assert await functools.partial(load, "a")() is value
        elif nested == "lease":
            async with load.lease("a") as again:
                assert again is value
        else:
            assert await outer() is value
    assert [value] == case.torn_down
