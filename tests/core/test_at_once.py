"""What waits for nobody is done at once: without a plan, and as right as by one."""

from __future__ import annotations

import asyncio
import contextlib
import weakref
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any

import pytest
from by_plan import by_plan
from gates import CAP, Gate, waiting

import warmcache
from warmcache import warm
from warmcache._core.drivers import at_once
from warmcache._core.plans.steps import Request
from warmcache._loaders import calls
from warmcache.caches import cache
from warmcache.testing import ManualClock, assert_consistent

Start = Callable[..., Future[Any]]


@pytest.fixture
def no_plan(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*args: Any) -> None:
        raise AssertionError("this takes a plan")

    for module in (calls, cache, at_once):
        monkeypatch.setattr(module, "run", refuse)


@pytest.mark.usefixtures("no_plan")
@pytest.mark.parametrize("options", [{}, {"teardown": lambda value: None}])
def test_what_waits_for_nobody_takes_no_plan(options: dict[str, Any]) -> None:
    warm_cache: Any = warmcache.LRUCache(2, **options)

    @warm(cache=warm_cache)
    def load(name: str) -> str:
        return inner(name) if len(name) < 2 else name

    @warm(cache=warm_cache)
    def inner(name: str) -> str:
        return name * 2

    assert ["aa", "bb", "aa"] == [load(name) for name in "aba"]
    with load.lease("cc") as value:
        assert "cc" == value
    warm_cache["d"] = "handed in"
    warm_cache["d"] = "over it"
    warm_cache["e"] = "beside it"
    assert ["d", "e"] == list(warm_cache)
    assert_consistent(warm_cache)


@pytest.mark.race
def test_who_joins_a_load_that_takes_no_plan_holds_its_value(start: Start) -> None:
    gate, torn_down = Gate(), []

    @warm(policy="lru", maxsize=1, teardown=torn_down.append)
    def load(name: str) -> str:
        gate.wait()
        return name

    def hold(lease: Any, inside: Gate) -> None:
        with lease as value:
            inside.wait()
            assert "a" == value and not torn_down

    first, inside = start(load, "a"), Gate()
    gate.until_reached()
    second = start(hold, load.lease("a"), inside)
    waiting(load.cache, 1)
    gate.open()
    inside.until_reached()
    assert "a" == first.result(CAP)
    assert load.evict("a") and not torn_down
    inside.open()
    second.result(CAP)
    assert ["a"] == torn_down
    assert_consistent(load.cache)


class Newest(warmcache.Cache[Any, Any]):
    """Gives up what was stored last: stored anew, its rank falls."""

    def rank(self, entry: Any) -> int:
        return -int(entry.loaded)


@pytest.mark.parametrize(
    ("kind", "gone"),
    [
        (warmcache.LRUCache, "b"),
        (warmcache.LFUCache, "b"),
        (warmcache.FIFOCache, "b"),
        (warmcache.Cache, "b"),
        (Newest, "a"),
    ],
)
def test_what_is_stored_anew_goes_when_a_new_entry_would(kind: type[Any], gone: str) -> None:
    warm_cache = kind(2)
    warm_cache["a"] = warm_cache["b"] = 1
    victim, _ = warm_cache.popitem()  # so that ranks were recorded
    warm_cache[victim] = 1
    warm_cache["a"] = 2
    assert {"a": 2, "b": 1} == dict(warm_cache)
    assert gone == warm_cache.popitem()[0]
    assert_consistent(warm_cache)


def test_a_value_that_another_takes_the_place_of_is_dropped_counted_and_told_of_uses() -> None:
    class Value:
        pass

    warm_cache: Any = warmcache.LRUCache(2)
    values = [Value(), Value()]
    dropped = [weakref.ref(value) for value in values]
    warm_cache["a"] = values[0]
    assert warm_cache["a"] is values[0]
    warm_cache["a"] = values[1]
    values.clear()
    assert [True, False] == [ref() is None for ref in dropped]
    [info] = warm_cache.entries()
    stats = warm_cache.stats()
    assert (3, 1, 1) == (info.uses, stats.hits, stats.removals[warmcache.RemovalCause.REPLACED])
    del warm_cache["a"]
    assert dropped[1]() is None


def test_what_is_stored_where_a_loader_tears_down_evicts_by_its_teardown() -> None:
    torn_down: list[Any] = []
    warm_cache: Any = warmcache.LRUCache(2)
    warm_cache["a"] = 1
    warm(cache=warm_cache, teardown=torn_down.append)(lambda name: name)("loaded")
    warm_cache["b"] = 2
    warm_cache["c"] = 3
    assert ["loaded"] == torn_down and {"b": 2, "c": 3} == dict(warm_cache)
    assert_consistent(warm_cache)


