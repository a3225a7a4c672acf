"""With ``per=asyncio.get_running_loop`` each event loop has its client, which goes with it."""

from __future__ import annotations

import asyncio
import gc
import weakref
from collections.abc import AsyncGenerator, Callable, Coroutine
from typing import Any

import pytest
from loops import LoopThread
from owned import Loads, janitor_done

from warmcache import ClosedError, LRUCache, Removal, RemovalCause, warm
from warmcache.testing import assert_consistent


class Client:
    """As HTTP clients are: of no use on another loop than that which made it."""

    def __init__(self, host: str) -> None:
        self.host = host
        self.loop = asyncio.get_running_loop()


class Case:
    """A loader of clients, and what was closed, on which loop."""

    def __init__(self, **options: Any) -> None:
        self.closed: list[tuple[str, bool]] = []
        self.causes: list[RemovalCause] = []

        async def aclose(client: Client) -> None:
            await asyncio.sleep(0)
            self.closed.append((client.host, client.loop is asyncio.get_running_loop()))

        def left(removal: Removal) -> None:
            self.causes.append(removal.cause)

        options = {"teardown": aclose, "on_removal": left, **options}

        @warm(per=asyncio.get_running_loop, **options)
        async def client(host: str) -> Client:
            await asyncio.sleep(0)
            return Client(host)

        self.client: Any = client

    async def use(self) -> list[Client]:
        found = [await self.client("a"), await self.client("b")]
        assert found == [await self.client("a"), await self.client(host="b")]
        async with self.client.lease("a") as leased:
            assert found[0] is leased
        assert self.client.contains("a")
        return found


def run_and_close(main: Coroutine[Any, Any, Any]) -> Any:
    loop = asyncio.new_event_loop()
    try:
        return loop.run_until_complete(main)
    finally:
        loop.close()


def run_in_a_thread(main: Coroutine[Any, Any, Any]) -> Any:
    with LoopThread() as loop:
        return loop.run(lambda: main)


RUNS: dict[str, Any] = {
    "asyncio.run": asyncio.run,
    "close": run_and_close,
    "in a thread": run_in_a_thread,
}
EVERY_RUN = pytest.mark.parametrize("run", RUNS.values(), ids=RUNS)
OPTIONS = pytest.mark.parametrize(
    "options", [{}, {"teardown": None}, {"ttl": 60, "maxsize": 9}], ids=["", "bare", "ttl"]
)


@EVERY_RUN
@OPTIONS
def test_what_belongs_to_a_loop_goes_as_that_is_closed_the_last_loaded_first(
    run: Callable[..., Any], options: dict[str, Any]
) -> None:
    case = Case(**options)
    run(case.use())
    janitor_done()
    assert [RemovalCause.CLOSED] * 2 == case.causes
    on_its_loop = run is asyncio.run  # which shuts it down before it closes it
    if "teardown" not in options:
        assert [("b", on_its_loop), ("a", on_its_loop)] == case.closed
    assert [] == case.client.cache.entries()
    assert_consistent(case.client.cache)


@EVERY_RUN
def test_each_loop_has_its_own_clients(run: Callable[..., Any]) -> None:
    case = Case(teardown=None)
    first, second = run(case.use()), run(case.use())
    assert not {*first} & {*second}
    janitor_done()
    assert [RemovalCause.CLOSED] * 4 == case.causes


def test_two_loops_at_once_do_not_share_a_client_nor_an_end() -> None:
    case = Case()
    with LoopThread() as one:
        mine = one.run(case.use)
        with LoopThread() as other:
            assert not {*mine} & {*other.run(case.use)}
            assert 4 == len(case.client.cache)
        janitor_done()
        assert [("b", False), ("a", False)] == case.closed
        assert mine[0] is one.run(lambda: case.client("a"))
    janitor_done()
    assert 4 == len(case.closed)


def test_what_is_asked_for_as_the_loop_shuts_down_is_had_and_goes_as_it_is_closed() -> None:
    case = Case()
    used: list[Client] = []

    async def later() -> AsyncGenerator[None, None]:
        try:
            yield
        finally:
            await asyncio.sleep(0)
            used.extend([await case.client("a"), await case.client("late")])

    async def main() -> None:
        await case.use()
        main.kept = later()  # type: ignore[attr-defined]
        await anext(main.kept)  # type: ignore[attr-defined]

    asyncio.run(main())
    janitor_done()
    assert ["a", "late"] == [client.host for client in used]
    assert {"a", "b", "late"} == {host for host, _ in case.closed}
    assert len(case.closed) == len(case.causes)
    assert [] == case.client.cache.entries()


