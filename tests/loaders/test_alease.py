"""``async with load.alease(...)``: a loader that is not async, leased from async code."""

from __future__ import annotations

import asyncio
import contextvars
import threading
from collections.abc import Iterator
from typing import Any

import pytest
from aleased import Model, Model_of, loading
from gates import Gate, waiting

import warmcache
from warmcache import CapacityError, LoadCycleError, LRUCache, TTLCache, WarmMissError, warm
from warmcache.testing import ManualClock, assert_consistent

CAP = 5.0


def only(threads: list[threading.Thread]) -> threading.Thread:
    [thread] = threads
    return thread


async def test_it_loads_and_tears_down_in_threads_and_holds_in_between() -> None:
    load, here = loading(), threading.current_thread()
    async with load.alease("a") as first:
        assert "a" == first.name and here is not first.loaded_by
        load.evict("a")
        assert [] == first.closed_by
    assert here is not only(first.closed_by)
    async with load.alease("b") as second, load.alease("b") as same:
        assert second is same is load("b")
    async with load.alease("c"):
        assert here is not only(second.closed_by), "what makes room for a load is torn down there"
    assert_consistent(load.cache)


async def test_what_is_warm_is_leased_without_a_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = ManualClock()
    aging: TTLCache[Any, Any] = TTLCache(4, 5, timer=clock)
    cases = [(loading(), "a"), (loading(), ["a"]), (warm(cache=aging)(Model_of), "a")]
    models = [load(name) for load, name in cases]
    monkeypatch.setattr(threading, "Thread", None)
    for (load, name), model in zip(cases, models, strict=True):
        async with load.alease(name) as leased:
            assert model is leased
        assert (1, 1) == load.cache_info()[:2]


async def test_what_has_expired_or_is_not_valid_is_loaded_anew() -> None:
    clock = ManualClock()
    aging: TTLCache[Any, Any] = TTLCache(4, 5, timer=clock)
    asked: list[threading.Thread] = []

    def is_good(model: Model) -> bool:
        asked.append(threading.current_thread())
        return len(asked) > 1

    expiring, validated = warm(cache=aging)(Model_of), loading(validate=is_good)
    models = expiring("a"), validated("a")
    clock.advance(6)
    async with expiring.alease("a") as one, validated.alease("a") as other:
        assert one not in models and other not in models
    assert threading.current_thread() not in asked, "a check may block, too"


async def test_many_tasks_make_one_load_and_the_loop_goes_on_meanwhile() -> None:
    gate, loads = Gate(), []

    @warm(policy="lru", maxsize=2)
    def load(name: str) -> object:
        loads.append(name)
        gate.wait()
        return object()

    async def use() -> Any:
        async with load.alease("a") as value:
            return value

    tasks = [asyncio.create_task(use()) for _ in range(5)]
    await asyncio.to_thread(gate.until_reached)
    assert not any(task.done() for task in tasks)
    gate.open()
    first, *rest = await asyncio.wait_for(asyncio.gather(*tasks), CAP)
    assert ["a"] == loads and all(first is each for each in rest)


class Methods:
    @warm(maxsize=2)
    def load(self, name: str) -> Model:
        return Model(name)

    @warm
    @classmethod
    def of_class(cls, name: str) -> Model:
        return Model(name)


@warm
class Warm:
    def __init__(self, name: str) -> None:
        self.loaded_by = threading.current_thread()


@warm(policy="lru", maxsize=1)
def generate(name: str) -> Iterator[Model]:
    model = Model(name)
    yield model
    model.close()


@pytest.mark.parametrize("load", [Methods().load, Methods.of_class, Warm, generate])
async def test_methods_classes_and_generators_have_it_too(load: Any) -> None:
    async with load.alease("a") as one, load.alease(name="a") as same:
        assert one is same and threading.current_thread() is not one.loaded_by


async def test_the_rest_of_a_generator_runs_in_a_thread() -> None:
    async with generate.alease("x") as model:
        generate.evict("x")
    assert threading.current_thread() is not only(model.closed_by)


async def test_of_an_async_loader_it_says_lease() -> None:
    @warm
    async def connect(name: str) -> Any: ...

    with pytest.raises(TypeError, match=r"connect\(\) is async itself: .*with connect.lease"):
        connect.alease("a")


async def test_it_is_entered_by_async_with() -> None:
    with pytest.raises(TypeError, match=r"by `async with`.*was taken by alease\(\)"):
        with loading().alease("a"):
            pytest.fail("it was entered")
    lease = loading().alease("a")
    async with lease:
        pass
    with pytest.raises(RuntimeError, match="entered once"):
        async with lease:
            pytest.fail("it was entered")


