"""Who gets room of a node, and who gives it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from node_members import CAP, Member, Start, begun, until

from warmcache._node.refusal import Node
from warmcache.errors import ClosedError


def test_one_alone_gets_the_whole_budget_and_no_byte_more(
    member: Callable[..., Member],
) -> None:
    one = member()
    assert "granted" == one.lease(100)
    assert "granted" != one.lease(1, wait=0)
    one.shrink(1)
    assert "granted" == one.lease(1, wait=0)


def test_nothing_is_granted_without_asking_and_at_once(member: Callable[..., Member]) -> None:
    assert "granted" == member().lease(0, wait=0)


def test_more_than_the_budget_is_refused_without_waiting(member: Callable[..., Member]) -> None:
    refusal = member().ledger.grow(101, wait=60)
    assert refusal is not None
    assert (101, 100) == (refusal.needed, refusal.budget)
    assert "raise budget=" in str(refusal)


def test_what_another_process_has_in_use_is_not_to_be_had(
    tmp_path: Path, start: Start, member: Callable[..., Member]
) -> None:
    other = start(tmp_path)
    assert "granted" == other.tell("lease", 90)
    one = member()
    refusal = one.ledger.grow(50, wait=0.1)
    assert refusal is not None
    assert [(other.pid, 90, 0)] == [
        (share.pid, share.committed, share.idle) for share in refusal.committed
    ]
    assert f"process {other.pid} has 90 B" in str(refusal)
    assert "granted" == one.lease(10, wait=0)


def test_what_another_process_has_idle_goes_for_who_needs_it(
    tmp_path: Path, start: Start, member: Callable[..., Member]
) -> None:
    other = start(tmp_path)
    assert "granted" == other.tell("load", 90)
    assert "granted" == member().lease(50)
    assert [40] == other.tell("gave")


def test_nothing_goes_in_vain_where_all_that_is_idle_would_not_do(
    tmp_path: Path, start: Start, member: Callable[..., Member]
) -> None:
    other = start(tmp_path)
    other.tell("lease", 50)
    other.tell("load", 40)
    assert "granted" != member().lease(60, wait=0.1)
    assert [] == other.tell("gave")


def test_who_waits_is_granted_as_soon_as_another_process_gives_something_back(
    tmp_path: Path, start: Start, member: Callable[..., Member]
) -> None:
    one, other = member(), start(tmp_path)
    one.lease(100)
    other.begin("lease", 60)
    until(lambda: one.ledger.status().waiting)
    one.shrink(60)
    assert "granted" == other.answer()


def test_who_waits_is_granted_as_soon_as_something_becomes_idle_elsewhere(
    tmp_path: Path, start: Start, member: Callable[..., Member]
) -> None:
    one, other = member(), start(tmp_path)
    one.lease(100)
    other.begin("lease", 60)
    until(lambda: one.ledger.status().waiting)
    one.entries.append((1.0, 100))
    one.ledger.publish()
    assert "granted" == other.answer()
    assert [60] == one.reclaims


@pytest.mark.parametrize(("mine", "theirs", "goes"), [(1, 2, "mine"), (2, 1, "theirs")])
def test_the_cheapest_goes_whoever_has_it(
    mine: float,
    theirs: float,
    goes: str,
    tmp_path: Path,
    start: Start,
    member: Callable[..., Member],
) -> None:
    one, other = member(), start(tmp_path)
    one.load(50, mine)
    other.tell("load", 50, theirs)
    assert "granted" == one.lease(50)
    gave = {"mine": one.reclaims, "theirs": other.tell("gave")}
    assert [50] == gave.pop(goes)
    assert [[]] == [*gave.values()]


def test_ones_own_is_no_dearer_than_what_others_have(
    tmp_path: Path, start: Start, member: Callable[..., Member]
) -> None:
    one, other = member(), start(tmp_path)
    one.load(50)
    other.tell("load", 50)
    assert "granted" == one.lease(50)
    assert [] == other.tell("gave")


def test_what_many_small_entries_make_together_is_known_to_others(
    tmp_path: Path, start: Start, member: Callable[..., Member]
) -> None:
    other = start(tmp_path)
    for price in range(50):
        other.tell("load", 2, price)
    assert "granted" == member().lease(90)


def test_the_floor_of_another_process_is_never_asked_for(
    tmp_path: Path, start: Start, member: Callable[..., Member]
) -> None:
    other = start(tmp_path, floor=60)
    for _ in range(9):
        other.tell("load", 10)
    one = member()
    assert "granted" != one.lease(41, wait=0.1)
    assert [] == other.tell("gave")
    assert "granted" == one.lease(40)
    assert 30 == sum(other.tell("gave"))


def test_a_floor_is_no_obstacle_to_oneself(member: Callable[..., Member]) -> None:
    one = member(floor=100)
    one.load(100)
    assert "granted" == one.lease(100)


def test_an_owner_that_has_less_than_it_said_says_so_and_others_are_asked_at_once(
    tmp_path: Path, start: Start, member: Callable[..., Member], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("warmcache._node.asking.PATIENCE", 60.0)
    one, other, third = member(), start(tmp_path), start(tmp_path)
    other.tell("load", 40, 1.0)
    third.tell("load", 60, 2.0)
    other.tell("forget")  # it is leased by now
    assert "granted" == one.lease(40)
    assert [[40], [40]] == [other.tell("gave"), third.tell("gave")]


def test_a_reclaim_that_raises_has_given_nothing_and_others_are_asked(
    tmp_path: Path,
    start: Start,
    member: Callable[..., Member],
    caplog: pytest.LogCaptureFixture,
) -> None:
    one, other = member(), start(tmp_path)
    one.load(40, 1.0)
    other.tell("load", 60, 2.0)

    def fail() -> None:
        raise RuntimeError("no way")

    one.gate = fail
    assert "granted" == start(tmp_path).tell("lease", 40)
    assert "could not give 40 B back" in caplog.text


def test_the_least_budget_of_the_living_counts_and_one_warning_says_so(
    tmp_path: Path,
    start: Start,
    member: Callable[..., Member],
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("warmcache._node.ledger._told", [])
    one, other = member(), start(tmp_path, budget=50)
    one.lease(10)
    other.tell("lease", 10)
    assert "granted" != one.lease(31, wait=0)
    assert "granted" == one.lease(30, wait=0)
    assert 50 == one.ledger.status().budget
    assert 1 == caplog.text.count("different budgets")
    other.tell("close")
    assert "granted" == one.lease(60, wait=0)


def test_a_budget_that_is_raised_lets_in_who_waits(
    tmp_path: Path, start: Start, member: Callable[..., Member]
) -> None:
    one, other = member(budget=60), start(tmp_path)
    one.lease(60)
    other.begin("lease", 40)
    until(lambda: one.ledger.status().waiting)
    one.ledger.set_budget(100)
    assert "granted" == other.answer()


def test_a_floor_that_is_lowered_lets_others_ask(
    tmp_path: Path, start: Start, member: Callable[..., Member]
) -> None:
    one, other = member(floor=100), start(tmp_path)
    one.load(100)
    other.begin("lease", 40)
    until(lambda: one.ledger.status().waiting)
    one.ledger.set_floor(0)
    assert "granted" == other.answer()


def test_status_says_how_many_there_are_and_what_they_have(
    tmp_path: Path, start: Start, member: Callable[..., Member]
) -> None:
    one = member()
    assert Node(0, 0, 100, 0) == one.ledger.status()
    assert [] == [*tmp_path.iterdir()]  # to ask takes no part
    start(tmp_path).tell("lease", 30)
    one.lease(20)
    assert Node(2, 50, 100, 0) == one.ledger.status()


def test_closing_leaves_nothing_and_may_be_done_twice(
    tmp_path: Path, start: Start, member: Callable[..., Member]
) -> None:
    one, other = member(), start(tmp_path)
    one.lease(10)
    other.tell("lease", 90)
    one.close()
    one.close()
    assert 2 == len([path for path in tmp_path.iterdir() if path.name != "lock"])
    assert "granted" == other.tell("lease", 10, 0)
    other.tell("close")
    assert [] == [*tmp_path.iterdir()]


def test_what_is_closed_grants_nothing_and_takes_back_in_silence(
    member: Callable[..., Member],
) -> None:
    one = member()
    one.lease(10)
    one.close()
    one.shrink(10)
    one.ledger.publish()
    one.ledger.landed(10)
    with pytest.raises(ClosedError, match="has left the ledger"):
        one.ledger.grow(1, 0)


@pytest.mark.race
def test_who_waits_as_it_is_closed_is_told(
    tmp_path: Path, start: Start, member: Callable[..., Member]
) -> None:
    one, other = member(), start(tmp_path)
    other.tell("lease", 100)

    def wait() -> str:
        try:
            return str(one.ledger.grow(1, CAP))
        except ClosedError:
            return "closed"

    end = begun(wait)
    until(lambda: one.ledger.status().waiting)
    one.close()
    assert "closed" == end()


def test_what_is_idle_and_was_not_said_yet_is_said_to_who_lacks_it(
    tmp_path: Path, start: Start, member: Callable[..., Member]
) -> None:
    one = member()
    one.lease(80)
    one.entries = [(1.0, 80)]  # idle from now on; nobody has published it
    assert "granted" == start(tmp_path).tell("lease", 50)
    assert [] == one.entries
