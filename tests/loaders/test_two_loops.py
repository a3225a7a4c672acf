"""Async teardowns run on the loop that loaded, whichever loop or thread removes the value."""

from __future__ import annotations

import asyncio
import signal
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from gated import until
from gates import waiting
from loops import CAP, LoopThread

from warmcache import CapacityError, LRUCache, warm
from warmcache._core.state import standstill
from warmcache.testing import assert_consistent


@pytest.fixture
def one() -> Iterator[LoopThread]:
    with LoopThread() as thread:
        yield thread


@pytest.fixture
def other() -> Iterator[LoopThread]:
    with LoopThread() as thread:
        yield thread


class Case:
    """An async loader whose async teardown says on which loop it ran."""

    def __init__(self, *, generator: bool = False, **options: Any) -> None:
        self.ended_on: list[Any] = []
        self.may_end = threading.Event()
        self.may_end.set()
        options = {"policy": "lru", "maxsize": 1, **options}
        if generator:
            self.load: Any = warm(**options)(self.generate)
        else:
            self.load = warm(**options, teardown=self.end)(self.make)
        self.cache = self.load.cache

    async def make(self, name: str) -> str:
        return name

    async def generate(self, name: str) -> AsyncIterator[str]:
        yield name
        await self.end(name)

    async def end(self, _: str) -> None:
        while not self.may_end.is_set():  # noqa: ASYNC110
            await asyncio.sleep(0.001)
        self.ended_on.append(asyncio.get_running_loop())


def named(name: str) -> str:
    return name


async def as_coroutine(function: Callable[[], Any]) -> Any:
    return function()


both_kinds = pytest.mark.parametrize("generator", [False, True])


@both_kinds
def test_a_task_of_another_loop_has_it_torn_down_on_the_loop_that_loaded(
    one: LoopThread, other: LoopThread, generator: bool
) -> None:
    case = Case(generator=generator)
    one.run(lambda: case.load("a"))
    other.run(lambda: case.load.evict("a"))

    assert [one.loop] == case.ended_on
    assert_consistent(case.cache)


@both_kinds
def test_room_for_a_load_on_another_loop_is_made_on_the_loop_that_loaded(
    one: LoopThread, other: LoopThread, generator: bool
) -> None:
    case = Case(generator=generator)
    one.run(lambda: case.load("a"))
    assert "b" == other.run(lambda: case.load("b"))
    assert [one.loop] == case.ended_on


@both_kinds
def test_a_lease_that_ends_on_another_loop_tears_down_on_the_loop_that_loaded(
    one: LoopThread, other: LoopThread, generator: bool
) -> None:
    case = Case(generator=generator)
    one.run(lambda: case.load("a"))

    async def hold() -> None:
        async with case.load.lease("a"):
            await case.load.evict("a")
            assert [] == case.ended_on

    other.run(hold)
    assert [one.loop] == case.ended_on


@pytest.mark.race
@both_kinds
def test_a_synchronous_removal_on_another_loops_thread_starts_it_and_does_not_wait(
    one: LoopThread, other: LoopThread, generator: bool
) -> None:
    case = Case(generator=generator)
    one.run(lambda: case.load("a"))
    case.may_end.clear()
    other.call(case.cache.clear)

    assert ["dying"] == [entry.state for entry in case.cache.entries()]
    assert 1 == case.cache.stats().dying, "it stays charged until it is torn down"
    case.may_end.set()
    assert "b" == other.run(lambda: case.load("b"))
    assert [one.loop] == case.ended_on


@pytest.mark.race
@both_kinds
def test_two_loops_that_remove_each_others_at_the_same_time_both_go_on(
    one: LoopThread, other: LoopThread, generator: bool
) -> None:
    ones, others = Case(generator=generator), Case(generator=generator)
    one.run(lambda: ones.load("a"))
    other.run(lambda: others.load("a"))
    both = threading.Barrier(2, timeout=CAP)

    async def remove(case: Case) -> None:
        both.wait()
        case.cache.clear()

    calls = [one.begin(lambda: remove(others)), other.begin(lambda: remove(ones))]
    for call in calls:
        call.result(CAP)
    one.run(lambda: ones.load("b"))
    other.run(lambda: others.load("b"))
    assert ([one.loop], [other.loop]) == (ones.ended_on, others.ended_on)


