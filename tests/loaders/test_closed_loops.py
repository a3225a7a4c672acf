"""What was loaded on an event loop that is closed is loaded again at its next use."""

from __future__ import annotations

import asyncio
import gc
import weakref
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import nullcontext
from contextvars import ContextVar
from typing import Any

import pytest
from by_plan import by_plan
from loops import LoopThread

import warmcache
from warmcache import LRUCache, Removal, WarmMissError, no_load, warm
from warmcache.testing import assert_consistent

Run = Callable[[Coroutine[Any, Any, Any]], Any]


class Client:
    """As HTTP clients are: of no use on another loop than that which made it."""

    def __init__(self, name: str = "") -> None:
        self.name = name
        self.loop = asyncio.get_running_loop()
        self.closed_on: list[Any] = []

    async def get(self) -> str:
        if self.loop.is_closed() or self.loop is not asyncio.get_running_loop():
            raise RuntimeError("Event loop is closed")
        return self.name

    async def aclose(self) -> None:
        self.closed_on.append(asyncio.get_running_loop())


def run_and_close(main: Coroutine[Any, Any, Any]) -> Any:
    """Run without the ceremony of ``asyncio.run``."""
    loop = asyncio.new_event_loop()
    try:
        return loop.run_until_complete(main)
    finally:
        loop.close()


def run_in_a_thread(main: Coroutine[Any, Any, Any]) -> Any:
    with LoopThread() as loop:
        return loop.run(lambda: main)


RUNS = {"asyncio.run": asyncio.run, "close": run_and_close, "in a thread": run_in_a_thread}


@pytest.fixture(params=RUNS.values(), ids=RUNS)
def run(request: pytest.FixtureRequest) -> Run:
    return request.param  # type: ignore[no-any-return]


class Case:
    """A loader of clients, and what was removed of it."""

    def __init__(self, **options: Any) -> None:
        self.removed: list[Removal] = []
        options = {"maxsize": 9, "teardown": Client.aclose, **options}

        @warm(**options, on_removal=self.removed.append)
        async def load(name: str) -> Client:
            await asyncio.sleep(0)
            return Client(name)

        self.load = load

    async def twice(self, name: str = "a") -> Client:
        """Use it twice, so that a third use would be a hit."""
        client: Client = await self.load(name)
        assert client is await self.load(name)
        assert name == await client.get()
        return client

    @property
    def causes(self) -> list[str]:
        return [removal.cause.value for removal in self.removed]


@pytest.mark.parametrize("teardown", [Client.aclose, None], ids=["with teardown", "without"])
@pytest.mark.parametrize("planned", [False, True], ids=["at once", "by plan"])
def test_the_next_loop_gets_a_client_of_its_own(run: Run, teardown: Any, planned: bool) -> None:
    case = Case(teardown=teardown)
    with by_plan() if planned else nullcontext():
        first, second = run(case.twice()), run(case.twice())
    assert first is not second and ["invalid"] == case.causes
    assert_consistent(case.load.cache)
    case.load.cache.close()


def test_the_client_of_the_closed_loop_is_torn_down_on_the_next_one() -> None:
    case = Case()
    first, second = asyncio.run(case.twice()), asyncio.run(case.twice())
    assert [second.loop] == first.closed_on and [] == second.closed_on


def test_a_lease_gets_a_client_of_its_own(run: Run) -> None:
    case = Case(teardown=None)

    async def leased() -> Client:
        async with case.load.lease("a") as client:
            assert "a" == await client.get()
            return client  # type: ignore[no-any-return]

    assert run(leased()) is not run(leased())


def test_what_is_not_loop_bound_stays_warm(run: Run) -> None:
    case = Case(loop_bound=False, teardown=None)
    first = run(case.load("a"))
    assert first is run(case.load("a")) and 1 == case.load.cache_info().hits


def test_what_a_sync_loader_gave_stays_warm() -> None:
    @warm
    def load(name: str) -> list[str]:
        return [name]

    async def main() -> list[str]:
        return load("a")

    assert asyncio.run(main()) is asyncio.run(main())


def test_another_loop_that_is_open_is_no_reason_to_load_again() -> None:
    case = Case(teardown=None)
    with LoopThread() as one, LoopThread() as other:
        assert one.run(lambda: case.load("a")) is other.run(lambda: case.load("a"))


def test_only_what_the_closed_loop_has_loaded_is_loaded_again() -> None:
    case = Case(teardown=None)
    with LoopThread() as one:
        mine = one.run(lambda: case.twice("a"))
        asyncio.run(case.twice("b"))
        assert mine is one.run(lambda: case.load("a"))
        assert [] == case.load.cache.evict(where=lambda entry: "load('b')" == entry.call)
        asyncio.run(case.twice("b"))
    assert ["invalid"] == case.causes


