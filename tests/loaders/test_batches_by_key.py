"""Whatever overlaps, fails or leaves meanwhile, each place has the value of its own element."""

from __future__ import annotations

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from warmcache import warm
from warmcache.testing import assert_consistent

pytestmark = pytest.mark.property

BATCHES = st.lists(st.lists(st.integers(0, 9), max_size=8), min_size=1, max_size=6)
SIZES = st.sampled_from([0, 1, 3, 100])


def value_of(number: int) -> list[int]:
    return [number, number * number]


class Naive:
    """What batches come to one after the other, with room for all: a dict, and what is loaded."""

    def __init__(self) -> None:
        self.known: dict[int, list[int]] = {}

    def missing(self, numbers: list[int]) -> list[int]:
        """Return what a batch loads, and know it from then on."""
        found = [number for number in dict.fromkeys(numbers) if number not in self.known]
        self.known |= {number: value_of(number) for number in found}
        return found


@given(batches=BATCHES)
def test_one_after_the_other_they_load_what_a_naive_model_loads(batches: list[list[int]]) -> None:
    calls: list[list[int]] = []

    @warm(batch="numbers", maxsize=None)
    def load(numbers: list[int]) -> list[list[int]]:
        calls.append(numbers)
        return [value_of(number) for number in numbers]

    model = Naive()
    for numbers in batches:
        before = len(calls)
        expected = model.missing(numbers)
        assert [value_of(number) for number in numbers] == load(numbers)
        assert ([expected] if expected else []) == calls[before:]
    assert_consistent(load.cache)


@given(batches=BATCHES, maxsize=SIZES, evicted=st.lists(st.integers(0, 9), max_size=6))
def test_positions_are_by_key_whatever_leaves(
    batches: list[list[int]], maxsize: int, evicted: list[int]
) -> None:
    @warm(batch="numbers", maxsize=maxsize)
    def load(numbers: list[int]) -> list[list[int]]:
        assert len({*numbers}) == len(numbers) > 0
        for number in evicted:
            load.evict(number)
        return [value_of(number) for number in numbers]

    for numbers in batches:
        assert [value_of(number) for number in numbers] == load(numbers)
        assert [value_of(number) for number in numbers] == load.many([(n,) for n in numbers])
    assert_consistent(load.cache)


@settings(max_examples=40)
@given(batches=BATCHES, maxsize=SIZES, bad=st.sets(st.integers(0, 9), max_size=2))
def test_positions_are_by_key_in_threads_that_overlap(
    batches: list[list[int]], maxsize: int, bad: set[int]
) -> None:
    together = threading.Barrier(len(batches), timeout=5.0)

    @warm(batch="numbers", maxsize=maxsize)
    def load(numbers: list[int]) -> list[list[int]]:
        if bad & {*numbers}:
            raise ConnectionError("down")
        return [value_of(number) for number in numbers]

    def call(numbers: list[int]) -> Any:
        together.wait()
        try:
            return load(numbers)
        except ConnectionError:
            assert bad & {*numbers}, "the error of what it did not ask for"
            return None

    with ThreadPoolExecutor(len(batches)) as pool:
        results = [*pool.map(call, batches, timeout=5.0)]
    for numbers, result in zip(batches, results, strict=True):
        assert result is None or [value_of(number) for number in numbers] == result
        assert (result is None) == bool(bad & {*numbers})
    assert not load.cache._store.batches and not load.cache._store.flights
    assert_consistent(load.cache)


@settings(max_examples=40)
@given(batches=BATCHES, maxsize=SIZES, cancelled=st.sets(st.integers(0, 5)))
def test_positions_are_by_key_in_tasks_that_overlap(
    batches: list[list[int]], maxsize: int, cancelled: set[int]
) -> None:
    loaded: list[int] = []

    @warm(batch="numbers", maxsize=maxsize)
    async def load(numbers: list[int]) -> list[list[int]]:
        loaded.extend(numbers)
        await asyncio.sleep(0)
        return [value_of(number) for number in numbers]

    async def main() -> None:
        tasks = [asyncio.create_task(load(numbers)) for numbers in batches]
        await asyncio.sleep(0)
        for i in cancelled:
            if i < len(tasks):
                tasks[i].cancel()
        results = await asyncio.gather(*tasks, return_exceptions=True)
        for i, (numbers, result) in enumerate(zip(batches, results, strict=True)):
            if i not in cancelled:
                assert [value_of(number) for number in numbers] == result

    asyncio.run(main())
    if maxsize == 100:
        assert len({*loaded}) == len(loaded)
    assert not load.cache._store.batches and not load.cache._store.flights
    assert_consistent(load.cache)
