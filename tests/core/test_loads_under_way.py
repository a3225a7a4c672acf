"""What a snapshot says of a load under way."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future
from datetime import datetime, timedelta
from typing import Any

import pytest
from gates import Gate

from warmcache import ClosedError, EntryInfo, LRUCache, warm
from warmcache._core.drivers.mending import mend
from warmcache.testing import ManualClock, assert_consistent

CAP = 5.0


class Calendar(ManualClock):
    """A clock of datetimes."""

    def __call__(self) -> Any:
        return datetime(2030, 1, 1) + timedelta(seconds=super().__call__())


@pytest.mark.parametrize("clock", [ManualClock(1000), Calendar()])
def test_the_age_of_a_load_under_way_is_how_long_it_is_under_way(clock: ManualClock) -> None:
    cache = LRUCache[Any, str](3, timer=clock)
    ages: list[float] = []

    @warm(cache=cache)
    def load() -> str:
        for seconds in (2.5, 4.0):
            clock.advance(seconds)
            ages.extend(info.age for info in cache.entries())
        return "value"

    load()
    clock.advance(1)
    assert [2.5, 6.5, 1] == [*ages, *(info.age for info in cache.entries())]


@pytest.mark.race
def test_the_age_of_a_load_that_waits_for_room_counts_from_when_it_was_asked_for() -> None:
    clock, closing, go_on = ManualClock(), threading.Event(), threading.Event()

    def teardown(value: str) -> None:
        closing.set()
        assert go_on.wait(CAP)

    load = warm(policy="lru", maxsize=1, timer=clock, teardown=teardown)(lambda key: key)
    load("a")
    thread = threading.Thread(target=load, args=("b",))
    thread.start()
    assert closing.wait(CAP)
    clock.advance(3)
    (loading,) = [info for info in load.cache.entries() if info.state == "loading"]
    go_on.set()
    thread.join(CAP)
    assert 3 == loading.age


def test_a_load_under_way_was_never_used_nor_idle() -> None:
    seen: list[EntryInfo] = []

    @warm
    def load() -> None:
        seen.extend(load.cache.entries())

    load()
    assert [(0, 0, 0, 1)] == [(i.uses, i.idle, i.load_seconds, i.leases) for i in seen]


@pytest.mark.race
def test_an_interrupt_of_another_thread_takes_no_lease_from_who_loads(
    start: Callable[..., Future[Any]],
) -> None:
    gate, torn_down = Gate(), list[str]()

    @warm(policy="lru", maxsize=2, teardown=torn_down.append)
    def load(name: str) -> str:
        gate.wait()
        return name

    def use() -> None:
        with load.lease("a"):
            load.evict("a")
            assert [] == torn_down

    using = start(use)
    gate.until_reached()
    mend(load.cache._view)  # as any thread does that was interrupted
    gate.open()
    using.result(CAP)
    assert ["a"] == torn_down
    assert_consistent(load.cache)


def test_a_closed_cache_is_asked_for_nothing_and_misses_nothing() -> None:
    cache = LRUCache[Any, str](3)
    load = warm(cache=cache)(lambda: "value")
    cache.close()
    with pytest.raises(ClosedError):
        load()
    assert 0 == cache.stats().misses
    assert [] == cache.entries()


def test_a_load_under_way_has_the_tags_of_its_loader() -> None:
    seen: list[EntryInfo] = []

    @warm(tags=["text"])
    def load() -> None:
        seen.extend(load.cache.entries())

    load()
    assert [("loading", {"text"})] == [(info.state, info.tags) for info in seen]
