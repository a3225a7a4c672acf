"""What holds of both policies that weigh load seconds: cost and gdsf."""

from __future__ import annotations

import copy
import gc
import pickle
import weakref
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from replays import on_a_long_leash, store

import warmcache
from warmcache import CostCache, GDSFCache, warm
from warmcache.caches.known_keys import GHOSTS
from warmcache.testing import ManualClock, assert_consistent

BOTH = pytest.mark.parametrize("cls", [CostCache, GDSFCache])


class Thing:
    pass


def free(cache: Any) -> Any:
    """Return ``cache``, choosing by rank alone."""
    return on_a_long_leash(cache) if isinstance(cache, CostCache) else cache


@BOTH
def test_what_weighs_nothing_goes_last_and_spoils_nothing(cls: Any) -> None:
    cache = free(cls(4))
    store(cache, "free", weight=0)
    store(cache, "free too", weight=0, seconds=0)
    store(cache, "a", weight=0.25, seconds=0.001)
    assert ["a", "free", "free too"] == cache.victims()
    for key in ("a", "free", "free too"):
        assert key == cache.popitem()[0]
    store(cache, "b", weight=1.75, seconds=2)
    store(cache, "c", weight=1.75)
    store(cache, "d", weight=1.75)
    assert ["b", "d"] == list(cache)
    assert_consistent(cache)


@BOTH
def test_leased_entries_stay_and_do_not_stop_the_eviction_of_the_rest(cls: Any) -> None:
    cache = cls(3, wait=0)
    store(cache, "pinned", seconds=0.001)
    with cache.lease("pinned"):
        for n in range(20):
            store(cache, n)
        assert "pinned" in cache
        with cache.lease(19), cache.lease(next(k for k in cache if k not in (19, "pinned"))):
            with pytest.raises(warmcache.CapacityError):
                cache["more"] = 1
        assert_consistent(cache)
    store(cache, 20)
    assert "pinned" not in cache


@BOTH
def test_it_measures_loads_by_itself_under_warm(cls: Any) -> None:
    clock = ManualClock()
    cache = free(cls(2, timer=clock))

    @warm(cache=cache)
    def load(seconds: float) -> Thing:
        clock.advance(seconds)
        return Thing()

    for seconds in (5, 1, 3):
        load(seconds)
    assert [False, True, True] == [load.contains(seconds) for seconds in (1, 3, 5)]


@BOTH
def test_no_value_outlives_its_entry_whatever_is_remembered(cls: Any) -> None:
    cache = cls(2, **({"keep_uses": True} if cls is GDSFCache else {}))
    dead = []
    for n in range(10):
        thing = Thing()
        dead.append(weakref.ref(thing))
        cache[n % 5] = thing
    del thing
    gc.collect()
    assert 2 == sum(reference() is not None for reference in dead)
    cache.clear()
    gc.collect()
    assert [] == [reference for reference in dead if reference() is not None]


def remembered(cache: Any) -> int:
    order = cache._store.order
    if not isinstance(cache, CostCache):
        return len(order._kept)
    return len(order.choice.known.gone) + len(order.choice.known.lacking)


@BOTH
def test_of_keys_that_left_four_times_as_many_are_remembered_as_there_were_entries(
    cls: Any,
) -> None:
    cache = cls(3, **({"keep_uses": True} if cls is GDSFCache else {}))
    for n in range(100):
        cache[n] = n
    assert GHOSTS * 3 == 12 == remembered(cache)
    for n in range(100, 2000):
        cache[n % 50] = object()
    assert remembered(cache) <= 12


@BOTH
@pytest.mark.parametrize("end", ["clear", "close"])
def test_nothing_is_remembered_of_a_cache_that_was_cleared_or_closed(cls: Any, end: str) -> None:
    cache = cls(3, **({"keep_uses": True} if cls is GDSFCache else {}))
    for n in range(10):
        cache[n] = n
    getattr(cache, end)()
    order = cache._store.order
    assert 0 == remembered(cache)
    assert not getattr(order, "_residents", None) and not getattr(order, "_levels", None)
    if cls is CostCache:
        assert not order.choice.known.residents


