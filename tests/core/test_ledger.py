"""The sums of a cache, without a cache: figures in, figures out."""

from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from warmcache._core.state.entry import LeaseRecord, Source
from warmcache._core.state.flights import Basis, Flight
from warmcache._core.state.ledger import Claim, Ledger

GIB = 2**30


def ledger(limit: float, **sums: float) -> Ledger:
    found = Ledger(limit)
    for name, weight in sums.items():
        assert hasattr(found, name)
        setattr(found, name, weight)
    return found


def test_free_is_what_nothing_is_committed_of() -> None:
    assert 6 == ledger(10, committed=4).free


@pytest.mark.parametrize("limit", [0, 10, 1e13, 1e300, math.inf])
def test_what_sums_may_be_off_by_is_less_than_any_whole_weight(limit: float) -> None:
    assert 0 <= Ledger(limit).slack < 1


@pytest.mark.parametrize(
    ("available", "expected"),
    [
        pytest.param(math.inf, 6, id="nobody knows what the device has"),
        pytest.param(8, 6, id="the budget is what limits"),
        pytest.param(5, 5, id="the device is what limits"),
        pytest.param(-2, -2, id="the device has less than its headroom"),
    ],
)
def test_free_is_the_less_of_what_the_budget_and_the_device_leave(
    available: float, expected: float
) -> None:
    found = ledger(10, committed=4, live=4, available=available)
    assert expected == found.free


def test_what_is_reserved_is_not_on_the_device_yet_and_so_not_available() -> None:
    found = ledger(10, committed=4, live=1, available=5)
    assert 3 == found.reserved
    assert 2 == found.free


@pytest.mark.parametrize("state", ["live", "retired", "dying", "zombies"])
def test_what_exists_is_seen_by_the_device_and_is_not_subtracted_from_it_again(state: str) -> None:
    found = ledger(10, committed=4, available=5, **{state: 4})
    assert 0 == found.reserved
    assert 5 == found.free


def test_of_what_was_owed_only_that_of_other_threads_outlives_an_interrupt(start: Any) -> None:
    found = ledger(10)
    own, other = Claim("own", 2), Claim("other", 3)
    found.owe(own, 2)
    start(found.owe, other, 3).result(5)
    assert 5 == found.owed
    found.recount(idle=1, leased=2, retired=0.5, dying=0.25, reserved=4, zombies=0.125)
    assert (3, 0, 3) == (found.owed, own.owed, other.owed)
    assert (3, 1, 0.5, 0.25, 0.125, 7.875) == (
        *(found.live, found.idle, found.retired, found.dying, found.zombies, found.committed),
    )
    found.drop(other)
    assert 0 == found.owed


def test_what_is_owed_to_a_claim_is_owed_once() -> None:
    found, claim = ledger(10), Claim("k", 2)
    assert 0 == claim.owed
    found.owe(claim, 2)
    found.owe(claim, 1)
    assert 2 == found.owed == claim.owed
    found.drop(claim)
    assert 0 == found.owed == claim.owed


@pytest.mark.parametrize(
    "change",
    [
        lambda ledger: ledger.drop(owed_by(ledger)),
        lambda ledger: ledger.unreserve(1),
        lambda ledger: ledger.recharge(flight(2), 1),
        lambda ledger: ledger.free_dying(1),
        lambda ledger: ledger.detach(1, leased=False),
        lambda ledger: ledger.reweigh(-1, reserved=0, live=True),
        lambda ledger: ledger.charge_zombie(-1),
    ],
    ids=["drop", "unreserve", "recharge", "free", "detach", "reweigh", "zombie"],
)
def test_whatever_may_give_room_wakes_who_waits_for_it(change: Any) -> None:
    found = ledger(10, committed=8, live=4, idle=4, dying=2, zombies=2)
    signal = found.change()
    change(found)
    assert signal.happened and {} == found.waiting


def owed_by(found: Ledger) -> Claim:
    claim = Claim("k", 1)
    found.owe(claim, 1)
    return claim


def flight(weight: float) -> Flight:
    found = Flight("k", LeaseRecord(0), Source("test"), 0)
    found.weight, found.basis = weight, Basis.UNKNOWN
    return found


def test_what_takes_room_wakes_nobody() -> None:
    found = ledger(10)
    signal = found.change()
    found.reserve(Claim("k", 3))
    found.charge_zombie(2)
    assert not signal.happened
    found.forget(signal)
    found.wake()
    assert not signal.happened


def test_in_a_forked_child_nobody_waits_any_more() -> None:
    found = ledger(10)
    signal = found.change()
    found.forget_who_waits()
    found.wake()
    assert not signal.happened


def test_a_zombie_is_committed_by_as_much_as_is_left_of_it() -> None:
    found = ledger(10)
    for change, left in [(3, 3), (-1, 2), (-2, 0)]:
        found.charge_zombie(change)
        assert left == found.zombies == found.committed


def test_what_a_load_turned_out_to_weigh_is_said_from_then_on() -> None:
    found, loading = ledger(10, committed=5), flight(2)
    found.recharge(loading, 3)
    assert (6, 3, Basis.SAID) == (found.committed, loading.weight, loading.basis)


def test_for_a_value_that_exists_the_device_needs_no_memory_a_second_time() -> None:
    found = ledger(10, committed=4, live=4, available=2, attainable=7)
    loaded, present = Claim("k", 1), Claim("k", 1)
    present.present = True
    assert (2, 6) == (found.free_for(loaded), found.free_for(present))
    assert (7, 10) == (found.most_for(loaded), found.most_for(present))


weights = st.integers(0, 2**40)


@pytest.mark.property
@given(weights, weights, weights, weights, weights, weights)
def test_committed_is_the_sum_of_the_five_states(
    limit: int, live: int, retired: int, dying: int, zombie: int, loading: int
) -> None:
    found = ledger(
        limit,
        live=live,
        retired=retired,
        dying=dying,
        zombies=zombie,
        committed=live + retired + dying + zombie + loading,
    )
    assert loading == found.reserved
    assert limit == found.free + live + retired + dying + zombie + loading


def test_in_words_a_ledger_names_what_there_is_of_it() -> None:
    found = ledger(16 * GIB, committed=12 * GIB, live=9 * GIB, zombies=2 * GIB)
    assert (
        "warmcache: of 16.0 GiB: 9.0 GiB live, 1.0 GiB reserved by loads, "
        "2.0 GiB torn down but still held"
    ) == found.in_words()


def test_in_words_an_empty_ledger_says_so() -> None:
    assert "warmcache: of 3: nothing committed" == ledger(3).in_words()


def test_in_words_what_the_device_has_is_told_where_it_is_known() -> None:
    assert ledger(GIB, available=GIB / 2).in_words().endswith("; 512.0 MiB available")
