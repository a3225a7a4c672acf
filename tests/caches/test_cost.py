"""The policy cost: its formula, and what counts as a use and as a cost."""

from __future__ import annotations

import math
from collections import deque
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from replays import on_a_long_leash, store

import warmcache
from warmcache import CostCache, GDSFCache
from warmcache._core.state.hit_counts import HitCount
from warmcache._core.state.use_clock import USE_CLOCK, tick
from warmcache._process.gil import FREE_THREADED
from warmcache.caches.use_counts import HALF_LIVES

LN2 = math.log(2)


class Naive:
    """The formula as it is written, over the dates of all uses."""

    def __init__(self) -> None:
        self.now = 0
        self.dates: dict[Any, list[int]] = {}

    def use(self, key: Any) -> None:
        self.now += 1
        self.dates.setdefault(key, []).append(self.now)

    def rank(self, key: Any, seconds: float, weight: float) -> float:
        ages = [self.now - date for date in self.dates[key]]
        return (
            seconds
            / weight
            * sum((LN2 / h) ** 0.85 * sum(2 ** (-age / h) for age in ages) for h in HALF_LIVES)
        )


@pytest.mark.oracle
@pytest.mark.property
@settings(max_examples=60)
@given(keys=st.lists(st.integers(0, 9), max_size=150), looks=st.integers(1, 3))
def test_the_rank_is_the_formula_whenever_somebody_looks_at_each_use(
    keys: list[int], looks: int
) -> None:
    cache: CostCache[int, int] = on_a_long_leash(CostCache(20))
    cache._store.order.choice.known._most = 100  # type: ignore[attr-defined]  # remember them all
    naive = Naive()
    for key in keys:
        naive.use(key)
        if cache.get(key) is None:
            store(cache, key, weight=1 + key, seconds=1 + key % 4)
        for _ in range(looks):
            told = cache.victims()
        expected = {k: naive.rank(k, 1 + k % 4, 1 + k) for k in told}
        for entry in cache._live.values():
            assert math.isclose(expected[entry.key], cache.rank(entry), rel_tol=1e-9)
        assert sorted(told, key=expected.__getitem__) == told


@pytest.mark.oracle
def test_hits_between_two_looks_count_as_if_they_were_evenly_spread() -> None:
    cache: CostCache[str, str] = on_a_long_leash(CostCache(3))
    naive = Naive()
    for key in "ab":
        store(cache, key)
        naive.use(key)
    cache.victims()
    for _ in range(1000):
        for key in "ab":
            cache[key]
            naive.use(key)
    cache.victims()
    for entry in cache._live.values():
        assert math.isclose(naive.rank(entry.key, 1, 1), cache.rank(entry), rel_tol=1e-2)


def test_a_busy_cache_elsewhere_does_not_shorten_the_memory_of_this_one() -> None:
    def order(foreign_hits: int) -> list[str]:
        foreign = warmcache.LRUCache[int, int](1)
        foreign[0] = 0
        cache: CostCache[str, str] = on_a_long_leash(CostCache(None))
        for key in "ab":
            store(cache, key)
        for round_ in range(40):
            for key in "aaab" if round_ < 30 else "bb":  # a: 90 uses, 20 and more uses ago
                cache[key]
                for _ in range(foreign_hits):
                    foreign[0]
            if round_ % 7 == 0:
                cache.victims()
        return cache.victims()

    assert ["b", "a"] == order(0) == order(1000)


def test_far_ahead_in_time_counts_neither_overflow_nor_forget_who_is_ahead() -> None:
    cache: CostCache[str, str] = on_a_long_leash(CostCache(None))
    for key in ("once", "twice", "busy"):
        store(cache, key)
    cache["twice"]
    busy = cache._live["busy"]
    for _ in range(5):
        for key in ("once", "twice"):
            cache.detach(key)
        # As if it had been used so often meanwhile.
        busy.hits = HitCount(busy.hits.number + 3_000_000)
        busy.used += 3_000_000
        if FREE_THREADED:
            deque((tick() for _ in range(3_000_000)), maxlen=0)
        else:
            USE_CLOCK.cell_contents += 3_000_000
        for key in ("once", "twice"):
            store(cache, key)
        cache["twice"]
        assert ["once", "twice", "busy"] == cache.victims()
    assert all(math.isfinite(cache.rank(entry)) for entry in cache._live.values())


def test_what_comes_back_is_no_stranger() -> None:
    cache: CostCache[str, str] = on_a_long_leash(CostCache(2))
    store(cache, "known")
    for _ in range(20):
        cache["known"]
    store(cache, "other")
    cache.evict(key="known")
    store(cache, "known")
    for _ in range(3):
        cache["other"]
    assert ["other", "known"] == cache.victims()


def test_load_seconds_of_a_key_are_averaged_over_its_loads() -> None:
    cache: CostCache[str, str] = on_a_long_leash(CostCache(2))
    for n in range(60):  # keys differ, and loads of one key do not
        store(cache, n // 2, seconds=2 ** (n // 2 % 6))
        cache.evict(key=n // 2)
    for seconds in (9, 1):
        cache.evict(key="varying")
        store(cache, "varying", seconds=seconds)
    store(cache, "steady", seconds=4)
    for _ in range(10):  # until one use more or less no longer matters
        cache["varying"], cache["steady"]
    ranks = {entry.key: cache.rank(entry) for entry in cache._live.values() if cache.victims()}
    assert 1.1 < ranks["varying"] / ranks["steady"] < 1.4  # as 5 to 4, not 1 or 9 to 4


def test_a_value_that_was_handed_in_costs_what_others_cost_on_average() -> None:
    for cls in (CostCache, GDSFCache):
        cache = cls[str, str](4)
        if cls is CostCache:
            on_a_long_leash(cache)
        store(cache, "cheap", seconds=3)
        store(cache, "dear", seconds=9)
        cache["handed in"] = "x"
        assert ["cheap", "handed in", "dear"] == cache.victims()


def test_with_no_seconds_known_use_decides() -> None:
    for cls in (CostCache, GDSFCache):
        cache = cls[str, int](10, getsizeof=lambda weight: weight)
        if cls is CostCache:
            on_a_long_leash(cache)
        cache["light"], cache["heavy"], cache["used"] = 1, 4, 4
        cache["used"]
        assert ["heavy", "used", "light"] == cache.victims()


@pytest.mark.oracle
def test_a_replacement_is_one_use_and_does_not_count_the_old_ones_again() -> None:
    cache: CostCache[str, object] = on_a_long_leash(CostCache(4))
    naive = Naive()
    for _ in range(50):
        cache["replaced"] = object()
        naive.use("replaced")
        cache.victims()
    cache["new"] = object()
    naive.use("new")
    cache.victims()
    for entry in cache._live.values():
        assert math.isclose(naive.rank(entry.key, 1, 1), cache.rank(entry), rel_tol=1e-9)


def test_all_who_waited_for_a_load_count_as_uses() -> None:
    cache: CostCache[str, str] = on_a_long_leash(CostCache(4))
    for key, joined in [("one", 1), ("three", 3), ("two", 2)]:
        store(cache, key)
        cache._live[key].base_uses = joined
    assert ["one", "two", "three"] == cache.victims()
