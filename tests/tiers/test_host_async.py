"""Async loaders: bytes are copied off the loop, and a cancelled caller loses nothing."""

from __future__ import annotations

import asyncio
import contextvars
import threading
from typing import Any

import pytest
from gates import Gate
from loops import LoopThread
from parked import Model, Rig

from warmcache import RemovalCause
from warmcache._core.drivers import event_loop, mending
from warmcache.testing import assert_consistent

pytestmark = pytest.mark.usefixtures("machine")
CAP = 5.0


def copied_in(rig: Rig) -> set[int]:
    """Return the threads in which bytes are copied from now on."""
    threads: set[int] = set()
    rig.before_park = rig.before_unpark = lambda model: threads.add(threading.get_ident())
    return threads


def test_bytes_are_copied_off_the_loop() -> None:
    rig = Rig()
    load = rig.async_loader()
    threads = copied_in(rig)

    async def main() -> None:
        a = await load("a")
        await load("b")
        assert {"a": "parked", "b": "live"} == rig.states
        assert await load("a") is a
        async with load.lease("b") as b:
            assert rig.models[1] is b

    asyncio.run(main())
    assert (["a", "b"], ["a", "b"]) == (rig.loads, rig.unparks)
    assert threads
    assert threading.get_ident() not in threads


def test_the_loop_goes_on_while_bytes_are_copied() -> None:
    rig = Rig()
    load = rig.async_loader()

    async def main() -> None:
        loop = asyncio.get_running_loop()

        def needs_the_loop(model: Model) -> None:
            asyncio.run_coroutine_threadsafe(asyncio.sleep(0), loop).result(CAP)

        rig.before_park = rig.before_unpark = needs_the_loop
        await load("a"), await load("b"), await load("a")

    asyncio.run(main())
    assert ["a"] == rig.unparks


def test_many_tasks_have_it_back_once() -> None:
    rig = Rig()
    load = rig.async_loader()

    async def main() -> None:
        a = await load("a")
        await load("b")
        found = await asyncio.gather(*(load("a") for _ in range(32)))
        assert {id(a)} == {id(each) for each in found}

    asyncio.run(main())
    assert (["a"], ["a", "b"]) == (rig.unparks, rig.loads)
    assert_consistent(rig.cache)


@pytest.mark.parametrize("where", ["park", "unpark"])
def test_a_cancelled_caller_leaves_it_whole(where: str) -> None:
    rig = Rig(wait=CAP)
    load = rig.async_loader()
    reached, go_on = threading.Event(), threading.Event()

    def gate(model: Model) -> None:
        reached.set()
        assert go_on.wait(CAP)

    async def main() -> None:
        a = await load("a")
        if where == "unpark":
            await load("b")
            rig.before_unpark = gate
        else:
            rig.before_park = gate
        caller = asyncio.create_task(load("a" if where == "unpark" else "b"))
        assert await asyncio.to_thread(reached.wait, CAP)
        caller.cancel()
        with pytest.raises(asyncio.CancelledError):
            await caller
        go_on.set()
        assert await load("a") is a
        assert 0 == a.torn_down

    asyncio.run(main())
    assert 1 == rig.loads.count("a")
    assert_consistent(rig.cache)


@pytest.mark.parametrize("where", ["park", "unpark"])
def test_a_loop_that_ends_meanwhile_waits_for_the_copy(where: str) -> None:
    rig = Rig()
    load = rig.async_loader(loop_bound=False)
    reached, go_on = threading.Event(), threading.Event()

    def gate(model: Model) -> None:
        reached.set()
        assert go_on.wait(CAP)

    async def main() -> None:
        await load("a")
        if where == "unpark":
            await load("b")
            rig.before_unpark = gate
        else:
            rig.before_park = gate
        task = asyncio.create_task(load("a" if where == "unpark" else "b"))
        assert await asyncio.to_thread(reached.wait, CAP)
        asyncio.get_running_loop().call_soon(go_on.set)
        del task  # which asyncio.run() cancels

    asyncio.run(main())
    assert not rig.cache._store.flights
    assert_consistent(rig.cache)
    assert [0] * len(rig.models) == [model.torn_down for model in rig.models]
    assert ("live" if where == "unpark" else "parked") == rig.states["a"]
    assert rig.device.allocated() == rig.cache.stats().live


def test_what_is_removed_in_a_task_is_torn_down_where_it_lies() -> None:
    rig = Rig()
    load = rig.async_loader()

    async def main() -> None:
        await load("a"), await load("b")
        [removal] = await load.evict("a")
        assert "host" == removal.tier
        await load("a"), await load("b")
        await load.cache_clear()

    asyncio.run(main())
    assert [1, 1, 1] == [model.torn_down for model in rig.models]
    assert_consistent(rig.cache)


