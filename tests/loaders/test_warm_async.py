"""``@warm`` on ``async`` functions: one load for many tasks, loops and threads."""

from __future__ import annotations

import asyncio
import inspect
import threading
from typing import Any

import pytest
from gated import CAP, Gate, Model, in_loop, until

import warmcache
from warmcache import CapacityError, LoadCycleError, RemovalCause, warm
from warmcache.testing import assert_consistent

# -- as without await --------------------------------------------------------------


async def test_an_async_loader_is_awaited_warm_or_not() -> None:
    loaded: list[Any] = []

    @warm(policy="lru", maxsize=2, typed=True)
    async def load(name: Any, dtype: str = "fp16") -> Model:
        """Load."""
        await asyncio.sleep(0)
        loaded.append((name, dtype))
        return Model(name)

    model = await load(1)
    assert await load(name=1, dtype="fp16") is model is load.peek(1) and load.contains(1)
    assert await load(1.0) is not model
    assert [(1, "fp16"), (1.0, "fp16")] == loaded and (1, 2, 2, 2) == load.cache_info()
    assert inspect.iscoroutinefunction(load) and "Load." == load.__doc__
    assert "(name: 'Any', dtype: 'str' = 'fp16') -> 'Model'" == str(inspect.signature(load))

    await load.warm_up([2, (3, "fp32"), {"name": 3, "dtype": "fp32"}])
    assert load.contains(2) and load.contains(3, "fp32") and 4 == len(loaded)
    [removal] = await load.evict(2)
    assert removal.key == load.cache_key(2) and RemovalCause.EXPLICIT is removal.cause
    await load.cache_clear()
    assert (0, 0, 2, 0) == load.cache_info()


def test_a_hit_never_gives_way_to_another_task() -> None:
    @warm(loop_bound=False)
    async def load(name: str) -> Model:
        return Model(name)

    model = in_loop(lambda: load("a"))
    with pytest.raises(StopIteration) as stopped:
        load("a").send(None)
    assert stopped.value.value is model


async def test_a_lease_holds_across_awaits_and_is_not_for_a_plain_with() -> None:
    closed: list[Any] = []

    @warm(policy="lru", maxsize=1, wait=0, teardown=closed.append)
    async def load(name: str) -> Model:
        return Model(name)

    async with load.lease("a") as model:
        with pytest.raises(CapacityError, match="leased by"):
            await load("b")
        await load.evict("a")
        await asyncio.sleep(0)
        assert [] == closed
    assert [model] == closed
    with pytest.raises((TypeError, AttributeError)):
        with load.lease("a"):
            pass
    assert_consistent(load.cache)


async def test_a_teardown_may_be_async_and_is_awaited_before_the_next_load() -> None:
    events: list[Any] = []

    async def tear_down(model: Model) -> None:
        events.append(("down", model.name))
        await asyncio.sleep(0)
        events.append(("gone", model.name))

    @warm(policy="lru", maxsize=1, teardown=tear_down)
    async def load(name: str) -> Model:
        events.append(("load", name))
        return Model(name)

    await load("a")
    await load("b")

    assert [("load", "a"), ("down", "a"), ("gone", "a"), ("load", "b")] == events
    await load.evict("b")
    assert [("down", "b"), ("gone", "b")] == events[4:]


async def test_scopes_are_those_of_the_task() -> None:
    @warm
    async def load(name: str) -> Model:
        return Model(name)

    model = await load("a")
    with warmcache.disabled():
        assert await load("a") is not model
        async with load.lease("a") as leased:
            assert leased is not model
    with warmcache.no_load():
        assert await load("a") is model
        with pytest.raises(warmcache.WarmMissError):
            await load("b")
    assert await load("a") is model


async def test_nested_loads_work_and_cycles_are_refused() -> None:
    @warm(policy="lru", maxsize=3)
    async def outer(name: str) -> Any:
        return await inner(name)

    @warm(cache=outer.cache)
    async def inner(name: str) -> Any:
        return await outer("a") if name == "a" else Model(name)

    assert "b" == (await outer("b")).name
    with pytest.raises(LoadCycleError):
        await asyncio.wait_for(outer("a"), CAP)
    assert_consistent(outer.cache)


# -- one flight --------------------------------------------------------------------


@pytest.mark.race
async def test_many_tasks_and_one_cold_key_make_one_load() -> None:
    gate = Gate()
    tasks = [asyncio.create_task(gate.load("a")) for _ in range(32)]
    await until(lambda: 31 == gate.load.cache.stats().waits)
    other = asyncio.create_task(gate.load("b"))
    await until(lambda: 2 == gate.loads)
    gate.go.set()
    models = await asyncio.wait_for(asyncio.gather(*tasks, other), CAP)

    assert 2 == gate.loads and 1 == len(set(map(id, models[:32])))


@pytest.mark.race
async def test_a_failed_load_fails_every_task_once_with_its_own_exception() -> None:
    attempts: list[int] = []
    go = asyncio.Event()

    @warm
    async def load(name: str) -> Model:
        attempts.append(1)
        await go.wait()
        raise OSError("no such model")

    tasks = [asyncio.create_task(load("a")) for _ in range(5)]
    await until(lambda: 4 == load.cache.stats().waits)
    go.set()
    errors = await asyncio.wait_for(asyncio.gather(*tasks, return_exceptions=True), CAP)

    assert ["no such model"] * 5 == [str(error) for error in errors]
    assert 1 == len(attempts) and 5 == len(set(map(id, errors)))
    assert not load.contains("a")


@pytest.mark.race
def test_tasks_of_several_loops_share_one_load() -> None:
    loads: list[Any] = []
    loading, go = threading.Event(), threading.Event()

    @warm
    async def load(name: str) -> Model:
        loads.append(threading.current_thread())
        loading.set()
        assert await asyncio.to_thread(go.wait, CAP)
        return Model(name)

    found: list[Model] = []
    threads = [
        threading.Thread(target=lambda: found.append(in_loop(lambda: load("a")))) for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    assert loading.wait(CAP)
    deadline = threading.Event()
    while load.cache.stats().waits < 3 and not deadline.wait(0.001):
        pass
    go.set()
    for thread in threads:
        thread.join(CAP)

    assert 1 == len(loads) and 4 == len(found) and 1 == len(set(map(id, found)))
