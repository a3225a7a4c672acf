"""Spans of time are read as people write them, and written as people read them."""

from __future__ import annotations

import pytest

from warmcache._durations import format_duration, parse_duration

DAY = 86_400


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        *(("90s", 90), ("30m", 1_800), ("12h", 43_200), ("7d", 7 * DAY), ("2w", 14 * DAY)),
        *(("0s", 0), ("1.5h", 5_400), (".5d", DAY / 2), (" 3 d ", 3 * DAY)),
    ],
)
def test_a_span_of_time_is_a_number_and_a_unit(text: str, seconds: float) -> None:
    assert seconds == parse_duration(text)


@pytest.mark.parametrize(
    "text", ["", "7", "d", "7D", "7 days", "-7d", "1d12h", "1e3s", "٣d", "9" * 400 + "d", "nans"]
)
def test_what_is_none_is_refused_with_what_would_be(text: str) -> None:
    with pytest.raises(ValueError, match="write it as '90s', '30m', '12h', '7d' or '2w'"):
        parse_duration(text)


def test_a_span_has_an_end() -> None:
    assert parse_duration("3660000d")
    with pytest.raises(ValueError, match="more than ten thousand years"):
        parse_duration("3660001d")


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        *((0, "0 s"), (59.9, "59 s"), (60, "1 m"), (3_599, "59 m"), (3_600, "1 h")),
        *((DAY - 1, "23 h"), (DAY, "1 d"), (9_999 * DAY, "9,999 d"), (-5, "0 s")),
    ],
)
def test_it_is_told_in_the_largest_unit_that_it_has_one_of(seconds: float, text: str) -> None:
    assert text == format_duration(seconds)
