"""What a loader means in its own process: what is edited counts, what is written to does not."""

from __future__ import annotations

import gc
import weakref
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from by_value import cell

from warmcache._by_value.meaning import Meaning, meaning


class Settings:
    def __init__(self, *values: Any) -> None:
        self.values = values


def means(thing: Any, before: Meaning | None = None) -> Meaning:
    return meaning(thing, "__main__", before)


def of(value: Any, before: Meaning | None = None) -> Meaning:
    """Return the meaning of a function that reads ``value``."""
    return means(cell("def f(): return value", value=value)["f"], before)


EQUAL = [list, dict, Settings, lambda: Settings([1]), lambda: {"a": [1]}, lambda: Path("a"), set]
OTHERS = [
    ([1], [2]),
    ({"a": 1}, {"a": 2}),
    (Settings(1), Settings(2)),
    (Path("a"), Path("b")),
    (np.zeros(3), np.ones(3)),
]


@pytest.mark.parametrize("make", EQUAL)
def test_what_is_made_anew_means_the_same_if_it_is_equal(make: Any) -> None:
    before = of(make())
    assert before.digest == of(make(), before).digest


@pytest.mark.parametrize(("one", "other"), OTHERS)
def test_what_is_made_anew_means_another_if_it_is_not(one: Any, other: Any) -> None:
    before = of(one)
    assert before.digest != of(other, before).digest


def test_the_same_object_means_the_same_whatever_becomes_of_it() -> None:
    written: list[int] = []
    counts: dict[str, int] = {}
    settings = Settings()
    for thing, change in (
        (written, lambda: written.append(1)),
        (counts, lambda: counts.update(a=1)),
        (settings, lambda: setattr(settings, "values", (1,))),
        (written.append, lambda: written.append(2)),
        (staticmethod(written.append), lambda: written.append(3)),
    ):
        before = of(thing)
        change()
        assert before.digest == of(thing, before).digest


@pytest.mark.parametrize("make", [lambda: np.zeros(1_000_000), lambda: [*range(100_000)]])
def test_what_is_large_is_only_ever_itself(make: Any) -> None:
    large = make()
    before = of(large)
    assert before.digest == of(large, before).digest
    assert before.digest != of(make(), before).digest


def test_what_was_looked_at_is_kept_only_where_nobody_can_refer_to_it_weakly() -> None:
    inner = Settings()
    refs = [weakref.ref(inner)]
    outer = Settings(inner)
    refs.append(weakref.ref(outer))
    listed = [inner]
    kept = of([outer, listed]), of(listed), of(outer)
    listed.clear()
    del inner, outer
    gc.collect()
    assert refs[0]() is not None and refs[1]() is not None  # in the list that is kept
    del kept
    kept_of_one = of(Settings(Settings()))
    gc.collect()
    assert [] == [each for each, _ in kept_of_one.seen.values() if isinstance(each, Settings)]


def test_a_function_of_another_module_is_its_name_and_one_of_its_own_is_not() -> None:
    source = "def f(x): return x + {}"
    first, second = (cell(source.format(n))["f"] for n in (1, 2))
    assert means(first).digest != means(second).digest
    assert meaning(gc.collect, "gc").digest == meaning(gc.collect, "gc").digest


def test_a_loader_that_reads_itself_or_another_has_a_meaning() -> None:
    source = """
    from warmcache import warm
    @warm
    def base(n):
        return n + {}
    @warm
    def load(n):
        return load(n - 1) if n else base(n)
    """
    parts = [cell(source.format(n))["load"].__wrapped__ for n in (1, 1, 2)]
    first, same, other = (means(each) for each in parts)
    assert first.digest == same.digest != other.digest
