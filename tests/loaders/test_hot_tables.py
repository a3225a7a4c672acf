"""What a hit looks up: few arguments one after another, in tables of tables that come and go."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import pytest

from warmcache import KeyingError, disabled, warm


def source_of(load: Any) -> str:
    return str(load.__globals__["__loader__"].get_source(""))


def hot(load: Any) -> Any:
    return load.lease.__self__._site.hot


def two(name: str, size: int) -> object: ...
def defaults_first(name: str, device: str = "cpu", *, dtype: str = "fp16") -> object: ...
def spread(name: str, *rest: int, **options: int) -> object: ...
def single(name: str) -> object: ...
def five(a: int, b: int, c: int, d: int, e: int = 5) -> object: ...


@pytest.mark.parametrize(
    ("loader", "options", "expected"),
    [
        (two, {}, "table[name][size]"),
        (defaults_first, {}, "table[device][dtype][name]"),
        (defaults_first, {"key": {"device": None}}, "table[dtype][name]"),
        (spread, {}, "table[rest][_warm_items(options)][name]"),
        (single, {}, "table[name]"),
        (five, {}, "table[(a, b, c, d, e)]"),
        (two, {"typed": True}, "table[(name, size, name.__class__, size.__class__)]"),
        (two, {"key": {"name": str.lower}}, "table[_warm_raw]"),
        (two, {"key": lambda name, size: name}, "table[_warm_raw]"),
    ],
)
def test_what_has_a_default_is_looked_up_first_and_much_at_once(
    loader: Any, options: Any, expected: str
) -> None:
    assert f"_warm_path.{expected}\n" in source_of(warm(**options)(loader))


@pytest.mark.parametrize("cache", [{}, {"ttl": 60}])
def test_a_hit_closes_over_two_things_whatever_it_asks_or_tells(cache: Any, tmp_path: Path) -> None:
    """What a function closes over it copies at each call."""
    load = warm(**cache)(two)
    load("a", 1)
    load("a", 1)
    known = [load.__code__.co_freevars]
    with load.cache.record(tmp_path / "hits.csv"):
        load("a", 1)
        known.append(load.__code__.co_freevars)
    assert 2 * [("_warm_clock", "_warm_path")] == known
    assert 2 == load.cache.stats().hits


def test_hits_find_each_combination_and_what_leaves_takes_its_tables_along() -> None:
    @warm
    def load(name: str, device: str = "cpu", dtype: str = "fp16") -> str:
        return f"{name} {device} {dtype}"

    calls = [(n, d, t) for n in "ab" for d in ("cpu", "cuda") for t in ("fp16", "fp32")]
    for call in calls * 2:
        assert " ".join(call) == load(*call)
    assert (8, 8) == (load.cache.stats().hits, load.cache.stats().misses)
    assert "a" in hot(load).table["cpu"]["fp16"]
    load.evict("a")
    assert ["b"] == list(hot(load).table["cpu"]["fp16"])
    for call in calls:
        load.evict(*call)
    assert {} == hot(load).table


def test_what_is_evicted_takes_its_tables_along() -> None:
    @warm(maxsize=2)
    def load(name: int, size: int) -> object:
        return object()

    for number in range(10):
        load(number, number)
    assert {8: [8], 9: [9]} == {name: list(sizes) for name, sizes in hot(load).table.items()}


def test_arguments_that_are_equal_are_one_call_at_any_level() -> None:
    @warm
    def load(name: Any, size: Any = 1) -> object:
        return object()

    value = load(2)
    assert all(load(*args) is value for args in [(2, 1), (2.0, True), (2, 1.0)])
    assert 3 == load.cache.stats().hits


@pytest.mark.parametrize("args", [([1], 2), (1, [2]), ([1], [2])])
def test_what_is_not_hashable_is_found_by_its_contents_at_any_level(args: Any) -> None:
    @warm
    def load(name: Any, size: Any = 0) -> object:
        return object()

    assert load(*args) is load(*args)
    assert {} == hot(load).table


def test_what_cannot_be_part_of_a_key_is_refused_at_any_level() -> None:
    class Unhashable:
        __hash__ = None  # type: ignore[assignment]

    @warm
    def load(name: Any, size: Any = 0) -> object:
        return object()

    for args in [(Unhashable(), 1), (1, Unhashable())]:
        with pytest.raises(KeyingError, match="not hashable"):
            load(*args)


def test_an_error_of_an_arguments_own_hash_or_comparison_is_the_callers_at_any_level() -> None:
    class Odd:
        def __hash__(self) -> int:
            return 1

        def __eq__(self, other: object) -> bool:
            raise ZeroDivisionError

    @warm
    def load(name: Any, size: Any = 0) -> object:
        return object()

    load(1, 1)
    for args in [(Odd(), 1), (1, Odd())]:
        with pytest.raises(ZeroDivisionError):
            load(*args)


class Sloppy:
    """One that its ``==`` expects others to be like."""

    def __init__(self, name: str) -> None:
        self.name = name

    def __hash__(self) -> int:
        return hash(self.name)

    def __eq__(self, other: Any) -> bool:
        return bool(self.name == other.name)


def test_what_cannot_be_compared_with_arguments_of_other_calls_is_loaded_and_leaves() -> None:
    @warm
    def load(name: Any, size: int) -> object:
        return object()

    value, odd = load("a", 2), Sloppy("a")
    with load.lease(odd, 1) as leased:
        assert load(odd, 1) is leased
    assert load("a", 2) is value
    with pytest.raises(AttributeError, match="no attribute 'name'"):
        load(odd, 2)
    load.cache.clear()
    assert {} == hot(load).table
    assert load("a", 2) is not value


def test_an_entry_that_the_tables_cannot_tell_from_others_is_not_found_once_it_left() -> None:
    class Once:
        compared = True

        def __hash__(self) -> int:
            return 7

        def __eq__(self, other: object) -> bool:
            assert self.compared
            return False

    first, last = Once(), Once()

    @warm
    def load(name: Any, size: int) -> object:
        return object()

    load(first, 1)
    with load.lease(last, 2) as value:
        first.compared = False
        load.evict(last, 2)
        first.compared = True
        assert load(last, 2) is not value


def test_scopes_empty_all_tables_and_hits_come_back() -> None:
    @warm
    def load(name: str, size: int) -> object:
        return object()

    value = load("a", 1)
    with disabled():
        assert {} == hot(load).table
        assert load("a", 1) is not value
    assert load("a", 1) is value


def test_what_is_put_into_a_table_that_another_thread_drops_is_put_again() -> None:
    """One is taken off the hit path, and its table with it, as another is about to enter that."""
    dropping, dropped = threading.Event(), threading.Event()

    class Halting:
        halts = False

        def __hash__(self) -> int:
            if self.halts:
                dropping.set()
                assert dropped.wait(5)
            return 7

    size = Halting()

    @warm
    def load(name: str, size: Any) -> object:
        return object()

    load("a", 1)
    tables = hot(load)
    thread = threading.Thread(target=tables.put, args=(("a", size), "late"))
    size.halts = True
    thread.start()  # it has the table of "a", and now hashes what to put there
    assert dropping.wait(5)
    load.evict("a", 1)
    assert {} == tables.table
    size.halts = False
    dropped.set()
    thread.join(5)
    assert tables.get(("a", size)) is None
    tables.drop(("a", size), "late")
    value = load("a", size)
    assert load("a", size) is value
    assert {"a": [size]} == {name: list(sizes) for name, sizes in tables.table.items()}


def test_a_method_looks_its_arguments_up_in_the_tables_of_its_instance() -> None:
    class Models:
        @warm
        def load(self, name: str, device: str = "cpu") -> object:
            return object()

    one, other = Models(), Models()
    assert one.load("a") is one.load("a", "cpu")
    assert one.load("a") is not other.load("a")
    assert ["cpu"] == list(one.load.lease.__self__._site.hot.table)
    assert 2 == one.load.cache.stats().hits
