"""All caches that are open are listed, and emptied together."""

from __future__ import annotations

import asyncio
import gc
import uuid
import weakref
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, closing
from typing import Any

import pytest
from gates import CAP, Gate

import warmcache
from warmcache import ClosedError, LRUCache, MemoryCache, all_caches, clear_all, warm
from warmcache.testing import FakeProbe


@pytest.fixture
def start() -> Iterator[Callable[..., Future[Any]]]:
    with ThreadPoolExecutor(4) as pool:
        yield pool.submit


def listed(cache: Any) -> bool:
    return any(cache is each for each in all_caches())


def test_every_kind_of_cache_is_listed_with_its_name() -> None:
    @warm
    def load(name: str) -> list[str]:
        return [name]

    name = f"shared {uuid.uuid4()}"
    shared = warmcache.cache(name, maxsize=2)
    plain: LRUCache[str, int] = LRUCache(2)
    memory: MemoryCache[str, int] = MemoryCache("1GiB", probe=FakeProbe(2**32))
    mine = {id(load.cache), id(shared), id(plain), id(memory)}
    found = [cache for cache in all_caches() if id(cache) in mine]
    assert [load.cache, shared, plain, memory] == found
    of_loader = f"{__name__}.{load.__qualname__}"
    assert [of_loader, name, None, None] == [cache.name for cache in found]


def with_methods() -> type[Any]:
    class Models:
        @warm
        def method(self, name: str) -> list[str]:
            return [name]

        @classmethod
        @warm
        def below_classmethod(cls, name: str) -> list[str]:
            return [name]

        @warm
        @classmethod
        def above_classmethod(cls, name: str) -> list[str]:
            return [name]

        @warm
        @staticmethod
        def static(name: str) -> list[str]:
            return [name]

        @staticmethod
        @warm
        def below_static(name: str) -> list[str]:
            return [name]

        @property
        @warm
        def wrapped(self) -> list[str]:
            return []

        @warm
        async def later(self, name: str) -> list[str]:
            return [name]

    return Models


METHODS = [name for name in vars(with_methods()) if not name.startswith("_")]


@pytest.mark.parametrize("name", METHODS)
def test_a_cache_of_a_method_has_its_name_and_says_it_when_closed(name: str) -> None:
    models = with_methods()
    method: Any = vars(models)[name].fget if name == "wrapped" else getattr(models(), name)
    expected = f"{models.__module__}.{models.__qualname__}.{name}"
    assert expected == method.cache.name
    method.cache.close()
    with pytest.raises(ClosedError, match=f"LRUCache '{expected}' was closed by close"):
        method.cache["key"] = 1


def test_a_cache_that_nobody_refers_to_is_not_kept_by_the_list() -> None:
    cache: LRUCache[str, int] | None = LRUCache(2)
    assert listed(cache)
    known = weakref.ref(cache)
    del cache
    gc.collect()
    assert None is known()


def test_a_closed_cache_is_not_listed() -> None:
    cache: LRUCache[str, int] = LRUCache(2)
    assert listed(cache)
    cache.close()
    assert not listed(cache)


def test_caches_may_be_made_while_they_are_listed(start: Callable[..., Future[Any]]) -> None:
    def make() -> None:
        for _ in range(300):
            LRUCache[int, int](1)

    making = [start(make) for _ in range(2)]
    while not all(each.done() for each in making):
        all_caches()
    for each in making:
        each.result(CAP)


def test_to_clear_all_tears_everything_down_the_last_loaded_first_and_closes_nothing() -> None:
    torn: list[Any] = []

    @warm(teardown=torn.append)
    def load(name: str) -> str:
        return name

    other: LRUCache[str, str] = LRUCache(9, teardown=torn.append)
    plain: LRUCache[str, str] = LRUCache(9)
    load("1")
    other["b"] = "2"
    load("3")
    plain["c"] = "4"
    clear_all()
    assert ["3", "2", "1"] == torn and not plain
    assert "1" == load("1") and {"explicit": 2} == load.cache.stats().removals
    load.cache.close()


def test_what_is_leased_goes_with_its_last_lease() -> None:
    torn: list[str] = []

    @warm(teardown=torn.append)
    def load(name: str) -> str:
        return name

    with load.lease("a"):
        clear_all()
        assert [] == torn
    assert ["a"] == torn


@pytest.mark.race
def test_a_load_under_way_arrives_afterwards(start: Callable[..., Future[Any]]) -> None:
    gate = Gate()

    @warm(maxsize=2)
    def load(name: str) -> str:
        gate.wait()
        return name

    call = start(load, "a")
    gate.until_reached()
    clear_all()
    gate.open()
    assert "a" == call.result(CAP) and load.contains("a")


def test_what_fails_is_logged_and_the_rest_goes(caplog: pytest.LogCaptureFixture) -> None:
    torn: list[str] = []

    def end(name: str) -> None:
        torn.append(name)
        if name == "b":
            raise OSError("stuck")

    @warm(teardown=end)
    def load(name: str) -> str:
        return name

    load("a"), load("b")
    clear_all()
    assert ["b", "a"] == torn and "teardown of load('b')" in caplog.text


async def test_async_teardowns_are_awaited() -> None:
    torn: list[str] = []

    async def end(name: str) -> None:
        await asyncio.sleep(0)
        torn.append(name)

    @warm(teardown=end)
    async def load(name: str) -> str:
        return name

    @warm(teardown=torn.append)
    def load_here(name: str) -> str:
        return name

    await load("a")
    load_here("b")
    await warmcache.clear_all_async()
    assert ["b", "a"] == torn
    assert "a" == await load("a")
    await load.evict("a")


def test_a_closed_cache_says_who_closed_it_and_what_to_do() -> None:
    cache = warmcache.cache(f"gpu {uuid.uuid4()}", maxsize=2)
    cache.close()
    cache.close()  # which is not who did it
    with pytest.raises(ClosedError) as refused:
        cache["a"] = 1
    line = test_a_closed_cache_says_who_closed_it_and_what_to_do.__code__.co_firstlineno + 2
    assert (
        f"LRUCache {cache.name!r} was closed by close() at {__file__}:{line}; make another, "
        f"or only clear() it"
    ) == str(refused.value)


@pytest.mark.parametrize("way", ["with", "closing", "stack"])
def test_it_says_the_users_line_whatever_calls_close(way: str) -> None:
    cache: LRUCache[str, int] = LRUCache(2)
    if way == "with":
        with cache:
            pass
    elif way == "closing":
        with closing(cache):
            pass
    else:
        with ExitStack() as stack:
            stack.enter_context(cache)
    with pytest.raises(ClosedError, match=rf"LRUCache was closed by close\(\) at {__file__}:\d+;"):
        cache["a"] = 1


def test_a_loader_whose_cache_is_closed_says_which_it_was() -> None:
    @warm
    def load(name: str) -> str:
        return name

    load.cache.close()
    with pytest.raises(ClosedError, match=r"LRUCache '.*load' was closed by close\(\) at"):
        load("a")
