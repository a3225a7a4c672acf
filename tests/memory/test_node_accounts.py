"""What a process has of its node's budget: all that its caches have committed, and nothing else."""

from __future__ import annotations

import gc
import threading
import weakref
from collections.abc import Callable
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import pytest
from node_caches import Sharer, Value
from node_members import Member, until
from rigs import Model

from warmcache import CapacityError, warm
from warmcache.memory import MemoryCache
from warmcache.testing import FakeProbe, assert_consistent

CAP = 5.0
Make = Callable[..., Sharer]
Others = Callable[..., Member]


@pytest.fixture
def here(sharer: Make) -> Sharer:
    return sharer(probe=FakeProbe(10_000, name="device"))


def committed(here: Sharer) -> int:
    return here.node()[1]


# -- several caches of one process -------------------------------------------------------


def test_caches_of_a_process_are_one_member(tmp_path: Path, here: Sharer, sharer: Make) -> None:
    second = sharer(probe=here.probe)
    here.load("a", 30), second.load("b", 40)
    assert (1, 70, 100, 0) == here.node() == second.node()
    assert 1 == len([*tmp_path.glob("device/*.rec")])


def test_what_is_idle_in_another_cache_of_the_process_makes_room(
    here: Sharer, sharer: Make
) -> None:
    second = sharer(probe=here.probe)
    here.load("a", 90)
    assert "" == second.load("b", 50)
    assert [("a", "NODE")] == here.gone()
    assert 50 == committed(here)


def test_others_get_what_is_cheapest_over_all_caches_of_the_process(
    here: Sharer, sharer: Make, member: Others
) -> None:
    second = sharer(probe=here.probe)
    here.load("dear", 40, 1e6), second.load("cheap", 40)
    assert "granted" == member().lease(50)
    until(lambda: [("cheap", "NODE")] == second.gone())  # which is told afterwards
    assert [] == here.gone()


def test_the_least_budget_of_the_caches_counts_while_that_cache_is_there(
    here: Sharer, sharer: Make, caplog: pytest.LogCaptureFixture
) -> None:
    here.load("a", 10)
    second = sharer(probe=here.probe, budget=60)
    assert 60 == here.node()[2]
    assert 1 == caplog.text.count("have different budgets")
    assert "60 B, 100 B" in caplog.text
    second.close()
    until(lambda: 100 == here.node()[2])


# -- what is given back ------------------------------------------------------------------


@pytest.mark.parametrize("end", ["clear", "close", "relieve"])
def test_what_is_removed_is_given_back_at_once(end: str, here: Sharer) -> None:
    here.load("a", 40)
    getattr(here.cache, end)(*[1] * (end == "relieve"))
    assert 0 == committed(here)


@pytest.mark.parametrize("end", ["pop", "expire", "detach"])
def test_what_the_caller_gets_is_given_back_soon(end: str, here: Sharer) -> None:
    here.loader(40, ttl=10.0)("a")
    here.clock.advance(11.0 * (end == "expire"))
    key = [entry.key for entry in here.cache.entries()]
    getattr(here.cache, end)(*key[: end != "expire"])
    until(lambda: 0 == committed(here))


def test_the_last_cache_that_is_closed_leaves_nothing_behind(
    tmp_path: Path, here: Sharer, sharer: Make
) -> None:
    second = sharer(probe=here.probe)
    here.load("a", 10), second.load("b", 10)
    here.cache.close()
    assert (1, 10, 100, 0) == second.node()
    second.cache.close()
    assert [] == [*tmp_path.glob("device/*")]


def test_a_cache_that_is_closed_under_a_lease_leaves_with_the_lease(
    tmp_path: Path, here: Sharer
) -> None:
    here.lease("a", 10)
    here.cache.close()
    assert 10 == committed(here)
    here.release("a")
    assert [] == [*tmp_path.glob("device/*")]


def test_a_cache_takes_part_that_is_made_after_all_were_closed(here: Sharer, sharer: Make) -> None:
    here.load("a", 10)
    here.cache.close()
    second = sharer(probe=here.probe)
    assert "" == second.load("b", 20)
    assert (1, 20, 100, 0) == second.node()


@pytest.mark.parametrize("warm_then", [True, False])
def test_a_cache_that_is_collected_gives_back_what_it_had(
    warm_then: bool, tmp_path: Path, member: Others
) -> None:
    probe = FakeProbe(10_000, name="device")

    def use() -> weakref.ref[Any]:
        cache: MemoryCache[Any, Any] = MemoryCache(
            100, probe=probe, headroom=0, poll=0, node=tmp_path
        )

        @warm(cache=cache, size=90)
        def load() -> Value:
            return Value("a")

        load()
        if not warm_then:
            cache.clear()
        return weakref.ref(cache)

    gone, outside = use(), member()
    gc.collect()
    assert gone() is None
    until(lambda: not outside.status()[1])
    gc.collect()
    until(lambda: not [*tmp_path.glob("device/*.rec")])


# -- loads -------------------------------------------------------------------------------


def test_a_value_that_weighs_more_than_was_reserved_has_others_give_the_rest(
    here: Sharer, member: Others
) -> None:
    outside = member()
    assert "granted" == outside.load(50)

    @warm(cache=here.cache, size_hint=40)
    def load() -> Model:
        return Model(here.probe, 90)

    load()
    assert [40] == outside.gave()
    assert 90 == committed(here)


