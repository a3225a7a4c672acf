"""What is handed in through the mapping is owned once, and torn down once."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future
from functools import partial
from typing import Any

import pytest
from gates import Gate, waiting

import warmcache
from warmcache import CapacityError, ClosedError, LRUCache, TLRUCache, TTLCache, warm
from warmcache._core.state.entry import State
from warmcache._loaders.calls import Caller
from warmcache.testing import ManualClock, assert_consistent

CAP = 5.0


class Value:
    """Something that says how often it was torn down."""

    def __init__(self) -> None:
        self.torn_down = 0

    def close(self) -> None:
        self.torn_down += 1


# -- under a loader's key -----------------------------------------------------------------


def swapped(load: Any) -> Value:
    """Put another value in the place of what is warm of ``load("a")``; return it."""
    load("a")
    new = Value()
    load.cache[load.cache_key("a")] = new
    assert load("a") is new
    return new


@pytest.mark.parametrize(
    "leave",
    [
        lambda load: load.cache_clear(),
        lambda load: load.evict("a"),
        lambda load: load("b"),
        lambda load: swapped(load),
        lambda load: load.cache.evict(),
        lambda load: load.cache.close(),
    ],
)
def test_a_value_put_in_anothers_place_leaves_by_the_loaders_teardown(leave: Any) -> None:
    @warm(policy="lru", maxsize=1, teardown="close")
    def load(name: str) -> Value:
        return Value()

    new = swapped(load)
    leave(load)
    assert 1 == new.torn_down


def test_it_does_so_where_nothing_was_loaded_before() -> None:
    torn_down: list[str] = []

    @warm(policy="lru", maxsize=2, teardown=torn_down.append)
    def load(name: str) -> str:
        raise AssertionError("it is warm")

    load.cache[load.cache_key("a")] = "new"
    assert ("new", "new") == (load("a"), load("a"))
    load.cache_clear()
    assert ["new"] == torn_down


def test_it_counts_as_its_loaders_and_is_found_by_its_hit_path(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    @warm(policy="lru", maxsize=100, size=30, tags=["models"])
    def load(name: str) -> Value:
        return Value()

    new = swapped(load)
    assert 30 == load.cache_info().currsize == load.cache.currsize
    (info,) = load.cache.entries()
    assert frozenset(["models"]) == info.tags
    monkeypatch.setattr(Caller, "slow_call", None)
    assert load("a") is new


def test_a_weight_that_the_loader_asks_for_is_asked_of_it_too() -> None:
    @warm(policy="lru", maxsize=100, size=len)
    def load(name: str) -> str:
        return name

    load.cache.setdefault(load.cache_key("a"), "four")
    assert 4 == load.cache_info().currsize


def test_of_a_method_it_is_that_instances() -> None:
    class Models:
        @warm(policy="lru", maxsize=2, teardown="close")
        def load(self, name: str) -> Value:
            return Value()

    models, other = Models(), Models()
    new = swapped(models.load)
    assert other.load("a") is not new
    models.load.cache_clear()
    assert 1 == new.torn_down


@pytest.mark.parametrize("teardown", [None, "close"], ids=["at once", "by a plan"])
def test_an_entry_that_was_evicted_is_gone(teardown: str | None) -> None:
    cache = LRUCache[str, Value](1, teardown=teardown)
    cache["a"] = Value()
    entry = cache._store.live["a"]
    cache["b"] = Value()
    assert entry.state is State.GONE
    assert not hasattr(entry, "value")


# -- the very object that has an entry already ---------------------------------------------


@pytest.mark.parametrize("end", ["evict", "close"])
def test_a_leased_value_that_was_evicted_and_is_stored_again_is_torn_down_once(end: str) -> None:
    cache, value = LRUCache[str, Value](2, teardown="close"), Value()
    cache["k"] = value
    with cache.lease("k"):
        cache.evict(key="k")
        cache["k"] = value
        assert 1 == len(cache)
        assert_consistent(cache)
    assert 0 == value.torn_down, "it is stored"
    assert cache["k"] is value
    cache.evict(key="k") if end == "evict" else cache.close()
    assert 1 == value.torn_down


def test_it_takes_the_place_of_what_was_stored_meanwhile() -> None:
    cache, value, between = LRUCache[str, Value](3, teardown="close"), Value(), Value()
    cache["k"] = value
    with cache.lease("k"):
        cache["k"] = between
        cache["k"] = value
        assert (1, 0) == (between.torn_down, value.torn_down)
    assert_consistent(cache)
    cache.clear()
    assert (1, 1) == (between.torn_down, value.torn_down)


@pytest.mark.race
def test_an_eviction_by_another_thread_between_two_stores_tears_nothing_down_twice(
    start: Callable[..., Future[Any]],
) -> None:
    cache, value = LRUCache[str, Value](2, teardown="close"), Value()
    cache["k"] = value
    with cache.lease("k") as held:
        start(cache.evict, key="k").result(CAP)
        cache["k"] = held
    start(cache.evict, key="k").result(CAP)
    assert 1 == value.torn_down
    assert_consistent(cache)


@pytest.mark.parametrize("store", [LRUCache.__setitem__, LRUCache.setdefault])
def test_a_leased_value_is_not_stored_again_where_the_cache_is_closed(store: Any) -> None:
    cache, value = LRUCache[str, Value](2, teardown="close"), Value()
    cache["k"] = value
    with cache.lease("k"):
        cache.close()
        with pytest.raises(ClosedError):
            store(cache, "k", value)
        assert 0 == len(cache)
    assert 1 == value.torn_down
    assert_consistent(cache)


class Interleaved:
    """A cache's lock after whose n-th release, as others see it, another has its turn."""

    def __init__(self, cache: Any, release: int, turn: Callable[[], object]) -> None:
        self._lock, self._turn = cache._store.lock, turn
        self._depth, self.left = 0, release
        cache._store.lock = self

    def __enter__(self) -> None:
        self._lock.acquire()
        self._depth += 1

    def __exit__(self, *exc: object) -> None:
        self._depth -= 1
        self._lock.release()
        if not self._depth:
            self.left -= 1
            if not self.left:
                self._turn()


