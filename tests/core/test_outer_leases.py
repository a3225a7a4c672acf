"""Who is inside of a lease neither waits for it nor loses it; who is not, waits for its end."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from gated import until
from gates import CAP, waiting

from warmcache import CapacityError, TTLCache, warm
from warmcache.testing import ManualClock, assert_consistent


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


# -- a time that ends inside of a lease ------------------------------------------------


class Timed:
    """A loader of objects that live ten seconds, in a cache with room for one."""

    def __init__(self, **options: Any) -> None:
        self.clock = ManualClock()
        self.torn_down: list[Any] = []
        self.options = {
            **dict(policy="ttl", maxsize=1, ttl=10, timer=self.clock, wait=0.01),
            **dict(teardown=self.torn_down.append),
            **options,
        }
        self.load: Any = warm(**self.options)(self.make)

    def make(self, name: str) -> object:
        return object()


def test_who_is_inside_of_a_lease_whose_time_has_ended_gets_that_value() -> None:
    case = Timed()
    with case.load.lease("a") as value:
        case.clock.advance(11)
        assert case.load("a") is value
        with case.load.lease("a") as again, case.load.lease("a") as once_more:
            assert value is again is once_more
        assert [] == case.torn_down, "it is held by the outer lease"
    assert [value] == case.torn_down
    assert case.load("a") is not value
    assert_consistent(case.load.cache)


def test_it_gets_that_value_though_there_were_room_and_though_others_have_another() -> None:
    case = Timed(maxsize=2)
    with case.load.lease("a") as value:
        case.clock.advance(11)
        with ThreadPoolExecutor(1) as pool:
            other = pool.submit(case.load, "a").result(CAP)
        assert other is not value, "who is outside has none whose time has ended"
        assert case.load("a") is other, "what is live is for all"
        case.clock.advance(11)
        assert case.load("a") is value


def test_another_key_is_not_what_it_is_inside_of() -> None:
    case = Timed(maxsize=2)
    with case.load.lease("a") as value:
        case.clock.advance(11)
        assert case.load("b") is not value


def test_a_value_that_is_no_longer_valid_is_not_got_again() -> None:
    case = Timed(maxsize=2, validate=lambda value: value in good)
    good: list[Any] = []
    with case.load.lease("a") as value:
        good.append(value)
        case.clock.advance(11)
        assert case.load("a") is value
        good.clear()
        assert case.load("a") is not value


def test_who_removed_it_inside_of_its_lease_loads_it_anew() -> None:
    case = Timed(maxsize=2)
    with case.load.lease("a") as value:
        case.load.evict("a")
        assert case.load("a") is not value


def test_a_lease_of_a_bare_cache_can_be_nested_when_its_time_has_ended() -> None:
    clock = ManualClock()
    cache: TTLCache[str, object] = TTLCache(1, ttl=10, timer=clock)
    cache["a"] = value = object()
    with cache.lease("a"):
        clock.advance(11)
        with cache.lease("a") as again:
            assert again is value
    with pytest.raises(KeyError):
        with cache.lease("a"):
            pytest.fail("its time has ended")


@pytest.mark.parametrize("nested", ["call", "lease", "a load inside of a load"])
async def test_an_async_lease_can_be_nested_when_its_time_has_ended(nested: str) -> None:
    case = Timed()

    async def make(name: str) -> object:
        return object()

    load = warm(**case.options)(make)

    @warm
    async def outer() -> object:
        return await load("a")

    async with load.lease("a") as value:
        case.clock.advance(11)
        if nested == "call":
            assert await functools.partial(load, "a")() is value
        elif nested == "lease":
            async with load.lease("a") as again:
                assert again is value
        else:
            assert await outer() is value
    assert [value] == case.torn_down
