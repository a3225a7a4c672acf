"""The leash inside a cache: leases, weights and limits that change, and all the ways to leave."""

from __future__ import annotations

import random
import weakref
from typing import Any

import pytest
from generated_traces import KINDS, things
from leashed import TrueLRU
from replays import on_a_long_leash, store

import warmcache
from warmcache import CapacityError, CostCache, RemovalCause, warm
from warmcache.caches.known_keys import GHOSTS
from warmcache.caches.leashed_choice import LeashedChoice
from warmcache.memory import MemoryCache
from warmcache.testing import FakeProbe, ManualClock, assert_consistent


class Sized:
    """A value whose size may change."""

    def __init__(self, size: int) -> None:
        self.size = size


def sums(cache: Any) -> tuple[float, float, float]:
    """Return what was paid, what LRU would have paid, and the debt."""
    leash = cache._store.order.choice.leash
    return leash.paid, leash.lru, leash.debt


def shadow(cache: Any) -> list[Any]:
    """Return what LRU would hold, what it would drop first at the front."""
    return [record.key for record in cache._store.order.choice.leash.shadow.in_order()]


def in_debt() -> CostCache[Any, Any]:
    """Return a cache that gave up "cheap", which LRU would have kept, for "dear"."""
    cache: CostCache[Any, Any] = on_a_long_leash(CostCache(2))
    store(cache, "dear", seconds=9)
    store(cache, "cheap", seconds=1)
    store(cache, "new", seconds=5)
    assert ["dear", "new"] == list(cache)
    assert (15, 1) == (sums(cache)[0], sums(cache)[2])
    assert ["cheap", "new"] == shadow(cache)
    return cache


def test_what_lru_would_have_kept_is_owed_and_its_load_pays_that_back() -> None:
    cache = in_debt()
    before = sums(cache)[1]
    store(cache, "cheap", seconds=1)
    paid, lru, debt = sums(cache)
    assert (16, before) == (paid, lru)  # LRU would not have had to load it
    assert 5 >= debt


@pytest.mark.parametrize("door", ["clear", "close"])
def test_what_is_cleared_is_owed_no_more(door: str) -> None:
    cache = in_debt()
    getattr(cache, door)()
    assert 0 == sums(cache)[2]
    assert [] == shadow(cache)


@pytest.mark.parametrize("door", ["del", "pop", "evict", "detach", "expire"])
def test_what_is_removed_by_others_the_shadow_forgets_and_nothing_is_owed(door: str) -> None:
    clock = ManualClock()
    cache: CostCache[Any, Any] = CostCache(3, timer=clock, idle_ttl=60)
    for key in "abc":
        store(cache, key)
    clock.advance(61 if door == "expire" else 0)
    match door:
        case "del":
            del cache["b"]
        case "pop":
            cache.pop("b")
        case "evict":
            cache.evict(key="b")
        case "detach":
            cache.detach("b")
        case "expire":
            cache.expire()
    assert 0 == sums(cache)[2]
    assert list(cache) == shadow(cache)
    store(cache, "b")
    assert sums(cache)[0] == sums(cache)[1] == 4  # LRU would have had to load it, too


def test_a_replaced_value_costs_neither_us_nor_lru_a_load() -> None:
    cache: CostCache[Any, Any] = CostCache(10, getsizeof=lambda value: value.size)
    cache["a"], cache["b"] = Sized(2), Sized(3)
    before = sums(cache)
    cache["a"] = Sized(5)
    assert before == sums(cache)
    assert ["b", "a"] == shadow(cache)
    assert 8 == cache._store.order.choice.leash.shadow.size  # type: ignore[attr-defined]
    cache["b"] = Sized(9)  # for which "a" has to go
    assert ["b"] == list(cache) == shadow(cache)
    assert_consistent(cache)


