"""In which order wishes for room of a node are served, and that none is served twice."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from node_members import CAP, Member, Start, begun, until

from warmcache._auto_reset import AutoResetEvent


@pytest.mark.race
def test_two_who_ask_at_the_same_time_do_not_count_on_the_same_bytes(
    tmp_path: Path, start: Start, member: Callable[..., Member]
) -> None:
    one = member()
    for price in (1.0, 2.0):
        one.load(50, price)
    reached, go = threading.Event(), threading.Event()
    one.gate = lambda: (reached.set(), go.wait(CAP))
    first, second = start(tmp_path), start(tmp_path)
    first.begin("lease", 50)
    assert reached.wait(CAP)  # and while that one's 50 are on their way
    second.begin("lease", 50)
    until(lambda: one.ledger.status().waiting == 2)
    go.set()
    assert ["granted", "granted"] == [first.answer(), second.answer()]
    assert 100 == sum(one.reclaims)


@pytest.mark.race
def test_who_is_asked_again_while_bytes_are_on_their_way_gives_no_more(
    tmp_path: Path, start: Start, member: Callable[..., Member]
) -> None:
    one = member()
    for _ in range(2):
        one.load(50)
    went: list[int] = []

    def later(nbytes: int) -> int:
        went.append(one.entries.pop()[1])
        return 50  # torn down, and not back yet

    one.ledger._reclaim = later
    other = start(tmp_path)
    other.begin("lease", 50)
    until(lambda: went)
    for _ in range(3):
        one.ledger.publish()  # by which the other one looks, and asks again
    threading.Event().wait(0.6)  # two polls of it
    one.shrink(50)
    assert "granted" == other.answer()
    assert [50] == went


def test_in_the_midst_of_giving_who_waits_is_woken_when_it_does_and_not_at_each_value(
    tmp_path: Path, start: Start, member: Callable[..., Member], monkeypatch: pytest.MonkeyPatch
) -> None:
    one, other = member(), start(tmp_path)
    for _ in range(10):
        one.load(10)
    from warmcache._node.files import NodeFiles

    ping = NodeFiles.ping
    woken_at: list[int] = []  # with so many values left

    def note(files: NodeFiles, numbers: list[int]) -> None:
        if one.reclaims and numbers:
            woken_at.append(len(one.entries))
        ping(files, numbers)

    monkeypatch.setattr(NodeFiles, "ping", note)
    assert "granted" == other.tell("lease", 60)
    assert 4 == woken_at[0]


def test_first_come_first_served(
    tmp_path: Path, start: Start, member: Callable[..., Member]
) -> None:
    one = member()
    one.lease(100)
    waiting = [start(tmp_path) for _ in range(3)]
    for at, each in enumerate(waiting):
        each.begin("lease", 60)
        until(lambda at=at: one.ledger.status().waiting == at + 1)
    one.shrink(60)
    assert "granted" == waiting[0].answer()
    waiting[0].begin("shrink", 60)
    assert "granted" == waiting[1].answer()


def test_a_smaller_one_passes_where_no_older_one_could_use_the_room(
    tmp_path: Path, start: Start, member: Callable[..., Member]
) -> None:
    one, large = member(), start(tmp_path)
    one.lease(80)
    large.begin("lease", 60)
    until(lambda: one.ledger.status().waiting)
    assert "granted" == one.lease(20, wait=1)  # once the older one has heard that none is idle


@pytest.mark.race
def test_a_smaller_one_does_not_take_what_is_being_given_to_an_older_one(
    tmp_path: Path, start: Start, member: Callable[..., Member]
) -> None:
    one, large, small = member(), start(tmp_path), start(tmp_path)
    one.load(80)
    reached, go = threading.Event(), threading.Event()
    one.gate = lambda: (reached.set(), go.wait(CAP))
    large.begin("lease", 90)
    assert reached.wait(CAP)
    assert "granted" != small.tell("lease", 15, 0)  # though 20 are free
    go.set()
    assert "granted" == large.answer()


def test_a_smaller_one_does_not_pass_who_waits_for_a_load_to_land_but_not_for_ever(
    tmp_path: Path, start: Start, member: Callable[..., Member]
) -> None:
    one, large, small = member(), start(tmp_path), start(tmp_path)
    assert one.ledger.grow(40, 0) is None  # and has not landed
    large.begin("lease", 90, 60)
    until(lambda: one.ledger.status().waiting)
    assert "granted" != small.tell("lease", 10, 0)
    assert "granted" == small.tell("lease", 10)


@pytest.mark.race
def test_threads_of_one_process_each_have_their_place_in_the_line(
    tmp_path: Path, start: Start, member: Callable[..., Member]
) -> None:
    one, other = member(), start(tmp_path)
    other.tell("lease", 100)
    ends = []
    for at, nbytes in enumerate((70, 30)):
        ends.append(begun(lambda nbytes=nbytes: one.lease(nbytes)))
        until(lambda at=at: one.ledger.status().waiting == at + 1)
    other.tell("shrink", 100)
    assert ["granted", "granted"] == [end() for end in ends]
    assert 100 == one.ledger.status().committed


@pytest.mark.race
def test_who_tears_down_its_own_for_long_does_not_lose_its_place(
    tmp_path: Path, start: Start, member: Callable[..., Member]
) -> None:
    one, other, small = member(), start(tmp_path), start(tmp_path)
    other.tell("lease", 20)
    one.load(60)
    reached, go = threading.Event(), threading.Event()
    one.gate = lambda: (reached.set(), go.wait(CAP))
    end = begun(lambda: one.lease(80))
    assert reached.wait(CAP)
    assert "granted" != small.tell("lease", 20, 1.5)  # longer than anybody may do nothing
    go.set()
    assert "granted" == end()


@pytest.mark.race
def test_what_is_told_between_a_look_and_the_wait_for_news_is_heard(
    member: Callable[..., Member], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("warmcache._node.ledger.POLL", 60.0)
    one = member()
    one.lease(100)

    class GivingBackFirst(AutoResetEvent):
        def wait(self, timeout: float | None = None) -> bool:
            one.shrink(50)
            return super().wait(timeout)

    monkeypatch.setattr("warmcache._node.ledger.AutoResetEvent", GivingBackFirst)
    assert "granted" == begun(lambda: one.lease(50, wait=60))()


@pytest.mark.race
def test_what_a_caller_takes_of_its_own_is_not_given_by_the_listener_as_well(
    member: Callable[..., Member],
) -> None:
    one = member()
    for _ in range(2):
        one.load(50)
    for _ in range(50):
        assert "granted" == one.load(50)
    assert [50] * 50 == one.reclaims


def test_a_waiter_that_gives_up_is_in_nobodys_way(
    tmp_path: Path, start: Start, member: Callable[..., Member]
) -> None:
    one, other = member(), start(tmp_path)
    one.lease(50)
    assert "granted" != other.tell("lease", 60, 0.05)
    assert 0 == one.ledger.status().waiting
    assert "granted" == one.lease(50, wait=0)


def test_a_lost_ping_costs_a_poll_and_no_hang(
    tmp_path: Path, start: Start, member: Callable[..., Member], monkeypatch: pytest.MonkeyPatch
) -> None:
    one, other = member(), start(tmp_path)
    other.tell("load", 100)
    one.lease(0)
    from warmcache._node.files import NodeFiles

    ping, lost = NodeFiles.ping, []

    def lose(files: NodeFiles, numbers: object) -> None:
        numbers = [*numbers]  # type: ignore[misc]
        if numbers and len(lost) < 2:  # the first to oneself, the first to the other
            lost.append(numbers)
        else:
            ping(files, numbers)

    monkeypatch.setattr(NodeFiles, "ping", lose)
    assert "granted" == one.lease(60)
    assert lost
