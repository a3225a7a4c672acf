"""What waits for nothing but its loader is loaded on an event loop without a plan, and as right."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import weakref
from collections.abc import Iterator
from contextlib import AbstractContextManager
from typing import Any

import pytest
from by_plan import by_plan

import warmcache
from warmcache import ClosedError, LoadCycleError, WarmMissError, warm
from warmcache._core.drivers import at_once_async, event_loop
from warmcache.testing import assert_consistent

pytestmark = pytest.mark.race


@pytest.fixture(params=[contextlib.nullcontext, by_plan], ids=["at once", "by plan"], autouse=True)
def way(request: pytest.FixtureRequest) -> Iterator[None]:
    """Have everything done at once, and by its plan."""
    entered: AbstractContextManager[Any] = request.param()
    with entered:
        yield


class Case:
    """A loader that is held up, in a cache of two."""

    def __init__(self) -> None:
        self.cache: Any = warmcache.LRUCache(2)
        self.go, self.loads, self.error = asyncio.Event(), 0, None
        self.load: Any = warm(cache=self.cache)(self._load)

    async def _load(self, name: str) -> list[str]:
        self.loads += 1
        await self.go.wait()
        if self.error is not None:
            raise self.error
        return [name]

    async def asked(self, *names: str) -> list[asyncio.Task[Any]]:
        tasks = [asyncio.ensure_future(self.load(name)) for name in names]
        for _ in range(5):
            await asyncio.sleep(0)
        return tasks


async def test_many_callers_share_one_load() -> None:
    case = Case()
    tasks = await case.asked("a", "a", "a")
    case.go.set()
    one, *others = await asyncio.gather(*tasks)
    assert all(other is one for other in others)
    assert 1 == case.loads and 1 == len(case.cache)
    assert_consistent(case.cache)


async def test_who_is_cancelled_leaves_the_load_to_the_others_and_to_the_cache() -> None:
    case = Case()
    first, second = await case.asked("a", "a")
    first.cancel()
    case.go.set()
    assert ["a"] == await second
    with pytest.raises(asyncio.CancelledError):
        await first
    assert 1 == case.loads
    assert_consistent(case.cache)


async def test_a_load_whose_only_caller_is_cancelled_arrives_all_the_same() -> None:
    case = Case()
    (alone,) = await case.asked("a")
    alone.cancel()
    with pytest.raises(asyncio.CancelledError):
        await alone
    case.go.set()
    assert ["a"] == await case.load("a")
    assert 1 == case.loads
    assert_consistent(case.cache)


@pytest.mark.parametrize(
    "error", [OSError("no"), StopIteration(), asyncio.CancelledError(), WarmMissError("no")]
)
async def test_a_load_that_fails_fails_for_all_and_keeps_nothing(error: BaseException) -> None:
    case = Case()
    case.error = error  # type: ignore[assignment]
    tasks = await case.asked("a", "a")
    case.go.set()
    raised = await asyncio.gather(*tasks, return_exceptions=True)
    expected = RuntimeError if isinstance(error, StopIteration) else type(error)  # PEP 479
    assert [expected, expected] == [type(each) for each in raised] and 1 == case.loads
    assert 0 == case.cache.stats().loading and 0 == len(case.cache)
    assert_consistent(case.cache)


async def test_a_load_arrives_in_no_cache_that_was_closed_meanwhile() -> None:
    case = Case()
    tasks = await case.asked("a")
    case.cache.close()
    case.go.set()
    with pytest.raises(ClosedError):
        await tasks[0]
    assert_consistent(case.cache)


async def test_what_was_handed_in_meanwhile_is_replaced_by_what_was_loaded() -> None:
    case = Case()
    tasks = await case.asked("a")
    case.cache[case.load.cache_key("a")] = ["handed in"]
    case.go.set()
    assert ["a"] == await tasks[0] == await case.load("a")
    assert_consistent(case.cache)


async def test_a_load_that_waits_for_itself_is_refused() -> None:
    @warm(maxsize=2)
    async def load(name: str) -> Any:
        return await other(name)

    @warm(cache=load.cache)
    async def other(name: str) -> Any:
        return await load(name)

    with pytest.raises(LoadCycleError):
        await load("a")
    assert_consistent(load.cache)


async def test_victims_go_before_the_load_and_leased_ones_stay() -> None:
    case = Case()
    case.go.set()
    async with case.load.lease("a") as held:
        await case.load("b")
        await case.load("c")
        assert [["a"], ["c"]] == sorted(entry.value for entry in case.cache._live.values())
        assert held is await case.load("a")
    assert_consistent(case.cache)


async def test_a_loop_that_ends_gives_back_what_its_load_had_reserved() -> None:
    cases: list[Case] = []

    async def main() -> None:
        cases.append(Case())
        await cases[0].asked("a")

    await asyncio.to_thread(lambda: asyncio.run(main()))
    assert 0 == cases[0].cache.stats().loading
    assert_consistent(cases[0].cache)


async def test_what_waits_for_nothing_takes_no_plan(
    monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> None:
    taken = []
    for module in (at_once_async, event_loop):
        run = module.run_async
        monkeypatch.setattr(
            module, "run_async", lambda *args, run=run: taken.append(1) or run(*args)
        )
    case = Case()
    case.go.set()
    assert [["a"], ["b"], ["c"]] == [await case.load(name) for name in "abc"]
    assert bool(taken) == ("by plan" in request.node.name)


async def test_a_load_whose_caller_was_cancelled_goes_on_though_nobody_refers_to_it() -> None:
    begun, waited_for = asyncio.Event(), list[weakref.ref[asyncio.Future[str]]]()

    @warm(policy="lru", maxsize=1)
    async def load(name: str) -> str:
        future: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        waited_for.append(weakref.ref(future))
        begun.set()
        return await future

    caller = asyncio.ensure_future(load("a"))
    await begun.wait()
    caller.cancel()
    with pytest.raises(asyncio.CancelledError):
        await caller
    del caller
    gc.collect()
    future = waited_for[0]()
    assert future is not None, "the load was collected"
    future.set_result("loaded")
    del future
    assert "loaded" == await load("a")
    assert 1 == len(waited_for)