def test_the_shadow_weighs_an_entry_anew_when_the_cache_does() -> None:
    cache: CostCache[Any, Any] = CostCache(10, getsizeof=lambda value: value.size)
    values = {key: Sized(2) for key in "abc"}
    for key, value in values.items():
        cache[key] = value
    values["a"].size = 6
    cache["a"] = values["a"]
    held = cache._store.order.choice.leash.shadow  # type: ignore[attr-defined]
    assert 10 == held.size == cache.currsize
    values["a"].size = 1
    cache["a"] = values["a"]
    assert 5 == held.size == cache.currsize
    assert ["b", "c", "a"] == shadow(cache)


def test_the_shadow_follows_the_limit() -> None:
    cache: CostCache[Any, Any] = CostCache(4)
    for key in "abcd":
        store(cache, key)
    order: Any = cache._store.order
    assert 4 == order.choice.leash.shadow.limit
    order.limited(2)
    assert ["c", "d"] == shadow(cache)
    assert ["a", "b", "c", "d"] == cache.victims()
    order.limited(3)
    cache["a"]
    cache.victims()
    assert ["c", "d", "a"] == shadow(cache)  # which LRU had to load


def test_hits_from_before_lru_dropped_it_are_not_loads_that_lru_paid() -> None:
    cache: CostCache[Any, Any] = CostCache(4)
    store(cache, "a")
    cache["a"]
    order: Any = cache._store.order
    order.limited(0)
    before = sums(cache)
    cache.victims()  # which notices all hits
    assert before == sums(cache)
    cache["a"]
    cache.victims()
    assert before[1] + 1 == sums(cache)[1]


def test_where_lru_would_hold_many_more_keys_what_is_remembered_is_bounded_all_the_same() -> None:
    cache: CostCache[Any, Any] = on_a_long_leash(CostCache(100))
    store(cache, "large and dear", weight=99, seconds=1e6)
    known = cache._store.order.choice.known  # type: ignore[attr-defined]
    most = 1
    for n in range(40):
        store(cache, n)
        most = max(most, len(cache))
        assert len(known.lacking) + len(known.gone) <= GHOSTS * most
        assert ("large and dear" in cache) == (n <= GHOSTS * 2)


def test_what_is_leased_lru_keeps_as_well_and_nobody_is_forced() -> None:
    cache: CostCache[Any, Any] = CostCache(3, wait=0)
    for key in "abc":
        store(cache, key)
    with cache.lease("a"), cache.lease("b"):
        for n in range(50):
            store(cache, n, seconds=1 + n % 3)
            assert {"a", "b"} < {*cache}
            assert {"a", "b"} <= {record.key for record in held_by_shadow(cache)}
        with cache.lease(49), pytest.raises(CapacityError):
            store(cache, "more")
            cache["more"] = 1
    leash = cache._store.order.choice.leash  # type: ignore[attr-defined]
    assert 0 == leash.forced
    assert 0 == leash.debt
    for n in range(3):
        store(cache, ("new", n))
    assert not {"a", "b"} & {*cache}


def held_by_shadow(cache: Any) -> list[Any]:
    known = cache._store.order.choice.known
    return [record for record in known.residents.values() if record.held]


def test_what_is_refused_changes_no_sum() -> None:
    cache: CostCache[Any, Any] = CostCache(4, getsizeof=lambda value: value.size)
    cache["a"] = Sized(3)
    before = sums(cache)
    with pytest.raises(CapacityError):
        cache["b"] = Sized(5)
    assert before == sums(cache)
    assert ["a"] == shadow(cache)


def test_an_eviction_that_is_called_off_is_owed_nothing() -> None:
    cache = in_debt()
    order: Any = cache._store.order
    before, told = sums(cache), cache.victims()
    taken = [order.take(cache._view), order.take(cache._view)]
    assert told == [entry.key for entry in taken]
    assert None is order.take(cache._view)
    order.give_back(taken)
    assert before[0] == sums(cache)[0]
    assert 0 == sums(cache)[2]  # LRU would have dropped "cheap" for the first of the two
    assert told == cache.victims()
    assert_consistent(cache)


