"""Policies whose ranks fall with time: the order is kept, or a sample is ranked."""

from __future__ import annotations

import random
from typing import Any

import pytest
from replays import store

import warmcache
from warmcache import CostCache
from warmcache._core.state.use_clock import last_tick
from warmcache.testing import ManualClock, assert_consistent


def test_a_policy_whose_rank_falls_with_time_says_so_and_is_obeyed() -> None:
    clock = ManualClock()

    class Wilting(warmcache.Cache[str, float]):
        """Gives up what has lost most of its freshness, each at a rate of its own."""

        drifts = True

        def rank(self, entry: warmcache.Entry) -> float:
            return 100 - entry.value * (clock() - entry.loaded_at)

    cache = Wilting(2, timer=clock)
    cache["fast"] = 10
    clock.advance(1)
    cache["slow"] = 1
    assert ["fast", "slow"] == cache.victims()
    cache["slow"] = 50
    assert ["fast", "slow"] == cache.victims()
    clock.advance(1)
    assert ["slow", "fast"] == cache.victims()
    cache["new"] = 1
    assert {"fast", "new"} == {*cache}


def test_of_many_entries_a_sample_is_ranked_and_its_victim_is_among_the_lowest() -> None:
    class Counting(warmcache.Cache[int, int]):
        drifts = True
        ranked = 0

        def rank(self, entry: warmcache.Entry) -> int:
            self.ranked += 1
            return entry.value  # type: ignore[no-any-return]

    exact, sampled = Counting(2000), Counting(4000)
    for n in range(2000):
        exact[n] = n
    for n in range(4000):
        sampled[n] = n
    exact[2000] = 2000
    assert 2000 == exact.ranked
    assert 0 not in exact
    victims = [sampled.popitem()[0] for _ in range(100)]
    assert 100 * 64 == sampled.ranked
    assert sorted(victims)[49] < 4000 * 0.05


def test_of_many_entries_the_leased_do_not_stop_the_rest() -> None:
    class Drifting(warmcache.Cache[int, int]):
        drifts = True

    cache = Drifting(2100, wait=0)
    for n in range(2100):
        cache[n] = n
    leases = [cache.lease(n) for n in range(2099)]
    for lease in leases:
        lease.__enter__()
    cache[2100] = 1
    assert 2099 not in cache
    for lease in leases:
        lease.__exit__(None, None, None)


def test_cost_still_remembers_what_is_used_when_it_can_only_sample() -> None:
    cache: CostCache[int, int] = CostCache(2500)
    generator = random.Random(0)
    for n in range(6_000):
        store(cache, n)
        for _ in range(5):
            hot = generator.randrange(200)
            if cache.get(hot) is None:
                store(cache, hot)
    assert 190 < sum(hot in cache for hot in range(200))
    assert_time(cache)
    foreign = warmcache.LRUCache[int, int](1)
    foreign[0] = 0
    for n in range(6_000, 6_200):  # now ticks are no longer uses of this cache
        store(cache, n)
        for _ in range(100):
            foreign[0]
    assert_time(cache)


def assert_time(cache: Any) -> None:
    choice = cache._store.order.choice
    stats = cache.stats()
    uses = stats.hits + len(cache) + sum(stats.removals.values())  # each load is one, too
    assert abs(choice.worth._time.show(last_tick()) - uses) < 0.1 * uses  # a round behind


def test_a_failing_rank_leaves_an_order_of_drifting_ranks_as_it_is() -> None:
    class Broken(warmcache.Cache[int, int]):
        drifts = True
        broken = False

        def rank(self, entry: warmcache.Entry) -> int:
            if self.broken and entry.key == 1:
                raise ZeroDivisionError
            return entry.used

    cache = Broken(3)
    cache[0] = cache[1] = cache[2] = 1
    cache.broken = True
    with pytest.raises(ZeroDivisionError):
        cache[3] = 3
    cache.broken = False
    assert [0, 1, 2] == cache.victims()
    cache[3] = 3
    assert [1, 2, 3] == cache.victims()
    assert_consistent(cache)
