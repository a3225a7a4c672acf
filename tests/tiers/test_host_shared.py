"""Bytes that something else has, too, stay where they are, wherever in the process that is warm."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from parked import UNIT, Rig

from warmcache import LRUCache, MemoryCache, warm
from warmcache.memory import HostMemoryCache
from warmcache.testing import assert_consistent

pytestmark = pytest.mark.usefixtures("machine")
CAP = 5.0


class Adapter:
    """An adapter over a base: blocks of a device that others may have, and one of its own."""

    def __init__(self, name: str, base: list[Any], own: Any) -> None:
        self.name, self.blocks, self.own = name, [*base, own], own
        self.torn_down = 0

    def close(self) -> None:
        self.torn_down += 1
        self.blocks, self.own = [], None


class Adapters(Rig):
    """A cache with a host tier of adapters over one base of twelve units, which fits once."""

    def __init__(self, **options: Any) -> None:
        super().__init__(budget=64, host=256, **options)
        self.base = [self.device.block(12 * UNIT)]

    def adapter(self, name: str) -> Adapter:
        return Adapter(name, self.base, self.device.block(UNIT))

    def sleep(self, adapter: Adapter) -> Adapter:
        self.parks.append(adapter.name)
        adapter.blocks, adapter.own = [], None
        return adapter

    def wake(self, adapter: Adapter) -> Adapter:
        self.unparks.append(adapter.name)
        adapter.own = self.device.block(UNIT)
        adapter.blocks = [self.device.block(12 * UNIT), adapter.own]
        return adapter

    def adapters(self, **options: Any) -> Any:
        @warm(cache=self.cache, park=(self.sleep, self.wake), **options)
        def load(name: str) -> Adapter:
            return self.adapter(name)

        return load


@pytest.mark.parametrize("size", [None, 13 * UNIT, lambda adapter: 13 * UNIT])
def test_what_a_leased_entry_has_too_is_not_parked_however_that_is_weighed(size: Any) -> None:
    rig = Adapters()
    load = rig.adapters(size=size)
    a = load("a")
    with load.lease("b") as b:
        rig.base.clear()
        rig.cache.relieve(1)
        assert ([], 1) == (rig.parks, a.torn_down)
        assert 2 == len(b.blocks)
        assert_consistent(rig.cache)
    rig.cache.relieve(1)
    assert (["b"], 0) == (rig.parks, b.torn_down), "the last one takes the base along"
    assert load("b") is b
    assert_consistent(rig.cache)


def test_where_each_has_bytes_of_its_own_said_sizes_keep_nothing_from_being_parked() -> None:
    rig = Adapters()
    load = rig.adapters(size=13 * UNIT)
    load("a")
    rig.base = [rig.device.block(12 * UNIT)]
    with load.lease("b"):
        rig.base.clear()
        rig.cache.relieve(1)
    assert ["a"] == rig.parks


@pytest.mark.parametrize("kind", ["counts", "no tier", "said"])
def test_what_a_cache_without_a_tier_has_too_is_not_parked(kind: str) -> None:
    rig = Adapters()
    other: Any = LRUCache(4)
    if kind != "counts":
        look: dict[str, Any] = {"footprint": rig.cache._view.meter.footprint}  # type: ignore
        other = MemoryCache(64 * UNIT, probe=rig.device, headroom=0, poll=0, **look)
    size = {"size": 12 * UNIT} if kind == "said" else {}

    @warm(cache=other, **size)
    def base() -> Adapter:
        return rig.adapter("base")

    load = rig.adapters()
    a, held = load("a"), base()
    rig.base.clear()
    rig.cache.relieve(1)
    assert ([], 1) == (rig.parks, a.torn_down)
    del held
    load.cache_clear()
    rig.base = [*base().blocks]
    b = load("b")
    rig.base.clear()
    base.cache_clear()
    rig.cache.relieve(1)
    assert (["b"], 0) == (rig.parks, b.torn_down)
    assert load("b") is b


def test_what_a_loader_has_returned_is_not_parked_before_that_is_charged() -> None:
    rig = Adapters()
    load = rig.adapters()
    a = load("a")
    reached, opened = threading.Event(), threading.Event()

    def frozen(adapter: Adapter) -> Adapter:  # it has returned, and is not weighed yet
        reached.set()
        assert opened.wait(CAP)
        return adapter

    kind: Any = type("Frozen", (Adapter,), {"__warm_freeze__": frozen})

    @warm(cache=rig.cache, park=(rig.sleep, rig.wake), freeze=True)
    def slow(name: str) -> Any:
        return kind(name, rig.base, rig.device.block(UNIT))

    with ThreadPoolExecutor(1) as pool:
        loading = pool.submit(slow, "b")
        assert reached.wait(CAP)
        rig.base.clear()
        rig.cache.relieve(1)
        assert ([], 1) == (rig.parks, a.torn_down)
        opened.set()
        assert 2 == len(loading.result(CAP).blocks)
    assert_consistent(rig.cache)


def test_what_a_batch_has_loaded_is_not_parked_before_that_is_stored() -> None:
    parks: list[list[str]] = []

    def heard(load: Any) -> None:
        if load.key[1] == "b":  # "c" was loaded with it, and is stored next
            rig.base.clear()
            rig.cache.relieve(1)
            parks.append([*rig.parks])

    rig = Adapters()
    rig.adapters()("a")

    @warm(cache=LRUCache(4, on_load=heard), batch="names")
    def several(names: list[str]) -> list[Adapter]:
        own = [rig.device.block(UNIT)]
        return [Adapter("b", own, own[0]), rig.adapter("c")]

    several(["b", "c"])
    assert [[]] == parks


def test_what_shares_bytes_with_another_that_is_warm_is_not_parked() -> None:
    numpy = pytest.importorskip("numpy")
    base = [numpy.ones(2 * UNIT, dtype="u1")]
    cache = HostMemoryCache("64MiB", host="1GiB", headroom=0, poll=0, order="lru")
    parks: list[str] = []

    class Adapted:
        def __init__(self, name: str) -> None:
            self.name, self.base, self.torn_down = name, base[0], 0

        def close(self) -> None:
            self.torn_down += 1
            self.base = None

    def park(value: Adapted) -> Any:
        parks.append(value.name)
        value.base, there = None, (value, value.base.tobytes())
        return there

    def unpark(there: Any) -> Adapted:
        there[0].base = numpy.frombuffer(there[1], dtype="u1").copy()
        return there[0]  # type: ignore[no-any-return]

    @warm(cache=cache, park=(park, unpark), teardown="close")
    def load(name: str) -> Adapted:
        return Adapted(name)

    a, b = load("a"), load("b")
    base.clear()
    before = cache.stats().live
    assert 2 * UNIT == before, "it is charged once"
    cache.relieve(1)  # which the first alone would free nothing of
    assert (1, 0) == (a.torn_down, b.torn_down)
    assert ["b"] == parks, "the last one takes the base along"
    assert load("b") is b
    base.append(b.base)
    load("c")
    assert 2 * UNIT == cache.stats().live, "what is back is known again to be b's"
    assert_consistent(cache)


def test_nothing_is_looked_into_for_a_value_of_which_nothing_is_seen() -> None:
    rig, looks = Rig(), list[str]()

    class Other:
        @property
        def blocks(self) -> tuple[Any, ...]:
            looks.append("looked into")
            return ()

    beside: LRUCache[str, Other] = LRUCache(1)
    beside["x"] = Other()
    load = rig.loader(size=12 * UNIT)
    load("a", 0), load("b", 0)
    assert ["a"] == rig.parks
    assert [] == looks


@pytest.mark.parametrize("parked", [False, True])
def test_what_was_handed_in_with_its_size_said_shares_nothing_once_it_is_back_either(
    parked: bool,
) -> None:
    rig = Adapters()
    load = rig.adapters(size=13 * UNIT)
    key = load.cache_key("a")
    rig.cache[key] = rig.adapter("a")
    rig.base.clear()
    if parked:
        rig.cache.relieve(1)
    assert parked == (rig.parks == ["a"])
    a = load("a")

    @warm(cache=rig.cache)
    def load_over(name: str) -> Adapter:
        return Adapter(name, a.blocks[:1], rig.device.block(UNIT))

    load_over("b")
    assert 26 * UNIT == rig.cache.currsize
    assert_consistent(rig.cache)
