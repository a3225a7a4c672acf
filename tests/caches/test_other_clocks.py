"""Caches whose clock counts in something else than seconds, and clocks that fail."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import pytest

from warmcache import LRUCache, TTLCache, warm
from warmcache.testing import assert_consistent

NOON = datetime(2030, 1, 1, 12)


class Calendar:
    """A clock of dates that fails when it is told to."""

    def __init__(self) -> None:
        self.now = NOON
        self.broken = False

    def __call__(self) -> datetime:
        if self.broken:
            raise LookupError("the clock is broken")
        return self.now


def test_idle_ttl_is_in_what_the_timer_counts() -> None:
    clock, torn_down = Calendar(), []
    cache: LRUCache[str, int] = LRUCache(
        2, timer=clock, idle_ttl=timedelta(minutes=5), teardown=torn_down.append
    )
    cache.update(a=1, b=2)
    clock.now += timedelta(minutes=4)
    assert 1 == cache["a"]
    clock.now += timedelta(minutes=4)
    assert ["a"] == [*cache] and {"a": 60.0} == {e.key: e.ends_in for e in cache.entries()}
    clock.now += timedelta(minutes=1)
    assert [("a", 1)] == cache.expire() or 0 == len(cache)
    assert [2, 1] == torn_down


@pytest.mark.parametrize("option", ["ttl", "idle_ttl"])
@pytest.mark.parametrize(
    ("timer", "span", "kind"),
    [
        (datetime.now, 5, TypeError),
        (datetime.now, True, TypeError),
        (datetime.now, "5", TypeError),
        (datetime.now, -timedelta(1), ValueError),
        (time.monotonic, timedelta(1), TypeError),
        (time.monotonic_ns, timedelta(1), TypeError),
        (time.monotonic_ns, -1, ValueError),
    ],
)
def test_a_span_that_the_timer_does_not_count_is_refused_before_there_is_a_cache(
    option: str, timer: Callable[[], Any], span: Any, kind: type[Exception]
) -> None:
    options: Any = {option: span}
    with pytest.raises(kind, match=f"^{option} must be seconds, "):
        LRUCache(2, timer=timer, **options)
    with pytest.raises(kind, match=f"^{option} must be seconds, "):
        warm(policy="lru", maxsize=2, timer=timer, **options)(str)


def test_an_idle_time_of_none_at_all_is_refused_whatever_it_is_counted_in() -> None:
    with pytest.raises(ValueError, match="^idle_ttl must be seconds, .*more than 0"):
        LRUCache(2, timer=datetime.now, idle_ttl=timedelta(0))
    assert 0 == len(LRUCache(2, timer=datetime.now, ttl=timedelta(0)))


@pytest.mark.parametrize("span", [1e-9, 0.5, 1, 2**80])
def test_a_number_beside_a_large_time_is_taken(span: float) -> None:
    cache: LRUCache[str, int] = LRUCache(2, timer=time.time_ns, idle_ttl=span)
    cache["a"] = 1
    assert_consistent(cache)


@pytest.mark.parametrize("option", ["ttl", "idle_ttl"])
def test_what_would_end_after_the_last_time_there_is_cannot_be_stored(option: str) -> None:
    options: Any = {option: timedelta.max}
    cache: LRUCache[str, int] = LRUCache(2, timer=datetime.now, **options)
    with pytest.raises(OverflowError):
        cache["a"] = 1
    assert 0 == len(cache)
    assert_consistent(cache)


@pytest.mark.parametrize("way", ["publish", "revive"])
def test_a_store_that_raised_has_stored_nothing(way: str) -> None:
    clock, torn_down = Calendar(), []
    cache: Any = LRUCache(9, timer=clock, idle_ttl=timedelta(1), teardown=torn_down.append)
    value, plain = object(), cache._store._deadline

    def fails(entry: Any) -> Any:
        if clock.broken:
            raise LookupError("the clock is broken")
        return plain(entry)

    cache._store._deadline = fails
    if way == "revive":
        cache["a"] = value
        lease = cache.lease("a")
        lease.__enter__()
        cache.evict(key="a")
    unbroken, clock.broken = cache._store.timer, True
    cache._timer = lambda: NOON
    with pytest.raises(LookupError):
        cache["a"] = value
    clock.broken, cache._timer = False, unbroken
    assert "a" not in cache and [] == torn_down
    assert_consistent(cache)
    if way == "revive":
        lease.__exit__(None, None, None)
        assert [value] == torn_down, "the old one, as its last lease ended"
    cache["a"] = value
    assert value is cache["a"]
    assert_consistent(cache)


def test_a_load_whose_entry_cannot_be_dated_is_torn_down_and_keeps_no_room() -> None:
    clock, torn_down = Calendar(), []
    cache: Any = LRUCache(1, timer=clock, idle_ttl=timedelta(1), teardown=torn_down.append)
    plain = cache._store._deadline

    def fails(entry: Any) -> Any:
        if clock.broken:
            raise LookupError("the clock is broken")
        return plain(entry)

    cache._store._deadline = fails

    @warm(cache=cache)
    def load(name: str) -> list[str]:
        clock.broken = len(torn_down) == 0
        unbroken.append(clock.broken)
        return [name]

    unbroken: list[bool] = []
    cache._store.timer = lambda: NOON
    with pytest.raises(LookupError):
        load("a")
    assert [["a"]] == torn_down and not load.contains("a")
    assert_consistent(cache)
    clock.broken = False
    assert ["a"] == load("a")
    assert_consistent(cache)


def test_expire_returns_what_goes_with_its_lease_too() -> None:
    clock, torn_down = Calendar(), []
    cache: TTLCache[str, int] = TTLCache(
        3, timedelta(minutes=1), timer=clock, teardown=torn_down.append
    )
    cache.update(a=1, b=2)
    with cache.lease("a"):
        clock.now += timedelta(minutes=2)
        assert [("a", 1), ("b", 2)] == cache.expire()
        assert [2] == torn_down and [] == cache.expire()
    assert [2, 1] == torn_down
