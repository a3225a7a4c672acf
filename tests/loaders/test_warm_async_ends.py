"""Tasks that are cancelled, and loops that end, in the middle of it."""

from __future__ import annotations

import asyncio
import gc
import threading
import weakref
from typing import Any

import pytest
from gated import CAP, Gate, Model, in_loop, until

from warmcache import LRUCache, warm
from warmcache.testing import assert_consistent


@pytest.mark.race
@pytest.mark.parametrize("cancelled", [0, 1])
async def test_cancelling_one_caller_the_first_even_does_not_cancel_the_load(
    cancelled: int,
) -> None:
    gate = Gate()
    tasks = [asyncio.create_task(gate.load("a"))]
    await gate.loading.wait()
    tasks.append(asyncio.create_task(gate.load("a")))
    await until(lambda: 1 == gate.load.cache.stats().waits)

    tasks[cancelled].cancel()
    with pytest.raises(asyncio.CancelledError):
        await tasks[cancelled]
    gate.go.set()
    model = await asyncio.wait_for(tasks[1 - cancelled], CAP)

    assert gate.load.peek("a") is model and 1 == gate.loads
    assert [0] == [entry.leases for entry in gate.load.cache.entries()]
    assert_consistent(gate.load.cache)


@pytest.mark.race
async def test_a_load_whose_callers_are_all_gone_still_arrives_and_is_let_go_of() -> None:
    gate = Gate(maxsize=1, wait=0)
    task = asyncio.create_task(gate.load("a"))
    await gate.loading.wait()
    task.cancel()
    await asyncio.wait([task])
    gate.go.set()
    await until(lambda: gate.load.contains("a"))

    assert "b" == (await gate.load("b")).name, "nobody holds a, so it can go"
    assert_consistent(gate.load.cache)


@pytest.mark.race
async def test_a_lease_that_is_cancelled_while_loading_holds_nothing() -> None:
    gate = Gate()

    async def use() -> None:
        async with gate.load.lease("a"):
            pytest.fail("entered")

    task = asyncio.create_task(use())
    await gate.loading.wait()
    gate.go.set()
    await until(lambda: gate.load.contains("a"))  # it arrives, and in that very turn ...
    task.cancel()
    await asyncio.wait([task])

    assert task.cancelled() and [0] == [e.leases for e in gate.load.cache.entries()]


@pytest.mark.race
async def test_a_body_that_is_cancelled_ends_its_lease() -> None:
    inside = asyncio.Event()

    @warm
    async def load(name: str) -> Model:
        return Model(name)

    async def use() -> None:
        async with load.lease("a"):
            inside.set()
            await asyncio.Event().wait()

    task = asyncio.create_task(use())
    await inside.wait()
    assert [1] == [entry.leases for entry in load.cache.entries()]
    task.cancel()
    await asyncio.wait([task])
    assert [0] == [entry.leases for entry in load.cache.entries()]


@pytest.mark.race
async def test_a_timeout_of_one_caller_leaves_no_trace() -> None:
    gate = Gate()
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(gate.load("a"), 0.001)
    assert ["loading"] == [entry.state for entry in gate.load.cache.entries()]
    gate.go.set()
    assert "a" == (await asyncio.wait_for(gate.load("a"), CAP)).name and 1 == gate.loads


# -- loops that end ----------------------------------------------------------------


@pytest.mark.race
def test_a_loop_that_ends_in_the_middle_of_a_load_gives_everything_back() -> None:
    async def start_and_leave() -> None:
        gate.loading = asyncio.Event()
        task = asyncio.create_task(gate.load("a"))
        await gate.loading.wait()
        assert 3 == gate.load.cache.stats().loading
        del task

    async def load_again() -> Model:
        gate.loading, gate.go = asyncio.Event(), asyncio.Event()
        gate.go.set()
        return await gate.load("a")

    gate = Gate(maxsize=3, size=3)
    asyncio.run(start_and_leave())
    assert 0 == gate.load.cache.stats().loading and not gate.load.cache.entries()
    assert "a" == in_loop(load_again).name
    assert_consistent(gate.load.cache)


