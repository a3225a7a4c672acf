"""Memory caches under threads and tasks: races forced by events, and what lingers."""

from __future__ import annotations

import gc
import subprocess
import sys
import threading
import weakref
from collections.abc import Callable
from typing import Any

import pytest

from warmcache import TTLCache, warm
from warmcache.memory import MemoryCache
from warmcache.memory.footprint import Footprint
from warmcache.testing import FakeProbe, ManualClock, assert_consistent

CAP = 5.0
GiB = 2**30
NEVER = float("inf")


class Model:
    """Holds memory of a fake device for as long as it lives."""

    def __init__(self, probe: FakeProbe, gib: float) -> None:
        self.blocks = [probe.block(int(gib * GiB))]


def seen(model: Model) -> Footprint:
    """Return what ``model`` holds, block by block."""
    parts = tuple((weakref.ref(block), block.nbytes) for block in model.blocks)
    return Footprint(sum(nbytes for _, nbytes in parts), parts, ())


class Rig:
    """A device of 16 GiB, a cache of its memory, and loaders of models."""

    def __init__(self, budget: float = 8, *, total: float = 16, **options: Any) -> None:
        self.probe = FakeProbe(int(total * GiB))
        settings: dict[str, Any] = dict(headroom=0, poll=0, wait=CAP, confirm=CAP)
        self.cache: MemoryCache[Any, Any] = MemoryCache(
            int(budget * GiB), probe=self.probe, **{**settings, **options}
        )
        self.loads: list[Any] = []

    def loader(self, **options: Any) -> Any:
        @warm(cache=self.cache, **options)
        def load(name: Any, gib: float = 3) -> Model:
            self.loads.append(name)
            return Model(self.probe, gib)

        return load

    def gib(self, figure: str) -> float:
        return float(getattr(self.cache.stats(), figure)) / GiB


def until(claim: Callable[[], object]) -> None:
    """Return once ``claim`` holds, which other threads bring about."""
    pause = threading.Event()
    for _ in range(5_000):
        if claim():
            return
        pause.wait(0.001)
    raise AssertionError("it never came to that")


# -- what comes back, and when -------------------------------------------------------


@pytest.mark.race
def test_two_values_handed_in_are_watched_apart_while_both_are_torn_down(start: Any) -> None:
    tearing_down, go_on = threading.Event(), threading.Event()

    def tear_down(model: Model) -> None:
        if model is slow:
            tearing_down.set()
            assert go_on.wait(CAP)

    rig = Rig(footprint=seen, teardown=tear_down)
    rig.cache["slow"] = slow = Model(rig.probe, 3)
    rig.cache["quick"] = quick = Model(rig.probe, 2)
    slowly = start(rig.cache.evict, key="slow")
    assert tearing_down.wait(CAP)
    rig.cache.evict(key="quick")
    go_on.set()
    slowly.result(CAP)
    assert 5 == rig.gib("dying"), "both are still held by this test"
    del quick
    rig.cache.expire_now()
    assert 3 == rig.gib("dying")
    assert_consistent(rig.cache)


@pytest.mark.race
def test_a_key_whose_memory_is_not_back_is_loaded_once_it_is(start: Any) -> None:
    rig = Rig()
    load = rig.loader()
    load("a")
    rig.probe.lag = NEVER
    load.evict("a")
    again = start(load, "a")
    until(lambda: any("loading" == entry.state for entry in rig.cache.entries()))
    assert ["a"] == rig.loads and 3 == rig.gib("dying")
    rig.probe.settle()
    again.result(CAP)
    assert ["a", "a"] == rig.loads


