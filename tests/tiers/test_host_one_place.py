"""A key is never in two places, whoever hands in what, and whatever is under way."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from parked import UNIT, Rig, parked

from warmcache import CapacityError, RemovalCause
from warmcache._core.plans import put
from warmcache._core.plans.get import get
from warmcache.testing import assert_consistent

pytestmark = pytest.mark.usefixtures("machine")
CAP = 5.0
REPLACED = RemovalCause.REPLACED


def closed(rig: Rig) -> None:
    """Assert that everything was torn down once, and told, and nothing is charged any more."""
    rig.cache.close()
    assert [1] * len(rig.models) == [model.torn_down for model in rig.models]
    assert len(rig.models) == len(rig.removals)
    assert 0 == rig.cache._store.ledger.committed == rig.device.allocated()
    assert_consistent(rig.cache)


# -- handed in -------------------------------------------------------------------------------------


def test_setdefault_brings_back_what_is_parked() -> None:
    rig = Rig()
    key = parked(rig).cache_key("a")
    default = rig.make("default", 1)
    assert rig.models[0] is rig.cache.setdefault(key, default)
    assert {"a": "live", "b": "parked"} == rig.states
    assert [] == rig.removals
    assert 0 == default.torn_down, "what was not stored is its caller's"
    assert_consistent(rig.cache)


def test_setdefault_with_the_parked_object_itself_brings_it_back() -> None:
    rig = Rig()
    key = parked(rig).cache_key("a")
    assert rig.models[0] is rig.cache.setdefault(key, rig.models[0])
    assert (["a"], []) == (rig.unparks, rig.removals)
    closed(rig)


def test_setdefault_leases_nothing_for_ever_where_another_has_come_meanwhile(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    rig = Rig()
    key = parked(rig).cache_key("a")
    other = rig.make("other", 1)

    def too_late(*args: Any) -> Any:
        monkeypatch.undo()
        rig.cache[key] = other
        return (yield from get(*args))

    monkeypatch.setattr(put, "get", too_late)
    default = rig.make("default", 1)
    assert other is rig.cache.setdefault(key, default)
    assert not rig.cache._store.leased
    default.close()
    rig.cache.close()
    assert [1] * len(rig.models) == [model.torn_down for model in rig.models]
    assert_consistent(rig.cache)


def test_where_that_fails_setdefault_says_so_and_stores_nothing() -> None:
    rig = Rig()
    load = parked(rig)
    default = rig.make("default", 1)
    with load.lease("b"), pytest.raises(CapacityError):
        rig.cache.setdefault(load.cache_key("a"), default)
    assert {"a": "parked", "b": "live"} == rig.states
    assert 0 == default.torn_down
    assert_consistent(rig.cache)


def test_setdefault_stores_what_is_handed_in_once_the_parked_one_is_gone() -> None:
    rig = Rig()
    load = rig.loader()
    load("a")
    default = rig.make("default", 1)
    found: list[Any] = []

    def while_it_is_copied(model: Any) -> None:
        load.evict("a")

    rig.before_park = while_it_is_copied
    rig.cache.relieve(1)
    found.append(rig.cache.setdefault(load.cache_key("a"), default))
    assert [default] == found
    closed(rig)


def test_what_update_stores_takes_the_place_of_what_is_parked() -> None:
    rig = Rig(budget=30, host=60)
    load = rig.loader()
    load("a"), load("b")
    rig.cache.relieve(30 * UNIT)
    rig.cache.update({load.cache_key(name): rig.make(f"new {name}", 2) for name in "ab"})
    assert [REPLACED, REPLACED] == rig.causes
    assert ["host", "host"] == [each.tier for each in rig.removals]
    assert [1, 1] == [each.torn_down for each in rig.models[:2]]
    closed(rig)


def test_what_is_revived_takes_the_place_of_what_is_parked() -> None:
    rig = Rig(budget=40, host=60)
    load = rig.loader()
    key = load.cache_key("a")
    with load.lease("a") as first:
        load.evict("a")
        second = load("a")
        rig.cache.relieve(1)
        assert ["parked", "retired"] == sorted(each.state for each in rig.cache.entries())
        rig.cache[key] = first
        assert (1, [REPLACED]) == (second.torn_down, rig.causes)
        assert first is load("a")
        assert_consistent(rig.cache)
    closed(rig)


def test_what_is_handed_in_while_it_is_copied_takes_its_place() -> None:
    rig = Rig(budget=40, host=60)
    load = rig.loader()
    load("a")
    with ThreadPoolExecutor(1) as others:

        def hands_in(model: Any) -> None:
            new = rig.make("new", 2)
            others.submit(rig.cache.__setitem__, load.cache_key("a"), new).result(CAP)

        rig.before_park = hands_in
        rig.cache.relieve(1)
    assert (1, [REPLACED]) == (rig.models[0].torn_down, rig.causes)
    assert rig.models[1] is load("a")
    assert 0 == rig.cache.stats().host.bytes  # type: ignore[union-attr]
    closed(rig)


@pytest.mark.parametrize("ends", ["ttl", "idle_ttl"])
def test_what_cannot_come_back_as_it_is_handed_in_anew_ends_as_before(ends: str) -> None:
    rig = Rig(**{ends: 10.0})
    load = parked(rig)

    def fails(model: Any) -> None:
        raise RuntimeError("no")

    rig.before_unpark, rig.now = fails, 5.0
    with pytest.raises(RuntimeError, match="no"):
        rig.cache[load.cache_key("a")] = rig.models[0]
    rig.now = 12.0
    rig.cache.expire()
    assert "a" not in rig.states
    closed(rig)


# -- beside a load ---------------------------------------------------------------------------------


def test_what_was_handed_in_and_parked_beside_a_load_is_replaced_by_what_is_loaded() -> None:
    rig = Rig(budget=40, host=100)
    load = rig.loader()
    make = rig.make

    def hands_in(name: str, units: int = 12) -> Any:
        rig.cache[load.cache_key("a")] = make("handed in", 2)
        rig.cache.relieve(1)
        assert ["handed in"] == rig.parks
        return make(name, units)

    rig.make = hands_in  # type: ignore[method-assign]
    loaded = load("a")
    assert ["handed in", "a"] == rig.loads
    assert (1, [REPLACED]) == (rig.models[0].torn_down, rig.causes)
    assert {"a": "live"} == rig.states
    assert loaded is load("a")
    closed(rig)


def test_what_was_handed_in_and_has_to_leave_as_it_comes_back_is_torn_down() -> None:
    rig = Rig(budget=40, host=100)
    load = rig.loader()
    a = load("a")
    rig.cache.relieve(1)

    def hands_in(model: Any) -> None:
        rig.cache[load.cache_key("a")] = rig.make("handed in", 2)
        rig.cache.relieve(1)

    rig.before_unpark = hands_in
    assert load("a") is a
    assert (["a"], 1) == (rig.parks, rig.models[1].torn_down)
    assert {"a": "live"} == rig.states
    closed(rig)
