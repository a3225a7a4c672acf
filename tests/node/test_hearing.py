"""Who may have more idle than its record says is heard before anything has to go."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from node_members import Member, Start

from warmcache._node.asking import Asking, Giving, Look, Request
from warmcache._node.record import Account, Quote
from warmcache._node.verdict import PATIENCE, Picture

MINE, THEIRS = 1, 2
SECOND = 10**9


def test_what_is_cheap_elsewhere_goes_though_nobody_had_said_that_it_is_idle(
    tmp_path: Path, start: Start, member: Callable[..., Member]
) -> None:
    one, other = member(), start(tmp_path)
    one.load(50, 2.0)
    other.tell("lease", 50)
    other.tell("keep", 50, 1.0)
    assert "granted" == one.lease(50)
    assert [] == one.reclaims
    assert [50] == other.tell("gave")


class Asker:
    """One who has 50 bytes idle at a price of 2, beside an owner of 50 that says nothing."""

    def __init__(self) -> None:
        self.me = Account(MINE, budget=100, committed=50)
        self.owner = Account(THEIRS, budget=100, committed=50)
        self.asking = Asking(self.me, Giving())
        self.now = SECOND

    def look(self, request: Request, *, waits: bool = True) -> Look:
        own = (Quote(50, 2.0),)
        picture = Picture(self.me, [self.owner], [], self.now)
        return self.asking.look(request, own, picture, lambda: None, waits)

    def passes(self, seconds: float) -> None:
        self.now += int(seconds * SECOND)


def test_an_owner_is_pinged_and_nothing_pledged_before_it_has_said_what_is_idle() -> None:
    asker, request = Asker(), Request(50)
    look = asker.look(request)
    assert THEIRS in look.ping and not look.own and not asker.me.pledges
    asker.passes(0.001)
    asker.owner.said = asker.now
    asker.owner.quotes = (Quote(50, 1.0),)
    look = asker.look(request)
    assert [THEIRS] == [pledge.owner for pledge in asker.me.pledges] and not look.own


def test_an_owner_that_has_nothing_idle_is_believed() -> None:
    asker, request = Asker(), Request(50)
    asker.look(request)
    asker.passes(0.001)
    asker.owner.said = asker.now
    assert 50 == asker.look(request).own


def test_an_owner_that_says_nothing_is_waited_for_once_until_it_looks_again() -> None:
    asker = Asker()
    first = Request(50)
    asker.look(first)
    asker.passes(PATIENCE / 2)
    assert not asker.look(first).own
    asker.passes(PATIENCE)
    assert 50 == asker.look(first).own
    asker.asking.withdraw(first)
    second = Request(50)
    assert 50 == asker.look(second).own
    asker.asking.withdraw(second)
    asker.owner.looked = asker.now
    assert not asker.look(Request(50)).own


def test_who_does_not_wait_takes_what_there_is() -> None:
    assert 50 == Asker().look(Request(50), waits=False).own


@pytest.mark.parametrize("floor", [0, 50])
def test_what_others_never_ask_for_is_not_heard_about(floor: int) -> None:
    asker = Asker()
    asker.owner.floor = floor
    assert (50 if floor else 0) == asker.look(Request(50)).own


def test_nobody_smaller_passes_who_is_still_to_hear() -> None:
    asker, large = Asker(), Request(100)
    asker.me.budget = asker.owner.budget = 110
    asker.look(large)
    asker.passes(0.001)
    assert not asker.look(Request(10)).granted
    asker.owner.said = asker.now
    asker.look(large)
    assert asker.look(Request(10)).granted
