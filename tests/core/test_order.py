"""Which entry goes first: the same as in cachetools, for any history."""

from __future__ import annotations

import functools
import gc
import random
import weakref
from typing import Any

import cachetools
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import warmcache
from warmcache._core.state.victim_order import stamp
from warmcache.testing import assert_consistent


class Clock:
    def __init__(self) -> None:
        self.now = 0

    def __call__(self) -> int:
        return self.now


def seeded_choice(seed: int) -> Any:
    # From the sorted keys, so that it does not matter in which sequence they are kept.
    generator = random.Random(seed)
    return lambda keys: sorted(keys)[generator.randrange(len(keys))]


VERSION = tuple(map(int, cachetools.__version__.split(".")[:3]))
OLD_LFU = VERSION < (7, 3)
GREEDY = VERSION < (7, 1, 1)  # evicted more than needed when a replaced value grew
OLD = VERSION < (8,)
POLICIES = ["LRUCache", "FIFOCache", "RRCache", "TTLCache", "TLRUCache", "LFUCache"]
if OLD:
    POLICIES.remove("RRCache")  # choosing from nothing was an error of the choice
    POLICIES.remove("TLRUCache")  # a value that had ended did not replace one that had not
if OLD_LFU:  # equals were given up in no particular order then
    POLICIES.remove("LFUCache")


def twins(policy: str, maxsize: int, weigh: bool) -> tuple[Any, Any, list[Clock]]:
    clocks, caches = [], []
    for library in (cachetools, warmcache):
        clock = Clock()
        options: dict[str, Any] = {"maxsize": maxsize}
        if weigh:
            options["getsizeof"] = lambda value: value % 4
        if policy == "RRCache":
            options["choice"] = seeded_choice(7)
        if policy in ("TTLCache", "TLRUCache"):
            options["timer"] = clock
        if policy == "TTLCache":
            options["ttl"] = 5
        if policy == "TLRUCache":
            options["ttu"] = lambda key, value, now: now + value - 3
        caches.append(getattr(library, policy)(**options))
        clocks.append(clock)
    return caches[0], caches[1], clocks


KEYS = st.integers(0, 7)
STEPS = st.one_of(
    st.tuples(st.just("set"), KEYS, st.integers(0, 12)),
    st.tuples(st.sampled_from(["get", "index", "del", "pop", "in", "default"]), KEYS),
    st.tuples(st.sampled_from(["popitem", "len", "clear"])),
    st.tuples(st.just("time"), st.integers(1, 4)),
)


def outcome(cache: Any, step: tuple[Any, ...]) -> Any:
    match step:
        case ("set", key, value):
            cache[key] = value
        case ("get", key):
            return cache.get(key)
        case ("index", key):
            return cache[key]
        case ("del", key):
            del cache[key]
        case ("pop", key):
            return cache.pop(key)
        case ("in", key):
            return key in cache
        case ("default", key):
            return cache.setdefault(key, 2)
        case ("popitem",):
            return cache.popitem()
        case ("len",):
            return len(cache), cache.currsize
        case ("clear",):
            cache.clear()
    return None


@pytest.mark.oracle
@pytest.mark.property
@pytest.mark.parametrize("policy", POLICIES)
@settings(max_examples=300, deadline=None)
@given(steps=st.lists(STEPS, max_size=60), maxsize=st.integers(0, 9), weigh=st.booleans())
def test_the_same_history_leaves_the_same_entries_as_in_cachetools(
    policy: str, steps: list[tuple[Any, ...]], maxsize: int, weigh: bool
) -> None:
    theirs, ours, clocks = twins(policy, maxsize, weigh and not GREEDY)
    for step in steps:
        if step[0] == "time":
            for clock in clocks:
                clock.now += step[1]
            continue
        results = []
        for cache in (theirs, ours):
            try:
                results.append(outcome(cache, step))
            except (KeyError, ValueError) as error:
                results.append(KeyError if isinstance(error, KeyError) else ValueError)
        assert results[0] == results[1], step
        assert set(theirs) == set(ours), step
    assert_consistent(ours)
    drained = [], []
    for cache, out in zip((theirs, ours), drained, strict=True):
        while len(cache):
            out.append(cache.popitem())
    assert drained[0] == drained[1]


@pytest.mark.property
@pytest.mark.parametrize("policy", ["LRUCache", "FIFOCache", "TTLCache", "LFUCache"])
@settings(deadline=None)
@given(steps=st.lists(STEPS, max_size=40))
def test_victims_tells_the_order_of_popitem_and_changes_nothing(
    policy: str, steps: list[tuple[Any, ...]]
) -> None:
    _, cache, (_, clock) = twins(policy, 6, False)
    for step in steps:
        if step[0] == "time":
            clock.now += step[1]
        else:
            try:
                outcome(cache, step)
            except (KeyError, ValueError):
                pass
    cache.expire() if hasattr(cache, "expire") else None
    told = cache.victims()
    assert told == cache.victims()
    assert told == [cache.popitem()[0] for _ in range(len(cache))]