@BOTH
@pytest.mark.parametrize("copied", [copy.copy, lambda cache: pickle.loads(pickle.dumps(cache))])
def test_a_copy_has_the_entries_and_remembers_no_others(cls: Any, copied: Any) -> None:
    cache = cls(3, **({"keep_uses": True} if cls is GDSFCache else {}))
    for key in range(5):
        store(cache, key, seconds=1 + key)
    twin = copied(cache)
    assert dict(cache) == dict(twin)
    assert 0 == remembered(twin) < remembered(cache)
    store(twin, 5, seconds=1)
    assert_consistent(twin)


@BOTH
def test_it_goes_with_times_to_live(cls: Any) -> None:
    class Timed(cls, warmcache.TTLCache):  # type: ignore[misc]
        def __init__(self, maxsize: float, ttl: float, timer: Any) -> None:
            self._keep_uses = False
            warmcache.TTLCache.__init__(self, maxsize, ttl, timer)

    clock = ManualClock()
    cache = Timed(3, 10, clock)
    store(cache, "cheap", seconds=1)
    store(cache, "dear", seconds=9)
    store(cache, "dearer", seconds=99)
    assert ["cheap", "dear", "dearer"] == cache.victims()
    clock.advance(10)
    assert [] == list(cache)
    cache["new"] = 1
    assert ["new"] == list(cache)
    assert_consistent(cache)
    assert ["new"] == list(copy.copy(cache))


STEPS = st.lists(
    st.tuples(
        st.sampled_from(
            ["get", "store", "set", "del", "detach", "popitem", "evict", "lease", "end"]
        ),
        st.integers(0, 7),
    ),
    max_size=80,
)


@pytest.mark.property
@BOTH
@settings(max_examples=200)
@given(steps=STEPS)
def test_any_history_leaves_the_order_whole(cls: Any, steps: list[tuple[str, int]]) -> None:
    cache = cls(6, wait=0)
    leases: list[Any] = []
    for what, key in steps:
        try:
            match what:
                case "get":
                    cache.get(key)
                case "store" if key not in cache:
                    store(cache, key, key % 3, key % 4)
                case "set":
                    cache[key] = Thing()
                case "del":
                    del cache[key]
                case "detach":
                    cache.detach(key)
                case "popitem":
                    cache.popitem()
                case "evict":
                    cache.evict(key % 3)
                case "lease":
                    lease = cache.lease(key)
                    lease.__enter__()
                    leases.append(lease)
                case "end" if leases:
                    leases.pop(key % len(leases)).__exit__(None, None, None)
        except (KeyError, warmcache.CapacityError):
            pass
        assert_consistent(cache)
        told = cache.victims()
        assert sorted(told) == sorted(cache)
    for lease in leases:
        lease.__exit__(None, None, None)
    told = cache.victims()
    if cls is CostCache:
        known = cache._store.order.choice.known.residents
        assert sorted(told) == sorted(entry.key for entry in known)
    assert told == [cache.popitem()[0] for _ in told]
    assert 0 == len(cache)


def test_an_eviction_that_is_called_off_half_way_leaves_the_history_as_it_is() -> None:
    class Broken(CostCache[int, int]):
        broken = False

        def rank(self, entry: warmcache.Entry) -> float:
            if self.broken and len(self._store.order._entries) < 4:  # type: ignore[union-attr]
                raise ZeroDivisionError
            return super().rank(entry)

    cache = Broken(4, getsizeof=lambda value: value)
    for key in range(4):
        cache[key] = 1
    cache[0], cache[1]
    before = cache.victims()
    cache.broken = True
    with pytest.raises(ZeroDivisionError):
        cache[4] = 3
    cache.broken = False
    assert before == cache.victims() == [2, 3, 0, 1]
    assert 0 == remembered(cache)
