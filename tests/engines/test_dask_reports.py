"""What workers report to Dask's scheduler, and what it learns from that."""

from __future__ import annotations

from functools import partial
from typing import Any

import dask_models as models
import pytest
from dask_in_process import a_cluster, blocked, installed, one_worker, submit, two_workers, until
from dask_models import fetch, load

import warmcache.dask as wd
from warmcache._engines.dask_scheduler import WarmScheduler

pytestmark = [pytest.mark.engines, pytest.mark.usefixtures("nothing_is_warm")]


@two_workers
async def test_of_two_reports_the_later_counts_however_they_arrive(
    c: Any, s: Any, a: Any, b: Any
) -> None:
    plugin = await installed(c, s)
    for at, warm in (3.0, ["m"]), (2.0, ["m", "old"]):
        s.log_event("warmcache", {"worker": a.address, "at": at, "warm": warm})
    assert {"m"} == plugin._reported[a.address].warm
    assert {"m"} == {*plugin._backlog._models}


@one_worker
async def test_what_expires_between_tasks_is_reported_with_the_next_heartbeat(
    c: Any, s: Any, a: Any
) -> None:
    plugin = await installed(c, s)
    await submit(c, models.where, "a")
    assert {"dask_models.load('a')"} == plugin._reported[a.address].warm
    load.evict("a")
    await a.heartbeat()
    await until(lambda: not plugin._reported[a.address].warm)


@one_worker
async def test_an_eviction_is_known_before_its_task_has_ended(c: Any, s: Any, a: Any) -> None:
    plugin = await installed(c, s)
    a.periodic_callbacks["heartbeat"].stop()  # which would tell, too, but later
    for name in "ab":
        await submit(c, models.where, name)
    running, go = await blocked(c, "c")
    loaded = {"dask_models.load('b')", "dask_models.load('c')"}
    await until(lambda: loaded == plugin._reported[a.address].warm)
    assert not running.done()
    await go.set()


@one_worker
async def test_the_router_learns_what_a_load_costs(c: Any, s: Any, a: Any) -> None:
    plugin = await installed(c, s)
    for name in "aab":
        await submit(c, models.where, name)
    assert (2, 3) == learned(plugin)


@one_worker
async def test_the_router_learns_what_async_loads_cost(c: Any, s: Any, a: Any) -> None:
    plugin = await installed(c, s)
    for name in "aab":
        await wd.submit(c, models.fetched, name, warm=partial(fetch, name), pure=False)
    assert (2, 3) == learned(plugin)


@pytest.mark.parametrize(("function", "loader"), [(models.where, load), (models.fetched, fetch)])
def test_loads_of_tasks_that_were_not_placed_teach_nothing(function: Any, loader: Any) -> None:
    @a_cluster(nthreads=[("", 1)])
    async def in_cluster(c: Any, s: Any, a: Any) -> None:
        plugin = await installed(c, s)
        calls = [partial(loader, name) for name in "abcd"]
        await c.gather(wd.map(c, function, [*"abcd"], warm=calls, workers=[a.address]))
        assert 4 == len(models.loads)
        for name in "cd":
            await wd.submit(c, function, name, warm=partial(loader, name), pure=False)
        assert 4 == len(models.loads)
        assert (0, 2) == learned(plugin)
        assert not plugin._loads

    in_cluster()


@one_worker
async def test_what_is_told_of_a_task_that_has_ended_is_not_kept(c: Any, s: Any, a: Any) -> None:
    plugin = await installed(c, s)
    await submit(c, models.where, "a")
    s.log_event("warmcache", {"worker": a.address, "loads": [("where-ended", 1.0)]})
    assert not plugin._loads


@one_worker
async def test_what_a_failed_task_has_loaded_is_not_taken_for_the_next_ones(
    c: Any, s: Any, a: Any
) -> None:
    plugin = await installed(c, s)
    with pytest.raises(OSError, match="flag"):
        await submit(c, models.fail_once, "a", "flag")
    assert "a" in models.loads
    assert not plugin._loads
    await submit(c, models.where, "a")
    assert (0, 1) == learned(plugin)


def learned(plugin: WarmScheduler) -> tuple[int, int]:
    """Return of how many loads, and of how many uses, the router knows the seconds."""
    return plugin._backlog._load._count, plugin._backlog._use._count


@one_worker
async def test_a_worker_that_leaves_tears_down_what_its_tasks_had_warm(
    c: Any, s: Any, a: Any
) -> None:
    await installed(c, s)
    load("mine")
    await submit(c, models.where, "a")
    await a.close()
    assert ["a"] == models.torn_down  # but not what this process has warm besides


@one_worker
async def test_a_worker_that_loses_the_plugin_tears_nothing_down(c: Any, s: Any, a: Any) -> None:
    await installed(c, s)
    await submit(c, models.where, "a")
    await c.unregister_worker_plugin("warmcache")
    assert [] == models.torn_down
    assert "warmcache" not in a.metrics
    assert a.address == await submit(c, models.where, "a")  # held, and not reported
    load.evict("a")
    await wd.install(c)
    await submit(c, models.where, "b")
    assert {"dask_models.load('b')"} == s.plugins["warmcache"]._reported[a.address].warm