def test_a_client_that_is_first_asked_for_as_the_loop_shuts_down_is_no_trouble() -> None:
    case = Case()

    async def later() -> AsyncGenerator[None, None]:
        try:
            yield
        finally:
            await case.client("late")

    async def main() -> None:
        main.kept = later()  # type: ignore[attr-defined]
        await anext(main.kept)  # type: ignore[attr-defined]

    asyncio.run(main())
    janitor_done()
    assert [("late", False)] == case.closed


def test_a_failing_teardown_is_logged_as_the_loop_shuts_down(caplog: Any) -> None:
    async def fail(client: Client) -> None:
        raise RuntimeError("it will not close")

    case = Case(teardown=fail)
    asyncio.run(case.use())
    assert 2 == caplog.text.count("RuntimeError: it will not close")
    assert 2 == case.client.cache.stats().teardown_failures


def test_to_let_them_go_before_the_loop_ends_is_done_on_it() -> None:
    case = Case()

    async def main() -> None:
        await case.use()
        assert 2 == len(await case.client.evict_all())

    asyncio.run(main())
    assert [("b", True), ("a", True)] == case.closed
    assert [RemovalCause.EXPLICIT] * 2 == case.causes


def test_whichever_caches_they_lie_in_they_go_in_one_order() -> None:
    order: list[str] = []
    shared: LRUCache[Any, Any] = LRUCache(9)

    def loader(**options: Any) -> Any:
        @warm(per=asyncio.get_running_loop, teardown=order.append, **options)
        async def load(name: str) -> str:
            return name

        return load

    one, two, three = loader(cache=shared), loader(), loader(policy="lfu", maxsize=3)
    loads = Loads("owner", teardown=lambda value: order.append(value[0]))

    async def main() -> None:
        await one("1"), await two("2"), await three("3"), await one("4")
        loads.load(asyncio.get_running_loop(), "5")
        await two("6")

    asyncio.run(main())
    janitor_done()
    assert [*"654321"] == order


def test_without_a_loop_nobody_can_say_whose_it_would_be() -> None:
    case = Case()
    with pytest.raises(RuntimeError, match="no running event loop"):
        case.client.contains("a")
    with pytest.raises(RuntimeError, match="no running event loop"):
        warm(per=asyncio.get_running_loop)(lambda: 1)()


def test_a_closed_loop_that_an_argument_names_is_refused_at_once() -> None:
    loads = Loads("owner")
    loop = asyncio.new_event_loop()
    loads.load(loop, "a"), loads.load(loop, "a")
    loop.close()
    with pytest.raises(ClosedError, match="the event loop that it belongs to is closed"):
        loads.load(loop, "a")
    janitor_done()
    assert ["a"] == loads.names
    unseen = asyncio.new_event_loop()
    unseen.close()
    for each in (loop, unseen):
        with pytest.raises(ClosedError, match="the event loop that it belongs to is closed"):
            Loads("owner").load(each, "a")


def test_a_loop_is_known_that_runs_in_another_thread() -> None:
    loads = Loads("owner")
    with LoopThread() as thread:
        thread.loop.set_debug(True)  # so that it minds what is not safe in another thread
        loads.load(thread.loop, "a")
        assert thread.run(lambda: asyncio.sleep(0, "it runs"))
        assert [] == loads.names
    janitor_done()
    assert ["a"] == loads.names


def test_a_loop_that_is_collected_unclosed_lets_go_as_well() -> None:
    class Loop(asyncio.SelectorEventLoop):
        def __del__(self, *_: Any) -> None:
            """Do not warn that it was not closed."""

    loads = Loads("owner")
    loop = Loop()
    ours = loop._ssock, loop._csock  # type: ignore[attr-defined]
    loads.load(loop, "a")
    gone = weakref.ref(loop)
    del loop
    gc.collect()
    for each in ours:
        each.close()
    assert None is gone()
    janitor_done()
    assert ["a"] == loads.names


def test_a_living_cache_does_not_keep_a_loop() -> None:
    case = Case(teardown=None)

    async def main() -> weakref.ref[Any]:
        await case.client("a")
        return weakref.ref(asyncio.get_running_loop())

    gone = asyncio.run(main())
    janitor_done()
    gc.collect()
    assert None is gone()


def test_a_loader_whose_owner_is_another_is_still_bound_to_the_loop_that_loaded() -> None:
    class Session:
        """An owner that outlives the loop."""

    @warm(per="session")
    async def client(session: Session) -> Client:
        return Client("a")

    session = Session()
    first = asyncio.run(client(session))
    second = asyncio.run(client(session))
    assert first is not second
    assert {"invalid": 2} == client.cache.stats().removals
