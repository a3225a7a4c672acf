"""Nested values as Hypothesis draws them, and what tells any two of them apart, said naively."""

from __future__ import annotations

import datetime
import decimal
import struct
from typing import Any

from hypothesis import strategies as st
from of_all_kinds import Colour, Level, Options, Place, Point, Settings

_KEYS: st.SearchStrategy[Any] = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-3, 3),
    st.sampled_from([0.0, -0.0, 1.0, 2.5]),
    st.sampled_from(["", "1", "a", "ab"]),
    st.sampled_from([b"", b"1", b"a", b"ab"]),
    st.sampled_from([Colour.RED, Level.LOW, int, float, 1j, decimal.Decimal(1)]),
    st.dates(datetime.date(2026, 1, 1), datetime.date(2026, 1, 3)),
    st.builds(Point, st.integers(0, 1), st.integers(0, 1)),
    st.builds(Place, st.integers(0, 1), st.integers(0, 1)),
)
_HASHABLE: st.SearchStrategy[Any] = st.recursive(
    _KEYS,
    lambda inner: st.one_of(
        st.lists(inner, max_size=2).map(tuple), st.frozensets(inner, max_size=2)
    ),
    max_leaves=4,
)
VALUES: st.SearchStrategy[Any] = st.recursive(
    st.one_of(_HASHABLE, st.floats(), st.text(max_size=3), st.binary(max_size=3), st.integers()),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.lists(inner, max_size=3).map(tuple),
        st.dictionaries(_HASHABLE, inner, max_size=3),
        st.sets(_HASHABLE, max_size=3),
        st.builds(Settings, inner, st.lists(inner, max_size=2)),
        st.builds(Options, inner, st.lists(inner, max_size=2)),
    ),
    max_leaves=6,
)


def same(one: Any, other: Any) -> bool:
    """Whether two drawn values are of one type, and so is all in them, and are the same."""
    if type(one) is not type(other):
        return False
    if isinstance(one, float):
        return struct.pack("d", one) == struct.pack("d", other)
    if isinstance(one, (list, tuple)):
        return len(one) == len(other) and all(map(same, one, other))
    if isinstance(one, (set, frozenset)):
        return len(one) == len(other) and _matched([*one], [*other])
    if isinstance(one, dict):
        return len(one) == len(other) and _matched([*one.items()], [*other.items()])
    if isinstance(one, (Settings, Options)):
        return same(vars(one), vars(other))
    return bool(one == other)


def _matched(ones: list[Any], others: list[Any]) -> bool:
    """Whether each of ``ones`` is the same as one of ``others``, which all differ."""
    return all(any(same(one, other) for other in others) for one in ones)


def made_anew(value: Any) -> Any:
    """Return the same as ``value``, of which nothing is the same object, or in the same order."""
    if isinstance(value, (Settings, Options)):
        return type(value)(**made_anew(vars(value)))
    if isinstance(value, (Point, Place)):
        return type(value)(*map(made_anew, value))
    if isinstance(value, dict):
        return {made_anew(key): made_anew(value[key]) for key in reversed([*value])}
    if isinstance(value, (list, tuple, set, frozenset)):
        parts = [made_anew(part) for part in value]
        return type(value)(parts[::-1] if isinstance(value, (set, frozenset)) else parts)
    return value
