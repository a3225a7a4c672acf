"""The policy gdsf: what the paper says, though hits only leave stamps."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from replays import store

import warmcache
from warmcache import GDSFCache
from warmcache.testing import assert_consistent


def naive_gdsf(requests: list[str], sizes: Any, seconds: Any, budget: float, keep: bool) -> Any:
    """Serve ``requests`` as the paper says, eagerly; return the sequence of misses."""
    level, ranks, uses = 0.0, {}, {}
    misses = []
    for key in requests:
        if key not in ranks:
            misses.append(key)
            if sizes[key] > budget:
                continue
            while sum(sizes[k] for k in ranks) + sizes[key] > budget:
                victim = min(ranks, key=lambda k: ranks[k])
                level = max(level, ranks.pop(victim)[0])
                if not keep:
                    del uses[victim]
        uses[key] = uses.get(key, 0) + 1
        order = ranks.get(key, (0, len(misses)))[1]
        ranks[key] = level + uses[key] * seconds[key] / sizes[key], order
    return misses


@pytest.mark.oracle
@pytest.mark.property
@settings(max_examples=200)
@given(
    keys=st.lists(st.sampled_from("abcdefgh"), max_size=120),
    sizes=st.lists(st.integers(1, 4), min_size=8, max_size=8),
    keep=st.booleans(),
)
def test_gdsf_evicts_what_the_paper_says_though_hits_only_leave_stamps(
    keys: list[str], sizes: list[int], keep: bool
) -> None:
    weights = dict(zip("abcdefgh", sizes, strict=True))
    seconds = {key: 1 + n / 7 for n, key in enumerate("abcdefgh")}
    cache: GDSFCache[str, str] = GDSFCache(8, keep_uses=keep)
    cache._store.order._most = 100  # type: ignore[union-attr]  # remember them all
    misses = []
    for key in keys:
        if cache.get(key) is None:
            misses.append(key)
            store(cache, key, weights[key], seconds[key])
    assert naive_gdsf(keys, weights, seconds, 8, keep) == misses
    assert_consistent(cache)


def test_gdsf_keeps_no_more_steps_than_entries_need() -> None:
    cache: GDSFCache[int, int] = GDSFCache(4)
    store(cache, -1, seconds=1e9)
    for n in range(5_000):
        store(cache, n, seconds=1 + n % 3)
    order: Any = cache._store.order
    assert -1 in cache
    assert len(order._ticks) == len(order._levels) < 100


def test_a_replacement_takes_over_the_uses_that_gdsf_keeps_but_once() -> None:
    cache: GDSFCache[str, object] = GDSFCache(4, keep_uses=True)
    for _ in range(10):
        cache["key"] = object()
    assert 10 == cache.rank(cache._live["key"])
    cache.evict(key="key")
    cache["key"] = object()
    assert 11 == cache.rank(cache._live["key"])


def test_an_eviction_that_is_called_off_half_way_leaves_ranks_as_they_are() -> None:
    class Broken(GDSFCache[int, int]):
        broken = False

        def rank(self, entry: warmcache.Entry) -> float:
            if self.broken and entry.key == 2:
                raise ZeroDivisionError
            return super().rank(entry)

    cache = Broken(4, getsizeof=lambda value: value, keep_uses=True)
    for key in range(4):
        cache[key] = 1
        for _ in range(key):
            cache[key]
    before = [cache.rank(entry) for entry in cache._live.values()]
    cache.broken = True
    with pytest.raises(ZeroDivisionError):
        cache[4] = 3
    cache.broken = False
    assert [1, 2, 3, 4] == before == [cache.rank(entry) for entry in cache._live.values()]
    assert [0, 1, 2, 3] == cache.victims()


def test_uses_restart_with_a_load_unless_they_are_kept() -> None:
    for keep, victim in [(False, "often"), (True, "twice")]:
        cache: GDSFCache[str, str] = GDSFCache(2, keep_uses=keep)
        store(cache, "often")
        for _ in range(9):
            cache["often"]
        cache.evict(key="often")
        store(cache, "often")
        store(cache, "twice")
        cache["twice"]
        assert victim == cache.victims()[0]
