"""Of any value whatever: it is refused by a path, or nothing that it leads to can be changed."""

from __future__ import annotations

import datetime
import enum
import pathlib
import re
from collections import Counter, OrderedDict, deque, namedtuple
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from ipaddress import IPv4Network
from types import MappingProxyType, SimpleNamespace
from typing import Any
from uuid import UUID

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from warmcache import FreezeError, warm


class Loose:
    """Anything with attributes."""

    def __init__(self, value: Any) -> None:
        self.value = value


class Hidden:
    """A base with a slot of its own, which dataclasses know nothing of."""

    __slots__ = ("hidden",)


@dataclass(frozen=True)
class Plain:
    value: Any


@dataclass(frozen=True)
class Below(Hidden):
    value: Any


@dataclass(frozen=True, slots=True)
class Slotted(Hidden):
    value: Any


@dataclass(frozen=True)
class Rows(list):  # type: ignore[type-arg]
    value: Any = None


@dataclass(frozen=True)
class Table(dict):  # type: ignore[type-arg]
    value: Any = None


@dataclass(frozen=True)
class Marks(set):  # type: ignore[type-arg]
    value: Any = None


@dataclass(frozen=True)
class Pair(tuple):  # type: ignore[type-arg]
    value: Any = None


@dataclass(frozen=True, eq=False)
class Becomes:
    """A key by identity, which is the same text as others once it is frozen."""

    text: str

    def __warm_freeze__(self) -> str:
        return self.text


class Day(datetime.datetime):
    """One that has attributes."""


class BareDay(datetime.datetime):
    """One that has none."""

    __slots__ = ()


class Where(pathlib.PurePosixPath):
    """One that has attributes."""


class Noted(str):
    __slots__ = ("note",)


class Number(int):
    """One that has attributes."""


class Items(tuple):  # type: ignore[type-arg]
    """One that has attributes."""


class Single(np.float64):
    """One that has attributes."""


class Colour(enum.Enum):
    RED = 1


Named = namedtuple("Named", "first second")


def with_hidden(kind: Any) -> Callable[[Any], Any]:
    def made(value: Any) -> Any:
        result = kind(1)
        object.__setattr__(result, "hidden", value)
        return result

    return made


def with_items(kind: Any) -> Callable[[Any], Any]:
    def made(value: Any) -> Any:
        result = kind.__new__(kind, [value]) if issubclass(kind, tuple) else kind()
        if isinstance(result, list):
            list.append(result, value)
        elif isinstance(result, dict):
            dict.__setitem__(result, 1, value)
        return result

    return made


def array(value: Any) -> Any:
    return np.arange(3)


def view(value: Any) -> Any:
    return np.arange(3)[1:]


def read_only(value: Any) -> Any:
    result = np.arange(3)
    result.flags.writeable = False
    return result


def view_from_before(value: Any) -> Any:
    base = np.arange(3)
    result = base.view()
    base.flags.writeable = False
    return result


ATOMS: list[Any] = [
    *(None, 1, 1.5, 1j, True, "text", b"bytes", range(2), ..., Colour.RED, Loose, Decimal(1)),
    *(Fraction(1, 2), UUID(int=1), re.compile("a"), IPv4Network("10.0.0.0/8"), np.float32(1)),
    *(datetime.date(2026, 1, 2), datetime.timedelta(1), pathlib.PurePath("a"), pathlib.Path("a")),
    datetime.datetime(2026, 1, 2, tzinfo=datetime.UTC),
    BareDay(2026, 1, 2),
]
MADE: list[Callable[[Any], Any]] = [
    *(Loose, Plain, Below, Slotted, with_hidden(Below), with_hidden(Slotted)),
    *map(with_items, (Rows, Table, Marks, Pair, Items)),
    *(array, view, read_only, view_from_before),
    lambda value: Day(2026, 1, 2),
    lambda value: Where("a"),
    lambda value: Noted("a"),
    lambda value: Number(1),
    lambda value: Single(1.0),
    lambda value: SimpleNamespace(value=value),
    lambda value: OrderedDict(a=value),
    lambda value: Counter("a"),
    lambda value: deque([value]),
    lambda value: bytearray(b"a"),
    lambda value: [value],
    lambda value: {"key": value},
    lambda value: MappingProxyType({"key": value}),
    lambda value: (value, value),
    lambda value: Named(value, 2),
]


def hashable(value: Any) -> bool:
    try:
        hash(value)
    except TypeError:
        return False
    return True


def grown(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    keys = st.one_of(inner.filter(hashable), st.just("b").map(Becomes))
    return st.one_of(
        st.builds(lambda make, value: make(value), st.sampled_from(MADE), inner),
        st.lists(inner, max_size=3),
        st.dictionaries(keys, inner, max_size=3),
        st.sets(keys, max_size=3),
        st.frozensets(keys, max_size=3),
    )


VALUES = st.recursive(st.sampled_from(ATOMS), grown, max_leaves=6)


def reached(value: Any) -> Iterator[Any]:
    """Yield ``value`` and what it leads to."""
    yield value
    if isinstance(value, (type, enum.Enum, str, bytes, range)):
        return
    parts = [*getattr(value, "__dict__", {}).values()]
    parts += [getattr(value, name) for name in ("hidden", "value") if hasattr(value, name)]
    if isinstance(value, MappingProxyType):
        parts += [*value.keys(), *value.values()]
    elif isinstance(value, (tuple, frozenset, list, set)):
        parts += value
    for part in parts:
        yield from reached(part)


def changes(value: Any) -> Iterator[Callable[[], object]]:
    """Yield what would change ``value``, if it can be."""
    yield lambda: setattr(value, "mark", 1)
    yield lambda: setattr(value, "value", 1)
    yield lambda: setattr(value, "note", 1)
    yield lambda: setattr(value, "hidden", 1)
    yield lambda: value.__setitem__(0, 1)
    yield lambda: value.__setitem__("key", 1)
    for name in ("append", "add", "extend"):
        yield lambda name=name: getattr(value, name)(1)  # type: ignore[misc]
    yield lambda: setattr(value.flags, "writeable", True)


REFUSED = (AttributeError, TypeError, ValueError, NotImplementedError)


def is_refused_or_cannot_change(value: Any) -> None:
    @warm(maxsize=1, freeze=True)
    def load() -> Any:
        return value

    try:
        result = load()
    except FreezeError as error:
        refused = str(error)
    else:
        refused = ""
    if refused:
        assert "gave what can be changed, " in refused and "result" in refused
        return
    assert not isinstance(value, (dict, set, frozenset)) or len(value) == len(result)
    for each in reached(result):
        if isinstance(each, (type, enum.Enum, IPv4Network)):  # which are as good as constants
            continue
        for change in changes(each):
            with pytest.raises(REFUSED):
                change()


@pytest.mark.property
@given(VALUES)
def test_it_is_refused_by_a_path_or_nothing_that_it_leads_to_can_be_changed(value: Any) -> None:
    is_refused_or_cannot_change(value)


@pytest.mark.parametrize("number", range(len(MADE)))
def test_so_it_is_with_each_of_them_alone(number: int) -> None:
    is_refused_or_cannot_change(MADE[number]([1]))


def test_what_becomes_equal_is_refused_and_not_lost() -> None:
    for value in ({Becomes("a"): 1, Becomes("a"): 2}, {Becomes("a"), Becomes("a")}):
        with pytest.raises(FreezeError, match="of which some are equal once they are frozen"):
            warm(freeze=True)(lambda value=value: value)()