def test_victims_of_a_choice_are_in_an_order_that_it_gives() -> None:
    cache = warmcache.RRCache[str, int](3, choice=lambda keys: sorted(keys)[len(keys) // 2])
    cache["a"], cache["b"], cache["c"] = 1, 2, 3
    assert ["b", "c", "a"] == cache.victims() == cache.victims()
    assert {"a", "b", "c"} == {*cache}


def test_a_policy_is_one_line_and_expires_first_what_costs_least() -> None:
    class CheapestFirst(warmcache.Cache[str, int]):
        def rank(self, entry: warmcache.Entry) -> float:
            return entry.load_seconds / entry.weight

    clock = Clock()
    cache = CheapestFirst(3, timer=clock)

    @warmcache.warm(cache=cache)
    def load(name: str, seconds: int) -> str:
        clock.now += seconds
        return name

    for name, seconds in [("dear", 30), ("cheap", 1), ("middling", 9)]:
        load(name, seconds)
    assert [load.cache_key(n, s) for n, s in [("cheap", 1), ("middling", 9), ("dear", 30)]] == (
        cache.victims()
    )
    load("new", 5)
    assert not load.contains("cheap", 1)


def test_a_failing_rank_reaches_the_caller_and_removes_nothing() -> None:
    class Broken(warmcache.Cache[int, int]):
        broken = False

        def rank(self, entry: warmcache.Entry) -> int:
            if self.broken and entry.key == 1:
                raise ZeroDivisionError
            return entry.used

    cache = Broken(3, getsizeof=lambda value: value)
    cache[0] = cache[1] = cache[2] = 1
    cache.broken = True
    with pytest.raises(ZeroDivisionError):
        cache[3] = 3
    assert [0, 1, 2] == list(cache)
    assert_consistent(cache)
    cache.broken = False
    cache[3] = 3
    assert [3] == list(cache)


def test_a_drifting_rank_that_fails_for_the_second_victim_leaves_the_first_its_place() -> None:
    class Tiring(warmcache.Cache[int, int]):
        drifts = True
        ranks_left = 100

        def rank(self, entry: warmcache.Entry) -> int:
            self.ranks_left -= 1
            if self.ranks_left < 0:
                raise ZeroDivisionError
            return entry.used

    cache = Tiring(3, getsizeof=lambda value: value)
    cache[0] = cache[1] = cache[2] = 1
    cache.ranks_left = 3  # one look at all
    with pytest.raises(ZeroDivisionError):
        cache[3] = 3
    assert [0, 1, 2] == list(cache)
    cache.ranks_left = 100
    cache[3] = 3
    assert [3] == list(cache)
    assert_consistent(cache)


def test_a_place_that_is_kept_for_a_successor_is_nobodys_choice_meanwhile() -> None:
    def teardown(value: str) -> None:
        if value == "old":
            cache["new"] = "for which others go than the one that is replaced"

    cache = warmcache.RRCache[str, str](3, choice=lambda keys: keys[0], teardown=teardown)
    cache["a"], cache["b"], cache["c"] = "old", "b", "c"
    cache["a"] = "successor"
    assert {"a", "new"} <= {*cache}


@pytest.mark.parametrize("policy", ["lru", "lfu", "fifo", "rr"])
def test_pins_at_the_head_do_not_stop_eviction_of_the_rest(policy: str) -> None:
    cache = warmcache.policies.create(policy, maxsize=10, wait=0)
    for key in range(10):
        cache[key] = key
    leases = [cache.lease(key) for key in range(8)]
    for lease in leases:
        lease.__enter__()
    for key in range(10, 30):
        cache[key] = key
    assert set(range(8)) <= set(cache)
    for lease in leases:
        lease.__exit__(None, None, None)
    assert_consistent(cache)
    for key in range(30, 40):
        cache[key] = key
    assert len(cache) == 10
    if policy == "lru":
        assert list(range(30, 40)) == sorted(cache)


@pytest.mark.parametrize("sign", [1, -1], ids=["rising", "falling"])
def test_what_stays_keeps_its_place_as_the_records_of_the_rest_are_swept(sign: int) -> None:
    class ByKey(warmcache.Cache[int, int]):
        def rank(self, entry: warmcache.Entry) -> int:
            return sign * entry.key  # type: ignore[operator]

    cache = ByKey(300)
    for key in range(301):
        cache[key] = key
    for key in range(1, 299):
        if key % 10:
            del cache[key]
    cache[301] = 301  # which no victim has been asked for since
    left = sorted(cache, key=lambda key: sign * key)
    assert left == cache.victims()
    assert left == [cache.popitem()[0] for _ in left]
    assert_consistent(cache)


def test_the_queue_stays_small_however_often_entries_are_replaced_used_or_leased() -> None:
    cache: warmcache.LRUCache[int, object] = warmcache.LRUCache(10)
    for n in range(5_000):
        cache[n % 10] = object()
        cache[n * 7 % 10] if n * 7 % 10 in cache else None
        with cache.lease(n % 10):
            pass
        if n % 50 == 0:
            cache.evict(1)
    order = cache._store.order
    records = len(order._unranked) + len(order._run) + len(order._heap)  # type: ignore[union-attr]
    assert records < 200
    assert_consistent(cache)


class Youngest(warmcache.LRUCache[str, int]):
    """Gives up what was used last: with a rank that wraps one that rises."""

    @functools.wraps(warmcache.LRUCache.rank)
    def rank(self, entry: Any) -> Any:
        return -super().rank(entry)


def test_a_rank_that_wraps_one_that_rises_is_not_taken_for_that() -> None:
    cache = Youngest(2)
    cache.update(a=1, b=2)
    cache["a"] = 3
    cache["c"] = 4
    assert ["b", "c"] == sorted(cache)


def test_nothing_keeps_a_policy_for_ever() -> None:
    def defined() -> weakref.ref[Any]:
        class Brief(warmcache.FIFOCache[str, int]):
            @stamp("used")
            def rank(self, entry: Any) -> Any:
                return entry.used

        cache = Brief(1)
        cache.update(a=1, b=2)
        return weakref.ref(Brief.rank)

    rank = defined()
    gc.collect()
    assert rank() is None


@pytest.mark.parametrize("teardown", [None, lambda value: None], ids=["vanishing", "torn down"])
@pytest.mark.parametrize("ranked", [False, True], ids=["new", "ranked"])
def test_what_is_stored_again_under_its_lease_has_its_place_once(
    teardown: Any, ranked: bool
) -> None:
    cache: warmcache.LRUCache[str, Any] = warmcache.LRUCache(3, teardown=teardown)
    for name in ["z", "a", "b", "c"] if ranked else ["a", "b", "c"]:
        cache[name] = [name]
    value = cache.peek("a")
    with cache.lease("a"):
        del cache["a"]
        cache["a"] = value
    cache["d"] = ["d"]
    assert {"c", "a", "d"} == {*cache}
    assert_consistent(cache)


def test_nobody_who_keeps_a_closed_lease_keeps_the_key_of_what_has_left() -> None:
    class Key:
        pass

    cache: warmcache.LRUCache[Key, str] = warmcache.LRUCache(1)
    key = Key()
    cache[key] = "a"
    with (lease := cache.lease(key)):
        pass
    alive = weakref.ref(key)
    cache[Key()] = "b"
    del key
    gc.collect()
    assert alive() is None
    del lease


def test_nobody_who_keeps_a_closed_lease_keeps_what_its_loader_weighs_by() -> None:
    def weigh(value: object) -> int:
        return 1

    cache: warmcache.LRUCache[Any, Any] = warmcache.LRUCache(1)
    load = warmcache.warm(cache=cache, size=weigh)(lambda name: name)
    with (lease := load.lease("a")):
        pass
    cache["b"] = "b"
    alive = weakref.ref(weigh)
    del load, cache, weigh
    gc.collect()
    assert alive() is None
    del lease


def test_what_was_passed_over_for_its_lease_goes_first_once_that_ends_where_age_tells() -> None:
    cache: warmcache.FIFOCache[str, str] = warmcache.FIFOCache(3)
    for name in "abc":
        cache[name] = name
    with cache.lease("a"):
        cache["d"] = "d"  # for which b goes
    cache["e"] = "e"
    assert ["c", "d", "e"] == sorted(cache)
    assert_consistent(cache)


def test_a_stamp_that_comes_late_changes_nothing_of_the_order_of_loads() -> None:
    cache: warmcache.FIFOCache[str, object] = warmcache.FIFOCache(2)
    cache["a"], cache["b"] = object(), object()
    entry = cache._live["a"]
    late = entry.used
    cache["a"] = object()
    entry.used = late  # by who was held up between a tick and this, across the replacement
    assert ["b", "a"] == cache.victims()
    cache["c"] = object()
    assert ["a", "c"] == list(cache)