async def test_an_exception_in_the_body_ends_the_lease() -> None:
    load = loading()
    with pytest.raises(OSError, match="of the body"):
        async with load.alease("a"):
            raise OSError("of the body")
    load("b")
    assert not load.contains("a")
    assert_consistent(load.cache)


async def test_the_loaders_own_exception_passes_through_and_the_next_one_loads() -> None:
    fails = [True]

    @warm(policy="lru", maxsize=1)
    def load(name: str) -> str:
        if fails:
            raise OSError(fails.pop())
        return name

    with pytest.raises(OSError, match="True"):
        async with load.alease("a"):
            pytest.fail("it was entered")
    async with load.alease("a") as value:
        assert "a" == value
    assert_consistent(load.cache)


async def test_context_variables_are_seen_by_the_load() -> None:
    user: contextvars.ContextVar[str] = contextvars.ContextVar("user")
    load = warm(lambda name: (name, user.get()))
    user.set("ada")
    async with load.alease("a") as value:
        assert ("a", "ada") == value


async def test_no_load_forbids_it_and_disabled_loads_afresh() -> None:
    load = loading()
    with warmcache.no_load(), pytest.raises(WarmMissError):
        async with load.alease("a"):
            pytest.fail("it was entered")
    with warmcache.disabled():
        async with load.alease("a") as one, load.alease("a") as other:
            assert one is not other and threading.current_thread() is not one.loaded_by
            assert [] == one.closed_by
    for model in (one, other):
        assert threading.current_thread() is not only(model.closed_by)
    assert 0 == len(load.cache)


# -- waiting for room --------------------------------------------------------------


async def test_who_waits_for_room_goes_on_when_a_lease_has_ended() -> None:
    load = loading()
    held, over = asyncio.Event(), asyncio.Event()

    async def hold() -> None:
        async with load.alease("a"):
            held.set()
            await over.wait()

    async def use() -> Any:
        async with load.alease("b") as model:
            return model.name

    holder = asyncio.create_task(hold())
    await held.wait()
    using = asyncio.create_task(use())
    await asyncio.to_thread(waiting, load.cache, 1)
    assert not using.done()
    over.set()
    assert "b" == await asyncio.wait_for(using, CAP)
    await holder


async def test_who_needs_the_room_of_its_own_lease_is_refused_at_once() -> None:
    load = loading()
    async with load.alease("a"):
        with pytest.raises(CapacityError, match="only the caller itself could release it"):
            async with load.alease("b"):
                pytest.fail("it was entered")

    async def inner() -> None:
        async with load.alease("b"):
            pytest.fail("it was entered")

    async with load.alease("a"):
        with pytest.raises(CapacityError, match="only the caller itself"):
            await inner()
        with pytest.raises(CapacityError, match="only the caller itself"):
            load("b")
    assert_consistent(load.cache)


async def test_a_cycle_of_loads_by_way_of_it_is_found() -> None:
    @warm(policy="lru", maxsize=4)
    async def outer(name: str) -> Any:
        async with inner.alease(name) as value:
            return value

    @warm(policy="lru", maxsize=4)
    def inner(name: str) -> Any:
        return asyncio.run(_of(outer, name))

    with pytest.raises(LoadCycleError):
        await asyncio.wait_for(outer("a"), CAP)


async def _of(load: Any, name: str) -> Any:
    return await load(name)


async def test_errors_about_room_name_the_task_that_holds_such_a_lease() -> None:
    load = loading(wait=0.01)
    held, over = asyncio.Event(), asyncio.Event()

    async def hold() -> None:
        async with load.alease("a"):
            held.set()
            await over.wait()

    holder = asyncio.create_task(hold(), name="the holder")
    await held.wait()
    with pytest.raises(CapacityError, match="leased by task 'the holder' in thread 'MainThread'"):
        async with load.alease("b"):
            pytest.fail("it was entered")
    over.set()
    await holder


def test_a_cache_of_its_own_may_be_shared_with_loaders_that_are_async() -> None:
    cache: LRUCache[Any, Any] = LRUCache(1, teardown="close")
    load = warm(cache=cache)(Model_of)

    @warm(cache=cache)
    async def connect(name: str) -> Model:
        return Model(name)

    async def main() -> list[Model]:
        async with load.alease("a") as first:
            pass
        second = await connect("b")
        async with load.alease("c"):
            return [first, second]

    for model in asyncio.run(main()):
        assert threading.main_thread() is not only(model.closed_by)
    cache.close()
