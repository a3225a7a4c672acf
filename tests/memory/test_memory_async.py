"""Memory caches of what is awaited: loads, retries, teardowns, and what comes back late."""

from __future__ import annotations

import asyncio
import weakref
from typing import Any

import pytest
from gated import CAP, until
from rigs import GiB, Model, Rig, blocks

from warmcache import CapacityError, RemovalCause, warm
from warmcache.testing import assert_consistent

NEVER = float("inf")


class Async(Rig):
    """The same with loaders that are awaited."""

    def loader(self, **options: Any) -> Any:
        @warm(cache=self.cache, **options)
        async def load(name: Any, gib: float = 1) -> Model:
            await asyncio.sleep(0)
            self.loads.append(name)
            return Model(self.probe, int(gib * GiB))

        return load


async def within_cap(task: Any) -> Any:
    return await asyncio.wait_for(task, CAP)


async def turns() -> None:
    """Let other tasks run as far as they get."""
    for _ in range(20):
        await asyncio.sleep(0)


# -- loads -----------------------------------------------------------------------------


async def test_an_awaited_load_has_room_before_it_starts_and_is_weighed() -> None:
    rig = Async(budget=4 * GiB)
    free: list[float] = []

    @warm(cache=rig.cache)
    async def load(name: str) -> Model:
        free.append((rig.probe.sample().free or 0) / GiB)
        await asyncio.sleep(0)
        return Model(rig.probe, 3 * GiB)

    await load("a")
    await load("b")
    assert [16, 16] == free
    assert [("allocator", 3 * GiB)] == [(e.weighed_by, e.weight) for e in rig.cache.entries()]
    assert {RemovalCause.SIZE: 1} == rig.cache.stats().removals
    assert_consistent(rig.cache)


@pytest.mark.race
async def test_of_two_loads_in_one_loop_neither_is_weighed_by_what_both_allocate() -> None:
    rig = Async()
    both = asyncio.Barrier(2)

    @warm(cache=rig.cache, size_hint="1GiB")
    async def load(name: str) -> Model:
        await both.wait()
        model = Model(rig.probe, 3 * GiB)
        await both.wait()
        return model

    await within_cap(asyncio.gather(load("a"), load("b")))
    assert 2 * [("guess", GiB)] == [(e.weighed_by, e.weight) for e in rig.cache.entries()]


async def test_what_an_awaited_load_awaits_inside_it_is_not_counted_twice() -> None:
    rig = Async()
    inner = rig.loader()

    @warm(cache=rig.cache)
    async def outer() -> Model:
        await inner("part", 2)
        return Model(rig.probe, 3 * GiB)

    await within_cap(outer())
    assert {"load": 2 * GiB, "outer": 3 * GiB} == {
        entry.key[0].name: entry.weight for entry in rig.cache.entries()
    }


# -- out of memory ---------------------------------------------------------------------


async def test_an_awaited_load_that_ran_out_of_memory_is_tried_again() -> None:
    rig, gone = Async(budget=8 * GiB), []
    idle = rig.loader(size="1GiB", teardown=lambda model: gone.append(parts[-1]() is None))
    for name in "abc":
        await idle(name)
    parts: list[weakref.ref[Model]] = []

    @warm(cache=rig.cache, size="1GiB")
    async def load() -> Model:
        part = Model(rig.probe, GiB)
        parts.append(weakref.ref(part))
        await asyncio.sleep(0)
        if len(parts) < 3:
            raise MemoryError("tried to allocate 1 GiB")
        return part

    await within_cap(load())
    assert [True, True] == gone, "the frames of a failed try are gone before anything is evicted"
    assert {RemovalCause.PRESSURE: 2} == rig.cache.stats().removals
    assert_consistent(rig.cache)


async def test_an_awaited_load_is_tried_three_times_at_most_and_the_ledger_is_told() -> None:
    rig = Async(total=64, budget=8 * GiB)
    idle = rig.loader(size="1GiB")
    for name in "abcd":
        await idle(name)
    tries: list[None] = []

    @warm(cache=rig.cache, size="1GiB")
    async def failing() -> Model:
        await asyncio.sleep(0)
        tries.append(None)
        raise MemoryError("tried to allocate 1 GiB")

    with pytest.raises(MemoryError) as caught:
        await within_cap(failing())
    assert 3 == len(tries)
    assert "of 8.0 GiB: 2.0 GiB live, 1.0 GiB reserved by loads" in caught.value.__notes__[0]


