"""How Dask's scheduler and warmcache's plugin get along: workers are in this process.

Here the scheduler validates itself after each transition.
"""

from __future__ import annotations

import asyncio
import pickle
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any
from uuid import uuid4

import dask_models as models
import pytest
from dask_models import CAP, fetch, load
from distributed import Event, Worker
from distributed.core import Status
from distributed.utils_test import gen_cluster

import warmcache
import warmcache.dask as wd
from warmcache._engines.dask_scheduler import _HELD, WarmScheduler
from warmcache._engines.wanted import Wanted

pytestmark = pytest.mark.engines
SATURATION = "distributed.scheduler.worker-saturation"
# A worker is handed no more than it has threads for, or little would ever wait.
a_cluster = partial(gen_cluster, client=True, timeout=2 * CAP, config={SATURATION: 1.0})
one_worker = a_cluster(nthreads=[("", 1)])
two_workers = a_cluster(nthreads=[("", 1)] * 2)


@pytest.fixture(autouse=True)
def nothing_is_warm() -> Iterator[None]:
    models.loads.clear()
    models.torn_down.clear()
    yield
    load.cache_clear()
    fetch.cache.clear()


async def installed(client: Any, scheduler: Any) -> WarmScheduler:
    await wd.install(client)
    plugin: WarmScheduler = scheduler.plugins["warmcache"]
    return plugin


async def until(claim: Callable[[], object]) -> None:
    async with asyncio.timeout(CAP):
        while not claim():  # noqa: ASYNC110
            await asyncio.sleep(0.001)


def submit(client: Any, function: Callable[..., Any], name: str, *args: Any, **options: Any) -> Any:
    return wd.submit(client, function, name, *args, warm=partial(load, name), pure=False, **options)


async def blocked(client: Any, name: str = "x") -> tuple[Any, Any]:
    """Return a task that holds its slot, and what lets it go."""
    begun, go = uuid4().hex, uuid4().hex
    future = submit(client, models.begin_and_wait, name, begun, go)
    await Event(begun, client=client).wait()
    return future, Event(go, client=client)


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


# -- what workers report -----------------------------------------------------------------


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


# -- when things go wrong ----------------------------------------------------------------


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


# -- submit and map ------------------------------------------------------------------------


@one_worker
async def test_async_functions_lease_what_async_loaders_load(c: Any, s: Any, a: Any) -> None:
    await installed(c, s)
    assert "a" == await wd.submit(c, models.fetched, "a", warm=partial(fetch, "a"))
    assert ["a"] == models.loads


@one_worker
async def test_calls_of_one_meaning_are_one_task_as_in_dask(c: Any, s: Any, a: Any) -> None:
    def key(function: Any, name: str, wanted: str, **options: Any) -> str:
        return str(wd.submit(c, function, name, warm=partial(load, wanted), **options).key)

    one = key(models.where, "a", "a")
    assert one == key(models.where, "a", "a", retries=2)
    assert one == wd.map(c, models.where, ["a"], warm=partial(load, "a"))[0].key
    assert one.startswith("where-")
    others = {
        key(models.where, "b", "a"),
        key(models.where, "a", "b"),
        key(models.evict, "a", "a"),
        key(models.where, "a", "a", pure=False),
        key(models.where, "a", "a", key="mine"),
    }
    assert 5 == len(others - {one})
    assert "mine" in others


@one_worker
async def test_map_marks_each_task_with_its_own(c: Any, s: Any, a: Any) -> None:
    await installed(c, s)
    futures = wd.map(c, models.where, [*"aba"], range(9), warm=models.marks([*"aba"]), key="k")
    assert [a.address] * 3 == await c.gather(futures)
    assert ["dask_models.load('a')", "dask_models.load('b')", "dask_models.load('a')"] == [
        s.tasks[future.key].annotations["warm"] for future in futures
    ]
    assert all(future.key.startswith("k-") for future in futures)
    assert [] == wd.map(c, models.where, [], warm=[])
    with pytest.raises(ValueError, match="2 elements for 3 calls"):
        wd.map(c, models.where, [*"abc"], warm=models.marks([*"ab"]))
    with pytest.raises(ValueError, match="1 keys for 3 tasks"):
        wd.map(c, models.where, [*"abc"], warm=partial(load, "a"), key=["k"])


@one_worker
async def test_a_mark_that_is_none_is_refused_at_once(c: Any, s: Any, a: Any) -> None:
    with pytest.raises(TypeError, match=r"functools.partial\(load, 'a'\)"):
        wd.submit(c, models.where, "a", warm="a")
    with pytest.raises(TypeError, match="functools.partial"):
        wd.submit(c, models.where, "a", warm=partial(len, "a"))
    with pytest.raises(TypeError, match="missing"):
        wd.submit(c, models.where, "a", warm=load)
    with pytest.raises(TypeError, match="only if both are"):
        wd.submit(c, models.where, "a", warm=partial(fetch, "a"))
    with pytest.raises(TypeError, match="only if both are"):
        wd.submit(c, models.fetched, "a", warm=partial(load, "a"))


def test_equal_calls_have_one_name() -> None:
    names = {Wanted.of(call).name for call in (partial(load, "a"), partial(load, name="a"))}
    assert {"dask_models.load('a')"} == names


def test_unpickling_a_task_loads_nothing() -> None:
    wanted = pickle.loads(pickle.dumps(Wanted.of(partial(load, "a"))))
    assert not wanted.is_warm()
    assert [] == models.loads


def test_a_body_works_where_there_is_no_worker() -> None:
    from warmcache._engines.dask_worker import under_lease

    with pytest.raises(ValueError, match="No worker"):
        under_lease("key", Wanted.of(partial(load, "a")), models.where, "a")
    assert ["a"] == models.loads
    assert not isinstance(load("a"), warmcache.Cache)