def test_what_is_bound_to_a_closed_loop_is_not_brought_back() -> None:
    rig = Rig()
    load = rig.async_loader()

    async def first() -> None:
        await load("a"), await load("b")

    asyncio.run(first())
    host = rig.cache._store.host
    assert host is not None
    assert 1 == len(host.entries)

    async def second() -> Any:
        return await load("a")

    assert asyncio.run(second()) is not rig.models[0]
    assert [RemovalCause.INVALID] * 2 == rig.causes
    assert ["a", "b", "a"] == rig.loads
    assert_consistent(rig.cache)


@pytest.mark.race
@pytest.mark.parametrize("noticed", [False, True])
def test_what_comes_back_as_its_loop_is_closed_is_loaded_anew(noticed: bool) -> None:
    rig, gate = Rig(), Gate()
    load = rig.async_loader()

    async def first() -> None:
        await load("a"), await load("b")

    with LoopThread() as other:
        with LoopThread() as its_loop:
            its_loop.run(first)
            rig.before_unpark = lambda model: gate.wait()
            back = other.begin(lambda: load("a"))
            gate.until_reached()
        if noticed:  # what is bound to that loop is removed, but what is under way
            other.run(lambda: load("c", 1))
        gate.open()
        assert back.result(CAP) is not rig.models[0]
        assert 2 == rig.loads.count("a")
        assert ["a", "b"] == rig.torn_down()
    assert [RemovalCause.INVALID] * 2 == rig.causes[:2]
    assert_consistent(rig.cache)


def test_a_failure_in_a_task_is_a_teardown() -> None:
    rig = Rig()
    load = rig.async_loader(park=(lambda model: None, rig.unpark))

    async def main() -> None:
        await load("a"), await load("b")

    asyncio.run(main())
    assert ["a"] == rig.torn_down()
    assert_consistent(rig.cache)


def test_an_async_teardown_of_what_cannot_be_parked_is_awaited_on_its_loop() -> None:
    rig = Rig()
    loops: list[Any] = []

    async def close(model: Model) -> None:
        loops.append(asyncio.get_running_loop())
        model.close()

    load = rig.async_loader(park=(lambda model: None, rig.unpark), teardown=close)

    async def main() -> None:
        await load("a"), await load("b")
        assert [asyncio.get_running_loop()] == loops

    asyncio.run(main())
    assert ["a"] == rig.torn_down()


@pytest.mark.parametrize("host", [32, 4])
@pytest.mark.parametrize("when", ["before", "meanwhile"])
def test_what_is_done_in_a_thread_is_not_the_loops_to_mend(
    when: str, host: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    rig, aside, dying = Rig(host=host), event_loop.aside_to_its_end, list[bool]()

    def mend(done: threading.Event | None = None) -> None:
        """Do as after an interrupt of what else the loop's thread does."""
        mending.mend(rig.cache._view)
        dying.append(bool(rig.cache._store.dying) and not rig.cache._store.lingering)
        if done is not None:
            done.set()

    def mended_before(*args: Any) -> Any:
        mend()
        return aside(*args)

    async def main() -> None:
        loop = asyncio.get_running_loop()

        def meanwhile(model: Model) -> None:
            if when == "meanwhile" and not dying:
                done = threading.Event()
                loop.call_soon_threadsafe(mend, done, context=contextvars.Context())
                assert done.wait(CAP)

        def close(model: Model) -> None:
            meanwhile(model)
            model.close()

        load = rig.async_loader(teardown=close)
        await load("a")
        rig.before_park = meanwhile
        if when == "before":
            monkeypatch.setattr(event_loop, "aside_to_its_end", mended_before)
        await load("b")

    asyncio.run(main())
    assert [when == "meanwhile"] == dying
    assert (["a"] if host == 32 else []) == rig.parks
    assert ([] if host == 32 else ["a"]) == rig.torn_down()
    assert_consistent(rig.cache)


def test_a_lease_aside_of_a_loader_that_is_not_async_brings_it_back() -> None:
    rig = Rig()
    load = rig.loader()

    async def main() -> None:
        async with load.alease("a"):
            pass
        async with load.alease("b"):
            pass
        threads = copied_in(rig)
        async with load.alease("a") as a:
            assert rig.models[0] is a
        assert threading.get_ident() not in threads

    asyncio.run(main())
    assert ["a", "b"] == rig.loads