@pytest.mark.race
def test_a_loop_that_ends_before_its_load_has_begun_gives_everything_back() -> None:
    @warm(policy="lru", maxsize=3, size=3)
    async def load(name: str) -> Model:
        return Model(name)

    async def start_and_leave() -> None:
        task = asyncio.create_task(load("a"))
        del task

    asyncio.run(start_and_leave())
    assert not load.cache.entries()
    assert "a" == in_loop(lambda: load("a")).name


@pytest.mark.race
def test_a_load_cancelled_before_it_has_made_room_still_tears_its_victim_down() -> None:
    torn_down: list[str] = []
    cache: Any = LRUCache(1, teardown=torn_down.append)
    cache["old"] = "victim"

    @warm(cache=cache, size=1, teardown=lambda model: torn_down.append(model.name))
    async def load(name: str) -> Model:
        return Model(name)

    async def start_and_cancel() -> None:
        task = asyncio.create_task(load("a"))
        await asyncio.sleep(0)  # it has chosen the victim; who tears it down has not begun
        assert ["dying"] == [entry.state for entry in cache.entries() if "old" == entry.key]
        for other in asyncio.all_tasks() - {asyncio.current_task()}:
            other.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(start_and_cancel())
    assert (["victim"], []) == (torn_down, cache.entries())
    assert "a" == in_loop(lambda: load("a")).name
    assert_consistent(cache)


@pytest.mark.race
def test_who_waits_in_another_loop_takes_over_when_the_loading_loop_ends(
    caplog: pytest.LogCaptureFixture,
) -> None:
    loading, waiting = threading.Event(), threading.Event()
    loaded_in: list[str] = []

    @warm(loop_bound=False)
    async def load(name: str) -> Model:
        loaded_in.append(threading.current_thread().name)
        if len(loaded_in) == 1:
            loading.set()
            await asyncio.Event().wait()
        return Model(name)

    async def first() -> None:
        task = asyncio.create_task(load("a"))
        await asyncio.to_thread(waiting.wait, CAP)
        del task

    def second() -> None:
        assert loading.wait(CAP)
        found.append(in_loop(lambda: load("a")))

    found: list[Model] = []
    threads = [
        threading.Thread(target=lambda: asyncio.run(first()), name="first"),
        threading.Thread(target=second, name="second"),
    ]
    for thread in threads:
        thread.start()
    assert loading.wait(CAP)
    pause = threading.Event()
    while not load.cache.stats().waits and not pause.wait(0.001):
        pass
    waiting.set()
    for thread in threads:
        thread.join(CAP)

    assert ["first", "second"] == loaded_in and [load.peek("a")] == found
    assert "" == caplog.text


@pytest.mark.race
def test_a_loop_that_ends_while_its_task_waits_for_another_loops_load_is_forgotten(
    caplog: pytest.LogCaptureFixture,
) -> None:
    loading, go = threading.Event(), threading.Event()

    @warm(loop_bound=False)
    async def load(name: str) -> Model:
        loading.set()
        assert await asyncio.to_thread(go.wait, CAP)
        return Model(name)

    async def wait_and_leave() -> None:
        task = asyncio.create_task(load("a"))
        await until(lambda: load.cache.stats().waits)
        del task

    thread = threading.Thread(target=lambda: in_loop(lambda: load("a")))
    thread.start()
    assert loading.wait(CAP)
    asyncio.run(wait_and_leave())
    go.set()
    thread.join(CAP)

    assert load.contains("a") and "" == caplog.text
    assert [0] == [entry.leases for entry in load.cache.entries()]


async def test_no_reference_is_kept_to_a_value_or_the_task_that_loaded_it() -> None:
    @warm
    async def load(name: str) -> Model:
        return Model(name)

    watches = [weakref.ref(await load("a"))]
    task = asyncio.create_task(load("b"))
    watches += [weakref.ref(await task), weakref.ref(task)]
    del task
    await load.evict("a")
    await load.evict("b")
    await asyncio.sleep(0)
    gc.collect()

    assert [None] * 3 == [watch() for watch in watches]
