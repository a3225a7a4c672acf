"""There is room once teardowns and leases have ended: who needs it waits, or is refused."""

from __future__ import annotations

import threading
from typing import Any

import pytest
from gates import CAP, Gate, waiting

import warmcache
from warmcache import CapacityError, warm
from warmcache.testing import assert_consistent


@pytest.mark.race
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


@pytest.mark.race
def test_room_that_a_victim_makes_for_one_is_not_waited_for_by_another(start: Any) -> None:
    gate, torn_down = Gate(), []

    def tear_down(name: str) -> None:
        if name == "a":
            gate.wait()
        torn_down.append(name)

    @warm(policy="lru", maxsize=3, teardown=tear_down)
    def load(name: str) -> str:
        return name

    load("a"), load("b"), load("c")
    first = start(load, "d")  # which evicts "a"
    gate.until_reached()
    assert "e" == start(load, "e").result(CAP)  # which needs room of its own
    assert ["b"] == torn_down
    gate.open()
    assert "d" == first.result(CAP)
    assert {"c", "d", "e"} == {info.key[1] for info in load.cache.entries()}
    assert_consistent(load.cache)


@pytest.mark.race
def test_room_that_a_teardown_makes_is_waited_for_whatever_the_patience(start: Any) -> None:
    gate = Gate()

    @warm(policy="lru", maxsize=1, wait=0, teardown=lambda name: gate.wait())
    def load(name: str) -> str:
        return name

    load("a")
    eviction = start(load.evict, "a")
    gate.until_reached()
    other = start(load, "b")
    waiting(load.cache, 1)
    gate.open()
    assert "b" == other.result(CAP)
    eviction.result(CAP)


@pytest.mark.race
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


@pytest.mark.race
def test_two_teardowns_of_one_key_are_charged_each_until_it_has_ended(start: Any) -> None:
    gate = Gate()
    cache: warmcache.LRUCache[str, str] = warmcache.LRUCache(
        3, teardown=lambda value: gate.wait() if value == "first" else None
    )
    cache["k"] = "first"
    first = start(cache.evict, key="k")
    gate.until_reached()
    cache["k"] = "second"
    cache.evict(key="k")
    assert ["dying"] == [info.state for info in cache.entries()]
    assert 1 == cache.stats().dying
    assert_consistent(cache)
    gate.open()
    first.result(CAP)
    assert [] == cache.entries()


@pytest.mark.race
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


@pytest.mark.race
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


@pytest.mark.race
def test_waiting_for_another_threads_lease_ends_in_time(start: Any) -> None:
    cache: warmcache.LRUCache[str, str] = warmcache.LRUCache(1, wait=0.01)
    cache["a"] = "A"
    lease = cache.lease("a")
    start(lease.__enter__).result(CAP)
    with pytest.raises(CapacityError, match="leased by thread"):
        cache["b"] = "B"
    lease.__exit__(None, None, None)
    cache["b"] = "B"


@pytest.mark.race
def test_who_has_waited_in_vain_is_woken_no_more(start: Any) -> None:
    cache: warmcache.LRUCache[str, str] = warmcache.LRUCache(1, wait=0.01)
    cache["a"] = "A"
    lease = cache.lease("a")
    start(lease.__enter__).result(CAP)
    with pytest.raises(CapacityError):
        cache["b"] = "B"
    assert {} == cache._store.ledger.waiting
    lease.__exit__(None, None, None)


def test_who_could_release_it_only_himself_is_told_at_once() -> None:
    @warm(policy="lru", maxsize=1, wait=10_000)
    def load(name: str) -> str:
        return name

    with load.lease("a"), pytest.raises(CapacityError, match="only the caller itself") as caught:
        load("b")
    assert caught.value.own


@pytest.mark.race
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
