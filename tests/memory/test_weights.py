"""What a value weighs: how it is known, and which way goes before which."""

from __future__ import annotations

import threading
from typing import Any

import pytest
from rigs import GiB, Model, Rig, ask

from warmcache import CapacityError, warm
from warmcache.memory import HostMemoryCache
from warmcache.memory.footprint import Footprint
from warmcache.testing import FakeProbe, assert_consistent

CAP = 5.0
MiB = 2**20


def test_a_value_weighs_what_the_allocator_grew_by_when_nothing_else_is_known() -> None:
    rig = Rig()
    load = rig.loader()
    load("a", 3)
    (entry,) = rig.cache.entries()
    assert (3 * GiB, "allocator") == (entry.weight, entry.weighed_by)
    assert_consistent(rig.cache)


def test_a_value_of_which_nothing_is_known_goes_alone_the_next_time_too() -> None:
    rig = Rig(budget=10 * GiB)
    reserved: list[float] = []

    @warm(cache=rig.cache)
    def load() -> object:
        reserved.append(rig.gib("loading"))
        return object()

    load()
    load.evict()
    load()
    assert [10, 10] == reserved
    assert [(0, None)] == [(entry.weight, entry.weighed_by) for entry in rig.cache.entries()]


def test_what_a_machine_grew_by_is_not_taken_for_a_values_weight() -> None:
    probe = FakeProbe(16 * GiB)
    cache: HostMemoryCache[Any, Any] = HostMemoryCache(8 * GiB, probe=probe, poll=0)

    @warm(cache=cache)
    def load() -> object:
        probe.foreign += GiB
        return object()

    load()
    assert 0 == cache.currsize


def test_what_is_seen_of_a_value_goes_before_growth_and_size_before_both() -> None:
    seen = dict(footprint=lambda model: Footprint(2 * GiB, (), ()))
    for options, size, weight, way in [
        ({}, {"size": "1GiB"}, GiB, "size"),
        ({}, {"size": lambda model: 4 * GiB}, 4 * GiB, "size"),
        (seen, {}, 2 * GiB, "footprint"),
        (seen, {"size": "2GiB"}, 2 * GiB, "size"),
    ]:
        rig = Rig(**options)
        load = rig.loader(**size)
        load("a", 2)
        (entry,) = rig.cache.entries()
        assert (weight, way) == (entry.weight, entry.weighed_by)
        assert_consistent(rig.cache)


def test_two_ways_to_weigh_that_disagree_are_told_once(caplog: pytest.LogCaptureFixture) -> None:
    rig = Rig(footprint=lambda model: Footprint(3 * GiB, (), ()))
    load = rig.loader(size="2GiB")
    ask(load, "ab", 2)
    (said,) = caplog.messages
    assert "load('a', 2) weighs 2.0 GiB by its size, which is used, but 3.0 GiB by its" in said


@pytest.mark.parametrize(
    ("size", "seen", "told"),
    [
        (4000, 3300, False),  # by 17.5 %
        (4000, 3100, True),  # by 22.5 %
        (3300, 4000, False),
        (3100, 4000, True),
        (4, 12, False),  # by less than anybody can tell
        (4, 36, True),
    ],
)
def test_two_ways_to_weigh_that_disagree_by_a_fifth_or_less_are_not_told(
    size: int, seen: int, told: bool, caplog: pytest.LogCaptureFixture
) -> None:
    rig = Rig(footprint=lambda model: Footprint(seen * MiB, (), ()))
    rig.loader(size=size * MiB)("a", 0)
    assert told == ("which is used, but" in caplog.text)


def test_what_a_load_inside_another_takes_is_not_counted_twice() -> None:
    rig = Rig()
    inner = rig.loader()

    @warm(cache=rig.cache)
    def outer() -> Model:
        inner("part", 2)
        return Model(rig.probe, 3 * GiB)

    outer()
    assert {"load": 2 * GiB, "outer": 3 * GiB} == {
        entry.key[0].name: entry.weight for entry in rig.cache.entries()
    }


