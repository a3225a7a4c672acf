"""Who is charged with which bytes, by their addresses: never two, and nobody who has none."""

from __future__ import annotations

import weakref
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from warmcache._core.state.ledger import Ledger
from warmcache.memory.blocks import blocks_of_parts, size_of
from warmcache.memory.shared_bytes import Share, SharedBytes

STORE: Any = Ledger(0)  # anything that can be referred to weakly


class Owner:
    """What owns bytes."""


class Have:
    """What an entry has: ranges of addresses, and who owns each."""

    def __init__(self, known: SharedBytes, *ranges: tuple[int, int]) -> None:
        self.owners = [Owner() for _ in ranges]
        blocks = [
            (*each, weakref.ref(owner)) for each, owner in zip(ranges, self.owners, strict=True)
        ]
        self.share = Share(STORE, tuple(blocks), size_of(blocks) - known.held(blocks))
        self.seen = self.share.seen
        known.join(self.share, self.seen)

    @property
    def weight(self) -> float:
        assert self.share.weight is not None
        return self.share.weight


def test_ranges_that_are_the_same_are_charged_to_the_first() -> None:
    known = SharedBytes()
    first = Have(known, (0, 10), (20, 30))
    second = Have(known, (20, 30), (40, 45))
    assert (20, 5) == (first.weight, second.weight)
    assert [second.share, first.share] == known.leave(first.share)
    assert (10, 15) == (first.weight, second.weight)
    assert [] == known.leave(first.share) == known.leave(second.share)


@pytest.mark.parametrize(
    ("other", "own"),
    [((0, 5), 0), ((5, 15), 5), ((8, 12), 2), ((9, 21), 10), ((0, 40), 20), ((10, 20), 10)],
)
def test_of_ranges_that_overlap_only_what_is_new_is_charged(
    other: tuple[int, int], own: int
) -> None:
    known = SharedBytes()
    first = Have(known, (0, 10), (20, 30))
    second = Have(known, other)
    assert (20, own) == (first.weight, second.weight)
    known.leave(first.share)
    assert other[1] - other[0] == second.weight
    assert 20 - (other[1] - other[0] - own) == first.weight


def test_bytes_side_by_side_are_not_the_same() -> None:
    known = SharedBytes()
    assert [10, 10, 5] == [Have(known, each).weight for each in [(10, 20), (0, 10), (20, 25)]]


def test_an_address_whose_owner_has_died_is_another_s() -> None:
    known = SharedBytes()
    first = Have(known, (0, 10))
    first.owners.clear()
    second = Have(known, (0, 10))
    assert (10, 10) == (first.weight, second.weight)
    assert [] == known.leave(first.share)
    assert (10, 10) == (first.weight, second.weight), "it was measured once, and stays"


def test_who_has_let_go_of_the_bytes_does_not_inherit_them() -> None:
    known = SharedBytes()
    first, second, third = [Have(known, (0, 10)) for _ in range(3)]
    second.owners.clear()
    known.leave(first.share)
    assert (0, 10) == (second.weight, third.weight)


def test_an_entry_that_is_nowhere_any_more_has_nothing() -> None:
    known = SharedBytes()
    first = Have(known, (0, 10))
    del first
    assert 10 == Have(known, (0, 10)).weight


def test_who_comes_twice_is_not_its_own_rival() -> None:
    known = SharedBytes()
    first = Have(known, (0, 10))
    assert 10 == known.held(first.share.blocks) and 0 == known.held(first.share.blocks, first.share)
    second = Have(known, (0, 10))
    assert 10 == known.held(second.share.blocks, second.share)


def test_what_is_watched_is_what_nobody_has_and_no_longer_than_that() -> None:
    known = SharedBytes()
    first = Have(known, (0, 10), (20, 30), (40, 50))
    blocks = first.share.blocks
    second = Have(known, (20, 30), (40, 45))
    known.leave(first.share)
    parts = known.unheld(blocks)
    assert [10, 5] == [nbytes for _, nbytes in parts]
    assert [first.owners[0], first.owners[2]] == [part() for part, _ in parts]
    third = Have(known, (0, 10))
    assert [None, first.owners[2]] == [part() for part, _ in parts]
    known.leave(third.share), known.leave(second.share)
    assert 9 == Have(known, (91, 100)).weight  # it is looked at again, and has been taken for good
    assert [None, first.owners[2]] == [part() for part, _ in parts]
    first.owners.clear()
    assert [None, None] == [part() for part, _ in parts]


def test_what_has_no_address_is_known_by_who_owns_it() -> None:
    owners = [Owner(), Owner()]
    parts = [(weakref.ref(owner), nbytes) for owner, nbytes in zip(owners, (2**40, 7), strict=True)]
    blocks = blocks_of_parts([*parts, *parts, (lambda: None, 3)])
    assert 2**40 + 7 == size_of(blocks) and 2 == len(blocks)
    known = SharedBytes()
    first = Share(STORE, blocks, size_of(blocks))
    assert 2**40 + 7 == known.join(first, size_of(blocks))
    assert 7 == known.held(blocks_of_parts(parts[1:]))


RANGES = st.lists(st.tuples(st.integers(0, 40), st.integers(1, 12)), max_size=5)


def disjoint(drawn: list[tuple[int, int]]) -> list[tuple[int, int]]:
    found: list[tuple[int, int]] = []
    for start, length in sorted(drawn):
        if not found or found[-1][1] <= start:
            found.append((start, start + length))
    return found


def addresses(have: Have) -> set[int]:
    return {at for start, end, _ in have.share.blocks for at in range(start, end)}


@pytest.mark.property
@given(st.lists(st.tuples(st.booleans(), RANGES, st.integers(0, 9)), max_size=25))
def test_what_all_weigh_is_always_the_bytes_of_their_union(steps: Any) -> None:
    known = SharedBytes()
    there: list[Have] = []
    for comes, drawn, which in steps:
        if comes or not there:
            there.append(Have(known, *disjoint(drawn)))
        else:
            gone = there.pop(which % len(there))
            ranges = [range(*block[:2]) for block in gone.share.blocks]
            had = gone.weight
            known.leave(gone.share)
            others = set().union(*map(addresses, there))
            exclusive = {at for each in ranges for at in each} - others
            assert len(exclusive) == gone.weight <= had, "what is freed is what nobody else has"
        charged: set[int] = set()
        for each in there:  # in the order in which they came
            own = addresses(each) - charged
            assert len(own) == each.weight, "the first that has them is charged"
            charged |= own
        assert len(charged) == known.held([(0, 100, Owner)])
        assert sorted(known._edges) == known._edges


def test_blocks_that_nobody_has_are_not_looked_at_one_by_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    known = SharedBytes()
    owner = Owner()
    looks: list[Any] = []
    kept: list[Share] = []
    monkeypatch.setattr(known, "_inside", lambda *block: looks.append(block))
    for begin in range(0, 100_000, 20_000):
        blocks = tuple((at, at + 1, weakref.ref(owner)) for at in range(begin, begin + 20_000, 2))
        kept.append(Share(STORE, blocks, 10_000))
        assert 0 == known.held(blocks)
        assert 10_000 == known.join(kept[-1], 10_000)
    assert not looks
