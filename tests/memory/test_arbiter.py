"""Caches that know nothing of each other share a device: whose idle entries make the room."""

from __future__ import annotations

import gc
from collections.abc import Callable
from concurrent.futures import Future
from types import SimpleNamespace
from typing import Any

import pytest
from rigs import GiB, Model, Rig, ask, seen, slow, strangers

from warmcache import CapacityError, Removal, RemovalCause, warm
from warmcache._process.janitor import janitor
from warmcache.memory import arbiter, watcher
from warmcache.memory.arbiter import arbiter_of
from warmcache.probes import HostProbe
from warmcache.testing import FakeProbe, ManualClock, assert_consistent

CAP = 5.0


# -- who gives -------------------------------------------------------------------------


def test_what_is_idle_in_another_cache_goes_before_a_load_begins_and_nobody_waits() -> None:
    told: list[Removal] = []
    a, b = strangers(first=dict(on_removal=told.append), wait=0)
    a.loader(size="12GiB")("a", 12)
    free: list[float] = []

    @warm(cache=b.cache, size="8GiB")
    def load() -> Model:
        free.append((b.probe.sample().free or 0) / GiB)
        return Model(b.probe, 8 * GiB)

    load()
    assert [16] == free
    assert [RemovalCause.PRESSURE] == [each.cause for each in told]
    assert "load()" == str(told[0].wanted_by)
    assert {} == b.cache.stats().removals and 0 == b.cache.stats().waits
    assert_consistent(a.cache), assert_consistent(b.cache)


async def test_an_async_load_has_a_sync_cache_give_and_the_other_way_round() -> None:
    a, b = strangers(wait=0)

    @warm(cache=a.cache, size="12GiB")
    async def load_async() -> Model:
        return Model(a.probe, 12 * GiB)

    load = b.loader(size="12GiB")
    for _ in range(2):
        await load_async()
        load("b", 12)
    assert {RemovalCause.PRESSURE: 2} == a.cache.stats().removals
    assert {RemovalCause.PRESSURE: 1} == b.cache.stats().removals


def test_what_has_an_async_teardown_is_torn_down_for_another_cache_too() -> None:
    torn_down: list[str] = []
    a, b = strangers(wait=0)

    async def close(model: Model) -> None:
        torn_down.append("a")
        model.blocks.clear()

    @warm(cache=a.cache, size="12GiB", teardown=close)
    def load() -> Model:
        return Model(a.probe, 12 * GiB)

    load()
    b.loader(size="12GiB")("b", 12)
    assert ["a"] == torn_down


@pytest.mark.parametrize("cheap", ["own", "other"])
def test_the_cheapest_goes_over_all_caches_ones_own_being_no_dearer(cheap: str) -> None:
    one, two = ManualClock(), ManualClock()
    a, b = strangers(first=dict(timer=one), timer=two, wait=0)
    in_a = slow(a, one, 8, a=1e6 if cheap == "own" else 0.001)
    in_b = slow(b, two, 8, b=1.0, new=1.0)
    in_a("a"), in_b("b")
    in_b("new")
    assert (cheap == "own", cheap == "other") == (in_a.contains("a"), in_b.contains("b"))


def test_a_budget_is_made_up_by_ones_own_entries_and_only_the_rest_by_others() -> None:
    a = Rig(16, 16 * GiB)
    b = Rig(budget=6 * GiB, probe=a.probe, wait=0)
    in_a, in_b = a.loader(size="2GiB"), b.loader(size="3GiB")
    ask(in_a, "vwxyz", 2)
    ask(in_b, "pq", 3)
    b.loader(size="5GiB")("r", 5)  # 16 are in use: 6 of its own must go, and then 11 are
    assert [5, 10] == [b.gib("live"), a.gib("live")]
    assert {RemovalCause.SIZE: 2} == b.cache.stats().removals


def test_each_cache_gives_in_the_order_of_its_own_policy() -> None:
    a, b = strangers(first=dict(order="lru"), wait=0)
    in_a = a.loader(size="5GiB")
    ask(in_a, "xyz", 5)
    in_a("x", 5)
    b.loader(size="4GiB")("b", 4)
    assert [True, False, True] == [in_a.contains(name, 5) for name in "xyz"]


def test_nothing_goes_where_all_that_is_idle_would_not_be_enough() -> None:
    a, b = strangers(wait=0)
    in_a, in_b = a.loader(size="4GiB"), b.loader(size="4GiB")
    ask(in_a, "xy", 4), ask(in_b, "z", 4)
    with in_a.lease("held", 4), pytest.raises(CapacityError):
        b.loader(size="13GiB")("b", 13)
    assert [True] * 3 == [in_a.contains("x", 4), in_a.contains("y", 4), in_b.contains("z", 4)]


# -- what is protected -------------------------------------------------------------------


def test_a_lease_protects_and_the_error_names_cache_and_lease(
    start: Callable[..., Future[Any]],
) -> None:
    a, b = strangers(wait=0)
    in_a = a.loader(size="12GiB")
    with in_a.lease("a", 12):
        asking = start(b.loader(size="8GiB"), "b", 8)
        with pytest.raises(CapacityError) as refused:
            asking.result(CAP)
    text = str(refused.value)
    assert "load('a', 12) leased by thread 'MainThread'" in text
    assert f"in MemoryCache {a.cache.name!r}" in text and "release a lease" in text
    assert in_a.contains("a", 12)


