"""Which tasks Dask's scheduler holds back, where they run then, and what if they cannot."""

from __future__ import annotations

from functools import partial
from typing import Any
from uuid import uuid4

import dask_models as models
import pytest
from dask_in_process import (
    SATURATION,
    a_cluster,
    blocked,
    installed,
    one_worker,
    submit,
    two_workers,
    until,
)
from dask_models import load
from distributed import Event, Worker
from distributed.core import Status

import warmcache.dask as wd
from warmcache._engines.dask_scheduler import _HELD, WarmScheduler

pytestmark = [pytest.mark.engines, pytest.mark.usefixtures("nothing_is_warm")]


# -- who is held back, and where -------------------------------------------------------


@two_workers
async def test_unmarked_tasks_are_left_to_dask(c: Any, s: Any, a: Any, b: Any) -> None:
    await installed(c, s)
    future = c.submit(len, "abc")
    assert 3 == await future
    assert (None, False) == _restrictions(s, future)


@two_workers
async def test_tasks_that_their_user_constrains_are_left_to_dask(
    c: Any, s: Any, a: Any, b: Any
) -> None:
    plugin = await installed(c, s)
    home = await submit(c, models.where, "a")
    [other] = {a.address, b.address} - {home}
    there = submit(c, models.where, "a", workers=[other])
    assert other == await there
    assert ({other}, False) == _restrictions(s, there)
    nowhere = submit(c, models.where, "a", resources={"GPU": 1})
    await until(lambda: nowhere.key in s.tasks and s.tasks[nowhere.key].state == "no-worker")
    assert not plugin._waiting


@one_worker
async def test_a_task_waits_only_while_no_slot_is_free_and_is_then_bound_loosely(
    c: Any, s: Any, a: Any
) -> None:
    plugin = await installed(c, s)
    first, go = await blocked(c)
    second = submit(c, models.where, "b")
    await until(lambda: plugin._waiting)
    assert ({*_HELD}, False) == _restrictions(s, second)
    assert ({a.address}, True) == _restrictions(s, first)
    await go.set()
    assert a.address == await second
    assert (None, False) == _restrictions(s, second)


@pytest.mark.parametrize(
    ("saturation", "slots"), [(1.0, (1, 4)), (1.1, (2, 5)), ("inf", (2, 5)), (0.1, (1, 1))]
)
def test_a_worker_is_handed_as_many_tasks_as_dask_hands_it(
    saturation: Any, slots: tuple[int, ...]
) -> None:
    @a_cluster(nthreads=[("", 1), ("", 4)], config={SATURATION: saturation})
    async def in_cluster(c: Any, s: Any, a: Any, b: Any) -> None:
        plugin = await installed(c, s)
        assert slots == tuple(plugin._backlog._workers[each.address].slots for each in (a, b))

    in_cluster()


def _restrictions(scheduler: Any, future: Any) -> tuple[Any, bool]:
    task = scheduler.tasks[future.key]
    return task.worker_restrictions, task.loose_restrictions


@one_worker
async def test_adaptive_clusters_count_what_is_held_back_as_work(c: Any, s: Any, a: Any) -> None:
    plugin = await installed(c, s)
    _, go = await blocked(c)
    assert 1 == s.adaptive_target("1ms")
    rest = [submit(c, models.where, name) for name in "bcd"]
    await until(lambda: 3 == len(plugin._waiting))
    assert 4 == s.adaptive_target("1ms")
    await go.set()
    await c.gather(rest)


@two_workers
async def test_a_task_waits_for_what_it_depends_on(c: Any, s: Any, a: Any, b: Any) -> None:
    plugin = await installed(c, s)
    first, go = await blocked(c)
    second = submit(c, models.where, "b", first)
    await until(lambda: second.key in s.tasks and s.tasks[second.key].state == "waiting")
    assert not plugin._waiting
    await go.set()
    assert await second in (a.address, b.address)


# -- tasks that do not end well ----------------------------------------------------------


@one_worker
async def test_what_is_cancelled_while_it_waits_is_forgotten(c: Any, s: Any, a: Any) -> None:
    plugin = await installed(c, s)
    _, go = await blocked(c)
    doomed, kept = (submit(c, models.where, name) for name in "bc")
    await until(lambda: 2 == len(plugin._waiting))
    await doomed.cancel()
    await until(lambda: 1 == len(plugin._waiting))
    assert 1 == len(plugin._backlog)
    await go.set()
    assert a.address == await kept
    assert ["x", "c"] == models.loads


