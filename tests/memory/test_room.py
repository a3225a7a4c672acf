"""Memory caches: a budget, a device that is looked at, values that are weighed."""

from __future__ import annotations

import gc
import threading
from typing import Any

import pytest
from rigs import GiB, Model, Rig, ask, blocks

import warmcache
from warmcache import CapacityError, RemovalCause, warm
from warmcache._core.drivers.who_holds import referrers
from warmcache.memory import HostMemoryCache, MemoryCache, retry_on_oom
from warmcache.memory.footprint import Footprint
from warmcache.testing import FakeProbe, ManualClock, assert_consistent

CAP = 5.0
MiB = 2**20


# -- weights -----------------------------------------------------------------------


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
    with pytest.raises(CapacityError, match="0 available on the device"):
        load("d", 4)
    assert {RemovalCause.SIZE: 1} == rig.cache.stats().removals


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
    with pytest.raises(CapacityError):
        load("a", 5)
    assert ["a"] == rig.loads, "the second time it is known before"


# -- memory that comes back ----------------------------------------------------------


def test_room_is_free_only_once_the_device_shows_it() -> None:
    rig = Rig(total=16, budget=4 * GiB, confirm=CAP)
    load = rig.loader()
    load("a", 3)
    rig.probe.lag = float("inf")
    done = threading.Event()
    thread = threading.Thread(target=lambda: (load("b", 3), done.set()))
    thread.start()
    while not rig.cache.stats().dying:
        assert thread.is_alive()
    assert ["a"] == rig.loads and not done.is_set()
    rig.probe.settle()
    assert done.wait(CAP)
    thread.join(CAP)
    assert 3 == rig.gib("live")


def test_what_the_device_never_shows_is_written_off_in_time(
    caplog: pytest.LogCaptureFixture,
) -> None:
    rig = Rig(budget=4 * GiB)
    load = rig.loader()
    load("a", 3)
    rig.probe.lag = float("inf")
    load("b", 3)
    assert "load('a', 3) was torn down, but the device does not show its 3.0 GiB back" in (
        caplog.text
    )
    assert_consistent(rig.cache)


def test_a_machine_is_not_waited_for_to_show_what_is_dead() -> None:
    probe = FakeProbe(16 * GiB, lag=float("inf"))
    cache: HostMemoryCache[Any, Any] = HostMemoryCache(
        4 * GiB, probe=probe, headroom=0, poll=0, confirm=CAP
    )

    @warm(cache=cache, size="3GiB")
    def load(name: str) -> Model:
        return Model(probe, 3 * GiB)

    load("a")
    load("b")
    assert {RemovalCause.SIZE: 1} == cache.stats().removals


def test_a_value_that_somebody_holds_is_a_zombie_until_it_dies(
    caplog: pytest.LogCaptureFixture,
) -> None:
    rig = Rig(budget=8 * GiB, footprint=blocks)
    load = rig.loader(size="5GiB")
    kept = [load("a", 5)]
    load.evict("a", 5)
    with pytest.raises(CapacityError, match=r"load\('a', 5\) torn down, but still held outside"):
        load("b", 5)
    assert (5, 0) == (rig.gib("zombies"), rig.gib("dying"))
    assert "5.0 GiB of its 5.0 GiB are still held, by a list" in caplog.text
    assert_consistent(rig.cache)
    kept.clear()
    load("b", 5)
    assert (0, 5) == (rig.gib("zombies"), rig.gib("live"))
    assert_consistent(rig.cache)


def test_of_a_zombie_only_what_is_still_held_is_charged() -> None:
    rig = Rig(budget=8 * GiB, footprint=blocks)

    @warm(cache=rig.cache)
    def load() -> Model:
        model = Model(rig.probe, GiB)
        model.blocks.append(rig.probe.block(3 * GiB))
        return model

    block = load().blocks[0]
    load.evict()
    while not rig.cache.stats().zombies:
        rig.cache.expire_now()
    assert 1 == rig.gib("zombies")
    del block
    rig.cache.expire_now()
    assert 0 == rig.gib("zombies")


def test_a_value_in_a_cycle_is_collected_as_it_is_torn_down_and_is_no_zombie() -> None:
    rig = Rig(budget=8 * GiB, confirm=CAP)
    load = rig.loader(teardown=lambda model: setattr(model, "me", model))
    load("a", 5)
    gc.collect()
    gc.disable()
    try:
        load.evict("a", 5)
    finally:
        gc.enable()
    assert (0, 0) == (rig.gib("dying"), rig.gib("zombies"))
    assert 16 * GiB == rig.probe.sample().free


# -- out of memory -------------------------------------------------------------------


def test_a_load_that_ran_out_of_memory_is_tried_again_once_what_it_lacked_is_free() -> None:
    rig = Rig(total=8, budget=8 * GiB)
    load = rig.loader(size="1GiB")
    for name in "abcd":
        load(name, 1.9)
    with load.lease("e", 3):
        assert list("abcdee") == rig.loads
    assert {RemovalCause.SIZE: 1, RemovalCause.PRESSURE: 1} == rig.cache.stats().removals


