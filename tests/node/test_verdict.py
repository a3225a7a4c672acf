"""What a look at a node's ledger says, by numbers alone."""

from __future__ import annotations

import pytest

from warmcache._node.record import QUOTES, Account, Pledge, Quote, Wait
from warmcache._node.verdict import Picture, quoted

SECOND = 10**9


def account(number: int, committed: int = 0, **fields: object) -> Account:
    return Account(number, 1, 100, committed=committed, **fields)  # type: ignore[arg-type]


def picture(me: Account, *others: Account, dead: tuple[Account, ...] = ()) -> Picture:
    return Picture(me, others, dead, now=10 * SECOND)


def test_what_the_dead_have_left_is_no_room_and_is_coming() -> None:
    seen = picture(account(1, 20), account(2, 30), dead=(account(3, 40),))
    assert (10, 40, 90) == (seen.free, seen.coming, seen.committed)


@pytest.mark.parametrize(("shown", "free"), [(None, 10), (5, 10), (30, 25), (1000, 50)])
def test_what_the_device_shows_without_what_is_in_flight_is_room(
    shown: float | None, free: int
) -> None:
    seen = picture(account(1, 20, in_flight=5), account(2, 30), dead=(account(3, 40),))
    seen.shown = shown
    assert (free, 50) == (seen.free, seen.free + seen.coming)


def test_what_was_answered_is_not_outstanding_any_more() -> None:
    assert [10, 10, 5, 0] == [Pledge(1, 10, 20).outstanding(at) for at in (0, 10, 15, 30)]


def test_a_second_pledge_is_for_the_bytes_behind_the_first() -> None:
    owner = account(2, 50, quotes=(Quote(50, 1.0),), answered=100)
    first = account(3, pledges=(Pledge(2, 100, 120),))
    seen = picture(account(1), owner, first)
    offers = seen.offers((), ())
    assert [30] == [quote.nbytes for quote, _ in offers]
    assert [Pledge(2, 120, 150)] == seen.pledges_for(30, offers)
    assert [] == seen.pledges_for(31, offers)


def test_nothing_below_an_owners_floor_is_on_offer() -> None:
    owner = account(2, 50, floor=40, quotes=(Quote(50, 1.0),))
    assert [10] == [quote.nbytes for quote, _ in picture(account(1), owner).offers((), ())]


def test_the_cheapest_is_asked_for_first_and_ones_own_before_its_like() -> None:
    me = account(1, 20)
    owners = [account(2, 20, quotes=(Quote(20, 1.0),)), account(3, 20, quotes=(Quote(20, 0.5),))]
    seen = picture(me, *owners)
    offers = seen.offers((Quote(20, 1.0),), ())
    assert [3, 1, 2] == [owner.number for _, owner in offers]
    assert [3, 1] == [pledge.owner for pledge in seen.pledges_for(30, offers)]


def test_who_is_passed_over_is_asked_for_nothing() -> None:
    owner = account(2, 20, quotes=(Quote(20, 1.0),))
    assert [] == picture(account(1), owner).offers((), {2})


def waiter(number: int, nbytes: int, since: int, looked: float = 10.0) -> Account:
    return account(number, looked=int(looked * SECOND), waits=(Wait(nbytes, since),))


def test_older_waiters_have_their_part_of_room_as_far_as_it_suffices() -> None:
    seen = picture(account(1, 40), waiter(2, 50, 1), waiter(3, 70, 2), waiter(4, 10, 3))
    assert 60 == seen.ahead(since=9)
    assert 50 == seen.ahead(since=3)


def test_who_hopes_for_what_others_load_has_all_that_is_left() -> None:
    hopes = account(2, looked=10 * SECOND, waits=(Wait(90, 1, hopeful=True),))
    assert 60 == picture(account(1, 40), hopes).ahead(since=9)
    hopes.looked = 8 * SECOND
    assert 0 == picture(account(1, 40), hopes).ahead(since=9)


def test_a_waiter_that_has_stopped_looking_has_none() -> None:
    seen = picture(account(1, 40), waiter(2, 50, 1, looked=8.9))
    assert 0 == seen.ahead(since=9)


def test_an_owner_gives_no_more_than_is_lacking_for_those_who_wait() -> None:
    me = account(1, 100)
    asker = account(2, waits=(Wait(30, 1),), pledges=(Pledge(1, 0, 50),), looked=10 * SECOND)
    assert 30 == picture(me, asker).asked_of_me()
    me.committed = 80
    assert 10 == picture(me, asker).asked_of_me()
    me.floor = 75
    assert 5 == picture(me, asker).asked_of_me()


def test_many_quotes_are_told_in_few_whose_sum_is_right() -> None:
    told = quoted([Quote(2, float(price)) for price in range(20)], 100, 0)
    assert (QUOTES, 40) == (len(told), sum(quote.nbytes for quote in told))
    assert [0.0, 1.0] == [quote.price for quote in told[:2]]
    assert 13.0 == told[-1].price


def test_an_entry_that_would_reach_below_the_floor_is_not_told() -> None:
    assert (Quote(10, 2.0),) == quoted([Quote(50, 1.0), Quote(10, 2.0)], 60, 20)
