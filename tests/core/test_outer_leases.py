"""Who is inside of a lease does not wait for its end; who is not, does."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from gated import until
from gates import CAP, waiting

from warmcache import CapacityError, warm
from warmcache.testing import assert_consistent


def loader(**options: Any) -> Any:
    @warm(**{"policy": "lru", "maxsize": 1, "wait": CAP, **options})
    def load(name: str) -> str:
        return name

    return load


def async_loader(**options: Any) -> Any:
    @warm(**{"policy": "lru", "maxsize": 1, "wait": CAP, **options})
    async def load(name: str) -> str:
        return name

    return load


@pytest.fixture
def thread() -> Iterator[ThreadPoolExecutor]:
    """One thread, which one caller after the other finds idle, as in a web server."""
    with ThreadPoolExecutor(1) as pool:
        yield pool


# -- a lease that somebody else may end is waited for ----------------------------------


def by_hand(load: Any) -> tuple[Callable[[], Any], Callable[[], Any]]:
    lease = load.lease("a")
    return lease.__enter__, lambda: lease.__exit__(None, None, None)


def by_a_generator(load: Any) -> tuple[Callable[[], Any], Callable[[], Any]]:
    def dependency() -> Iterator[str]:
        with load.lease("a") as value:
            yield value

    generator: Any = dependency()
    return lambda: next(generator), generator.close


def by_a_context_manager(load: Any) -> tuple[Callable[[], Any], Callable[[], Any]]:
    @contextlib.contextmanager
    def dependency() -> Iterator[str]:
        with load.lease("a") as value:
            yield value

    manager = dependency()
    return manager.__enter__, lambda: manager.__exit__(None, None, None)


def by_an_exit_stack(load: Any) -> tuple[Callable[[], Any], Callable[[], Any]]:
    stack = contextlib.ExitStack()
    return lambda: stack.enter_context(load.lease("a")), stack.close


@pytest.mark.race
@pytest.mark.parametrize(
    "entered", [by_hand, by_a_generator, by_a_context_manager, by_an_exit_stack]
)
def test_a_lease_entered_in_one_thread_and_left_in_another_is_waited_for(
    thread: ThreadPoolExecutor, entered: Any
) -> None:
    load = loader()
    enter, leave = entered(load)
    assert "a" == thread.submit(enter).result(CAP)
    call = thread.submit(load, "b")  # in the very thread that entered
    waiting(load.cache, 1)
    leave()
    assert "b" == call.result(CAP)
    assert_consistent(load.cache)


@pytest.mark.race
@pytest.mark.parametrize("entered", [by_hand, by_an_exit_stack])
def test_a_lease_entered_by_the_function_that_asks_and_left_in_another_thread_is_waited_for(
    thread: ThreadPoolExecutor, entered: Any
) -> None:
    load = loader()
    enter, leave = entered(load)
    enter()

    def leave_when_awaited() -> None:
        waiting(load.cache, 1)
        leave()

    left = thread.submit(leave_when_awaited)
    assert "b" == load("b")
    left.result(CAP)


@pytest.mark.race
async def test_a_lease_entered_in_one_task_and_left_in_another_is_waited_for() -> None:
    load = async_loader()

    async def dependency() -> AsyncIterator[str]:
        async with load.lease("a") as value:
            yield value

    generator: Any = dependency()
    assert "a" == await anext(generator)

    async def leave_when_awaited() -> None:
        await until(lambda: load.cache.stats().waits)
        await generator.aclose()

    left = asyncio.create_task(leave_when_awaited())
    assert "b" == await load("b")
    await left


@pytest.mark.race
async def test_an_async_context_manager_left_in_another_task_is_waited_for() -> None:
    load = async_loader()

    @contextlib.asynccontextmanager
    async def dependency() -> AsyncIterator[str]:
        async with load.lease("a") as value:
            yield value

    stack = contextlib.AsyncExitStack()
    await stack.enter_async_context(dependency())

    async def leave_when_awaited() -> None:
        await until(lambda: load.cache.stats().waits)
        await stack.aclose()

    left = asyncio.create_task(leave_when_awaited())
    assert "b" == await load("b")
    await left


@pytest.mark.race
async def test_an_async_lease_entered_by_hand_and_left_by_another_task_is_waited_for() -> None:
    load = async_loader()
    lease = load.lease("a")
    assert "a" == await lease.__aenter__()

    async def leave_when_awaited() -> None:
        await until(lambda: load.cache.stats().waits)
        await lease.__aexit__(None, None, None)

    left = asyncio.create_task(leave_when_awaited())
    assert "b" == await load("b")
    await left


@pytest.mark.race
async def test_an_async_context_manager_entered_by_hand_by_who_asks_is_waited_for() -> None:
    load = async_loader()

    @contextlib.asynccontextmanager
    async def dependency() -> AsyncIterator[str]:
        async with load.lease("a") as value:
            yield value

    manager = dependency()
    assert "a" == await manager.__aenter__()

    async def leave_when_awaited() -> None:
        await until(lambda: load.cache.stats().waits)
        await manager.__aexit__(None, None, None)

    left = asyncio.create_task(leave_when_awaited())
    assert "b" == await load("b")
    await left


# -- an outer lease is refused at once -------------------------------------------------


@contextlib.contextmanager
def refused_at_once() -> Iterator[None]:
    with pytest.raises(CapacityError, match="only the caller itself") as caught:
        yield
    assert caught.value.own


def test_the_lease_whose_with_block_asks_is_no_reason_to_wait() -> None:
    load = loader()
    with load.lease("a"), refused_at_once():
        load("b")
    lease = load.lease("a")
    with lease, refused_at_once():
        with load.lease("b"):
            pytest.fail("there is no room")
    assert_consistent(load.cache)


def test_the_lease_of_a_function_that_waits_for_the_asking_one_is_no_reason_to_wait() -> None:
    load = loader()
    outer = warm(cache=load.cache, size=0)(lambda: load("b"))

    def use(depth: int) -> None:
        if depth:
            return use(depth - 1)
        return outer()

    with load.lease("a"):
        with refused_at_once():
            use(3)


def test_the_lease_of_a_generator_that_asks_itself_is_no_reason_to_wait() -> None:
    load = loader()

    def dependency() -> Iterator[str]:
        with load.lease("a"):
            with refused_at_once():
                load("b")
            yield "refused"

    assert ["refused"] == list(dependency())


def test_the_lease_of_a_context_manager_whose_with_block_asks_is_no_reason_to_wait() -> None:
    load = loader()

    @contextlib.contextmanager
    def inner() -> Iterator[str]:
        with load.lease("a") as value:
            yield value

    @contextlib.contextmanager
    def outer() -> Iterator[str]:
        with inner() as value:
            yield value

    with inner(), refused_at_once():
        load("b")
    with outer(), refused_at_once():
        load("b")


async def test_the_lease_of_an_async_context_manager_whose_block_asks_is_none_either() -> None:
    load = async_loader()

    @contextlib.asynccontextmanager
    async def inner() -> AsyncIterator[str]:
        async with load.lease("a") as value:
            yield value

    @contextlib.asynccontextmanager
    async def outer() -> AsyncIterator[str]:
        await asyncio.sleep(0)
        async with inner() as value:
            yield value

    async with inner():
        with refused_at_once():
            await load("b")
    await load.evict("a")  # so that it is loaded anew, and waited for, inside of the block
    async with outer():
        with refused_at_once():
            await load("b")


def test_a_lease_of_a_bare_cache_is_an_outer_one_too() -> None:
    load = loader()
    load.cache["a"] = 1
    with load.cache.lease("a"), refused_at_once():
        load.cache["b"] = 2


async def test_an_async_lease_whose_block_asks_is_no_reason_to_wait() -> None:
    load = async_loader()

    async def ask() -> None:
        await load("b")

    async with load.lease("a"):
        with refused_at_once():
            await ask()
    lease = load.lease("a")
    async with lease:
        with refused_at_once():
            async with load.lease("b"):
                pytest.fail("there is no room")


async def test_the_lease_of_who_asks_for_a_load_that_asks_is_no_reason_to_wait() -> None:
    load = async_loader()

    @warm
    async def outer() -> str:
        return str(await load("b"))

    async with load.lease("a"):
        with refused_at_once():
            await outer()


async def test_a_plain_lease_across_an_await_is_an_outer_one() -> None:
    load = loader()

    @warm(cache=load.cache)
    async def other(name: str) -> str:
        return name

    with load.lease("a"), refused_at_once():
        await other("b")


@pytest.mark.parametrize("plain", [False, True])
async def test_the_leases_of_all_tasks_are_outer_ones_of_who_blocks_their_loop(plain: bool) -> None:
    load = loader()
    other = warm(cache=load.cache)(async_loader().__wrapped__)
    entered, leave = asyncio.Event(), asyncio.Event()

    async def hold() -> None:
        if plain:
            with load.lease("a"):
                entered.set()
                await leave.wait()
        else:
            async with other.lease("a"):
                entered.set()
                await leave.wait()

    task = asyncio.create_task(hold())
    await entered.wait()
    with refused_at_once():
        load("b")
    leave.set()
    await task


def test_a_lease_of_another_thread_is_waited_for() -> None:
    load = loader(wait=0)
    entered, leave = threading.Event(), threading.Event()

    def hold() -> None:
        with load.lease("a"):
            entered.set()
            assert leave.wait(CAP)

    holder = threading.Thread(target=hold)
    holder.start()
    try:
        assert entered.wait(CAP)
        with pytest.raises(CapacityError) as caught:
            load("b")
        assert not caught.value.own
    finally:
        leave.set()
        holder.join(CAP)