async def test_the_reserve_is_given_back_before_an_awaited_load_is_tried_again() -> None:
    given: list[None] = []
    rig = Async(give_back=lambda: given.append(None))
    tries: list[int] = []

    @warm(cache=rig.cache, size="1GiB")
    async def load() -> Model:
        await asyncio.sleep(0)
        tries.append(len(given))
        if len(tries) == 1:
            raise MemoryError
        return Model(rig.probe, GiB)

    await within_cap(load())
    assert [0, 1] == tries


# -- teardowns -------------------------------------------------------------------------


@pytest.mark.race
async def test_room_is_free_only_once_an_awaited_teardown_is_over_and_its_memory_is_back() -> None:
    rig = Async(budget=4 * GiB, confirm=CAP, wait=CAP)
    closing, close = asyncio.Event(), asyncio.Event()

    async def tear_down(model: Model) -> None:
        closing.set()
        await close.wait()

    load = rig.loader(size="3GiB", teardown=tear_down)
    await load("a", 3)
    rig.probe.lag = NEVER
    again = asyncio.create_task(load("b", 3))
    await within_cap(closing.wait())
    assert ["a"] == rig.loads and 3 == rig.gib("dying")
    close.set()
    await until(lambda: 0 == rig.probe.allocated())
    await turns()
    assert ["a"] == rig.loads and 3 == rig.gib("dying"), "the device does not show it yet"
    rig.probe.settle()
    await within_cap(again)
    assert ["a", "b"] == rig.loads
    assert (3, 0) == (rig.gib("live"), rig.gib("dying"))
    assert_consistent(rig.cache)


@pytest.mark.race
async def test_an_awaited_teardown_that_a_plain_call_began_is_charged_until_it_is_back() -> None:
    rig = Async(confirm=CAP)
    close = asyncio.Event()

    async def tear_down(model: Model) -> None:
        await close.wait()

    load = rig.loader(teardown=tear_down)
    await load("a", 3)
    rig.cache.evict(key=load.cache_key("a", 3))
    await turns()
    assert 3 == rig.gib("dying")
    rig.probe.lag = NEVER
    close.set()
    await until(lambda: 0 == rig.probe.allocated())
    await turns()
    rig.cache.expire_now()
    assert 3 == rig.gib("dying")
    rig.probe.settle()
    rig.cache.expire_now()
    assert 0 == rig.gib("dying")
    assert_consistent(rig.cache)


@pytest.mark.race
async def test_an_awaited_generator_gives_its_memory_back_when_its_rest_has_run() -> None:
    rig = Async(budget=4 * GiB, confirm=CAP, wait=CAP)
    close = asyncio.Event()

    @warm(cache=rig.cache, size="3GiB")
    async def load(name: str) -> Any:
        rig.loads.append(name)
        yield Model(rig.probe, 3 * GiB)
        await close.wait()

    await load("a")
    again = asyncio.create_task(load("b"))
    await until(lambda: 3 == rig.gib("dying"))
    await turns()
    assert ["a"] == rig.loads
    close.set()
    await within_cap(again)
    assert (["a", "b"], 3) == (rig.loads, rig.gib("live"))
    assert_consistent(rig.cache)


# -- zombies ---------------------------------------------------------------------------


async def test_an_awaited_value_that_somebody_holds_is_a_zombie_until_it_dies(
    caplog: pytest.LogCaptureFixture,
) -> None:
    rig = Async(budget=8 * GiB, footprint=blocks)

    async def tear_down(model: Model) -> None:
        await asyncio.sleep(0)

    load = rig.loader(size="5GiB", teardown=tear_down)
    kept = [await load("a", 5)]
    await load.evict("a", 5)
    with pytest.raises(CapacityError, match=r"load\('a', 5\) torn down, but still held outside"):
        await within_cap(load("b", 5))
    assert (5, 0) == (rig.gib("zombies"), rig.gib("dying"))
    assert "5.0 GiB of its 5.0 GiB are still held, by kept[0] in" in caplog.text
    assert_consistent(rig.cache)
    kept.clear()
    await within_cap(load("b", 5))
    assert (0, 5) == (rig.gib("zombies"), rig.gib("live"))
    assert_consistent(rig.cache)


@pytest.mark.race
async def test_a_task_that_waits_for_a_zombies_room_has_it_when_the_zombie_dies() -> None:
    rig = Async(budget=8 * GiB, footprint=blocks, wait=CAP, confirm=0)
    load = rig.loader(size="5GiB")
    kept = [await load("a", 5)]
    await load.evict("a", 5)
    again = asyncio.create_task(load("b", 5))
    await until(lambda: rig.cache.stats().waits and 5 == rig.gib("zombies"))
    await turns()
    assert ["a"] == rig.loads
    kept.clear()
    await within_cap(again)
    assert (0, 5) == (rig.gib("zombies"), rig.gib("live"))
