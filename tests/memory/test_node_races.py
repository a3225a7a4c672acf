"""Who gives back, agrees and asks at the node while another of the process does."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any

import pytest
from node_caches import Sharer, Value
from node_members import Member, until

from warmcache.testing import FakeProbe

pytestmark = pytest.mark.race
CAP = 5.0
Others = Callable[..., Member]
Start = Callable[..., Future[Any]]


@pytest.fixture
def here(sharer: Callable[..., Sharer]) -> Sharer:
    return sharer(probe=FakeProbe(10_000, name="device"), getsizeof=lambda value: 60)


def member_of(here: Sharer) -> Any:
    return here.cache._view.meter.member  # type: ignore[union-attr]


def committed(here: Sharer) -> int:
    return here.node()[1]


@pytest.mark.parametrize("taken", ["by a load", "for what was handed in"])
def test_what_was_taken_meanwhile_is_not_given_back(
    taken: str, here: Sharer, start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    here.load("a", 50)
    looked, go_on = threading.Event(), threading.Event()
    member = member_of(here)
    monkeypatch.setattr(member, "look", lambda: None)  # the janitor's may come in between
    used = member._used

    def then_wait(cache: Any) -> float:
        found: float = used(cache)
        if threading.current_thread().name.startswith("Thread") and not looked.is_set():
            looked.set()
            assert go_on.wait(CAP)
        return found

    given: list[int] = []
    monkeypatch.setattr(member, "_used", then_wait)
    monkeypatch.setattr(member._ledger, "shrink", given.append)
    clearing = start(here.cache.clear)
    assert looked.wait(CAP)
    if taken == "by a load":
        here.lease("b", 50)
    else:
        here.put("b")
    go_on.set()
    clearing.result(CAP)
    assert [] == given


def test_what_was_given_back_meanwhile_is_not_asked_of_others(
    here: Sharer, member: Others, start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    outside, ours = member(), member_of(here)
    here.load("a", 60)
    outside.load(40)
    looked, go_on, looks = threading.Event(), threading.Event(), []
    monkeypatch.setattr(ours, "look", lambda: None)  # the janitor's may come in between
    used = ours._used

    def then_wait(cache: Any) -> float:
        found: float = used(cache)
        if threading.current_thread().name.startswith("Thread"):
            looks.append(found)
            if len(looks) == 2:  # the first is of who gives back, before anything is asked for
                looked.set()
                assert go_on.wait(CAP)
        return found

    monkeypatch.setattr(ours, "_used", then_wait)
    asking = start(ours.true_up, 0.5)
    assert looked.wait(CAP)
    here.cache.clear()
    outside.load(60)
    go_on.set()
    assert 0 == asking.result(CAP)
    assert [] == outside.gave()
    assert 100 == committed(here)


def test_what_a_load_has_at_hand_is_not_given_back_while_it_asks_for_the_rest(
    here: Sharer, member: Others, start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    outside, ours = member(), member_of(here)
    outside.lease(50)
    here.load("a", 50)
    with monkeypatch.context() as within:
        within.setattr(ours, "give_back", lambda: None)
        here.cache.clear()
        loading = start(here.load, "b", 80)
        until(lambda: outside.status()[3])
    ours.give_back()
    assert 100 == committed(here)
    outside.shrink(50)
    assert "" == loading.result(CAP)
    assert 80 == committed(here)


def test_what_is_being_torn_down_is_not_asked_for_again(
    here: Sharer, member: Others, start: Start
) -> None:
    outside = member()
    for _ in range(3):
        outside.load(20)
    entered, go_on = threading.Event(), threading.Event()

    def teardown(value: Value) -> None:
        entered.set()
        assert go_on.wait(CAP)

    here.loader(40, teardown=teardown)("a")
    clearing = start(here.cache.clear)
    assert entered.wait(CAP)
    here.put("b")
    assert [20] == outside.gave() and "b" in here.warm()
    go_on.set()
    clearing.result(CAP)
    until(lambda: 100 == committed(here))


def test_what_is_handed_in_is_not_what_goes_for_it(here: Sharer, member: Others) -> None:
    outside = member()
    outside.load(60, price=1e9)
    here.load("a", 40, 1e9)
    here.put("b")
    assert "b" in here.warm()


def test_what_others_have_idle_only_later_is_asked_for_later(here: Sharer, member: Others) -> None:
    outside = member()
    outside.lease(50)
    here.put("a")
    assert 50 == committed(here)
    outside.entries.append((1.0, 50))
    until(lambda: [10] == outside.gave())
    until(lambda: 60 == committed(here))


def test_an_excess_that_is_being_asked_for_is_not_asked_for_twice(
    sharer: Callable[..., Sharer], member: Others, start: Start
) -> None:
    here = sharer(probe=FakeProbe(10_000, name="device"), getsizeof=lambda value: 25)
    outside = member()
    entered, go_on = threading.Event(), threading.Event()
    for _ in range(4):
        outside.load(25)

    def slow() -> None:
        entered.set()
        assert go_on.wait(CAP)

    outside.gate = slow
    putting = start(here.put, "a")
    assert entered.wait(CAP)
    assert 0 == start(member_of(here).true_up, CAP).result(CAP / 2)
    go_on.set()
    putting.result(CAP)
    until(lambda: 100 == outside.status()[1])
    assert [25] == outside.gave()


def test_what_is_removed_while_it_is_asked_for_was_stored_all_the_same(
    here: Sharer, member: Others, start: Start
) -> None:
    outside = member()
    outside.load(60)
    entered, go_on = threading.Event(), threading.Event()

    def slow() -> None:
        entered.set()
        assert go_on.wait(CAP)

    outside.gate = slow
    value = Value("a")
    putting = start(here.cache.setdefault, "a", value)
    assert entered.wait(CAP)
    here.cache.clear()
    go_on.set()
    assert value is putting.result(CAP)
    assert 0 == len(here.cache)
