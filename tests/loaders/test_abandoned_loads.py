"""A load under way when nobody refers to its loader any more, or somebody waits no more."""

from __future__ import annotations

import asyncio
import gc

import pytest
from gated import Gate, in_loop, until

from warmcache import ClosedError, LRUCache, warm
from warmcache._core.plans.cache_view import CacheView


@pytest.mark.parametrize("sized", [False, True], ids=["weighing 1", "weighed after the load"])
def test_what_it_brings_is_torn_down_though_the_cache_is_gone(sized: bool) -> None:
    torn_down: list[str] = []

    async def work() -> None:
        begun, go = asyncio.Event(), asyncio.Event()
        options = dict(size=lambda value: 1) if sized else {}

        @warm(maxsize=2, teardown=torn_down.append, **options)
        async def load(name: str) -> str:
            begun.set()
            await go.wait()
            return name

        caller = asyncio.create_task(load("a"))
        await begun.wait()
        caller.cancel()
        with pytest.raises(asyncio.CancelledError):
            await caller
        del load, caller
        gc.collect()
        go.set()
        await until(lambda: gc.collect() >= 0 and torn_down)

    in_loop(work)
    assert ["a"] == torn_down


def test_who_is_cancelled_just_as_it_arrives_leases_it_no_more() -> None:
    async def work() -> None:
        gate = Gate()
        loading = asyncio.create_task(gate.load("a"))
        await gate.loading.wait()
        joined = asyncio.create_task(gate.load("a"))
        await until(lambda: gate.load.cache.stats().waits)
        gate.go.set()
        await until(lambda: gate.load.contains("a"))
        joined.cancel()
        with pytest.raises(asyncio.CancelledError):
            await joined
        await loading
        assert [0] == [entry.leases for entry in gate.load.cache.entries()]

    in_loop(work)


def test_a_policy_that_is_gone_with_its_cache_ranks_nothing() -> None:
    cache = LRUCache[str, str](2)
    view = CacheView(cache, cache._store, None, 0)
    assert cache.rank == view.rank
    del cache
    gc.collect()
    with pytest.raises(ClosedError, match="garbage-collected"):
        _ = view.rank
