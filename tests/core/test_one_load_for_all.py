"""Whoever asks for a key meanwhile has what one load brings, and nobody has what is gone."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

import pytest
from by_plan import by_plan
from gates import CAP, Gate, waiting

import warmcache
from warmcache import CapacityError, DiskTier, RemovalCause, WarmMissError, no_load, warm
from warmcache._core.plans import load as plan_of_load
from warmcache._core.plans.make_room import room
from warmcache.testing import assert_consistent

pytestmark = pytest.mark.race


def test_thirty_two_threads_and_one_cold_key_make_one_load(start: Any) -> None:
    gate, loads = Gate(), []

    @warm(policy="lru", maxsize=1)
    def load(name: str) -> object:
        loads.append(name)
        gate.wait()
        return object()

    calls = [start(load, "a") for _ in range(32)]
    gate.until_reached()
    waiting(load.cache, 31)
    gate.open()
    assert 1 == len({call.result(CAP) for call in calls}) == len(loads)
    assert (1, 0) == (load.cache_info().misses, load.cache_info().hits)
    assert (1, 31) == (load.cache.stats().misses, load.cache.stats().joined)


@pytest.mark.parametrize("by", [nullcontext, by_plan])
@pytest.mark.parametrize("error", [ConnectionError, WarmMissError])
def test_a_failed_load_fails_every_waiter_once_and_is_not_retried_by_each(
    error: type[Exception], by: Callable[[], AbstractContextManager[None]], start: Any
) -> None:
    gate, loads = Gate(), []

    @warm(policy="lru", maxsize=1)
    def load(name: str) -> object:
        loads.append(name)
        gate.wait()
        raise error("down")

    with by():
        calls = [start(load, "a") for _ in range(8)]
        gate.until_reached()
        waiting(load.cache, 7)
        gate.open()
        errors = [call.exception(CAP) for call in calls]
    assert ["down"] * 8 == [str(each) for each in errors]
    assert {error} == {type(each) for each in errors}
    assert 8 == len({id(each) for each in errors}), "each has an exception of its own"
    assert 1 == len(loads)
    assert not load.contains("a")
    assert_consistent(load.cache)


@pytest.mark.parametrize("by", [nullcontext, by_plan])
def test_a_load_forbidden_to_who_began_it_is_taken_over_by_a_waiter(
    by: Callable[[], AbstractContextManager[None]],
    start: Any,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    looking, tier, loads = Gate(), DiskTier(tmp_path), []
    monkeypatch.setattr(tier, "_fetch", lambda *args, **options: looking.wait())

    @warm(policy="lru", maxsize=1, disk=tier, name="load", code=False)
    def load(name: str) -> str:
        loads.append(name)
        return name

    def forbidden() -> str:
        with no_load():
            return load("a")

    with by():
        first = start(forbidden)
        looking.until_reached()
        others = [start(load, "a") for _ in range(3)]
        waiting(load.cache, 3)
        looking.open()
        assert isinstance(first.exception(CAP), WarmMissError)
        assert ["a"] * 3 == [other.result(CAP) for other in others]
    assert 1 == len(loads)
    assert_consistent(load.cache)
    tier.close()


def test_who_waits_is_not_refused_for_what_only_he_who_began_could_release(
    start: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    gate, loads = Gate(), []

    @warm(policy="lru", maxsize=1, wait=CAP)
    def load(name: str) -> str:
        loads.append(name)
        return name

    def gated_room(*args: Any, **options: Any) -> Any:
        gate.wait()
        yield from room(*args, **options)

    def inside_a_lease() -> None:
        with load.lease("a"):
            monkeypatch.setattr(plan_of_load, "room", gated_room)
            load("b")

    first = start(inside_a_lease)
    gate.until_reached()
    second = start(load, "b")
    waiting(load.cache, 1)
    gate.open()
    refused = first.exception(CAP)
    assert isinstance(refused, CapacityError) and refused.own
    assert "b" == second.result(CAP)
    assert ["a", "b"] == loads
    assert_consistent(load.cache)


def test_an_interrupted_load_is_taken_over_by_a_waiter(start: Any) -> None:
    gate, loads = Gate(), []

    @warm(policy="lru", maxsize=1)
    def load(name: str) -> str:
        loads.append(name)
        if len(loads) == 1:
            gate.wait()
            raise KeyboardInterrupt
        return name

    first = start(load, "a")
    gate.until_reached()
    second = start(load, "a")
    waiting(load.cache, 1)
    gate.open()
    assert isinstance(first.exception(CAP), KeyboardInterrupt)
    assert "a" == second.result(CAP)
    assert 2 == len(loads)


def test_what_was_loaded_is_held_for_its_caller_before_anybody_else_can_evict_it(
    start: Any,
) -> None:
    """Loaded but not yet used is no window for eviction, nor is joined but not yet woken."""
    torn_down: list[str] = []
    gate = Gate()
    stolen: list[Any] = []

    class Thief(warmcache.LRUCache[Any, str]):
        def rank(self, entry: warmcache.Entry) -> int:
            return 0 if entry.key[1] == "a" else entry.used

    cache = Thief(1, teardown=torn_down.append, wait=CAP)

    @warm(cache=cache)
    def load(name: str) -> str:
        if name == "a":
            gate.wait()
        return name

    def leased() -> None:
        with load.lease("a"):
            stolen.append(list(torn_down))

    calls = [start(leased) for _ in range(6)]
    gate.until_reached()
    waiting(cache, 5)
    intruder = start(load, "b")
    waiting(cache, 6)
    gate.open()
    for call in calls:
        call.result(CAP)
    assert "b" == intruder.result(CAP)
    assert [[]] * 6 == stolen
    assert 2 == cache.stats().loads


def test_a_victim_asked_for_again_while_it_is_torn_down_is_loaded_anew(start: Any) -> None:
    gate, events = Gate(), []

    def tear_down(value: int) -> None:
        events.append(f"down {value}")
        if value == 1:
            gate.wait()
        events.append(f"gone {value}")

    numbers = iter(range(1, 9))

    @warm(policy="lru", maxsize=9, teardown=tear_down)
    def load(name: str) -> int:
        events.append("load")
        return next(numbers)

    assert 1 == load("a")
    evicting = start(load.evict, "a")
    gate.until_reached()
    again = start(load, "a")
    other = start(load, "b")
    assert 2 == other.result(CAP), "another key does not wait for that teardown"
    assert not again.done()
    gate.open()
    assert 3 == again.result(CAP)
    assert 1 == len(evicting.result(CAP))
    assert ["load", "down 1", "load", "gone 1", "load"] == events


def test_closing_while_a_load_is_under_way_tears_down_what_it_brings(start: Any) -> None:
    gate, torn_down = Gate(), []

    @warm(policy="lru", maxsize=2, teardown=torn_down.append)
    def load(name: str) -> str:
        gate.wait()
        return name

    calls = [start(load, "a"), start(load, "a")]
    gate.until_reached()
    waiting(load.cache, 1)
    load.cache.close()
    gate.open()
    assert [warmcache.ClosedError] * 2 == [type(call.exception(CAP)) for call in calls]
    assert ["a"] == torn_down
    assert {RemovalCause.CLOSED: 1} == load.cache.stats().removals


def test_clearing_while_a_load_is_under_way_leaves_what_it_brings(start: Any) -> None:
    gate = Gate()

    @warm(policy="lru", maxsize=2)
    def load(name: str) -> str:
        gate.wait()
        return name

    call = start(load, "a")
    gate.until_reached()
    load.cache_clear()
    gate.open()
    assert "a" == call.result(CAP)
    assert load.contains("a")


def test_a_value_handed_in_while_it_is_being_loaded_is_replaced_and_torn_down(
    start: Any,
) -> None:
    gate, torn_down = Gate(), []

    @warm(policy="lru", maxsize=2, teardown=torn_down.append)
    def load(name: str) -> str:
        gate.wait()
        return "loaded"

    load.cache._source.teardown = torn_down.append
    call = start(load, "a")
    gate.until_reached()
    load.cache[load.cache_key("a")] = "handed in"
    gate.open()
    assert "loaded" == call.result(CAP) == load.peek("a")
    assert ["handed in"] == torn_down


def test_a_hit_that_comes_too_late_loads_again_instead_of_returning_a_dead_value() -> None:
    """The entry is found just before its teardown, and looked into just after."""

    @warm(policy="lru", maxsize=1)
    def load(name: str) -> str:
        return name + "!"

    load("a")
    site = load.lease.__self__._site  # type: ignore[attr-defined]
    entry = site.hot.table["a"]
    load.evict("a")
    site.hot.table["a"] = entry  # what the late hit saw
    assert "a!" == load("a")
    assert 2 == load.cache_info().misses


def test_nor_where_only_what_was_loaded_tells_that_it_does_not_fit(start: Any) -> None:
    gate, loads = Gate(), list[str]()

    @warm(policy="lru", maxsize=2, size=lambda value: 2 if value == "b" else 1, wait=CAP)
    def load(name: str) -> str:
        loads.append(name)
        if loads == ["a", "b"]:
            gate.wait()
        return name

    def inside_a_lease() -> None:
        with load.lease("a"):
            load("b")

    first = start(inside_a_lease)
    gate.until_reached()
    second = start(load, "b")
    waiting(load.cache, 1)
    gate.open()
    refused = first.exception(CAP)
    assert isinstance(refused, CapacityError) and refused.own
    assert "b" == second.result(CAP)
    assert ["a", "b", "b"] == loads
    assert_consistent(load.cache)
