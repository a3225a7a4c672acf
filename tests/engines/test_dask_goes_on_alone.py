"""Whatever fails in routing, Dask goes on alone."""

from __future__ import annotations

from typing import Any

import dask_models as models
import pytest
from dask_in_process import SATURATION, a_cluster, blocked, installed, one_worker, submit, until

import warmcache.dask as wd

pytestmark = [pytest.mark.engines, pytest.mark.usefixtures("nothing_is_warm")]


@pytest.mark.parametrize("placed", [0, 1, 2])
def test_dask_takes_over_when_routing_fails(placed: int) -> None:
    @a_cluster(nthreads=[("", 2)])
    async def in_cluster(c: Any, s: Any, a: Any) -> None:
        plugin = await installed(c, s)
        take, taken = plugin._backlog.take, []

        def fail() -> Any:
            if placed == len(taken):
                raise RuntimeError("a defect")
            taken.append(take())
            return taken[-1]

        plugin._backlog.take = fail  # type: ignore[method-assign]
        both = wd.map(c, models.where, [*"ab"], warm=models.marks([*"ab"]))
        assert [a.address] * 2 == await c.gather(both)
        assert "warmcache" not in s.periodic_callbacks
        assert a.address == await submit(c, models.where, "a")
        assert placed == len(taken)

    in_cluster()


@one_worker
async def test_dask_takes_over_when_a_hook_fails(c: Any, s: Any, a: Any) -> None:
    plugin = await installed(c, s)
    plugin._backlog.submit = None  # type: ignore[assignment, method-assign]
    assert a.address == await submit(c, models.where, "a")


@one_worker
async def test_dask_takes_over_when_the_plugin_is_unregistered(c: Any, s: Any, a: Any) -> None:
    plugin = await installed(c, s)
    _, go = await blocked(c)
    waits = submit(c, models.where, "a")
    depends = submit(c, models.where, "a", waits)
    await until(lambda: plugin._waiting and depends.key in s.tasks)
    await c.unregister_scheduler_plugin("warmcache")
    await go.set()
    assert a.address == await waits == await depends


@a_cluster(
    nthreads=[("", 1)], config={SATURATION: 1.0, "distributed.scheduler.no-workers-timeout": "100s"}
)
async def test_waiting_for_a_slot_is_not_waiting_for_a_worker(c: Any, s: Any, a: Any) -> None:
    plugin = await installed(c, s)
    _, go = await blocked(c)
    future = submit(c, models.where, "a")
    await until(lambda: plugin._waiting)
    task = s.tasks[future.key]
    s.unrunnable[task] -= 200
    plugin._look()
    s._check_no_workers()
    assert "no-worker" == task.state
    await go.set()
    assert a.address == await future