@pytest.mark.race
def test_of_two_loops_that_need_each_others_room_synchronously_one_is_refused(
    one: LoopThread, other: LoopThread
) -> None:
    ones, others = Case(), Case()
    one.run(lambda: ones.load("a"))
    other.run(lambda: others.load("a"))
    both = threading.Barrier(2, timeout=CAP)

    async def need(cache: Any) -> str:
        both.wait()
        try:
            return warm(cache=cache)(named)("b")
        except CapacityError as error:
            return "refused" if error.own else "late"

    calls = [one.begin(lambda: need(others.cache)), other.begin(lambda: need(ones.cache))]
    answers = {call.result(CAP) for call in calls}
    assert "refused" in answers, "else each would wait for ever for the loop of the other"
    assert {} == standstill._behind, "neither stands still any more"
    one.run(lambda: until(lambda: ones.ended_on and others.ended_on))
    assert ([one.loop], [other.loop]) == (ones.ended_on, others.ended_on)


@pytest.mark.race
def test_a_synchronous_load_waits_for_a_teardown_on_a_loop_that_goes_on(
    one: LoopThread, other: LoopThread
) -> None:
    case = Case()
    one.run(lambda: case.load("a"))
    plain = warm(cache=case.cache)(named)
    assert "b" == other.call(lambda: plain("b"))
    assert [one.loop] == case.ended_on


@pytest.mark.race
def test_a_loop_that_joins_a_load_that_needs_it_is_refused_and_goes_on(one: LoopThread) -> None:
    case = Case()
    one.run(lambda: case.load("a"))
    plain = warm(cache=case.cache)(named)
    joining = threading.Event()

    def join() -> None:
        joining.set()
        while not case.cache.stats().dying:  # the other's load has begun to evict
            pass
        with pytest.raises(CapacityError) as refused:
            plain("b")
        assert refused.value.own

    with ThreadPoolExecutor(1) as pool:
        joined = one.begin(lambda: as_coroutine(join))
        assert joining.wait(CAP)  # from now on its loop stands still
        load = pool.submit(plain, "b")
        joined.result(CAP)
        # Of two that see it at the same moment both are refused.
        assert load.exception(CAP) is None or isinstance(load.exception(), CapacityError)
    one.run(lambda: until(lambda: case.ended_on))
    assert [one.loop] == case.ended_on and {} == standstill._behind


@pytest.mark.race
def test_a_loop_that_does_not_go_on_is_waited_for_as_long_as_a_lease(
    one: LoopThread, other: LoopThread
) -> None:
    case = Case(wait=0.05)
    one.run(lambda: case.load("a"))
    go_on = threading.Event()
    blocked = one.begin(lambda: as_coroutine(lambda: go_on.wait(CAP)))
    plain = warm(cache=case.cache)(named)
    try:
        for _ in range(2):  # the second time it has been evicted already
            with pytest.raises(CapacityError) as refused:
                other.call(lambda: plain("b"))
            assert not refused.value.own
    finally:
        go_on.set()
    assert blocked.result(CAP) and "b" == other.run(lambda: case.load("b"))
    assert [one.loop] == case.ended_on and {} == standstill._behind


@pytest.mark.parametrize("key", ["a", "b"])
async def test_a_synchronous_load_that_needs_a_teardown_on_its_own_loop_is_refused(
    key: str,
) -> None:
    ended: list[str] = []

    async def end(value: str) -> None:
        ended.append(value)

    @warm(policy="lru", maxsize=1, teardown=end)
    def load(name: str) -> str:
        return name

    load("a")
    load.cache.clear()  # which only starts its teardown
    with pytest.raises(CapacityError) as refused:
        load(key)
    assert refused.value.own
    await until(lambda: ended)
    assert key == load(key)
    assert_consistent(load.cache)