def test_a_value_that_weighs_less_than_was_reserved_leaves_the_rest_to_others(
    here: Sharer, member: Others
) -> None:
    outside = member()

    @warm(cache=here.cache, size_hint=90)
    def load() -> Model:
        return Model(here.probe, 20)

    load()
    assert 20 == committed(here)
    assert "granted" == outside.lease(80, wait=0)


def test_where_nobody_gives_for_what_weighs_more_ones_own_idle_entries_go(
    here: Sharer, member: Others
) -> None:
    outside = member()
    outside.lease(40)
    here.load("idle", 20, 1e6)

    @warm(cache=here.cache, size_hint=40)
    def load() -> Model:
        return Model(here.probe, 60)

    load()
    assert ["idle"] == [key for key, _ in here.gone()]
    assert 100 == committed(here)


def test_what_weighs_more_than_all_have_is_asked_for_until_there_is_room(
    here: Sharer, member: Others
) -> None:
    outside = member()
    outside.lease(60)

    @warm(cache=here.cache, size_hint=40)
    def load() -> Model:
        return Model(here.probe, 70)

    load()
    assert 100 == committed(here)  # more is in use than was granted
    outside.shrink(60)
    until(lambda: 70 == committed(here))


@pytest.mark.parametrize("trouble", [OSError, CapacityError, KeyboardInterrupt])
def test_a_load_that_fails_or_is_interrupted_gives_back_what_was_granted(
    trouble: type[BaseException], here: Sharer, member: Others
) -> None:
    outside = member()

    @warm(cache=here.cache, size=90)
    def load() -> None:
        assert 90 == committed(here)
        if trouble is CapacityError:
            raise CapacityError("a", needed=1, free=0, leased=0, limit=0)
        raise trouble

    with pytest.raises(trouble):
        load()
    at_once = issubclass(trouble, Exception)  # else the janitor finds it
    assert "granted" == outside.lease(100, wait=0 if at_once else CAP)
    assert_consistent(here.cache)


def test_a_load_that_is_refused_has_nothing_granted(here: Sharer, member: Others) -> None:
    outside = member()
    outside.lease(60)
    here.cache._view.wait = 0
    assert here.load("a", 50)
    assert 60 == committed(here)
    assert 0 == here.cache._store.ledger.committed
    assert "granted" == outside.lease(40, wait=0)


def test_an_interrupt_while_the_node_is_asked_leaves_nothing_granted(
    here: Sharer, member: Others, monkeypatch: pytest.MonkeyPatch
) -> None:
    outside = member()
    here.load("a", 1)
    ledger = here.cache._view.meter.member._ledger  # type: ignore[union-attr]
    grow = ledger.grow

    def granted_and_interrupted(*args: Any, **options: Any) -> None:
        grow(*args, **options)
        raise KeyboardInterrupt

    with monkeypatch.context() as within:
        within.setattr(ledger, "grow", granted_and_interrupted)
        with pytest.raises(KeyboardInterrupt):
            here.load("b", 90)
    assert "granted" == outside.lease(99)


def test_a_load_inside_a_load_has_room_of_its_own(here: Sharer) -> None:
    inner = here.loader(30)

    @warm(cache=here.cache, size=50)
    def outer() -> Value:
        inner("inner")
        assert 80 == committed(here)
        return Value("outer")

    outer()
    assert 80 == committed(here)


def test_a_load_that_runs_out_of_memory_is_tried_again_under_one_grant(
    here: Sharer, member: Others
) -> None:
    here.load("idle", 30)
    tries: list[int] = []

    @warm(cache=here.cache, size=40)
    def load() -> Value:
        tries.append(committed(here))
        if len(tries) == 1:
            raise MemoryError
        return Value("a")

    load()
    assert [70, 40] == tries
    assert 40 == committed(here)


@pytest.mark.race
def test_threads_that_load_at_once_are_granted_each_its_own(
    here: Sharer, start: Callable[..., Future[Any]]
) -> None:
    barrier = threading.Barrier(4)

    def load(key: str) -> str:
        barrier.wait(CAP)
        return here.lease(key, 25)

    loads = [start(load, key) for key in "abcd"]
    assert [""] * 4 == [each.result(CAP) for each in loads]
    assert 100 == committed(here)
    here.cache.clear()
    for key in "abcd":
        here.release(key)
    assert 0 == committed(here)


# -- what else counts --------------------------------------------------------------------


def test_what_is_handed_in_counts_and_has_others_give(sharer: Make, member: Others) -> None:
    here = sharer(probe=FakeProbe(10_000, name="device"), getsizeof=lambda value: 70)
    outside = member()
    assert "granted" == outside.load(50)
    here.put("a")
    assert 70 == committed(here) and [20] == outside.gave()


def test_what_is_handed_in_where_there_is_no_room_counts_as_soon_as_there_is(
    sharer: Make, member: Others
) -> None:
    here = sharer(probe=FakeProbe(10_000, name="device"), getsizeof=lambda value: 70)
    outside = member()
    outside.lease(50)
    here.put("a")
    assert ["a"] == here.warm() and 50 == committed(here)
    outside.shrink(50)
    until(lambda: 70 == committed(here))


def test_what_is_held_outside_counts_until_it_is_let_go(
    here: Sharer, caplog: pytest.LogCaptureFixture
) -> None:
    held = [here.loader(40)("a")]
    here.cache.clear()
    until(lambda: "are still held" in caplog.text)
    assert 40 == committed(here)
    held.clear()
    until(lambda: 0 == committed(here))