LOOKS: dict[str, tuple[object, Callable[[Any], object]]] = {
    "peek": (None, lambda load: load.peek("a")),
    "contains": (False, lambda load: load.contains("a")),
    "entries": ([], lambda load: load.cache.entries()),
    "victims": ([], lambda load: load.cache.victims()),
    "get": (None, lambda load: load.cache.get(load.cache_key("a"))),
    "in": (False, lambda load: load.cache_key("a") in load.cache),
    "iter": ([], lambda load: [*load.cache]),
    "len": (0, lambda load: len(load.cache)),
    "stats": (0, lambda load: load.cache.stats().live),
    "setdefault": ("new", lambda load: load.cache.setdefault(load.cache_key("a"), "new")),
    "pop": ("none", lambda load: load.cache.pop(load.cache_key("a"), "none")),
    "evict": ([], lambda load: load.cache.evict(5)),
}


@pytest.mark.parametrize("look", LOOKS)
def test_nobody_else_gets_it_either(look: str) -> None:
    case = Case()
    asyncio.run(case.twice())
    expected, act = LOOKS[look]
    assert expected == act(case.load)


def test_a_lease_of_the_mapping_does_not_find_it() -> None:
    case = Case()
    asyncio.run(case.twice())
    with pytest.raises(KeyError), case.load.cache.lease(case.load.cache_key("a")):
        pass
    assert ["invalid"] == case.causes


def test_where_no_loop_runs_it_is_torn_down_on_one_made_for_it() -> None:
    case = Case()
    client = asyncio.run(case.twice())
    assert [] == case.load.cache.entries()
    (made,) = client.closed_on
    assert made is not client.loop and made.is_closed() and ["invalid"] == case.causes


def test_to_evict_it_tears_it_down_before_that_returns() -> None:
    case = Case()
    client = asyncio.run(case.twice())
    assert [] == asyncio.run(case.load.evict("a"))
    assert 1 == len(client.closed_on) and ["invalid"] == case.causes


def test_a_load_of_another_key_in_a_shared_cache_is_not_kept_off_the_hit_path() -> None:
    cache: LRUCache[Any, Any] = LRUCache(9)

    @warm(cache=cache)
    async def client(name: str) -> Client:
        return Client(name)

    @warm(cache=cache)
    def load(name: str) -> list[str]:
        return [name]

    asyncio.run(client("a"))
    load("b"), load("b"), load("b")
    assert "b" in load.lease.__self__._site.hot.table  # type: ignore[attr-defined]


def test_where_loading_is_forbidden_it_is_not_warm() -> None:
    case = Case(teardown=None)
    asyncio.run(case.twice())

    async def main() -> None:
        with no_load():
            await case.load("a")

    with pytest.raises(WarmMissError):
        asyncio.run(main())


def test_a_leased_one_is_retired_and_goes_with_its_lease() -> None:
    case = Case()
    lease = case.load.lease("a")
    first = asyncio.run(lease.__aenter__())
    second = asyncio.run(case.twice())
    assert first is not second and [] == first.closed_on
    asyncio.run(lease.__aexit__(None, None, None))
    assert 1 == len(first.closed_on) and ["invalid"] == case.causes


def test_a_generators_value_is_loaded_again(run: Run) -> None:
    ended: list[str] = []

    @warm
    async def load(name: str) -> AsyncIterator[Client]:
        yield Client(name)
        ended.append(name)

    async def main() -> str:
        await load("a")
        return await (await load("a")).get()  # type: ignore[no-any-return]

    assert ["a", "a"] == [run(main()), run(main())]
    load.cache.close()


def test_a_loop_keeps_nothing_of_the_task_that_loaded() -> None:
    class Held:
        pass

    case = Case(teardown=None)
    variable: ContextVar[Held] = ContextVar("variable")
    loop = asyncio.new_event_loop()

    async def main(held: Held) -> None:
        variable.set(held)
        await case.load("a")

    held = Held()
    known = weakref.ref(held)
    loop.run_until_complete(main(held))
    del held
    gc.collect()
    assert None is known()
    loop.close()


def test_a_loop_that_has_loaded_ends_as_it_would_have(recwarn: pytest.WarningsRecorder) -> None:
    case = Case(teardown=None)
    asyncio.run(case.twice(), debug=True)
    gc.collect()
    assert [] == [*recwarn]


def test_cleared_at_the_end_of_each_run_nothing_is_left() -> None:
    case = Case()

    async def main() -> Client:
        client = await case.twice()
        await warmcache.clear_all_async()
        return client

    first, second = asyncio.run(main()), asyncio.run(main())
    assert [first.loop] == first.closed_on and [second.loop] == second.closed_on
    assert ["explicit"] * 2 == case.causes
