"""The cache as a cachetools cache, and what it tells about itself."""

from __future__ import annotations

import copy
import pickle
import threading
from typing import Any

import cachetools
import pytest

import warmcache
from warmcache import LRUCache
from warmcache.testing import ManualClock, assert_consistent


def test_it_works_under_cachetools_cached_and_tears_down_there_too() -> None:
    torn_down: list[int] = []
    calls: list[int] = []
    cache: LRUCache[Any, int] = LRUCache(2, teardown=torn_down.append)

    @cachetools.cached(cache)
    def square(x: int) -> int:
        calls.append(x)
        return x * x

    assert [1, 4, 1, 9, 16] == [square(x) for x in (1, 2, 1, 3, 4)]
    assert [1, 2, 3, 4] == calls
    assert [4, 1] == torn_down
    assert isinstance(cache, cachetools.Cache)


def test_what_is_too_large_is_not_stored_under_cachetools_cached() -> None:
    torn_down: list[str] = []
    cache: LRUCache[Any, str] = LRUCache(3, getsizeof=len, teardown=torn_down.append)
    double = cachetools.cached(cache)(lambda text: text * 2)
    assert "abab" == double("ab")
    assert ([], 0) == (torn_down, len(cache))


@pytest.mark.parametrize("policy", ["lru", "lfu", "fifo", "rr"])
def test_a_cache_with_nothing_to_tear_down_can_be_copied_and_pickled(policy: str) -> None:
    cache = warmcache.policies.create(policy, maxsize=3)
    cache.update(a=1, b=2, c=3)
    cache["a"]
    for twin in (copy.copy(cache), copy.deepcopy(cache), pickle.loads(pickle.dumps(cache))):
        assert cache == twin
        if policy != "rr":
            assert cache.victims() == twin.victims()
        twin["d"] = 4
        assert 3 == len(twin) == len(cache)
        assert "d" not in cache
        assert_consistent(twin)


MAKERS: dict[str, Any] = {
    "lru": lambda: LRUCache(9),
    "lru that tears down": lambda: LRUCache(9, teardown=lambda value: None),
    "lru by weight": lambda: LRUCache(99, getsizeof=int),
    "ttl": lambda: warmcache.TTLCache(9, 9),
    "tlru": lambda: warmcache.TLRUCache(9, ttu=lambda key, value, now: now + 9),
    "idle": lambda: warmcache.LFUCache(9, idle_ttl=9),
    "memory": lambda: warmcache.HostMemoryCache("1MiB", getsizeof=int),
}


@pytest.mark.parametrize("make", MAKERS)
def test_a_value_that_replaces_another_stands_where_that_did_as_in_a_dict(make: str) -> None:
    """So it is with cachetools, of all its classes since 8.0."""
    cache, like = MAKERS[make](), dict[int, int]()
    with cache:
        for key, value in [(4, 1), (5, 2), (4, 3), (6, 1), (5, 9), (5, 9), (4, 3)]:
            cache[key] = like[key] = value
        assert [*like.items()] == [*cache.items()]
        assert [*like] == [*cache]
        del cache[4], like[4]
        cache[4] = like[4] = 7
        assert [*like] == [*cache] == [5, 6, 4]


@pytest.mark.parametrize("make", ["lru", "lru by weight", "ttl", "tlru", "idle"])
def test_a_copy_has_the_places_of_the_original(make: str) -> None:
    cache = MAKERS[make]()
    for key, value in [(4, 1), (5, 2), (4, 3)]:
        cache[key] = value
    for twin in (copy.copy(cache), copy.deepcopy(cache)):
        twin[6] = 1
        assert [4, 5, 6] == [*twin]


@pytest.mark.parametrize("duplicate", [copy.copy, copy.deepcopy, pickle.dumps])
def test_a_cache_that_tears_down_is_the_only_owner_of_its_values(duplicate: Any) -> None:
    cache: LRUCache[str, int] = LRUCache(3, teardown=print)
    with pytest.raises(TypeError, match="only owner"):
        duplicate(cache)


