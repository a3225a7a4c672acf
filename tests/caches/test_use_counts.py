"""What decays without being touched, and heaps that lose what is dead a little at a time."""

from __future__ import annotations

import math
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from warmcache.caches.lazy_heap import Item, LazyHeap
from warmcache.caches.own_time import OwnTime
from warmcache.caches.use_counts import BLOCK, HALF_LIVES, WORTHS, Decay


@pytest.mark.oracle
@pytest.mark.property
@given(
    uses=st.lists(st.integers(0, 4 * BLOCK), min_size=1, max_size=20).map(sorted),
    later=st.integers(0, 2 * BLOCK),
)
def test_a_decayed_count_is_the_formula_however_many_blocks_lie_between(
    uses: list[int], later: int
) -> None:
    decay, counts, block = Decay(), [0.0] * 4, 0
    for date in uses:
        decay.show(date)
        if block != decay.block:
            block = decay.brought_up(counts, block)
        decay.add(counts, 1, date, 0)
    now = uses[-1] + later
    decay.show(now)
    if block != decay.block:
        decay.brought_up(counts, block)
    for count, weight, worth, half_life in zip(
        counts, decay.weights, WORTHS, HALF_LIVES, strict=True
    ):
        expected = worth * sum(2 ** (-(now - date) / half_life) for date in uses)
        assert math.isclose(expected, count * weight, rel_tol=1e-9, abs_tol=1e-200)


@pytest.mark.oracle
def test_a_lazy_heap_gives_what_lives_in_order_and_keeps_few_that_are_dead() -> None:
    draw = random.Random(0)
    places: dict[str, int] = {}

    def lives(item: Item) -> bool:
        return places.get(item[2]) == item[1]

    heap = LazyHeap(lives)
    keys: dict[str, float] = {}
    for serial in range(1, 5_000):
        name = f"record {draw.randrange(50)}"
        places[name], keys[name] = serial, draw.random()
        heap.push((keys[name], serial, name), len(places))
        assert len(heap) <= 64 + 4 * len(places)
    found = []
    while heap.first() is not None:
        item = heap.pop()
        if lives(item):
            found.append(item[2])
    assert sorted(keys, key=keys.__getitem__) == found


def test_own_time_is_what_came_to_light_and_dates_ticks_between_in_proportion() -> None:
    time = OwnTime(0)
    time.count(10)
    assert 10 == time.show(1000)  # other caches had the other ticks
    assert 5 == time.at(500)
    time.round_ended()
    time.count(30)
    assert 40 == time.show(1100)
    assert 25 == time.at(1050)
    assert 5 == time.at(500)