@pytest.mark.parametrize("store", ["a", "b"])
def test_what_is_stored_where_a_loader_has_a_ttl_ends_no_later_for_that(store: str) -> None:
    clock = ManualClock()
    warm_cache: Any = warmcache.LRUCache(2, timer=clock)
    warm_cache["a"] = 1
    load = warm(cache=warm_cache, ttl=5)(lambda name: name)
    load("loaded")
    clock.advance(6)
    warm_cache[store] = 2
    assert {"a": 1} | {store: 2} == dict(warm_cache), "what has ended goes first"
    assert_consistent(warm_cache)


@pytest.mark.parametrize("key", ["a", "b"])
def test_what_a_closed_cache_is_given_is_refused(key: str) -> None:
    warm_cache: Any = warmcache.LRUCache(2)
    warm_cache["a"] = 1
    warm_cache._store.close("it is closed")
    with pytest.raises(warmcache.ClosedError):
        warm_cache[key] = 2
    assert 1 == warm_cache._store.live["a"].value


def test_what_is_stored_drops_the_value_that_goes_once_others_may_have_the_lock(
    start: Start,
) -> None:
    class Value:
        def __del__(self) -> None:
            seen.append(start(lambda: warm_cache.pop("c", None)).result(CAP))

    seen: list[Any] = []
    warm_cache: Any = warmcache.LRUCache(2)
    warm_cache["a"] = Value()
    warm_cache["a"] = 1
    assert [None] == seen
    warm_cache["a"] = Value()
    warm_cache["b"] = 2
    warm_cache["c"] = 3  # for which "a" has to go
    assert [None, 3] == seen
    assert_consistent(warm_cache)


def test_what_left_just_before_gets_no_other_value_but_what_is_stored_an_entry() -> None:
    class Late:
        """A lock that one waits for while another thread removes what is there."""

        def __enter__(self) -> None:
            store.lock = lock
            warm_cache.pop("a")
            lock.__enter__()

        def __exit__(self, *exc: Any) -> None:
            lock.__exit__(*exc)

    warm_cache: Any = warmcache.LRUCache(2)
    warm_cache["a"] = 1
    store, lock = warm_cache._store, warm_cache._store.lock
    store.lock = Late()
    warm_cache["a"] = 2
    assert {"a": 2} == dict(warm_cache)
    assert_consistent(warm_cache)


def test_what_vanishes_is_counted_by_its_cause_and_kept_by_no_lease_that_has_ended() -> None:
    class Value:
        weight = 1

    warm_cache: Any = warmcache.LRUCache(2, lambda value: value.weight)
    warm_cache["a"] = Value()
    gone = weakref.ref(warm_cache["a"])
    lease = warm_cache.lease("a")
    with lease:
        pass
    heavier = Value()
    heavier.weight = 2
    warm_cache["b"] = Value()
    warm_cache["b"] = heavier
    assert gone() is None
    assert {"size": 1, "replaced": 1} == warm_cache.stats().removals
    assert_consistent(warm_cache)


def test_what_is_leased_keeps_its_entry_though_another_value_is_stored() -> None:
    warm_cache: Any = warmcache.LRUCache(2)
    warm_cache["a"] = 1
    with warm_cache.lease("a"):
        warm_cache["a"] = 2
        assert (1, 1) == (warm_cache.stats().retired, warm_cache.stats().live)
    assert 0 == warm_cache.stats().retired
    assert_consistent(warm_cache)


@pytest.mark.race
def test_nobody_takes_the_room_that_another_has_made(start: Start) -> None:
    gate = Gate()

    def heard(removal: warmcache.Removal) -> None:
        if "load('a')" == str(removal.key):
            gate.wait()  # it is gone, and who made room with it has not taken that yet

    @warm(policy="lru", maxsize=2, teardown=lambda value: None, on_removal=heard, wait=0.05)
    def load(name: str) -> str:
        return name * 2

    load("a")
    with load.lease("b"):
        making = start(load, "c")
        gate.until_reached()
        with pytest.raises(warmcache.CapacityError):
            load("d")
        gate.open()
        assert "cc" == making.result(CAP)
    assert_consistent(load.cache)


@pytest.mark.race
def test_what_others_have_stored_meanwhile_is_replaced_and_torn_down(start: Start) -> None:
    gate, torn_down = Gate(), []

    def tear_down(value: str) -> None:
        if "a" == value:
            gate.wait()
        torn_down.append(value)

    warm_cache: Any = warmcache.LRUCache(2, teardown=tear_down)
    warm_cache["a"], warm_cache["b"] = "a", "b"
    storing = start(warm_cache.__setitem__, "key", "late")
    gate.until_reached()
    warm_cache["key"] = "early"
    gate.open()
    storing.result(CAP)
    assert "late" == warm_cache["key"]
    assert ["b", "a", "early"] == torn_down
    assert_consistent(warm_cache)