@pytest.mark.parametrize(
    ("option", "value"), [("floor", "10GiB"), ("floor", 0.7), ("min_residency", 60)]
)
def test_a_floor_and_a_residency_that_was_said_protect_and_are_named(
    option: str, value: Any
) -> None:
    a, b = strangers(first={option: value}, wait=0)
    in_a = a.loader(size="12GiB")
    in_a("a", 12)
    with pytest.raises(CapacityError, match=f"12.0 GiB idle, kept by {option}="):
        b.loader(size="8GiB")("b", 8)
    assert in_a.contains("a", 12)
    in_a("of the same cache", 12)  # which they do not keep from its own loads


def test_what_is_above_the_floor_is_given(start: Callable[..., Future[Any]]) -> None:
    a, b = strangers(first=dict(floor="4GiB"), wait=0)
    ask(a.loader(size="4GiB"), "xyz", 4)
    in_b = b.loader(size=seen, size_hint=lambda name, gib=1: gib * GiB)
    with in_b.lease("b", 8):
        assert 8 == a.gib("live")
        ask(in_b, "c", 4)
        assert 4 == a.gib("live")
        with in_b.lease("c", 4), pytest.raises(CapacityError, match="4.0 GiB idle, kept by floor="):
            start(in_b, "d", 4).result(CAP)


def test_what_would_go_below_the_floor_is_not_asked_for_though_it_is_idle() -> None:
    a, b = strangers(first=dict(floor="6GiB"), wait=0)
    ask(a.loader(size="4GiB"), "xyz", 4)
    with pytest.raises(CapacityError, match="floor"):
        b.loader(size="10GiB")("b", 10)
    assert 12 == a.gib("live")
    b.loader(size="8GiB")("b", 8)
    assert 8 == a.gib("live")


def test_a_floor_above_the_budget_is_refused() -> None:
    with pytest.raises(ValueError, match="floor= is 8.0 GiB, which is more than the budget"):
        Rig(budget=4 * GiB, floor="8GiB")


def test_a_zombie_of_another_cache_is_named() -> None:
    a, b = strangers(first=dict(confirm=0), wait=0)
    kept = [a.loader(size="12GiB")("a", 12)]
    with pytest.raises(CapacityError, match=r"torn down, but still held.*in MemoryCache"):
        b.loader(size="8GiB")("b", 8)
    kept.clear()
    b.loader(size="8GiB")("b", 8)


def test_a_load_that_runs_out_of_memory_is_tried_again_with_what_another_cache_gives() -> None:
    a, b = strangers(wait=0)
    ask(a.loader(size="4GiB"), "xyz", 4)

    @warm(cache=b.cache, size="1GiB")  # it takes more as it loads
    def load() -> Model:
        a.probe.block(9 * GiB)
        return Model(a.probe, GiB)

    load()
    assert {RemovalCause.PRESSURE: 2} == a.cache.stats().removals


# -- who takes part ----------------------------------------------------------------------


def test_probes_of_one_device_id_are_one_device_and_others_one_each() -> None:
    one, two = FakeProbe(16 * GiB), FakeProbe(16 * GiB)
    assert arbiter_of(one) is arbiter_of(one)
    assert arbiter_of(one) is not arbiter_of(two)
    for probe in (three := FakeProbe(1), four := FakeProbe(1)):
        probe.device_id = "GPU-1"  # type: ignore[attr-defined]
    first = arbiter_of(three)
    assert first is arbiter_of(four)
    host = arbiter_of(HostProbe())
    assert host is arbiter_of(HostProbe())


def test_a_cache_that_was_closed_or_collected_gives_nothing_and_is_in_nobodys_way() -> None:
    a, b = strangers(wait=0)
    c = Rig(16, 16 * GiB, probe=a.probe)
    a.loader(size="6GiB")("a", 6), c.loader(size="6GiB")("c", 6)
    a.cache.close()
    del c
    gc.collect()
    janitor.drain(CAP)
    b.loader(size="16GiB")("b", 16)
    assert [] == arbiter_of(b.probe).beside(b.cache._store)


def test_a_policy_for_counts_and_one_that_drifts_share_a_device() -> None:
    a, b = strangers(first=dict(order="fifo"), order="gdsf", wait=0)
    in_a, in_b = a.loader(size="4GiB"), b.loader(size="4GiB")
    ask(in_a, "xyz", 4)
    ask(in_b, "pqrs", 4)
    assert 16 == a.gib("live") + b.gib("live")
    assert_consistent(a.cache), assert_consistent(b.cache)


# -- pressure ----------------------------------------------------------------------------


def test_the_watchers_of_two_caches_evict_once_for_one_need_and_the_cheapest(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    one, two, now = ManualClock(), ManualClock(), [0.0]
    for module in (arbiter, watcher):
        monkeypatch.setattr(module, "time", SimpleNamespace(monotonic=lambda: now[0]))
    options: dict[str, Any] = dict(poll=3600, min_residency=0, confirm=60, high=0.9, low=0.8)
    a, b = strangers(first=dict(timer=one, **options), timer=two, **options)
    in_a, in_b = slow(a, one, 4, dear=1e6), slow(b, two, 4, cheap=0.001, more=1e6)
    in_a("dear"), in_b("more"), in_b("cheap")
    janitor.drain(CAP)  # it looks no more: here the test does
    a.probe.foreign = 3 * GiB
    a.probe.caching = True  # what goes is not shown as free
    for _ in range(3):
        a.cache.expire_now(), b.cache.expire_now()
        now[0] += 1
    assert (True, True, False) == (
        in_a.contains("dear"),
        in_b.contains("more"),
        in_b.contains("cheap"),
    )
