"""Room for a load: made before it starts, and made up when it took more."""

from __future__ import annotations

import threading
from typing import Any

import pytest
from rigs import GiB, Model, Rig, ask, blocks

from warmcache import CapacityError, RemovalCause, warm
from warmcache.testing import assert_consistent

CAP = 5.0
MiB = 2**20


# -- room before a load --------------------------------------------------------------


def test_room_is_made_by_the_ledger_before_the_load_starts() -> None:
    rig = Rig(budget=4 * GiB)
    free: list[float] = []

    @warm(cache=rig.cache, size="3GiB")
    def load(name: str) -> Model:
        free.append((rig.probe.sample().free or 0) / GiB)
        return Model(rig.probe, 3 * GiB)

    load("a")
    load("b")
    assert [16, 16] == free


def test_room_is_made_by_the_probe_too_when_others_use_the_device() -> None:
    rig = Rig(total=16, budget=12 * GiB)
    load = rig.loader(size="4GiB")
    ask(load, "ab", 4)
    rig.probe.foreign = 6 * GiB
    load("c", 4)
    assert {RemovalCause.SIZE: 1} == rig.cache.stats().removals
    assert 8 == rig.gib("live") and load.contains("c", 4)


def test_headroom_stays_free() -> None:
    rig = Rig(total=8, budget=8 * GiB, headroom="2GiB")
    load = rig.loader(size="3GiB")
    ask(load, "abc", 3)
    assert 6 == rig.gib("live")


def test_the_next_load_of_a_key_reserves_what_its_last_ones_took() -> None:
    rig = Rig(budget=12 * GiB)
    load = rig.loader()
    reserved: list[float] = []

    @warm(cache=rig.cache)
    def growing(step: int) -> Model:
        reserved.append(rig.gib("loading"))
        return Model(rig.probe, [2, 5, 3][len(reserved) - 1] * GiB)

    load("other", 1)
    for _ in range(3):
        growing(0)
        growing.evict(0)
    assert [1, 2, 5] == reserved


def test_a_hint_is_reserved_for_what_was_never_loaded(tmp_path: Any) -> None:
    rig = Rig()
    weights = tmp_path / "a.safetensors"
    weights.write_bytes(b"\0" * 3 * MiB)
    reserved: list[float] = []

    @warm(cache=rig.cache, size_hint=lambda name: tmp_path / f"{name}.safetensors")
    def load(name: str) -> Model:
        reserved.append(rig.cache.stats().loading)
        return Model(rig.probe, 5 * MiB)

    load("a")
    assert [3 * MiB] == reserved and 5 * MiB == rig.cache.stats().live


def test_an_unknown_load_goes_alone_with_room_down_to_the_low_mark() -> None:
    rig = Rig(budget=10 * GiB, low=0.7)
    reserved: list[float] = []

    @warm(cache=rig.cache)
    def load(name: str) -> Model:
        reserved.append(rig.gib("loading"))
        return Model(rig.probe, GiB)

    rig.cache["x"] = Model(rig.probe, 0)  # nothing is known of it
    load("first")
    assert [10] == reserved
    assert 1 == rig.gib("live")


def test_a_load_inside_an_unknown_one_takes_from_its_room() -> None:
    rig = Rig(budget=10 * GiB)
    inner = rig.loader(size="2GiB")

    @warm(cache=rig.cache)
    def outer() -> tuple[Model, Any]:
        tokenizer = inner("tokenizer", 2)
        assert (8, 2) == (rig.gib("loading"), rig.gib("live"))
        return Model(rig.probe, 3 * GiB), tokenizer

    outer()
    assert_consistent(rig.cache)


@pytest.mark.race
def test_a_load_of_known_weight_waits_for_an_unknown_one_longer_than_for_a_lease() -> None:
    rig = Rig(budget=10 * GiB, wait=0)
    loading, go_on, waiting = threading.Event(), threading.Event(), threading.Event()

    @warm(cache=rig.cache)
    def unknown() -> Model:
        loading.set()
        assert go_on.wait(CAP)
        return Model(rig.probe, GiB)

    known = rig.loader(size="4GiB")
    first = threading.Thread(target=unknown)
    first.start()
    assert loading.wait(CAP)
    second = threading.Thread(target=lambda: (known("a", 4), waiting.set()))
    second.start()
    while not rig.cache.stats().waits:
        assert second.is_alive()
    go_on.set()
    assert waiting.wait(CAP)
    first.join(CAP), second.join(CAP)
    assert 5 == rig.gib("live")


def test_what_cannot_ever_fit_is_refused_before_anything_is_evicted() -> None:
    rig = Rig(budget=4 * GiB)
    load = rig.loader(size=lambda model: 3 * GiB)
    load("a", 3)
    large = rig.loader(size="5GiB")
    with pytest.raises(CapacityError, match="more than the whole cache"):
        large("b", 5)
    assert load.contains("a", 3) and ["a"] == rig.loads


