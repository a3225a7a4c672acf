"""Races, forced by events: block one thread where it hurts, start the other, look."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import pytest

import warmcache
from warmcache import CapacityError, LoadCycleError, RemovalCause, warm
from warmcache.testing import assert_consistent

CAP = 5.0


class Gate:
    """A place where a thread waits until it is let through; others see it arrive."""

    def __init__(self) -> None:
        self.arrived = threading.Event()
        self._open = threading.Event()

    def wait(self) -> None:
        self.arrived.set()
        assert self._open.wait(CAP), "nobody opened the gate"

    def until_reached(self) -> None:
        assert self.arrived.wait(CAP), "nobody came to the gate"

    def open(self) -> None:
        self._open.set()


@pytest.fixture
def start() -> Iterator[Callable[..., Future[Any]]]:
    with ThreadPoolExecutor(40) as pool:
        yield pool.submit


def waiting(cache: Any, count: int) -> None:
    """Return once ``count`` callers have begun to wait in ``cache``."""
    deadline = threading.Event()
    for _ in range(5_000):
        if cache.stats().waits >= count:
            return
        deadline.wait(0.001)
    raise AssertionError(f"{cache.stats().waits} of {count} callers wait")


def test_thirty_two_threads_and_one_cold_key_make_one_load(start: Any) -> None:
    gate, loads = Gate(), []

    @warm(policy="lru", maxsize=1)
    def load(name: str) -> object:
        loads.append(name)
        gate.wait()
        return object()

    calls = [start(load, "a") for _ in range(32)]
    gate.until_reached()
    waiting(load.cache, 31)
    gate.open()
    assert 1 == len({call.result(CAP) for call in calls}) == len(loads)
    assert (32, 0) == (load.cache_info().misses, load.cache_info().hits)


def test_a_failed_load_fails_every_waiter_once_and_is_not_retried_by_each(start: Any) -> None:
    gate, loads = Gate(), []

    @warm(policy="lru", maxsize=1)
    def load(name: str) -> object:
        loads.append(name)
        gate.wait()
        raise ConnectionError("down")

    calls = [start(load, "a") for _ in range(8)]
    gate.until_reached()
    waiting(load.cache, 7)
    gate.open()
    errors = [call.exception(CAP) for call in calls]
    assert ["down"] * 8 == [str(error) for error in errors]
    assert {ConnectionError} == {type(error) for error in errors}
    assert 8 == len({id(error) for error in errors}), "each has an exception of its own"
    assert 1 == len(loads)
    assert not load.contains("a")
    assert_consistent(load.cache)


def test_an_interrupted_load_is_taken_over_by_a_waiter(start: Any) -> None:
    gate, loads = Gate(), []

    @warm(policy="lru", maxsize=1)
    def load(name: str) -> str:
        loads.append(name)
        if len(loads) == 1:
            gate.wait()
            raise KeyboardInterrupt
        return name

    first = start(load, "a")
    gate.until_reached()
    second = start(load, "a")
    waiting(load.cache, 1)
    gate.open()
    assert isinstance(first.exception(CAP), KeyboardInterrupt)
    assert "a" == second.result(CAP)
    assert 2 == len(loads)


def test_room_is_free_only_once_teardown_has_returned(start: Any) -> None:
    gate, alive = Gate(), set()

    def tear_down(name: str) -> None:
        gate.wait()
        alive.discard(name)

    @warm(policy="lru", maxsize=1, teardown=tear_down)
    def load(name: str) -> str:
        assert not alive, "two objects at once"
        alive.add(name)
        return name

    load("a")
    second = start(load, "b")
    gate.until_reached()
    assert 1 == load.cache.stats().dying
    third = start(load, "c")
    waiting(load.cache, 1)
    assert {"a"} == alive
    gate.open()
    assert ("b", "c") == (second.result(CAP), third.result(CAP))
    assert 1 == len(alive)


def test_hits_do_not_wait_for_a_load_a_teardown_or_a_reclaim_of_another_key(start: Any) -> None:
    load_gate, teardown_gate, reclaim_gate = Gate(), Gate(), Gate()

    def tear_down(name: str) -> None:
        if name == "victim":
            teardown_gate.wait()

    reclaims = iter([reclaim_gate.wait])

    @warm(
        policy="lru",
        maxsize=2,
        teardown=tear_down,
        reclaim=lambda: next(reclaims, lambda: None)(),
    )
    def load(name: str) -> str:
        if name == "slow":
            load_gate.wait()
        return name

    load("victim")
    load("warm")
    slow = start(load, "slow")
    for gate in (teardown_gate, reclaim_gate, load_gate):
        gate.until_reached()
        assert "warm" == start(load, "warm").result(CAP)
        assert "warm" == start(load.cache.__getitem__, load.cache_key("warm")).result(CAP)
        with load.lease("warm") as leased:
            assert "warm" == leased
        assert not slow.done()
        gate.open()
    assert "slow" == slow.result(CAP)


def test_a_leased_entry_is_no_victim_and_the_loader_waits_for_the_lease(start: Any) -> None:
    torn_down: list[str] = []

    @warm(policy="lru", maxsize=1, teardown=torn_down.append)
    def load(name: str) -> str:
        return name

    leased, done = Gate(), threading.Event()

    def hold() -> None:
        with load.lease("a"):
            leased.wait()
            assert [] == torn_down
        done.set()

    holder = start(hold)
    leased.until_reached()
    other = start(load, "b")
    waiting(load.cache, 1)
    assert not other.done()
    leased.open()
    assert "b" == other.result(CAP)
    holder.result(CAP)
    assert ["a"] == torn_down


def test_a_retired_entry_is_not_given_to_newcomers_and_its_last_lease_tears_it_down(
    start: Any,
) -> None:
    torn_down: list[object] = []

    @warm(policy="lru", maxsize=2, teardown=torn_down.append)
    def load(name: str) -> object:
        return object()

    first, second = load.lease("a"), load.lease("a")
    old = first.__enter__()
    assert second.__enter__() is old
    load.evict("a")
    assert "retired" == load.cache.entries()[0].state
    assert start(load, "a").result(CAP) is not old
    first.__exit__(None, None, None)
    assert [] == torn_down
    start(second.__exit__, None, None, None).result(CAP)
    assert [old] == torn_down
    assert_consistent(load.cache)


def test_what_was_loaded_is_held_for_its_caller_before_anybody_else_can_evict_it(
    start: Any,
) -> None:
    """Loaded but not yet used is no window for eviction, nor is joined but not yet woken."""
    torn_down: list[str] = []
    gate = Gate()
    stolen: list[Any] = []

    class Thief(warmcache.LRUCache[Any, str]):
        def rank(self, entry: warmcache.Entry) -> int:
            return 0 if entry.key[1] == "a" else entry.used

    cache = Thief(1, teardown=torn_down.append, wait=CAP)

    @warm(cache=cache)
    def load(name: str) -> str:
        if name == "a":
            gate.wait()
        return name

    def leased() -> None:
        with load.lease("a"):
            stolen.append(list(torn_down))

    calls = [start(leased) for _ in range(6)]
    gate.until_reached()
    waiting(cache, 5)
    intruder = start(load, "b")
    waiting(cache, 6)
    gate.open()
    for call in calls:
        call.result(CAP)
    assert "b" == intruder.result(CAP)
    assert [[]] * 6 == stolen
    assert 2 == cache.stats().loads


def test_a_victim_asked_for_again_while_it_is_torn_down_is_loaded_anew(start: Any) -> None:
    gate, events = Gate(), []

    def tear_down(value: int) -> None:
        events.append(f"down {value}")
        if value == 1:
            gate.wait()
        events.append(f"gone {value}")

    numbers = iter(range(1, 9))

    @warm(policy="lru", maxsize=9, teardown=tear_down)
    def load(name: str) -> int:
        events.append("load")
        return next(numbers)

    assert 1 == load("a")
    evicting = start(load.evict, "a")
    gate.until_reached()
    again = start(load, "a")
    other = start(load, "b")
    assert 2 == other.result(CAP), "another key does not wait for that teardown"
    assert not again.done()
    gate.open()
    assert 3 == again.result(CAP)
    assert 1 == len(evicting.result(CAP))
    assert ["load", "down 1", "load", "gone 1", "load"] == events


def test_a_loader_asking_for_its_own_key_gets_an_error_not_a_hang() -> None:
    @warm(policy="lru", maxsize=4)
    def load(name: str) -> str:
        return load({"a": "b", "b": "c", "c": "a"}[name])

    with pytest.raises(LoadCycleError, match=r"load\('a'\)"):
        load("a")
    assert_consistent(load.cache)


def test_loaders_that_wait_for_each_other_across_threads_get_an_error(start: Any) -> None:
    both = threading.Barrier(2, timeout=CAP)

    @warm(policy="lru", maxsize=4)
    def left() -> str:
        both.wait()
        return right()

    @warm(policy="lru", maxsize=4)
    def right() -> str:
        both.wait()
        return left()

    calls = [start(left), start(right)]
    assert all(isinstance(call.exception(CAP), LoadCycleError) for call in calls)


def test_a_teardown_asking_for_its_own_key_gets_an_error_not_a_hang() -> None:
    errors: list[type[Exception]] = []

    def tear_down(name: str) -> None:
        try:
            load(name)
        except Exception as error:
            errors.append(type(error))

    @warm(policy="lru", maxsize=4, teardown=tear_down)
    def load(name: str) -> str:
        return name

    load("a")
    load.evict("a")
    assert [LoadCycleError] == errors


def test_nested_loads_work_when_they_fit_and_are_refused_at_once_when_they_cannot() -> None:
    for maxsize, fits in ((2, True), (1, False)):
        cache: warmcache.LRUCache[Any, str] = warmcache.LRUCache(maxsize)

        @warm(cache=cache)
        def tokenizer(name: str) -> str:
            return name

        @warm(cache=cache)
        def model(name: str) -> str:
            return tokenizer(name) + "!"

        if fits:
            assert "a!" == model("a")
            assert 2 == len(cache)
            assert "b!" == model("b")
        else:
            with pytest.raises(CapacityError, match="model.*being loaded by thread"):
                model("a")
            assert 0 == len(cache)
        assert_consistent(cache)


def test_what_can_never_fit_is_refused_before_anything_is_evicted() -> None:
    cache: warmcache.LRUCache[Any, Any] = warmcache.LRUCache(10)

    @warm(cache=cache, size=lambda value: value)
    def sized_after(weight: int) -> int:
        return weight

    @warm(cache=cache, size=11)
    def sized_before() -> int:
        raise AssertionError("loaded though it cannot fit")

    sized_after(6)
    sized_after(4)
    with pytest.raises(CapacityError) as caught:
        sized_before()
    assert (11, 10) == (caught.value.needed, caught.value.limit)
    assert 2 == len(cache)


def test_nothing_is_evicted_for_what_leases_leave_no_room_for() -> None:
    cache: warmcache.LRUCache[str, str] = warmcache.LRUCache(3, getsizeof=len, wait=0)
    cache["held"] = "hh"
    cache["idle"] = "i"
    with cache.lease("held"):
        with pytest.raises(CapacityError) as caught:
            cache["new"] = "nn"
    assert {"held", "idle"} == set(cache)
    message = str(caught.value)
    assert "'new' needs 2 of 3; 0 free" in message
    assert "'held' leased by thread 'MainThread'" in message


def test_waiting_for_another_threads_lease_ends_in_time(start: Any) -> None:
    cache: warmcache.LRUCache[str, str] = warmcache.LRUCache(1, wait=0.01)
    cache["a"] = "A"
    lease = cache.lease("a")
    start(lease.__enter__).result(CAP)
    with pytest.raises(CapacityError, match="leased by thread"):
        cache["b"] = "B"
    lease.__exit__(None, None, None)
    cache["b"] = "B"


def test_who_could_release_it_only_himself_is_told_at_once() -> None:
    @warm(policy="lru", maxsize=1, wait=10_000)
    def load(name: str) -> str:
        return name

    with load.lease("a"), pytest.raises(CapacityError, match="only the caller itself") as caught:
        load("b")
    assert caught.value.own


def test_closing_while_a_load_is_under_way_tears_down_what_it_brings(start: Any) -> None:
    gate, torn_down = Gate(), []

    @warm(policy="lru", maxsize=2, teardown=torn_down.append)
    def load(name: str) -> str:
        gate.wait()
        return name

    calls = [start(load, "a"), start(load, "a")]
    gate.until_reached()
    waiting(load.cache, 1)
    load.cache.close()
    gate.open()
    assert [warmcache.ClosedError] * 2 == [type(call.exception(CAP)) for call in calls]
    assert ["a"] == torn_down
    assert {RemovalCause.CLOSED: 1} == load.cache.stats().removals


def test_clearing_while_a_load_is_under_way_leaves_what_it_brings(start: Any) -> None:
    gate = Gate()

    @warm(policy="lru", maxsize=2)
    def load(name: str) -> str:
        gate.wait()
        return name

    call = start(load, "a")
    gate.until_reached()
    load.cache_clear()
    gate.open()
    assert "a" == call.result(CAP)
    assert load.contains("a")


def test_a_value_handed_in_while_it_is_being_loaded_is_replaced_and_torn_down(
    start: Any,
) -> None:
    gate, torn_down = Gate(), []

    @warm(policy="lru", maxsize=2, teardown=torn_down.append)
    def load(name: str) -> str:
        gate.wait()
        return "loaded"

    load.cache._source.teardown = torn_down.append
    call = start(load, "a")
    gate.until_reached()
    load.cache[load.cache_key("a")] = "handed in"
    gate.open()
    assert "loaded" == call.result(CAP) == load.peek("a")
    assert ["handed in"] == torn_down


def test_a_hit_that_comes_too_late_loads_again_instead_of_returning_a_dead_value() -> None:
    """The entry is found just before its teardown, and looked into just after."""

    @warm(policy="lru", maxsize=1)
    def load(name: str) -> str:
        return name + "!"

    load("a")
    site = load.lease.__self__._site  # type: ignore[attr-defined]
    entry = site.hot["a"]
    load.evict("a")
    site.hot["a"] = entry  # what the late hit saw
    assert "a!" == load("a")
    assert 2 == load.cache_info().misses


def test_the_garbage_collector_may_run_user_code_inside_the_lock() -> None:
    """A finalizer that asks the very cache whose lock is held gets an answer."""
    cache: warmcache.LRUCache[Any, Any] = warmcache.LRUCache(3)
    seen: list[int] = []
    with cache._store.lock:
        cache["x"] = 1
        seen.append(len(cache))
        cache.evict()
    assert [1] == seen
    assert_consistent(cache)


def test_a_storm_of_threads_leaves_a_consistent_ledger(start: Any) -> None:
    alive: dict[int, int] = {}
    guard = threading.Lock()
    cache: warmcache.LRUCache[Any, Any] = warmcache.LRUCache(7, wait=CAP)

    def down(value: tuple[int, int]) -> None:
        with guard:
            del alive[id(value)]

    def loader(weight: int) -> Any:
        @warm(cache=cache, size=weight, teardown=down)
        def load(n: int) -> tuple[int, int]:
            value = (weight, n)
            with guard:
                alive[id(value)] = weight
                assert sum(alive.values()) <= 7, "more alive than the limit"
            return value

        return load

    loaders = [loader(weight) for weight in (1, 2, 3)]

    def work(seed: int) -> None:
        for n in range(150):
            load = loaders[(seed + n) % 3]
            match (seed * 7 + n) % 5:
                case 0:
                    load.evict(n % 4)
                case 1 | 2:
                    with load.lease(n % 4) as value:
                        assert id(value) in alive
                case _:
                    load((n * seed) % 4)

    for call in [start(work, seed) for seed in range(8)]:
        call.result(60)
    assert_consistent(cache)
    cache.close()
    assert {} == alive


def test_a_size_that_asks_for_what_is_being_weighed_gets_an_error_not_a_hang() -> None:
    torn_down: list[str] = []

    def weigh(value: str) -> int:
        return len(load("a"))

    @warm(policy="lru", maxsize=9, size=weigh, teardown=torn_down.append)
    def load(name: str) -> str:
        return name

    with pytest.raises(LoadCycleError):
        load("a")
    assert ["a"] == torn_down
    assert_consistent(load.cache)


# -- a load that would wait for itself -------------------------------------------------


@pytest.mark.parametrize("maxsize", [1, "1kB"])
def test_a_victims_teardown_that_asks_for_what_it_makes_room_for_is_refused(maxsize: Any) -> None:
    refused: list[str] = []

    def teardown(value: str) -> None:
        with pytest.raises(LoadCycleError):
            load("b")
        refused.append(value)

    @warm(policy="lru", maxsize=maxsize, size=1 if maxsize == 1 else 600, teardown=teardown)
    def load(name: str) -> str:
        return name

    load("a")
    assert "b" == load("b") and ["a"] == refused
    load.cache.detach(load.cache_key("b"))


def test_the_teardown_of_what_could_not_be_weighed_cannot_ask_for_it_again() -> None:
    refused: list[str] = []

    def teardown(value: str) -> None:
        with pytest.raises(LoadCycleError):
            load("a")
        refused.append(value)

    @warm(policy="lru", maxsize="1kB", size=lambda value: 1 / 0, teardown=teardown)
    def load(name: str) -> str:
        return name

    with pytest.raises(ZeroDivisionError):
        load("a")
    assert ["a"] == refused


async def test_an_async_victims_teardown_that_asks_for_what_it_makes_room_for_is_refused() -> None:
    refused: list[str] = []

    async def teardown(value: str) -> None:
        with pytest.raises(LoadCycleError):
            await load("b")
        refused.append(value)

    @warm(policy="lru", maxsize=1, teardown=teardown)
    async def load(name: str) -> str:
        return name

    await load("a")
    async with asyncio.timeout(CAP):
        assert "b" == await load("b")
    assert ["a"] == refused
    load.cache.detach(load.cache_key("b"))
