"""With ``maxsize=0`` nothing is kept, as by lru_cache: a call loads what its caller owns."""

from __future__ import annotations

import asyncio
import functools
import logging
import subprocess
import sys
import textwrap
import threading
import weakref
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor
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
from warmcache.testing import ManualClock


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


def test_what_a_generator_yields_is_torn_down_by_the_next_call_or_the_end_or_its_lease() -> None:
    program = """
        import warmcache

        @warmcache.warm(maxsize=0)
        def load(name):
            print("load", name)
            yield name
            print("torn down:", name)

        with load.lease("leased"):
            print("inside")
        print(load("a"))
        print(load("b"))
    """
    ran = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(program)], capture_output=True, text=True, timeout=50
    )
    leased = ["load leased", "inside", "torn down: leased"]
    called = ["load a", "a", "torn down: a", "load b", "b", "torn down: b"]
    assert [*leased, *called] == ran.stdout.splitlines()
    assert "" == ran.stderr


def test_a_generator_that_is_called_for_ever_keeps_no_more_than_one() -> None:
    alive: weakref.WeakSet[Model] = weakref.WeakSet()

    @warm(maxsize=0)
    def load(name: int) -> Iterator[Model]:
        model = Model(name)
        alive.add(model)
        yield model

    for number in range(100):
        load(number)
    assert [99] == [model.name for model in alive]


def test_so_it_is_of_those_that_were_called_inside_of_a_load() -> None:
    ended: list[int] = []

    @warm(maxsize=0)
    def load(depth: int) -> Iterator[int]:
        yield load(depth - 1) + 1 if depth else 0
        ended.append(depth)

    assert 3 == load(3)
    assert 0 == load(0)
    assert [3, 2, 1, 0] == ended


def test_a_teardown_that_fails_is_logged_and_hinders_no_call(
    caplog: pytest.LogCaptureFixture,
) -> None:
    @warm(maxsize=0)
    def load(name: str) -> Iterator[str]:
        yield name
        if name == "a":
            raise OSError("not closed")

    load("a")
    assert "b" == load("b")
    assert "teardown of what" in caplog.text and "not closed" in caplog.text


def test_inside_disabled_what_was_yielded_stays_for_its_caller() -> None:
    ended: list[str] = []

    @warm(maxsize=0)
    def load(name: str) -> Iterator[str]:
        yield name
        ended.append(name)

    with warmcache.disabled():
        load("a"), load("b")
    load("c")
    assert [] == ended


async def test_the_next_call_of_an_async_generator_ends_the_last_one_before_it_loads() -> None:
    journal: list[tuple[str, str]] = []

    @warm(maxsize=0)
    async def load(name: str) -> AsyncIterator[str]:
        journal.append(("load", name))
        yield name
        await asyncio.sleep(0)
        journal.append(("end", name))

    await load("a")
    async with load.lease("b"):
        assert [("load", "a"), ("end", "a"), ("load", "b")] == journal
    await load("c")
    await load("d")
    assert [("end", "b"), ("load", "c"), ("end", "c"), ("load", "d")] == journal[3:]


def test_what_lives_on_a_loop_that_goes_on_is_left_to_that() -> None:
    ended: list[str] = []

    @warm(maxsize=0)
    async def load(name: str) -> AsyncIterator[str]:
        yield name
        ended.append(name)

    with asyncio.Runner() as one:
        one.run(load("a"))
        with ThreadPoolExecutor(1) as pool:
            pool.submit(asyncio.run, load("b")).result(5)
        assert [] == ended
        one.run(load("c"))
        assert ["b", "a"] == ended


# -- what is told ----------------------------------------------------------------------


@pytest.mark.parametrize("limit", [{"maxsize": 0}, {"policy": "ram", "budget": 0}])
def test_its_loads_are_counted_told_and_logged(
    limit: dict[str, Any], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, "warmcache")
    told: list[warmcache.Load] = []
    clock = ManualClock()

    @warm(**limit, on_load=told.append, timer=clock, tags=["large"])
    def load(name: str) -> str:
        clock.advance(2)
        if name == "bad":
            raise OSError(name)
        return name

    load("a")
    with load.lease("b"):
        pass
    with pytest.raises(OSError, match="bad"):
        load("bad")
    weight = 1 if "maxsize" in limit else 0  # of which nobody knows more
    assert [("load('a')", 2.0, weight), ("load('b')", 2.0, weight)] == [
        (each.call, each.seconds, each.weight) for each in told
    ]
    assert {"large"} == told[0].tags
    stats = load.cache.stats()
    assert (2, 1, 4.0, 3) == (stats.loads, stats.load_failures, stats.load_seconds, stats.misses)
    assert [
        f"loaded load('a') in 2 s, {weight}",
        f"loaded load('b') in 2 s, {weight}",
        "failed to load load('bad') after 2 s: OSError('bad')",
    ] == caplog.messages


async def test_those_of_async_loaders_are_told_likewise() -> None:
    told: list[warmcache.Load] = []

    @warm(maxsize=0, on_load=told.append, size="2MiB")
    async def load(name: str) -> str:
        if name == "bad":
            raise OSError(name)
        return name

    await load("a")
    async with load.lease("b"):
        pass
    with pytest.raises(OSError, match="bad"):
        await load("bad")
    assert [("load('a')", 2 * 2**20), ("load('b')", 2 * 2**20)] == [
        (each.call, each.weight) for each in told
    ]
    stats = load.cache.stats()
    assert (2, 1, 3) == (stats.loads, stats.load_failures, stats.misses)


def test_what_cannot_be_a_key_is_told_of_by_its_loader() -> None:
    told: list[str] = []

    @warm(maxsize=0, on_load=lambda load: told.append(load.call))
    def load(things: Any) -> Any:
        return things

    class NoKey:
        __hash__ = None  # type: ignore[assignment]

    load(NoKey())
    assert ["load()"] == told


def test_what_weighs_it_may_fail_for_it_is_weighed_for_nobody() -> None:
    told: list[float] = []

    @warm(maxsize=0, on_load=lambda load: told.append(load.weight), size=lambda value: value.size)
    def load(name: str) -> str:
        return name

    assert "a" == load("a")
    assert [0] == told


def test_inside_disabled_nothing_is_told() -> None:
    told: list[Any] = []
    load = warm(maxsize=0, on_load=told.append)(Model)
    with warmcache.disabled():
        load("a")
    assert [] == told and 0 == load.cache.stats().loads