def test_a_device_filled_by_others_is_waited_for_and_then_told() -> None:
    rig = Rig(total=16, budget=12 * GiB, foreign=14)
    load = rig.loader(size="4GiB")
    with pytest.raises(CapacityError, match="2.0 GiB available on the device"):
        load("a", 4)
    rig.probe.foreign = 0
    load("a", 4)


def test_a_load_does_not_drain_the_cache_when_evicting_gives_the_device_nothing_back() -> None:
    rig = Rig(total=16, budget=16 * GiB, foreign=4, footprint=blocks)
    load = rig.loader(size="4GiB")
    ask(load, "abc", 4)
    rig.probe.lag = float("inf")
    with pytest.raises(CapacityError, match="0 B available on the device"):
        load("d", 4)
    assert {RemovalCause.SIZE: 1} == rig.cache.stats().removals
    assert 0 == rig.cache._store.ledger.owed, "nobody wants room any more"


def test_an_unknown_device_refuses_nothing() -> None:
    rig = Rig(total=4, budget=12 * GiB)
    rig.probe.unknown = True
    load = rig.loader(size="8GiB")
    load("a", 0)
    assert 8 == rig.gib("live")


def test_the_memory_of_what_is_handed_in_is_not_wanted_a_second_time() -> None:
    rig = Rig(total=16, budget=12 * GiB, footprint=blocks)
    rig.loader(size="1GiB")("idle", 1)
    rig.cache["x"] = Model(rig.probe, 10 * GiB)  # the device has 5 GiB left
    assert (11, 2) == (rig.gib("live"), len(rig.cache))


def test_a_guess_is_in_whole_bytes_for_sums_of_fractions_leave_a_rest() -> None:
    rig = Rig()
    for name, size in [("a", 4), ("b", 1), ("c", 2)]:
        rig.loader(size=size * GiB)(name, 1)
    reserved: list[float] = []

    @warm(cache=rig.cache)
    def load() -> Model:
        reserved.append(rig.cache.stats().loading)
        return Model(rig.probe, GiB)

    load()
    assert [-(-7 * GiB // 3)] == reserved


# -- more than was reserved ----------------------------------------------------------


def test_a_deficit_is_repaid_by_as_many_idle_victims_as_it_takes() -> None:
    rig = Rig(total=32, budget=10 * GiB)
    load = rig.loader()
    for name in "abcde":
        load(name, 2)
    load("f", 5)  # 2 GiB were reserved for it
    assert (9, 2) == (rig.gib("live"), rig.cache.stats().removals[RemovalCause.SIZE] - 1)
    assert_consistent(rig.cache)


def test_a_deficit_that_leases_leave_unpaid_is_borne_not_waited_for() -> None:
    rig = Rig(total=32, budget=10 * GiB)
    load = rig.loader()
    with load.lease("a", 4), load.lease("b", 4):

        @warm(cache=rig.cache, size_hint="1GiB")
        def larger() -> Model:
            return Model(rig.probe, 5 * GiB)

        larger()
        assert 13 == rig.gib("live")
    load("d", 1)
    assert rig.gib("live") <= 10


def test_what_turns_out_larger_than_the_budget_is_torn_down_and_told() -> None:
    rig = Rig(total=32, budget=4 * GiB)
    torn_down: list[None] = []
    load = rig.loader(teardown=lambda model: torn_down.append(None), size_hint="1GiB")
    with pytest.raises(CapacityError, match="more than the whole cache; raise its budget"):
        load("a", 5)
    assert 1 == len(torn_down) and not rig.cache.entries()


@pytest.mark.parametrize("budget", [4, 8])
def test_a_key_that_was_once_too_large_is_loaded_again_and_may_be_smaller_now(
    budget: int, tmp_path: Any
) -> None:
    sizes, learn = [10, 10, 3, 3], tmp_path / "sizes.json"
    reserved: list[float] = []

    def load_in(rig: Rig) -> None:
        @warm(cache=rig.cache)
        def load(name: str) -> Model:
            reserved.append(rig.gib("loading"))
            return Model(rig.probe, sizes[len(reserved) - 1] * GiB)

        load("a")

    for _ in range(2):  # each in a process of its own
        with pytest.raises(CapacityError, match="10.0 GiB of"):
            load_in(Rig(total=12, budget=budget * GiB, learn=learn))
    rig = Rig(total=12, budget=budget * GiB, learn=learn)
    rig.loader(size="1GiB")("idle", 1)
    load_in(rig)
    load_in(rig := Rig(total=12, budget=budget * GiB, learn=learn))
    assert [budget, budget, 1, 3] == reserved
    assert 3 == rig.gib("live")


def test_what_the_device_can_never_hold_is_not_learned_for_good() -> None:
    rig = Rig(total=8, budget=8 * GiB, headroom="2GiB")
    load = rig.loader()
    load("a", 7)  # into the headroom
    load.evict("a", 7)
    load("a", 7)
    assert load.contains("a", 7)
