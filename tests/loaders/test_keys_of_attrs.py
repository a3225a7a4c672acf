"""Instances of attrs' classes are keys by content, as attrs compares them."""

from __future__ import annotations

import functools
from typing import Any

import pytest

from warmcache import KeyingError, warm

attrs = pytest.importorskip("attrs")


@attrs.define
class Defined:
    name: Any
    note: Any = attrs.field(default=None, eq=False)
    case: Any = attrs.field(default="", eq=str.lower)


@attrs.frozen(cache_hash=True)
class Frozen:
    name: Any


@attrs.define(slots=False, unsafe_hash=True, cache_hash=True)
class WithDict:
    name: Any


@attrs.define(eq=False)
class ByIdentity:
    name: Any


asked: list[Any] = []


@attrs.define
class Keeping:
    name: Any

    @functools.cached_property
    def heavy(self) -> object:
        asked.append(self)
        return object()


key = warm(lambda config: None).cache_key


@pytest.mark.parametrize("kind", [Defined, Frozen, WithDict])
def test_they_are_one_key_if_their_contents_are_equal(kind: Any) -> None:
    assert key(kind([1, {"a": 2}])) == key(kind([1, {"a": 2}]))
    assert key(kind(1)) == key(kind(1)) != key(kind(2))
    assert key(Defined(1)) != key(Frozen(1))


def test_fields_count_as_attrs_compares_them() -> None:
    assert key(Defined(1, note="one")) == key(Defined(1, note=["two"]))
    assert key(Defined(1, case="A")) == key(Defined(1, case="a")) != key(Defined(1, case="b"))
    assert key(ByIdentity(1)) != key(ByIdentity(1))


@pytest.mark.parametrize("kind", [Frozen, WithDict])
def test_a_hash_that_was_asked_for_and_kept_is_no_part_of_the_key(kind: Any) -> None:
    hashed = kind("a")
    hash(hashed)
    assert key(hashed) == key(kind("a"))


def test_no_cached_property_is_asked_for_and_none_counts() -> None:
    fresh, had = Keeping("a"), Keeping("a")
    assert had.heavy and [had] == asked
    assert key(fresh) == key(had)
    assert [had] == asked


def test_what_is_set_besides_the_fields_counts() -> None:
    plain, other = WithDict("a"), WithDict("a")
    other.mode = "fast"
    assert key(plain) != key(other)


def test_an_array_in_a_field_is_refused_as_one() -> None:
    import numpy as np

    @attrs.define
    class Compared:
        array: Any = attrs.field(eq=attrs.cmp_using(eq=np.array_equal))

    with pytest.raises(KeyingError, match="compared element by element"):
        key(Compared(np.zeros(2)))
