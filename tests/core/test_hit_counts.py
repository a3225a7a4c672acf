"""What entries count their hits in: each hit is counted, however many there are."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from warmcache import LRUCache, warm
from warmcache._core.state.counts import Counts
from warmcache._core.state.hit_counts import NO_HITS, provide_next
from warmcache.testing import assert_consistent

MANY = 20_000  # more than two rounds of counts, neither begun nor ended with


def again(call: Callable[[], object]) -> None:
    for _ in range(MANY):
        call()


def of_a_function() -> tuple[Any, Callable[[], object]]:
    load = warm(lambda name: object())
    return load, lambda: load("a")


def of_one_that_asks() -> tuple[Any, Callable[[], object]]:
    load = warm(ttl=3600)(lambda name: object())
    return load, lambda: load("a")


def of_a_method() -> tuple[Any, Callable[[], object]]:
    class Models:
        @warm
        def load(self, name: str) -> object:
            return object()

    models = Models()
    return models.load, lambda: models.load("a")


def of_a_loader_with_defaults() -> tuple[Any, Callable[[], object]]:
    @warm
    def load(name: str, device: str = "cpu", *, dtype: str = "fp16") -> object:
        return object()

    return load, lambda: load("a", dtype="fp16")


@pytest.mark.parametrize(
    "make", [of_a_function, of_one_that_asks, of_a_method, of_a_loader_with_defaults]
)
def test_hits_beyond_the_last_count_are_counted(make: Callable[[], Any]) -> None:
    load, call = make()
    value = call()
    again(call)
    assert call() is value
    assert (MANY + 1, 1) == load.cache_info()[:2]
    [entry] = load.cache.entries()
    assert MANY + 2 == entry.uses
    load.cache.clear()
    assert (MANY + 1, MANY + 1) == (load.cache.stats().hits, load.cache_info().hits)
    assert_consistent(load.cache)


def test_awaited_hits_beyond_the_last_count_are_counted() -> None:
    @warm
    async def load(name: str) -> object:
        return object()

    async def main() -> None:
        for _ in range(MANY):
            await load("a")

    asyncio.run(main())
    assert (MANY - 1, 1) == load.cache_info()[:2]


def test_hits_of_a_mapping_beyond_the_last_count_are_counted_and_those_of_a_value_before() -> None:
    cache: LRUCache[str, object] = LRUCache(2)
    cache["a"] = object()
    again(lambda: cache["a"])
    cache["a"] = object()
    again(lambda: cache["a"])
    assert 2 * MANY == cache.stats().hits
    [entry] = cache.entries()
    assert 2 * MANY + 2 == entry.uses


def test_each_hit_is_told_once_also_where_the_counts_begin_anew(tmp_path: Path) -> None:
    load = warm(lambda name: object())
    value = load("a")
    with load.cache.record(tmp_path / "hits.csv") as recording:
        for number in range(MANY):
            assert load("a") is value
            if not number % 1000:
                recording.flush()
    assert MANY == load.cache_info().hits
    assert MANY + 1 == len((tmp_path / "hits.csv").read_text().splitlines())


def test_a_hit_that_comes_after_its_entry_has_left_counts_for_nothing() -> None:
    cache: LRUCache[str, int] = LRUCache(2)
    cache["a"] = 1
    entry = cache._live["a"]
    again(lambda: cache["a"])
    while provide_next(entry.hits):
        cache["a"]
    before = cache.stats().hits
    del cache["a"]
    cache._store.used(entry, "a")  # by a thread that has found it before
    assert before == cache.stats().hits


def test_counts_are_made_once_and_shared() -> None:
    assert provide_next(NO_HITS)
    count = NO_HITS
    numbers = [count.number]
    while provide_next(count):
        assert provide_next(count) and count.next is count.next
        count = count.next
        numbers.append(count.number)
    assert [*range(len(numbers))] == numbers
    assert len(numbers) < MANY / 2


def test_an_interrupt_as_counts_begin_anew_has_no_hit_counted_twice(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    cache: LRUCache[str, int] = LRUCache(2)
    cache["a"] = 1
    again(lambda: cache["a"])
    monkeypatch.setattr(Counts, "_add", interrupted)
    with pytest.raises(KeyboardInterrupt):
        cache["a"] = 2
    monkeypatch.undo()
    assert cache.stats().hits <= MANY
    assert MANY + 1 <= cache.entries()[0].uses <= MANY + 2
    assert_consistent(cache)