@pytest.mark.race
def test_a_warm_value_that_leaves_as_it_is_stored_again_is_torn_down_and_stored_anew(
    start: Callable[..., Future[Any]],
) -> None:
    def evict(cache: Any) -> None:
        start(cache.evict, key="k").result(CAP)

    stored_anew = []
    for release in range(1, 9):
        cache, value = LRUCache[str, Value](2, teardown="close"), Value()
        cache["k"] = value
        lock = Interleaved(cache, release, partial(evict, cache))
        cache["k"] = value
        if lock.left > 0:  # it was stored by then, and nobody came
            lock.left = 0
            break
        assert 1 == value.torn_down
        stored_anew.append("k" in cache)
        assert_consistent(cache)
    # At first who comes is before the store, and last after it: then it was evicted for good.
    assert [True, True] == stored_anew[:2] and not stored_anew[-1]


@pytest.mark.race
def test_who_waits_to_store_a_default_gets_what_was_stored_meanwhile_and_reserves_nothing(
    start: Callable[..., Future[Any]],
) -> None:
    gate = Gate()
    cache = LRUCache[str, str](2, teardown=lambda value: gate.wait() if value == "victim" else None)
    cache["a"], cache["b"] = "victim", "other"
    late = start(cache.setdefault, "k", "late")  # which evicts "a"
    gate.until_reached()
    del cache["b"]
    cache["k"] = "early"
    gate.open()
    assert "early" == late.result(CAP) == cache["k"]
    assert 0 == cache.stats().loading
    assert_consistent(cache)


# -- what had ended before it was stored ---------------------------------------------------


@pytest.mark.parametrize("door", ["store", "setdefault"])
def test_a_value_whose_time_has_passed_is_torn_down_and_told(door: str) -> None:
    told: list[Any] = []
    cache = TLRUCache[str, Value](
        2, lambda key, value, now: now - 1, ManualClock(), teardown="close", on_removal=told.append
    )
    value = Value()
    if door == "store":
        cache["k"] = value
    else:
        assert cache.setdefault("k", value) is value
    assert (1, 0) == (value.torn_down, len(cache))
    assert [("k", warmcache.RemovalCause.EXPIRED)] == [(each.key, each.cause) for each in told]
    assert_consistent(cache)


def test_a_value_whose_time_has_passed_is_not_torn_down_where_the_cache_is_closed() -> None:
    cache = TLRUCache[str, Value](
        2, lambda key, value, now: now - 1, ManualClock(), teardown="close"
    )
    value = Value()
    cache.close()
    with pytest.raises(ClosedError):
        cache["k"] = value
    assert 0 == value.torn_down, "it is the caller's"


def test_a_warm_value_that_is_stored_again_with_its_time_passed_is_torn_down_once() -> None:
    lives = [10, -1]
    cache = TLRUCache[str, Value](
        2, lambda key, value, now: now + lives.pop(0), ManualClock(), teardown="close"
    )
    value = Value()
    cache["k"] = value
    cache["k"] = value
    assert (1, 0) == (value.torn_down, len(cache))


def test_a_warm_value_that_there_is_no_room_to_store_again_ends_as_before() -> None:
    clock, weights, torn_down = ManualClock(), {"a": 1, "b": 9}, list[str]()
    cache = TTLCache[str, str](
        10, 10, clock, weights.__getitem__, teardown=torn_down.append, wait=0
    )
    cache["a"], cache["b"] = "a", "b"
    clock.advance(5)
    weights["a"] = 5
    with cache.lease("b"), pytest.raises(CapacityError):
        cache["a"] = "a"
    assert 1 == cache.entries()[0].uses
    clock.advance(5)
    cache.expire()
    assert ["a", "b"] == torn_down
    assert_consistent(cache)


def test_who_could_not_store_it_heavier_takes_back_nothing_that_was_stored_since(
    start: Callable[..., Future[Any]],
) -> None:
    clock, torn_down, weights = ManualClock(), list[str](), {"a": 1, "b": 9}
    cache = TTLCache(10, 10, clock, weights.__getitem__, teardown=torn_down.append, wait=0.5)
    cache["a"], cache["b"] = "a", "b"
    clock.advance(5)
    with cache.lease("b"):
        weights["a"] = 5
        heavier = start(cache.__setitem__, "a", "a")
        waiting(cache, 1)
        weights["a"] = 1
        clock.advance(2)
        cache["a"] = "a"  # which is to end at 17
        with pytest.raises(CapacityError):
            heavier.result(CAP)
    clock.advance(4)
    cache.expire()
    assert ["b"] == torn_down
    assert_consistent(cache)


def test_removals_are_counted_in_the_order_of_their_causes() -> None:
    cache: LRUCache[str, object] = LRUCache(1, teardown=lambda value: None)
    cache["a"] = object()
    cache["a"] = object()
    del cache["a"]
    cache["b"], cache["c"] = object(), object()
    assert ["size", "explicit", "replaced"] == [*cache.stats().removals]
