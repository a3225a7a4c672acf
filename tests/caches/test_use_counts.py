"""What decays without being touched, and heaps that lose what is dead a little at a time."""

from __future__ import annotations

import math
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from warmcache.caches.known_keys import KnownKey, new_key
from warmcache.caches.lazy_heap import LazyHeap
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
    decay, record = Decay(), new_key("a")
    for date in uses:
        decay.show(date)
        decay.add(record, 1, date, 0)
    now = uses[-1] + later
    decay.show(now)
    if record.block != decay.block:
        decay.bring_up(record)
    counts = record.in_32, record.in_256, record.in_2048, record.in_16384
    for count, weight, worth, half_life in zip(
        counts, decay.weights, WORTHS, HALF_LIVES, strict=True
    ):
        expected = worth * sum(2 ** (-(now - date) / half_life) for date in uses)
        assert math.isclose(expected, count * weight, rel_tol=1e-9, abs_tol=1e-200)


@pytest.mark.oracle
def test_a_lazy_heap_gives_what_lives_in_order_and_keeps_few_that_are_dead() -> None:
    draw = random.Random(0)
    records: dict[int, KnownKey] = {}
    heap = LazyHeap("place", records)
    keys: dict[int, float] = {}
    for serial in range(1, 5_000):
        name = draw.randrange(50)
        record = records.setdefault(name, new_key(name))
        record.place, keys[name] = serial, draw.random()
        heap.push((keys[name], serial, record))
        assert len(heap) <= 2 * 64 + 4 * len(records)
        assert {record.place for record in records.values()} == {item[1] for item in heap}
    found = []
    while (item := heap.first()) is not None:
        heap.pop()
        found.append(item[2].key)
    assert sorted(keys, key=keys.__getitem__) == found


@pytest.mark.oracle
def test_a_heap_that_lost_most_of_its_items_forgets_them_before_long() -> None:
    records = {name: new_key(name) for name in range(1_000)}
    heap = LazyHeap("place", records)
    for name, record in records.items():
        record.place = name + 1
        heap.push((0.0, record.place, record))
    for name in range(10, 1_000):
        records.pop(name).place = 0
    for serial in range(1_001, 2_001):
        record = records[serial % 10]
        record.place = serial
        heap.push((0.0, serial, record))
    assert len(heap) <= 2 * 64 + 4 * len(records)


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