@one_worker
async def test_a_load_that_fails_fails_its_task_and_frees_the_slot(c: Any, s: Any, a: Any) -> None:
    plugin = await installed(c, s)
    with pytest.raises(LookupError, match="bad"):
        await submit(c, models.where, "bad")
    assert not plugin._backlog._models
    assert a.address == await submit(c, models.where, "a")


@one_worker
async def test_a_task_that_is_tried_again_is_routed_again(c: Any, s: Any, a: Any) -> None:
    plugin = await installed(c, s)
    assert a.address == await submit(c, models.fail_once, "a", uuid4().hex, retries=1)
    assert not plugin._placed
    assert not plugin._waiting


@two_workers
async def test_a_task_that_is_stolen_is_booked_out_where_it_was_placed(
    c: Any, s: Any, a: Any, b: Any
) -> None:
    plugin = await installed(c, s)
    assert a.address == await submit(c, models.where, "a", workers=[a.address])
    begun, go = uuid4().hex, uuid4().hex
    blocker = c.submit(models.begin_and_wait, "a", begun, go, workers=[a.address])
    await Event(begun, client=c).wait()
    future = submit(c, models.where, "a")
    await until(lambda: plugin._placed)
    task = s.tasks[future.key]
    assert task.processing_on.address == a.address
    stealing = s.extensions["stealing"]
    stealing.move_task_request(task, s.workers[a.address], s.workers[b.address])
    assert b.address == await future
    assert not plugin._placed
    await Event(go, client=c).set()
    await blocker


@one_worker
async def test_a_task_that_secedes_gives_its_slot_to_those_it_waits_for(
    c: Any, s: Any, a: Any
) -> None:
    plugin = await installed(c, s)
    future = wd.submit(c, models.ask_others, [*"abab"], warm=partial(load, "a"), pure=False)
    assert [a.address] * 4 == await future
    assert not plugin._placed


# -- workers that come, go and pause -----------------------------------------------------


@a_cluster(nthreads=[])
async def test_tasks_wait_for_the_first_worker(c: Any, s: Any) -> None:
    await installed(c, s)
    future = submit(c, models.where, "a")
    await until(lambda: future.key in s.tasks)
    async with Worker(s.address, nthreads=1) as worker:
        assert worker.address == await future


@two_workers
async def test_a_worker_that_is_there_before_the_plugin_is_known_by_its_metrics(
    c: Any, s: Any, a: Any, b: Any
) -> None:
    await installed(c, s)
    home = await submit(c, models.where, "a")
    await (a if home == a.address else b).heartbeat()
    s.remove_plugin("warmcache")
    s.periodic_callbacks["warmcache"].stop()
    await c.register_plugin(WarmScheduler())
    plugin = s.plugins["warmcache"]
    assert {"dask_models.load('a')"} == plugin._reported[home].warm
    assert [home] * 3 == [await submit(c, models.where, "a") for _ in range(3)]


@two_workers
async def test_a_worker_that_is_paused_gets_nothing_until_it_goes_on(
    c: Any, s: Any, a: Any, b: Any
) -> None:
    plugin = await installed(c, s)
    home = await submit(c, models.where, "a")
    worker, other = (a, b) if home == a.address else (b, a)
    worker.status = Status.paused
    await until(lambda: s.workers[home].status is Status.paused)
    assert other.address == await submit(c, models.where, "a")
    assert {home} == plugin._paused
    worker.status = Status.running
    await until(lambda: s.workers[home].status is Status.running)
    plugin._look()
    assert home in plugin._backlog._workers
    assert not plugin._paused


@two_workers
async def test_tasks_of_a_worker_that_leaves_run_elsewhere_in_their_turn(
    c: Any, s: Any, a: Any, b: Any
) -> None:
    plugin = await installed(c, s)
    (first, go), (second, go_too) = await blocked(c, "x"), await blocked(c, "y")
    later = [submit(c, models.where, name) for name in "xy"]
    await until(lambda: 2 == len(plugin._waiting))
    await s.remove_worker(a.address, stimulus_id="test", close=False, expected=True)
    await until(lambda: 3 == len(plugin._waiting))
    [lost] = {first.key, second.key} & plugin._waiting.keys()
    assert lost == plugin._backlog._models[s.tasks[lost].annotations["warm"]].waiting[0][1].key
    assert {b.address} == {*plugin._backlog._workers}
    await go.set()
    await go_too.set()
    assert {b.address} == {(await first)[0], (await second)[0], await later[0], await later[1]}