@pytest.mark.race
def test_a_snapshot_tells_what_every_entry_is_doing() -> None:
    clock = ManualClock()
    loading, finish = threading.Event(), threading.Event()
    tearing, torn = threading.Event(), threading.Event()

    def tear_down(name: str) -> None:
        if name == "dying":
            tearing.set()
            assert torn.wait(5)

    @warmcache.warm(policy="lru", maxsize=9, timer=clock, teardown=tear_down, tags=["gpu"], size=2)
    def load(name: str) -> str:
        clock.advance(3)
        if name == "loading":
            loading.set()
            assert finish.wait(5)
        return name

    for name in ("live", "retired", "dying"):
        load(name)
    threads = [
        threading.Thread(target=load, args=("loading",)),
        threading.Thread(target=load.evict, args=("dying",)),
    ]
    with load.lease("retired"), load.lease("live"):
        load.evict("retired")
        for thread in threads:
            thread.start()
        assert loading.wait(5)
        assert tearing.wait(5)
        entries = {entry.key: entry for entry in load.cache.entries()}
        states = {
            name: entries[load.cache_key(name)].state
            for name in ("live", "retired", "dying", "loading")
        }
        assert {name: name for name in states} == states
        live = entries[load.cache_key("live")]
        assert (2, 2, 1, 3, frozenset({"gpu"})) == (
            live.weight,
            live.uses,
            live.leases,
            live.load_seconds,
            live.tags,
        )
        stats = load.cache.stats()
        assert (2, 2, 2, 2) == (stats.live, stats.retired, stats.dying, stats.loading)
        finish.set()
        torn.set()
        for thread in threads:
            thread.join(5)


def test_idle_never_overstates_and_age_counts_from_the_load() -> None:
    clock = ManualClock()

    @warmcache.warm(policy="lru", maxsize=9, timer=clock)
    def load(name: str) -> str:
        return name

    load("a")
    clock.advance(10)
    load("a")  # a hit leaves a stamp, not a time
    clock.advance(10)
    (entry,) = load.cache.entries()
    assert (20, 0) == (entry.age, entry.idle)
    clock.advance(5)
    (entry,) = load.cache.entries()
    assert (25, 5) == (entry.age, entry.idle)
    with load.lease("a"):
        clock.advance(7)
        assert 0 == load.cache.entries()[0].idle
    assert 0 == load.cache.entries()[0].idle


def test_a_value_that_is_stored_anew_is_idle_from_then_on() -> None:
    clock = ManualClock()
    cache: LRUCache[str, object] = LRUCache(2, timer=clock)
    cache["a"] = object()
    clock.advance(10)
    cache["a"]  # a use that is dated as somebody looks
    assert (10, 0) == (cache.entries()[0].age, cache.entries()[0].idle)
    clock.advance(3)
    cache["a"] = object()
    clock.advance(2)
    assert (2, 2) == (cache.entries()[0].age, cache.entries()[0].idle)
    cache["a"]
    assert (2, 0) == (cache.entries()[0].age, cache.entries()[0].idle)


def test_a_stamp_that_comes_after_another_value_is_no_use_of_that() -> None:
    clock = ManualClock()
    cache: LRUCache[str, object] = LRUCache(2, timer=clock)
    cache["a"] = object()
    late = cache._live["a"].used
    cache["a"] = object()
    cache._live["a"].used = late  # of a thread that was held up between its tick and its stamp
    clock.advance(5)
    assert 5 == cache.entries()[0].idle


def test_iterating_while_the_cache_changes_is_safe() -> None:
    cache: LRUCache[int, int] = LRUCache(9)
    cache.update((n, n) for n in range(9))
    seen = []
    for key in cache:
        seen.append(key)
        cache.evict(2)
    assert seen == sorted(seen)
    assert 0 == len(cache)


def test_the_check_of_the_ledger_can_fail() -> None:
    cache: LRUCache[int, int] = LRUCache(3)
    cache[1] = 1
    assert_consistent(cache)
    cache._store.ledger.live += 1
    with pytest.raises(AssertionError, match="live: the entries weigh 1, the ledger says 2"):
        assert_consistent(cache)


def test_fractional_weights_do_not_wear_the_limit_out() -> None:
    cache: LRUCache[int, float] = LRUCache(1.0, getsizeof=lambda value: value)
    for n in range(2_000):
        cache[n % 7] = (n % 9 + 1) / 10
    cache[99] = 1.0
    assert [99] == list(cache)
    assert_consistent(cache)


def test_maxsize_is_a_number_a_size_or_no_limit() -> None:
    assert 3 * 2**30 == LRUCache("3GiB").maxsize
    unlimited: LRUCache[int, int] = LRUCache(None)
    unlimited.update((n, n) for n in range(1_000))
    assert 1_000 == len(unlimited)
    assert warmcache.warm(policy="lru", maxsize=None)(len).cache_info().maxsize is None