def test_after_an_interrupt_the_shadow_is_what_there_is_and_nothing_is_owed() -> None:
    cache = in_debt()
    order: Any = cache._store.order
    order.choice.known.residents.popitem()  # whatever was half done
    order.mend(cache._store.live.values())
    assert sorted(shadow(cache)) == sorted(cache) == sorted(cache.victims())
    assert 0 == sums(cache)[2]
    store(cache, "after")
    assert "after" in cache
    assert_consistent(cache)


def test_load_seconds_that_nobody_knows_are_the_mean_of_those_that_are_known() -> None:
    cache: CostCache[Any, Any] = CostCache(2)
    cache["first"] = 1
    assert (1, 1, 0) == sums(cache)  # a second, as nothing is known
    store(cache, "a", seconds=4)
    store(cache, "b", seconds=8)
    cache["c"] = 1
    assert 1 + 4 + 8 + 6 == sums(cache)[0] == sums(cache)[1]


def test_it_pays_what_the_loads_under_warm_took() -> None:
    clock = ManualClock()
    cache: CostCache[Any, Any] = CostCache(2, timer=clock)

    @warm(cache=cache)
    def load(seconds: float) -> list[float]:
        clock.advance(seconds)
        return [seconds]

    for seconds in (5, 1, 5, 3, 1):
        load(seconds)
    assert cache.stats().load_seconds == sums(cache)[0]


def test_a_new_cache_evicts_as_lru_until_lru_would_have_paid_enough() -> None:
    cache: CostCache[Any, Any] = CostCache(2)
    store(cache, "dear", seconds=50)
    store(cache, "cheap", seconds=0.6)
    store(cache, "new", seconds=1)
    assert ["cheap", "new"] == list(cache)
    store(cache, "dear", seconds=50)  # of which a hundredth is more than what is cheap
    assert ["new", "dear"] == list(cache)
    store(cache, "cheap", seconds=0.6)
    assert ["dear", "cheap"] == list(cache)
    store(cache, "other", seconds=1)
    assert ["dear", "other"] == list(cache)


@pytest.mark.oracle
@pytest.mark.parametrize("kind", ["loop2", "churn", "zipf", "trap"])
def test_a_cache_pays_no_more_than_a_twentieth_beyond_lru(kind: str) -> None:
    draw = random.Random(kind)
    keys = KINDS[kind](draw, 5_000)
    size = things(draw, keys, "mixed")
    limit = max(8, 0.3 * sum(weight for weight, _ in size.values()))
    cache, lru, paid = CostCache[int, int](limit), TrueLRU(limit), 0.0
    for key in keys:
        lru.ask(key, *size[key])
        if cache.get(key) is None:
            paid += size[key][1]
            store(cache, key, *size[key])
    assert paid <= 1.05 * lru.paid
    assert abs(sums(cache)[0] - paid) < 1e-6 * paid
    assert_consistent(cache)


# -- under a device's memory ------------------------------------------------------------

GiB = 2**30


def on_a_device(**seconds: float) -> tuple[MemoryCache[Any, Any], FakeProbe, Any]:
    probe, clock = FakeProbe(10 * GiB), ManualClock()
    cache: MemoryCache[Any, Any] = MemoryCache(
        8 * GiB, probe=probe, headroom=0, poll=3600, min_residency=0, confirm=0, timer=clock
    )

    @warm(cache=cache, size="1GiB")
    def load(name: str) -> Any:
        clock.advance(seconds.get(name, 0))
        return probe.block(GiB)

    return cache, probe, load


def test_what_goes_under_pressure_lru_loses_in_its_own_order() -> None:
    cache, probe, load = on_a_device(a=90, b=1, c=80, d=70, e=60, f=50)
    on_a_long_leash(cache)
    for name in "abcdef":
        load(name)
    probe.foreign = 4 * GiB
    for _ in range(4):
        cache.expire_now()
    assert {RemovalCause.PRESSURE: 2} == cache.stats().removals
    assert ["a", "c", "d", "e"] == [name for name in "abcdef" if load.contains(name)]
    leash = cache._store.order.choice.leash  # type: ignore[attr-defined]
    assert leash.shadow.size == cache.currsize
    assert 50 == leash.debt  # of "f", for LRU would have lost "a" and "b"
    assert 0 == leash.forced


