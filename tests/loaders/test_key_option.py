"""``key=``: what stands in a key for a call, or for its arguments."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from warmcache import KeyingError, drop_if_equal, warm


def test_a_callable_key_takes_the_call_and_makes_the_whole_key() -> None:
    @warm(key=lambda name, *rest, **named: name.lower())
    def load(name: str, *rest: Any, **named: Any) -> object:
        return object()

    assert load("A") is load("a", 1) is load(name="A", x=[2])
    assert load("A") is not load("b")
    assert (3, 2) == load.cache_info()[:2] and load.contains("B")


def test_a_mapping_key_says_per_argument_what_stands_for_it() -> None:
    @warm(key={"verbose": None, "path": os.fspath, "t": drop_if_equal(0)})
    def load(path: Any, t: float = 0, *, verbose: bool = False) -> object:
        return object()

    value = load("m")
    assert load(Path("m")) is load("m", 0, verbose=True) is load("m", t=0.0) is value
    assert load("m", 1) is not value and load("n") is not value
    assert load("m", 1) is load(Path("m"), t=1.0)


def test_an_argument_that_is_dropped_by_default_equals_no_value_passed() -> None:
    load = warm(key={"t": drop_if_equal(0)})(lambda t=0: object())

    assert load() is load(0) is load(False)
    assert load() is not load(None) and load() is not load(1)


def test_typed_looks_at_what_stands_for_an_argument() -> None:
    load = warm(typed=True, key={"path": os.fspath, "t": drop_if_equal(0)})(
        lambda path, t=0: object()
    )
    assert load("m") is load(Path("m")) is load("m", 0.0)
    assert load("m", 1) is not load("m", 1.0)

    whole = warm(typed=True, key=lambda x: x)(lambda x: object())
    assert whole(1) is whole(1) is not whole(1.0)


@pytest.mark.parametrize(
    ("key", "message"),
    [
        ({"nmae": None}, "key= names 'nmae', which is no argument; there are: name, dtype"),
        ({"name": "lower"}, r"key=\{'name': ...\} must be callable or None, got 'lower'"),
        ("name", "key must be callable, or a mapping of arguments to .*, got 'name'"),
    ],
)
def test_a_bad_key_fails_at_decoration(key: Any, message: str) -> None:
    with pytest.raises(TypeError, match=message):
        warm(key=key)(lambda name, dtype: None)


@pytest.mark.parametrize("error", [TypeError, KeyError, AttributeError, ValueError, KeyingError])
@pytest.mark.parametrize("by_argument", [False, True])
def test_what_a_key_raises_reaches_the_caller_once_and_changes_nothing(
    error: type[Exception], by_argument: bool
) -> None:
    asked: list[Any] = []

    def part(x: Any) -> Any:
        asked.append(x)
        if x == "bad":
            raise error("no key for this")
        return x

    load = warm(key={"x": part} if by_argument else part)(lambda x: object())
    load("good")
    asked.clear()
    with pytest.raises(error, match="no key for this"):
        load("bad")

    assert ["bad"] == asked
    assert (0, 1) == load.cache_info()[:2]
    assert load("good") and 2 == len(asked), "and a hit asks for its key once"