def test_what_an_error_says_was_lacking_is_made_up_at_once() -> None:
    rig = Rig(total=8, budget=8 * GiB)
    idle = rig.loader(size="1GiB")
    ask(idle, "abcd", 1)
    tries: list[int] = []

    @warm(cache=rig.cache, size="1GiB")
    def load() -> Model:
        tries.append(len(rig.cache))
        if len(tries) == 1:
            raise RuntimeError("CUDA out of memory. Tried to allocate 2.50 GiB. GPU 0 has")
        return Model(rig.probe, GiB)

    load()
    assert [4, 1] == tries


def test_a_load_is_tried_three_times_at_most_and_the_ledger_is_told() -> None:
    rig = Rig(total=64, budget=8 * GiB)
    tries: list[Any] = []
    load = rig.loader(size="1GiB")
    for name in "abcd":
        load(name, 1)

    @warm(cache=rig.cache, size="1GiB")
    def failing() -> Model:
        tries.append(None)
        raise MemoryError("tried to allocate 2.00 GiB")

    with pytest.raises(MemoryError) as caught:
        failing()
    assert 3 == len(tries)
    assert "of 8.0 GiB: 1.0 GiB reserved by loads; " in caught.value.__notes__[0]


def test_what_a_failed_try_allocated_is_free_before_the_next() -> None:
    rig = Rig(total=8, budget=8 * GiB)
    free: list[float] = []

    @warm(cache=rig.cache)
    def load() -> Model:
        free.append((rig.probe.sample().free or 0) / GiB)
        part = rig.probe.block(5 * GiB)
        if len(free) < 2:
            rig.probe.block(5 * GiB)
        return Model(rig.probe, 0) if part else None  # type: ignore[return-value]

    load()
    assert [8, 8] == free


def test_retry_on_oom_frees_what_a_function_lacked() -> None:
    rig = Rig(total=8, budget=8 * GiB)
    load = rig.loader(size="2GiB")
    ask(load, "abc", 2)

    @retry_on_oom(rig.cache)
    def infer(gib: int) -> int:
        block = rig.probe.block(gib * GiB)
        return block.nbytes // GiB

    assert 3 == infer(3)
    assert 4 == rig.gib("live")
    with pytest.raises(MemoryError):
        infer(9)
    with pytest.raises(ZeroDivisionError):
        retry_on_oom(rig.cache)(lambda: 1 / 0)()


async def test_retry_on_oom_refuses_an_async_function() -> None:
    async def infer() -> None:
        """Compute."""

    with pytest.raises(TypeError, match="plain function"):
        retry_on_oom(Rig().cache)(infer)


def test_memory_is_given_back_though_the_users_own_reclaim_fails() -> None:
    given: list[None] = []
    rig = Rig(reclaim=lambda: 1 / 0, give_back=lambda: given.append(None))
    load = rig.loader()
    load("a")
    load.evict("a")
    assert [None] == given


def test_who_holds_a_value_is_named_and_nobody_else() -> None:
    holder = {"kept": Model(FakeProbe(1), 0)}
    named = referrers([holder["kept"]])
    assert "a dict" in named and "a list" not in named


def test_relieve_leaves_leases_alone_and_says_what_it_freed() -> None:
    rig = Rig()
    load = rig.loader(size="2GiB")
    with load.lease("a", 2):
        ask(load, "bc", 2)
        assert 2 * GiB == rig.cache.relieve("1GiB")
        assert 2 * GiB == rig.cache.relieve("6GiB")
        assert 0 == rig.cache.relieve(1)
        assert load.contains("a", 2)


# -- arguments -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (dict(budget=-1), "budget: a size must not be negative"),
        (dict(budget=float("inf")), "budget must be finite"),
        (dict(budget="much"), "budget: 'much' is not a size"),
        (dict(low=0.95), "0 < low <= high <= 1"),
        (dict(high=1.5), "0 < low <= high <= 1"),
        (dict(poll=-1), "poll must not be negative"),
        (dict(headroom="x"), "headroom: 'x' is not a size"),
    ],
)
def test_bad_arguments_are_refused(options: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Rig(**options)


def test_a_budget_is_bytes_or_text_or_a_fraction_of_the_device() -> None:
    probe = FakeProbe(10 * GiB)
    for budget, expected in [(GiB, 1), ("2GiB", 2), (0.5, 5), (None, 9)]:
        assert expected * GiB == MemoryCache(budget, probe=probe, poll=0).budget
    probe.unknown = True
    with pytest.raises(ValueError, match="must be given in bytes"):
        MemoryCache(0.5, probe=probe)


def test_ages_go_by_the_timer() -> None:
    clock = ManualClock()
    rig = Rig(timer=clock)
    rig.loader()("a")
    clock.advance(7)
    assert 7 == rig.cache.entries()[0].age


# -- the table -----------------------------------------------------------------------


def test_the_table_of_devices_tells_what_each_cache_of_the_process_holds() -> None:
    rig = Rig()
    rig.probe.name = "this test's card"
    rig.loader()("a", 3)
    (line,) = [line for line in warmcache.devices_table().splitlines() if rig.probe.name in line]
    assert "MemoryCache this test's card 1 3.0 GiB 12.0 GiB" == " ".join(line.split())
