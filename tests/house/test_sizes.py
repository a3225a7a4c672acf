"""Weights as people write them."""

from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from warmcache import CapacityError, LRUCache, warm
from warmcache._sizes import format_size, format_weight, parse_size

GiB = 2**30


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("0", 0),
        ("17", 17),
        ("17B", 17),
        (" 3 GiB ", 3 * GiB),
        ("3gib", 3 * GiB),
        ("1.5GiB", 3 * GiB // 2),
        (".5KiB", 512),
        ("2.KB", 2000),
        ("1MB", 1_000_000),
        ("1MiB", 2**20),
        ("2TB", 2 * 10**12),
        ("2TiB", 2 * 2**40),
        ("1.5B", 1.5),
    ],
)
def test_a_text_is_a_number_of_bytes(text: str, expected: float) -> None:
    assert expected == parse_size(text) and type(expected) is type(parse_size(text))


@pytest.mark.parametrize("number", [0, 1, 2.5, math.inf])
def test_a_number_is_itself(number: float) -> None:
    assert number is parse_size(number)


@pytest.mark.parametrize(
    "text", ["", "GiB", "3 apples", "3G", "-3GiB", "+3", "1e3", "3GiBs", "1 2", "1.2.3", "x"]
)
def test_what_is_no_size_says_how_to_write_one(text: str) -> None:
    with pytest.raises(ValueError, match=r"is not a size; write it as 3000000, '3MB' or"):
        parse_size(text)


@pytest.mark.parametrize("number", [-1, -0.5, -math.inf, math.nan])
def test_a_negative_number_or_none_at_all_is_refused(number: float) -> None:
    with pytest.raises(ValueError, match="must not be negative, got"):
        parse_size(number)


@pytest.mark.parametrize("thing", [None, [], object()])
def test_anything_else_is_of_the_wrong_type(thing: Any) -> None:
    with pytest.raises(TypeError):
        parse_size(thing)
    with pytest.raises(TypeError):
        LRUCache([])  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("weight", "shown"),
    [(0, "0"), (3, "3"), (2.5, "2.5"), (2**20, "1.0 MiB"), (9 * GiB, "9.0 GiB"), (math.inf, "inf")],
)
def test_a_weight_is_shown_for_people(weight: float, shown: str) -> None:
    assert shown == format_weight(weight)


@pytest.mark.parametrize(
    ("nbytes", "shown"),
    [
        (0, "0 B"),
        (1023, "1023 B"),
        (1024, "1.0 KiB"),
        (1.614 * GiB, "1.61 GiB"),
        (16.04 * GiB, "16.0 GiB"),
        (2**50, "1048576.0 GiB"),
    ],
)
def test_bytes_are_shown_in_the_unit_that_suits_them(nbytes: float, shown: str) -> None:
    assert shown == format_size(nbytes)


@pytest.mark.property
@given(st.integers(0, 2**50))
def test_what_is_shown_can_be_typed(nbytes: int) -> None:
    assert abs(nbytes - parse_size(format_size(nbytes))) <= 0.005 * nbytes


@pytest.mark.property
@given(st.integers(0, 2**50))
def test_what_is_written_in_bytes_is_read_back_exactly(number: int) -> None:
    assert number == parse_size(str(number)) == parse_size(f"{number} B")


def test_maxsize_and_size_are_written_alike() -> None:
    load = warm(policy="lru", maxsize="1GiB", size="512 MiB")(lambda x: object())
    load(1), load(2), load(3)

    assert (0, 3, GiB, GiB) == load.cache_info()


def test_a_size_in_bytes_is_not_shown_in_other_units_than_the_limit_it_breaks() -> None:
    load = warm(policy="lru", maxsize=100, size="3GiB")(lambda x: object())
    with pytest.raises(CapacityError, match=r"needs 3,221,225,472 of 100: more than"):
        load(1)