@pytest.mark.race
async def test_what_an_async_teardown_needs_itself_is_counted_once() -> None:
    entered, leave = threading.Event(), threading.Event()
    cache: Any = LRUCache(3, wait=CAP)
    plain = warm(cache=cache)(named)
    sized = warm(cache=cache, size=2)(named)
    got: list[str] = []

    def hold() -> None:
        with plain.lease("held"):
            entered.set()
            assert leave.wait(CAP)

    async def teardown(_: str) -> None:
        threading.Thread(target=lambda: (waiting(cache, 1), leave.set())).start()
        got.append(sized("two"))  # which has room once the other thread's lease has ended

    holder = threading.Thread(target=hold)
    holder.start()
    assert entered.wait(CAP)
    load = warm(cache=cache, teardown=teardown)(Case().make)
    await load("a")
    await load.evict("a")
    holder.join(CAP)
    assert ["two"] == got


def test_what_a_loop_that_has_ended_loaded_is_torn_down_by_the_task_that_removes_it(
    other: LoopThread,
) -> None:
    case = Case()
    asyncio.run(case.load("a"))
    other.run(lambda: case.load.evict("a"))
    assert [other.loop] == case.ended_on


@pytest.mark.race
def test_a_task_that_is_cancelled_while_another_loop_tears_down_leaves_it_to_that(
    one: LoopThread, other: LoopThread
) -> None:
    case = Case()
    one.run(lambda: case.load("a"))
    case.may_end.clear()

    async def give_up() -> None:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.01):
                await case.load.evict("a")

    other.run(give_up)
    assert 1 == case.cache.stats().dying
    case.may_end.set()
    other.run(lambda: until(lambda: case.ended_on))
    assert [one.loop] == case.ended_on


# -- what must reach the caller ----------------------------------------------------


class Stop(BaseException):
    """As a KeyboardInterrupt, which asyncio and pytest would take for one of theirs."""


async def interrupted(_: str) -> None:
    raise Stop


def test_an_interrupt_of_an_async_teardown_reaches_who_removes() -> None:
    cache: Any = LRUCache(2, teardown=interrupted)
    cache["a"], cache["b"] = "a", "b"
    with pytest.raises(Stop):
        cache.clear()
    assert [] == cache.entries(), "all of them have run"


def test_an_interrupt_of_a_teardown_on_a_loop_reaches_the_thread_that_removes(
    one: LoopThread,
) -> None:
    load: Any = warm(teardown=interrupted)(Case().make)
    one.run(lambda: load("a"))
    with pytest.raises(Stop):
        load.cache.clear()
    assert [] == load.cache.entries()


def test_an_interrupt_of_a_teardown_on_another_loop_reaches_the_task_that_removes(
    one: LoopThread, other: LoopThread
) -> None:
    load: Any = warm(teardown=interrupted)(Case().make)
    one.run(lambda: load("a"))

    async def remove() -> None:
        with pytest.raises(Stop):
            await load.evict("a")

    other.run(remove)


@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit])
def test_an_interrupt_of_what_was_only_started_reaches_who_runs_the_loop(
    error: type[BaseException],
) -> None:
    async def teardown(_: str) -> None:
        raise error

    load: Any = warm(teardown=teardown)(Case().make)

    async def remove() -> None:
        await load("a")
        load.cache.clear()
        await asyncio.sleep(CAP)

    with pytest.raises(error):
        asyncio.run(remove())
    assert [] == load.cache.entries()


def test_a_ctrl_c_in_an_async_teardown_reaches_who_removes_synchronously() -> None:
    async def teardown(_: str) -> None:
        signal.raise_signal(signal.SIGINT)
        await asyncio.sleep(CAP)

    cache: Any = LRUCache(2, teardown=teardown)
    cache["a"] = "a"
    with pytest.raises(KeyboardInterrupt):
        cache.clear()
    assert [] == cache.entries()


async def test_a_teardown_cancelled_by_nobody_is_one_that_failed(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def teardown(_: str) -> None:
        raise asyncio.CancelledError

    load: Any = warm(policy="lru", maxsize=1, teardown=teardown)(Case().make)
    await load("a")
    assert "b" == await load("b")
    assert 1 == load.cache.stats().teardown_failures
    assert "nobody had asked for that" in caplog.text
    load.cache.detach(load.cache_key("b"))