@pytest.mark.race
def test_a_janitor_that_is_busy_elsewhere_holds_up_nobody(start: Any) -> None:
    clock, busy, go_on = ManualClock(), threading.Event(), threading.Event()

    def tear_down(value: object) -> None:
        busy.set()
        assert go_on.wait(2 * CAP)

    other: TTLCache[str, object] = TTLCache(1, 10, timer=clock, teardown=tear_down)
    other["k"] = object()
    clock.advance(11)
    assert busy.wait(CAP)
    rig = Rig()
    load = rig.loader()
    load("a")
    rig.probe.lag = NEVER
    load.evict("a")
    rig.probe.settle()
    try:
        start(load, "a").result(CAP)
    finally:
        go_on.set()


def test_what_lingers_is_settled_though_nobody_touches_the_cache() -> None:
    told = threading.Event()
    rig = Rig(on_removal=lambda removal: told.set())
    load = rig.loader()
    load("a")
    rig.probe.lag = NEVER
    load.evict("a")
    assert not told.is_set()
    rig.probe.settle()
    assert told.wait(CAP)
    assert 0 == rig.gib("dying")


def test_closing_while_something_lingers_still_has_it_told_and_uncharged() -> None:
    told = threading.Event()
    rig = Rig(on_removal=lambda removal: told.set())
    rig.loader()("a")
    rig.probe.lag = NEVER
    rig.cache.close()
    assert 3 == rig.gib("dying") and not told.is_set()
    rig.probe.settle()
    assert told.wait(CAP)
    stats = rig.cache.stats()
    assert 0 == stats.live + stats.loading + stats.retired + stats.dying + stats.zombies


@pytest.mark.parametrize("leave", ["evicted before", "collected with it", "leased beyond it"])
def test_what_lingers_as_its_cache_is_collected_is_told(leave: str) -> None:
    told = threading.Event()
    rig = Rig(on_removal=lambda removal: told.set())
    load = rig.loader()
    lease = load.lease("a")
    lease.__enter__()
    if leave != "leased beyond it":
        lease.__exit__(None, None, None)
    rig.probe.lag = NEVER
    if leave == "evicted before":
        load.evict("a")
    cache = weakref.ref(rig.cache)
    del rig, load
    gc.collect()
    assert cache() is None
    if leave == "leased beyond it":
        lease.__exit__(None, None, None)
    assert told.wait(CAP)


def test_what_lingers_as_the_process_ends_is_told() -> None:
    script = """
from warmcache import warm
from warmcache.memory import MemoryCache
from warmcache.testing import FakeProbe

probe = FakeProbe(2**34)
cache = MemoryCache(2**33, probe=probe, headroom=0, poll=0, confirm=3600,
                    on_removal=lambda removal: print(removal.key, removal.cause.value))
load = warm(cache=cache)(lambda name: probe.block(2**30))
load("a"), load("b")
probe.lag = float("inf")
load.evict("a")
"""
    run = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=True
    )
    assert ["<lambda>('a') explicit", "<lambda>('b') closed"] == sorted(run.stdout.splitlines())


# -- loads that wait for room --------------------------------------------------------


@pytest.mark.race
def test_unknown_loads_that_ask_for_the_same_part_do_not_wait_for_each_other(start: Any) -> None:
    rig = Rig(budget=10, total=64, low=0.8)
    part = rig.loader(size="8GiB")
    small = rig.loader(size_hint="6GiB")
    first_has_room, second_has_room = threading.Event(), threading.Event()

    @warm(cache=rig.cache)
    def first() -> Model:
        small("small", 1)
        small.evict("small", 1)  # 6 GiB are free now for the second one to have
        first_has_room.set()
        assert second_has_room.wait(CAP)
        part("part", 8)
        return Model(rig.probe, 1)

    @warm(cache=rig.cache)
    def second() -> Model:
        waits = rig.cache.stats().waits
        second_has_room.set()
        until(lambda: rig.cache.stats().waits > waits)  # for the part, for our room
        part("part", 8)
        return Model(rig.probe, 1)

    calls = [start(first)]
    assert first_has_room.wait(CAP)
    calls.append(start(second))
    for call in calls:
        call.result(CAP)
    assert 1 == rig.loads.count("part")
    assert_consistent(rig.cache)
