"""What was torn down: when its room is free, who holds it still, what is written off."""

from __future__ import annotations

import gc
import sys
import threading
import types
from typing import Any

import pytest
from rigs import GiB, Model, Rig, blocks

from warmcache import CapacityError, Removal, RemovalCause, warm
from warmcache._core.drivers.who_holds import holders_of, in_words
from warmcache.memory import HostMemoryCache
from warmcache.testing import FakeProbe, assert_consistent

CAP = 5.0


@pytest.mark.race
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


def test_at_the_end_of_the_process_nobody_waits_for_the_device_to_show_it() -> None:
    told: list[Removal] = []
    rig = Rig(confirm=CAP, on_removal=told.append)
    load = rig.loader()
    load("a", 3)
    rig.probe.lag = float("inf")
    (job,) = rig.cache.close_at_exit(CAP)
    job.let_go()
    assert [RemovalCause.CLOSED] == [removal.cause for removal in told]
    assert [] == rig.cache.entries()
    assert_consistent(rig.cache)


def test_an_interrupt_of_who_is_told_of_what_came_back_late_reaches_the_caller() -> None:
    told: list[Any] = []

    def interrupted(removal: Removal) -> None:
        told.append(removal.key)
        raise KeyboardInterrupt

    rig = Rig(confirm=CAP, on_removal=interrupted)
    load = rig.loader()
    rig.probe.lag = float("inf")
    for name in "ab":
        load(name, 3)
        load.evict(name, 3)
    assert 2 == rig.cache.stats().dying / (3 * GiB) and [] == told
    rig.probe.settle()
    with pytest.raises(KeyboardInterrupt):
        rig.cache.expire_now()
    assert [load.cache_key(name, 3) for name in "ab"] == told
    assert 0 == rig.cache.stats().dying
    assert_consistent(rig.cache)


def test_what_was_torn_down_before_the_end_of_the_process_is_not_torn_down_at_it() -> None:
    rig = Rig(confirm=CAP)
    load = rig.loader()
    load("a", 3)
    rig.probe.lag = float("inf")
    load.evict("a", 3)
    assert ["dying"] == [info.state for info in rig.cache.entries()]
    assert [] == rig.cache.close_at_exit(CAP)


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
    held = "5.0 GiB of its 5.0 GiB are still held, by kept[0] in test_a_value_that_somebody_holds"
    assert held in caplog.text
    assert_consistent(rig.cache)
    kept.clear()
    load("b", 5)
    assert [] == rig.cache._store.zombies
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


def test_memory_is_given_back_though_the_users_own_reclaim_fails() -> None:
    given: list[None] = []
    rig = Rig(reclaim=lambda: 1 / 0, give_back=lambda: given.append(None))
    load = rig.loader()
    load("a")
    load.evict("a")
    assert [None] == given


def test_a_module_that_holds_a_value_is_named_with_the_variable(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    module: Any = types.ModuleType("somewhere")
    module.kept = Model(FakeProbe(1), 0)
    monkeypatch.setitem(sys.modules, "somewhere", module)
    assert "somewhere.kept" in in_words(holders_of([module.kept]))[0]


def test_who_holds_a_value_is_named_and_nobody_else() -> None:
    holder = {"kept": Model(FakeProbe(1), 0)}
    named, _ = in_words(holders_of([holder["kept"]]))
    assert "holder['kept'] in test_who_holds_a_value_is_named_and_nobody_else()" == named
