"""A teardown that is not async never blocks an event loop, unless it is said to run there."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

import pytest
from gates import Gate
from loops import LoopThread

import warmcache
from warmcache import LRUCache, TTLCache, warm
from warmcache._process.janitor import janitor
from warmcache.testing import FakeProbe, ManualClock, assert_consistent

CAP = 5.0


class Client:
    """Notes which thread closes it, and which loop runs there."""

    def __init__(self, name: str = "") -> None:
        self.name = name
        self.closed: list[tuple[threading.Thread, Any]] = []

    def close(self) -> None:
        try:
            loop: Any = asyncio.get_running_loop()
        except RuntimeError:
            loop = None
        self.closed.append((threading.current_thread(), loop))

    async def aclose(self) -> None:
        self.close()


def connecting(**options: Any) -> Any:
    @warm(**{"policy": "lru", "maxsize": 1, **options})
    async def connect(name: str) -> Client:
        return Client(name)

    return connect


async def evict(connect: Any) -> None:
    await connect.evict("a")


async def replace(connect: Any) -> None:
    await connect("b")


async def clear(connect: Any) -> None:
    await connect.cache_clear()


async def release(connect: Any) -> None:
    async with connect.lease("a"):
        await connect.evict("a")


REMOVALS = [evict, replace, clear, release]
SYNC: dict[str, Any] = {
    "by name": "close",
    "function": Client.close,
    "partial": partial(Client.close),
    "lambda": lambda client: client.close(),
}


@pytest.mark.parametrize("remove", REMOVALS)
@pytest.mark.parametrize("teardown", SYNC.values(), ids=SYNC)
async def test_a_teardown_that_is_not_async_runs_in_a_thread(teardown: Any, remove: Any) -> None:
    connect = connecting(teardown=teardown)
    client = await connect("a")
    await remove(connect)
    [(thread, loop)] = client.closed
    assert threading.current_thread() is not thread and loop is None
    assert "warmcache-teardown" == thread.name
    assert_consistent(connect.cache)


@pytest.mark.parametrize("remove", REMOVALS)
async def test_meanwhile_the_loop_goes_on_and_who_removes_waits(remove: Any) -> None:
    gate = Gate()
    connect = connecting(teardown=lambda _: gate.wait())
    await connect("a")
    removing = asyncio.create_task(remove(connect))
    await asyncio.to_thread(gate.until_reached)
    for _ in range(5):
        await asyncio.sleep(0)
    assert not removing.done()
    assert 1 == connect.cache.stats().dying
    gate.open()
    await asyncio.wait_for(removing, CAP)
    assert 0 == connect.cache.stats().dying


async def test_so_does_the_reclaim_after_it_and_where_there_is_no_teardown() -> None:
    threads: list[threading.Thread] = []
    for teardown in ("close", None):
        connect = connecting(
            teardown=teardown, reclaim=lambda: threads.append(threading.current_thread())
        )
        await connect("a")
        await connect.evict("a")
    assert 2 == len(threads) and threading.current_thread() not in threads


async def test_a_cache_of_memory_tears_down_in_a_thread_too() -> None:
    threads: list[threading.Thread] = []
    cache: Any = warmcache.MemoryCache(
        10,
        probe=FakeProbe(total=100),
        headroom=0,
        poll=0,
        teardown=lambda _: threads.append(threading.current_thread()),
    )
    connect = warm(cache=cache, size=6)(_new_client)
    await connect("a")
    await connect("b")
    assert 1 == len(threads) and threading.current_thread() not in threads
    cache.close()


async def _new_client(name: str) -> Client:
    return Client(name)


async def test_the_teardown_of_the_cache_does_so_for_values_of_async_loaders() -> None:
    cache: LRUCache[Any, Client] = LRUCache(1, teardown="close")
    connect = warm(cache=cache)(_new_client)
    first = await connect("a")
    await connect("b")
    [(thread, _)] = first.closed
    assert threading.current_thread() is not thread
    cache.close()


@pytest.mark.parametrize("teardown", ["aclose", Client.aclose, partial(Client.aclose)])
@pytest.mark.parametrize("remove", REMOVALS)
async def test_an_async_teardown_runs_on_the_loop(teardown: Any, remove: Any) -> None:
    connect = connecting(teardown=teardown)
    client = await connect("a")
    await remove(connect)
    assert [(threading.current_thread(), asyncio.get_running_loop())] == client.closed


async def test_what_a_function_returns_to_be_awaited_is_awaited_on_the_loop() -> None:
    connect = connecting(teardown=lambda client: client.aclose())
    client = await connect("a")
    await connect.evict("a")
    assert [(threading.current_thread(), asyncio.get_running_loop())] == client.closed


# -- teardown_in="loop" ------------------------------------------------------------


@pytest.mark.parametrize("remove", REMOVALS)
@pytest.mark.parametrize("teardown", [*SYNC.values(), lambda client: client.aclose()])
async def test_in_the_loop_means_on_the_loop_that_loaded(teardown: Any, remove: Any) -> None:
    connect = connecting(teardown=teardown, teardown_in="loop")
    client = await connect("a")
    await remove(connect)
    assert [(threading.current_thread(), asyncio.get_running_loop())] == client.closed


@pytest.mark.parametrize("of_cache", [False, True])
def test_so_it_is_whichever_thread_or_loop_removes_and_whose_teardown_it_is(of_cache: bool) -> None:
    with LoopThread() as one, LoopThread() as other:
        cache: LRUCache[Any, Client] = LRUCache(9, teardown="close" if of_cache else None)
        options = {} if of_cache else {"teardown": "close"}
        connect = warm(cache=cache, teardown_in="loop", **options)(_new_client)
        clients = [one.run(lambda name=name: connect(name)) for name in "abc"]
        other.run(lambda: connect.evict("a"))
        cache.evict(key=connect.cache_key("b"))  # from a thread without a loop
        one.call(lambda: cache.evict(key=connect.cache_key("c")))
        one.run(lambda: asyncio.sleep(0))
        assert [[one.loop]] * 3 == [[loop for _, loop in each.closed] for each in clients]


def test_the_janitor_has_the_loop_do_it_too() -> None:
    clock, done = ManualClock(), threading.Event()
    cache: TTLCache[Any, Any] = TTLCache(9, 5, timer=clock, on_removal=lambda _: done.set())
    with LoopThread() as one:
        connect = warm(cache=cache, teardown="close", teardown_in="loop")(_new_client)
        client = one.run(lambda: connect("a"))
        clock.advance(6)
        janitor.defer(cache.expire_now)
        assert done.wait(CAP)
        assert [one.loop] == [loop for _, loop in client.closed]


async def test_none_has_nothing_to_be_closed_in_the_loop_either() -> None:
    @warm(maxsize=1, teardown="close", teardown_in="loop")
    async def nothing(name: str) -> None: ...

    await nothing("a")
    await nothing("b")
    assert 0 == nothing.cache.stats().teardown_failures
    await nothing.cache_clear()


@pytest.mark.parametrize("where", ["thread", "loop", None])
async def test_it_is_an_option_of_async_loaders(where: Any) -> None:
    connect = connecting(teardown="close", teardown_in=where)
    client = await connect("a")
    await connect.evict("a")
    [(_, loop)] = client.closed
    assert (asyncio.get_running_loop() if where == "loop" else None) is loop


def test_a_place_that_is_none_is_refused_with_those_that_are() -> None:
    for wrong in ("lopp", "main-thread", "", 5, True):
        error = ValueError if isinstance(wrong, str) else TypeError
        with pytest.raises(error, match="teardown_in must be 'loop' or 'thread' or 'load"):
            connecting(teardown="close", teardown_in=wrong)


def _generator(name: str) -> Any:
    yield name


async def _async_generator(name: str) -> AsyncIterator[str]:
    yield name


@pytest.mark.parametrize(
    ("load", "why"),
    [
        (Client, r"Client\(\) is not async, whose teardown runs in the thread whose act"),
        (_generator, r"_generator\(\) is a generator, whose teardown runs as part of it"),
        (_async_generator, r"_async_generator\(\) is a generator"),
    ],
)
def test_other_loaders_refuse_it_and_say_where_theirs_runs(load: Any, why: str) -> None:
    with pytest.raises(TypeError, match=f"teardown_in='thread' is for async loaders.*{why}"):
        warm(teardown_in="thread")(load)


# -- what may go wrong -------------------------------------------------------------


async def test_a_teardown_that_fails_in_a_thread_is_logged_and_counted(
    caplog: pytest.LogCaptureFixture,
) -> None:
    def fail(_: Any) -> None:
        raise OSError("it does not close")

    connect = connecting(teardown=fail)
    await connect("a")
    await connect.evict("a")
    assert 1 == connect.cache.stats().teardown_failures
    assert "it does not close" in caplog.text


async def test_what_is_no_exception_reaches_who_removes() -> None:
    class Stop(BaseException):
        pass

    def stop(_: Any) -> None:
        raise Stop

    connect = connecting(teardown=stop)
    await connect("a")
    with pytest.raises(Stop):
        await connect.evict("a")
    assert_consistent(connect.cache)
    assert 0 == connect.cache.stats().dying


@pytest.mark.race
async def test_to_be_cancelled_ends_the_waiting_and_the_teardown_goes_on() -> None:
    gate, gone = Gate(), threading.Event()
    torn_down: list[Any] = []

    def teardown(value: Any) -> None:
        gate.wait()
        torn_down.append(value)

    connect = connecting(teardown=teardown, on_removal=lambda _: gone.set())
    client = await connect("a")
    removing = asyncio.create_task(connect.evict("a"))
    await asyncio.to_thread(gate.until_reached)
    removing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await removing
    gate.open()
    assert await asyncio.to_thread(gone.wait, CAP)
    assert [client] == torn_down
    assert_consistent(connect.cache)


@pytest.mark.race
def test_a_loop_that_ends_meanwhile_leaves_the_teardown_to_its_thread() -> None:
    gate, gone = Gate(), threading.Event()
    torn_down: list[Any] = []

    def teardown(value: Any) -> None:
        gate.wait()
        torn_down.append(value)

    connect = connecting(teardown=teardown, on_removal=lambda _: gone.set())

    async def main() -> Any:
        client = await connect("a")
        asyncio.create_task(connect.evict("a"))  # noqa: RUF006
        await asyncio.to_thread(gate.until_reached)
        return client

    client = asyncio.run(main())
    gate.open()
    assert gone.wait(CAP)
    assert [client] == torn_down
    assert_consistent(connect.cache)


async def test_no_room_of_the_loops_own_pool_is_taken() -> None:
    """What fills that pool may wait for the room that a teardown makes."""
    loop, gate = asyncio.get_running_loop(), Gate()
    loop.set_default_executor(ThreadPoolExecutor(1))
    full = asyncio.create_task(asyncio.to_thread(gate.wait))
    connect = connecting(teardown="close")
    client = await connect("a")
    await asyncio.wait_for(connect.evict("a"), CAP)
    assert 1 == len(client.closed)
    gate.open()
    await full


async def test_where_no_thread_can_be_started_the_loop_does_it_itself(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    connect = connecting(teardown="close")
    client = await connect("a")

    def fail(_: Any) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", fail)
    await connect.evict("a")
    monkeypatch.undo()
    assert [(threading.current_thread(), asyncio.get_running_loop())] == client.closed


async def test_a_lease_inside_disabled_does_not_block_the_loop_either() -> None:
    threads: list[threading.Thread] = []
    note: Callable[[Any], None] = lambda _: threads.append(threading.current_thread())  # noqa: E731
    connect = connecting(teardown=note)
    with warmcache.disabled():
        async with connect.lease("a"):
            assert [] == threads
    assert 1 == len(threads) and threading.current_thread() is not threads[0]

    connect = connecting(teardown=note, teardown_in="loop")
    with warmcache.disabled():
        async with connect.lease("a"):
            pass
    assert threading.current_thread() is threads[1]
