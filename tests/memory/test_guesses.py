"""Room that is reserved on a guess: what it may cost others, and loads inside of it."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rigs import GiB, Model, Rig, ask

from warmcache import CapacityError, RemovalCause, warm
from warmcache.memory import HostMemoryCache
from warmcache.testing import FakeProbe, assert_consistent

CAP = 5.0


def nested(rig: Rig, weighs: float, *inner: Any, **options: Any) -> Any:
    """Return a loader that asks for others while it loads; it holds none of them."""

    @warm(cache=rig.cache, **options)
    def outer(number: int = 0) -> Model:
        for ask_for in inner:
            ask_for()
        return Model(rig.probe, int(weighs * GiB))

    return outer


def base(rig: Rig, gib: int = 100) -> Any:
    @warm(cache=rig.cache)
    def base() -> Model:
        rig.loads.append("base")
        return Model(rig.probe, gib * GiB)

    return base


# -- what a load asks for itself -----------------------------------------------------


@pytest.mark.parametrize("budget", [100, 101, 119, 150, 199, 200, 300])
@pytest.mark.parametrize("weighs", [0, 1])
def test_what_a_load_asks_for_is_not_evicted_for_a_guess_of_its_weight(
    budget: int, weighs: int
) -> None:
    rig = Rig(total=1000, budget=budget * GiB)
    asked = base(rig)
    asked()
    nested(rig, weighs, asked)()
    assert ["base"] == rig.loads
    assert_consistent(rig.cache)


def test_it_is_neither_on_the_machine() -> None:
    probe = FakeProbe(1000 * GiB)
    cache: HostMemoryCache[Any, Any] = HostMemoryCache(150 * GiB, probe=probe, poll=0, headroom=0)
    loads: list[None] = []

    @warm(cache=cache, size="100GiB")
    def asked() -> object:
        loads.append(None)
        return object()

    @warm(cache=cache)
    def small() -> object:
        asked()
        return object()

    asked()
    small()
    assert [None] == loads


def test_where_the_device_is_short_room_is_made_for_a_guess_and_all_works_still() -> None:
    rig = Rig(total=150, budget=150 * GiB)
    asked = base(rig)
    asked()
    nested(rig, 1, asked)()
    assert ["base", "base"] == rig.loads


def test_a_guess_refuses_nothing_while_what_is_asked_for_is_leased() -> None:
    rig = Rig(total=1000, budget=150 * GiB)
    asked = base(rig)
    with asked.lease():
        nested(rig, 1, asked)()
    assert ["base"] == rig.loads and 101 == rig.gib("live")


def test_a_load_inside_one_of_a_loader_whose_like_is_warm_takes_from_its_room() -> None:
    rig = Rig(total=1000, budget=150 * GiB)
    asked = base(rig)
    outer = nested(rig, 70, asked)
    outer(1)
    rig.cache.evict(key=asked.cache_key())
    outer(2)
    outer(3)
    assert outer.contains(3)
    assert_consistent(rig.cache)


def test_a_load_that_worked_works_again_now_that_its_weight_is_known() -> None:
    rig = Rig(total=1000, budget=150 * GiB)
    asked = base(rig)
    outer = nested(rig, 60, asked)
    for _ in range(3):
        outer()
        outer.evict()
    assert_consistent(rig.cache)


def test_a_hint_that_leaves_no_room_for_what_is_asked_for_refuses_nothing() -> None:
    rig = Rig(total=1000, budget=150 * GiB)
    nested(rig, 1, base(rig), size_hint="100GiB")()
    assert 101 == rig.gib("live")


def test_a_size_that_was_said_is_sure_and_lends_nothing() -> None:
    rig = Rig(total=1000, budget=150 * GiB)
    asked = nested(rig, 100, size="100GiB")
    with pytest.raises(CapacityError, match="only the caller itself"):
        nested(rig, 1, asked, size="100GiB")()


@settings(max_examples=60, deadline=None)
@given(st.data())
@pytest.mark.property
def test_whatever_works_cold_works_warm(data: st.DataObject) -> None:
    weights = data.draw(st.lists(st.integers(0, 12), min_size=2, max_size=5))
    hints = data.draw(st.lists(st.sampled_from([None, 1, 9]), min_size=5, max_size=5))
    edges = data.draw(st.lists(st.integers(0, 7), min_size=5, max_size=5))

    def made() -> list[Callable[[], Any]]:
        rig = Rig(total=1000, budget=12 * GiB, wait=0)
        loaders: list[Any] = []
        for number, weight in enumerate(weights):
            inner = [each for n, each in enumerate(loaders) if edges[number] >> n & 1]
            hint = hints[number]
            options = {} if hint is None else {"size_hint": hint * GiB}
            loaders.append(nested(rig, weight, *inner, **options))
        return loaders

    calls = data.draw(st.lists(st.integers(0, len(weights) - 1), max_size=6))
    warmed = made()
    for number in calls:
        made()[number]()
        warmed[number]()
    assert_consistent(warmed[0].cache)  # type: ignore[attr-defined]


# -- what it costs others ------------------------------------------------------------


def test_room_is_made_before_the_load_of_a_loader_whose_like_is_warm() -> None:
    rig = Rig(total=1000, budget=150 * GiB)
    load = rig.loader()
    load("a", 100)
    alive: list[float] = []

    @warm(cache=rig.cache)
    def other(name: str, gib: int) -> Model:
        alive.append((rig.probe.allocated() or 0) / GiB)
        return Model(rig.probe, gib * GiB)

    ask(other, "bcd", 100)
    assert [100, 0, 0] == alive, "the first is a guess, for nothing is known of this loader"


def test_what_a_guess_turns_out_to_take_is_made_up_by_what_it_spared() -> None:
    rig = Rig(total=1000, budget=150 * GiB)
    base(rig)()
    nested(rig, 80)()
    assert (80, {RemovalCause.SIZE: 1}) == (rig.gib("live"), rig.cache.stats().removals)


@pytest.mark.race
def test_only_one_load_at_a_time_begins_with_less_room_than_is_guessed() -> None:
    rig = Rig(total=1000, budget=120 * GiB)
    base(rig)()
    loading, go_on = threading.Event(), threading.Event()
    warm_then: list[int] = []

    @warm(cache=rig.cache)
    def first() -> Model:
        loading.set()
        assert go_on.wait(CAP)
        return Model(rig.probe, GiB)

    @warm(cache=rig.cache)
    def second() -> Model:
        warm_then.append(len(rig.cache))
        return Model(rig.probe, GiB)

    thread = threading.Thread(target=first)
    thread.start()
    assert loading.wait(CAP)
    assert 1 == len(rig.cache)
    second()
    go_on.set()
    thread.join(CAP)
    assert [0] == warm_then
    assert_consistent(rig.cache)