@pytest.mark.parametrize("shared", [True, False])
def test_what_a_load_inside_takes_is_left_out_of_the_growth_of_its_own_device(
    shared: bool,
) -> None:
    rig = Rig()
    inside = Rig(probe=rig.probe if shared else None)
    inner = inside.loader(size="1GiB")

    @warm(cache=rig.cache)
    def outer() -> Model:
        inner("part", 1)
        return Model(rig.probe, 3 * GiB)

    outer()
    (entry,) = rig.cache.entries()
    assert 3 * GiB == entry.weight


@pytest.mark.race
def test_growth_while_an_unrelated_load_runs_says_nothing_but_unknown_is_not_0() -> None:
    rig = Rig()
    loading, go_on = threading.Event(), threading.Event()

    @warm(cache=rig.cache, size_hint="1GiB")
    def slow() -> Model:
        model = Model(rig.probe, 2 * GiB)
        loading.set()
        assert go_on.wait(CAP)
        return model

    thread = threading.Thread(target=slow)
    thread.start()
    assert loading.wait(CAP)
    quick = rig.loader(size_hint="1GiB")
    quick("quick", 3)
    go_on.set()
    thread.join(CAP)
    assert 2 * [("guess", GiB)] == [(e.weighed_by, e.weight) for e in rig.cache.entries()]
    quick.evict("quick", 3)
    quick("quick", 3)
    assert 4 == rig.gib("live"), "the next load is weighed anew"


@pytest.mark.parametrize("visible", [False, True])
def test_what_is_not_seen_of_an_unknown_device_is_charged_unless_it_holds_nothing(
    visible: bool,
) -> None:
    options = dict(footprint=lambda model: Footprint(0, (), ())) if visible else {}
    rig = Rig(budget=12 * GiB, low=0.75, **options)
    rig.probe.unknown = True
    rig.loader()("a", 0)
    rig.loader(size_hint="2GiB")("b", 0)
    assert (2 if visible else 5) == rig.gib("live")


def test_memory_that_comes_back_during_a_load_is_added_to_its_growth() -> None:
    rig = Rig(budget=8 * GiB)
    idle = rig.loader(size="2GiB")
    idle("a", 2)

    @warm(cache=rig.cache, size_hint="1GiB")
    def load() -> Model:
        idle.evict("a", 2)
        return Model(rig.probe, GiB)

    load()
    assert [("allocator", GiB)] == [(e.weighed_by, e.weight) for e in rig.cache.entries()]


def test_what_was_on_its_way_out_before_a_load_tells_nothing_of_its_growth() -> None:
    rig = Rig(budget=8 * GiB, confirm=CAP)
    idle = rig.loader(size="2GiB")
    kept = [idle("a", 2)]
    idle.evict("a", 2)

    @warm(cache=rig.cache, size_hint="1GiB")
    def load() -> Model:
        kept.clear()
        rig.cache.expire_now()
        return Model(rig.probe, 3 * GiB)

    load()
    assert [("guess", GiB)] == [(e.weighed_by, e.weight) for e in rig.cache.entries()]


def test_of_a_load_that_ran_out_of_memory_the_try_that_succeeded_is_weighed() -> None:
    rig = Rig(budget=8 * GiB)
    ask(rig.loader(size="2GiB"), "ab", 2)
    tries: list[None] = []

    @warm(cache=rig.cache, size_hint="1GiB")
    def load() -> Model:
        tries.append(None)
        if len(tries) == 1:
            raise MemoryError("tried to allocate 4 GiB")
        return Model(rig.probe, GiB)

    load()
    assert [("allocator", GiB)] == [(e.weighed_by, e.weight) for e in rig.cache.entries()]


def test_what_another_process_took_during_a_load_does_not_bar_its_key_for_good() -> None:
    rig = Rig(total=32, budget=4 * GiB)
    rig.probe.allocated = lambda: None  # type: ignore[method-assign]

    @warm(cache=rig.cache, size_hint="1GiB")
    def load() -> Model:
        rig.probe.foreign += 6 * GiB if not rig.probe.foreign else 0
        return Model(rig.probe, GiB)

    with pytest.raises(CapacityError, match="needs 7.0 GiB"):
        load()
    load()
    assert [("device", GiB)] == [(e.weighed_by, e.weight) for e in rig.cache.entries()]