def test_with_less_memory_than_budget_the_shadow_is_no_larger_than_what_there_is() -> None:
    cache, probe, load = on_a_device()
    probe.foreign = 6 * GiB  # of 10: four models fit, where the budget says eight
    for n in range(60):
        load("abcdefg"[n * n % 7])
    leash = cache._store.order.choice.leash  # type: ignore[attr-defined]
    assert leash.shadow.size <= 4 * GiB
    assert leash.paid + leash.debt <= 1.01 * leash.lru
    assert_consistent(cache)


# -- subclasses with a rank of their own --------------------------------------------------


def test_a_subclass_with_a_rank_of_its_own_is_scanned_and_may_ask_for_ours() -> None:
    class Favouring(CostCache[str, str]):
        def rank(self, entry: warmcache.Entry) -> float:
            return super().rank(entry) * (100 if entry.key == "favourite" else 1)

    cache = Favouring(3)
    store(cache, "favourite", seconds=1)
    store(cache, "dear", seconds=50)
    store(cache, "cheap", seconds=0.1)
    assert ["cheap", "dear", "favourite"] == cache.victims()
    for key in ("new", "newer"):  # on no leash, though LRU has paid little yet
        store(cache, key, seconds=2)
    assert ["favourite", "dear", "newer"] == list(cache)
    before = cache.rank(cache._live["dear"])
    cache["dear"]
    cache.victims()
    assert before < cache.rank(cache._live["dear"])  # which counts uses, of late
    assert_consistent(cache)
    cache.clear()
    assert 0 == len(cache._store.order.choice.known.residents)  # type: ignore[attr-defined]


def test_a_subclass_whose_ranks_only_rise_says_so_and_is_queued() -> None:
    class MostUsed(CostCache[str, str]):
        drifts = False

        def rank(self, entry: warmcache.Entry) -> float:
            return entry.uses + super().rank(entry)

    cache = MostUsed(2)
    store(cache, "a")
    store(cache, "b")
    cache["a"]
    store(cache, "c")
    assert ["a", "c"] == list(cache)
    assert ["c", "a"] == cache.victims()


@pytest.mark.parametrize("teardown", [None, lambda value: None], ids=["vanishing", "torn down"])
def test_what_comes_up_itself_as_it_is_replaced_is_charged_with_no_load(teardown: Any) -> None:
    weights = {"a": 3, "b": 4, "c": 3}
    cache: Any = CostCache(10, getsizeof=lambda value: weights[value[0]], teardown=teardown)
    leash = cache._store.order.choice.leash
    cache["a"] = "a"
    for name in "bc":
        cache[name] = name
        for _ in range(3):
            assert name == cache[name]
    before = leash.paid, leash.lru
    weights["a"] = 4
    cache["a"] = "a, heavier"
    assert ["a", "c"] == sorted(cache)
    assert before == (leash.paid, leash.lru)


def test_cleared_it_keeps_no_key() -> None:
    class Key:
        """What a weak reference may be to."""

    cache: CostCache[Key, int] = CostCache(10)
    keys = [Key() for _ in range(30)]
    for key in keys:
        cache[key] = 1
    known = [weakref.ref(key) for key in keys]
    del key, keys
    cache.clear()
    assert not any(ref() for ref in known)


def test_an_interrupt_as_victims_are_listed_loses_nobodys_place(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    cache: CostCache[int, int] = CostCache(10)
    for key in range(10):
        cache[key] = 1
    take_place, taken = LeashedChoice._take_place, []

    def interrupted(self: LeashedChoice, record: Any) -> None:
        taken.append(record)
        if len(taken) == 3:
            raise KeyboardInterrupt
        take_place(self, record)

    monkeypatch.setattr(LeashedChoice, "_take_place", interrupted)
    with pytest.raises(KeyboardInterrupt):
        cache.victims()
    assert_consistent(cache)
    assert {*range(10)} == {cache.popitem()[0] for _ in range(10)}
