"""Nothing that has left is reachable from its cache, whatever the policy and the door."""

from __future__ import annotations

import threading
import time
import weakref
from collections.abc import Callable
from typing import Any

import pytest

import warmcache
from warmcache.memory import MemoryCache
from warmcache.testing import FakeProbe, ManualClock

CAP = 5.0
MANY = 20  # fewer than the records that a lazy order may carry of what has left

pytestmark = pytest.mark.usefixtures("collector_off")


class Thing:
    """A key or a value that can be watched."""

    def close(self) -> None:
        """End it."""


def memory(maxsize: int, **options: Any) -> Any:
    options["give_back"] = lambda: None
    return MemoryCache(maxsize, lambda value: 1, probe=FakeProbe(total=1_000), poll=0, **options)


POLICIES: dict[str, Callable[..., Any]] = {
    "fifo": warmcache.FIFOCache,
    "lru": warmcache.LRUCache,
    "lfu": warmcache.LFUCache,
    "rr": warmcache.RRCache,
    "gdsf": warmcache.GDSFCache,
    "cost": warmcache.CostCache,
    "memory": memory,
    "ttl": lambda n, **options: warmcache.TTLCache(n, 10, ManualClock(), **options),
    "tlru": lambda n, **options: warmcache.TLRUCache(
        n, lambda key, value, now: now + 10, ManualClock(), **options
    ),
}
REMEMBERS_KEYS = {"cost", "memory"}  # of what has left, to know it when it comes back


def passing_by(cache: Any, key: Any) -> None:
    for _ in range(100 * MANY):
        cache[Thing()] = Thing()
    assert key not in cache


def idle_detach(cache: Any, key: Any) -> None:
    cache.detach(key)


def leased_detach(cache: Any, key: Any) -> None:
    with cache.lease(key):
        cache.detach(key)


def leased_eviction(cache: Any, key: Any) -> None:
    with cache.lease(key):
        cache.evict(key=key)


def replacement(cache: Any, key: Any) -> None:
    cache[key] = Thing()
    del cache[key]


def replacement_under_a_lease(cache: Any, key: Any) -> None:
    with cache.lease(key):
        cache[key] = Thing()
    del cache[key]


DOORS: dict[str, Callable[[Any, Any], object]] = {
    "over the limit": passing_by,
    "replaced": replacement,
    "replaced under a lease": replacement_under_a_lease,
    "del": lambda cache, key: cache.__delitem__(key),
    "pop": lambda cache, key: cache.pop(key) and None,
    "popitem": lambda cache, key: [cache.popitem() for _ in range(len(cache))] and None,
    "clear": lambda cache, key: cache.clear(),
    "evict": lambda cache, key: cache.evict(len(cache)) and None,
    "evict key": lambda cache, key: cache.evict(key=key) and None,
    "evict where": lambda cache, key: cache.evict(where=lambda info: True) and None,
    "evict under a lease": leased_eviction,
    "detach": idle_detach,
    "detach under a lease": leased_detach,
    "close": lambda cache, key: cache.close(),
}


def assert_gone(watched: list[weakref.ref[Any]]) -> None:
    end = time.monotonic() + CAP
    while any(each() for each in watched) and time.monotonic() < end:
        threading.Event().wait(0.001)  # the janitor may just be looking at it
    assert [None] * len(watched) == [each() for each in watched]


@pytest.mark.parametrize("teardown", [None, "close"])
@pytest.mark.parametrize("policy", POLICIES)
@pytest.mark.parametrize("door", DOORS)
def test_nothing_that_left_is_reachable(door: str, policy: str, teardown: str | None) -> None:
    cache = POLICIES[policy](MANY, teardown=teardown)
    key, value = Thing(), Thing()
    watched: list[Any] = [weakref.ref(value)]
    cache[key] = value
    del value
    cache.update((Thing(), Thing()) for _ in range(MANY - 1))
    if policy not in REMEMBERS_KEYS:
        watched.append(weakref.ref(key))
    DOORS[door](cache, key)
    del key
    assert_gone(watched)


@pytest.mark.parametrize("teardown", [None, "close"])
@pytest.mark.parametrize("policy", ["ttl", "tlru"])
def test_nothing_that_expired_is_reachable(policy: str, teardown: Any) -> None:
    clock = ManualClock()
    kinds: dict[str, Any] = {
        "ttl": lambda: warmcache.TTLCache(MANY, 10, clock, teardown=teardown),
        "tlru": lambda: warmcache.TLRUCache(
            MANY, lambda k, v, now: now + 10, clock, teardown=teardown
        ),
    }
    cache, key, value = kinds[policy](), Thing(), Thing()
    cache[key] = value
    watched = [weakref.ref(key), weakref.ref(value)]
    clock.advance(10)
    cache.expire()
    assert 0 == len(cache)
    del key, value
    assert_gone(watched)


@pytest.mark.parametrize("policy", POLICIES)
def test_values_that_pass_through_one_place_are_not_piled_up(policy: str) -> None:
    cache, values = POLICIES[policy](1), weakref.WeakSet[Thing]()
    for _ in range(2 * MANY):
        value: Thing | None = Thing()
        values.add(value)
        cache["k"], value = value, None
    assert 1 == len(values)


def test_a_loader_keeps_nothing_of_the_calls_that_left() -> None:
    @warmcache.warm(policy="lru", maxsize=MANY)
    def load(name: Thing) -> Thing:
        return Thing()

    name = Thing()
    watched = [weakref.ref(name), weakref.ref(load(name))]
    load.evict(name)
    del name
    assert [None, None] == [each() for each in watched]
