"""With ``maxsize=0`` nothing is kept, as by lru_cache: a call loads what its caller owns."""

from __future__ import annotations

import functools
import subprocess
import sys
import textwrap
import threading
from typing import Any

import pytest

import warmcache
from warmcache import (
    CapacityError,
    ClosedError,
    HostMemoryCache,
    LRUCache,
    TTLCache,
    WarmMissError,
    warm,
)


class Model:
    def __init__(self, name: Any) -> None:
        self.name = name
        self.closed = 0

    def close(self) -> None:
        self.closed += 1


NOTHING = [0, 0.0, "0 GiB"]


@pytest.mark.parametrize("maxsize", NOTHING)
def test_each_call_loads_and_its_caller_owns_the_value(maxsize: Any) -> None:
    load = warm(policy="lru", maxsize=maxsize, teardown="close")(Model)
    first, second = load("a"), load("a")
    assert first is not second and (0, 0) == (first.closed, second.closed)
    assert not load.contains("a") and load.peek("a", default=5) == 5
    assert [] == load.evict("a")
    load.cache.close()
    assert (0, 0) == (first.closed, second.closed)


def test_its_counts_are_those_of_lru_cache() -> None:
    ours, theirs = warm(maxsize=0)(Model), functools.lru_cache(maxsize=0)(Model)
    for load in (ours, theirs):
        load("a"), load("a"), load("b")
    assert tuple(theirs.cache_info()) == tuple(ours.cache_info()) == (0, 3, 0, 0)
    assert 3 == ours.cache.stats().misses
    ours.cache_clear()
    assert (0, 0, 0, 0) == ours.cache_info()


def test_a_lease_tears_its_value_down_as_it_ends() -> None:
    load = warm(maxsize=0, teardown="close")(Model)
    with load.lease("a") as one, load.lease("a") as other:
        assert one is not other and (0, 0) == (one.closed, other.closed)
    assert (1, 1) == (one.closed, other.closed)
    with pytest.raises(OSError, match="of the body"):
        with load.lease("a") as third:
            raise OSError("of the body")
    assert 1 == third.closed
    load.warm_up(["a", "b"])
    assert (0, 5) == load.cache_info()[:2]


def test_a_lease_that_is_lost_is_ended_and_warned_of() -> None:
    ended = threading.Event()

    def close(_: Model) -> None:
        ended.set()

    load = warm(maxsize=0, teardown=close)(Model)
    lease = load.lease("a")
    lease.__enter__()
    held = [lease]
    del lease
    with pytest.warns(ResourceWarning, match=r"a lease of what Model\(\) loaded for no cache was"):
        held.clear()
    assert ended.wait(5)


async def test_so_it_is_of_async_loaders_and_by_alease() -> None:
    @warm(maxsize=0, teardown="close")
    async def connect(name: str) -> Model:
        return Model(name)

    load = warm(maxsize=0, teardown="close")(Model)
    assert await connect("a") is not await connect("a")
    async with connect.lease("a") as one, load.alease("a") as other:
        assert (0, 0) == (one.closed, other.closed)
    assert (1, 1) == (one.closed, other.closed)
    await connect.warm_up(["a"])
    assert (0, 4) == connect.cache_info()[:2]


def test_methods_and_classes_keep_nothing_either() -> None:
    class Zoo:
        @warm(maxsize=0)
        def load(self, name: str) -> Model:
            return Model(name)

    @warm(maxsize=0)
    class Kept(Model):
        pass

    zoo = Zoo()
    assert zoo.load("a") is not zoo.load("a")
    assert Kept("a") is not Kept("a")


@pytest.mark.parametrize(
    "make",
    [
        lambda: LRUCache(0),
        lambda: TTLCache(0, 5),
        lambda: HostMemoryCache(0, poll=0, getsizeof=lambda value: 1),
        lambda: LRUCache(0, getsizeof=lambda value: 1),
    ],
)
def test_so_it_is_whatever_the_policy_and_storing_by_the_mapping_is_refused(make: Any) -> None:
    with make() as cache:
        load = warm(cache=cache, size=1)(Model)
        assert load("a") is not load("a")
        for key in ("x", load.cache_key("a")):
            with pytest.raises(CapacityError):
                cache[key] = Model("x")
        assert 0 == len(cache)


def test_what_weighs_nothing_is_not_kept_by_a_loader_either() -> None:
    load = warm(maxsize=0, size=0)(Model)
    assert load("a") is not load("a")


def test_a_loader_may_call_itself_as_under_lru_cache() -> None:
    @warm(maxsize=0)
    def fibonacci(n: int) -> int:
        return n if n < 2 else fibonacci(n - 1) + fibonacci(n - 2)

    assert 55 == fibonacci(10)


def test_scopes_and_the_end_of_the_cache_are_what_they_are_elsewhere() -> None:
    load = warm(maxsize=0)(Model)
    with warmcache.no_load(), pytest.raises(WarmMissError):
        load("a")
    with warmcache.disabled():
        load("a")
    assert 1 == load.cache_info().misses, "disabled() asks for nothing"
    load.cache.close()
    with pytest.raises(ClosedError):
        load("a")
    with pytest.raises(ClosedError):
        with load.lease("a"):
            pytest.fail("it was entered")


def test_the_loaders_own_exception_passes_through() -> None:
    @warm(maxsize=0)
    def fail(name: str) -> None:
        raise OSError(name)

    with pytest.raises(OSError, match="a"):
        fail("a")


def test_what_a_generator_yields_is_torn_down_as_the_process_ends_or_its_lease() -> None:
    program = """
        import warmcache

        @warmcache.warm(maxsize=0)
        def load(name):
            yield name
            print("torn down:", name)

        with load.lease("leased"):
            print("inside")
        print(load("a"), load("b"))
    """
    ran = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(program)], capture_output=True, text=True, timeout=50
    )
    assert "inside\ntorn down: leased\na b\ntorn down: b\ntorn down: a\n" == ran.stdout
    assert "" == ran.stderr