@pytest.mark.parametrize("way", [contextlib.nullcontext, by_plan])
def test_who_hears_of_a_victim_may_load_in_the_room_that_it_made(way: Any) -> None:
    heard: list[str] = []

    def hear(removal: warmcache.Removal) -> None:
        if "load('a')" == str(removal.key):
            heard.append(load("d"))  # who has made the room waits for this

    @warm(policy="lru", maxsize=2, teardown=lambda value: None, on_removal=hear, wait=60)
    def load(name: str) -> str:
        return name * 2

    with way():
        load("a")
        with load.lease("b"):
            assert "cc" == load("c") and ["dd"] == heard
    assert_consistent(load.cache)


def test_a_store_whose_victims_teardown_closes_the_cache_is_refused_and_owed_nothing() -> None:
    warm_cache: Any = warmcache.LRUCache(1, teardown=lambda value: warm_cache.close())
    warm_cache["a"] = 1
    with pytest.raises(warmcache.ClosedError):
        warm_cache["b"] = 2
    assert 0 == warm_cache._store.ledger.owed == len(warm_cache._live)
    assert_consistent(warm_cache)


def stored(warm_cache: Any) -> None:
    warm_cache["b"] = 2


def loaded(warm_cache: Any) -> None:
    warm(cache=warm_cache)(lambda name: name)("b")


each_way = pytest.mark.parametrize("another", [stored, loaded])


@each_way
@pytest.mark.parametrize("thrown", [KeyboardInterrupt, GeneratorExit, asyncio.CancelledError])
def test_what_a_teardown_throws_is_raised_once_the_room_is_free(
    thrown: type[BaseException], another: Callable[[Any], object]
) -> None:
    def throw(value: str) -> None:
        raise thrown

    warm_cache: Any = warmcache.LRUCache(1, teardown=throw)
    warm_cache["a"] = 1
    with pytest.raises(thrown):
        another(warm_cache)
    assert not warm_cache and 0 == warm_cache._store.ledger.committed
    assert_consistent(warm_cache)


@each_way
def test_the_room_of_a_victim_is_charged_until_another_takes_it(
    another: Callable[[Any], object],
) -> None:
    charged: list[float] = []

    class Lock:
        """Looks at the ledger each time that the lock is let go of."""

        def __enter__(self) -> None:
            lock.acquire()

        def __exit__(self, *exception: object) -> None:
            charged.append(warm_cache._store.ledger.committed)
            lock.release()

    warm_cache: Any = warmcache.LRUCache(1, teardown=lambda value: None)
    warm_cache["a"] = 1
    lock, warm_cache._store.lock = warm_cache._store.lock, Lock()
    another(warm_cache)
    assert len(charged) > 1 and {1} == set(charged)


def test_of_several_victims_the_first_is_gone_before_the_next_is_torn_down() -> None:
    seen: list[Any] = []

    def tear_down(value: str) -> None:
        seen.append((value, load("a") if "b" == value else None))

    warm_cache: Any = warmcache.LRUCache(2, len, teardown=tear_down)
    load = warm(cache=warm_cache, size=0)(lambda name: name.upper())
    warm_cache[load.cache_key("a")], warm_cache["b"] = "a", "b"
    warm_cache["c"] = "cc"
    assert [("a", None), ("b", "A")] == seen
    assert_consistent(warm_cache)


@each_way
def test_nothing_keeps_the_key_of_a_victim(another: Callable[[Any], object]) -> None:
    class Key:
        pass

    warm_cache: Any = warmcache.LRUCache(1, teardown=lambda value: None)
    victim = Key()
    warm_cache[victim] = 1
    (entry,) = warm_cache._live.values()
    there = weakref.ref(victim)
    del victim
    another(warm_cache)
    assert there() is None
    assert entry.key is None


def test_a_request_has_the_fields_in_the_order_in_which_it_is_taken_apart() -> None:
    assert (
        *("key", "source", "load", "hot", "hot_key", "may_load", "hint", "owner", "freeze"),
        *("weight", "weigh", "sized", "expires", "validate", "validate_errors"),
    ) == Request._fields


def test_no_byte_too_many_is_held_however_large_the_limit() -> None:
    limit = 10**13
    cache: warmcache.LRUCache[str, int] = warmcache.LRUCache(limit, getsizeof=lambda value: value)
    cache["a"], cache["b"] = limit - 1, 1
    cache["c"] = 1
    assert {"b": 1, "c": 1} == {**cache}
