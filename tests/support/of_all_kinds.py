"""Values of every kind that has a canonical encoding, by what they are, and no two the same."""

from __future__ import annotations

import argparse
import datetime
import decimal
import enum
import fractions
import math
import pathlib
import re
import types
import uuid
import zoneinfo
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np


class Colour(enum.Enum):
    """Colours by name."""

    RED = "red"
    BLUE = "blue"


class Level(enum.IntEnum):
    """An enumeration whose members equal integers."""

    LOW = 1


class Flags(enum.Flag):
    """Flags, which are combined."""

    A = 1
    B = 2


class Text(str):
    """A text that may mean anything."""


class Point(NamedTuple):
    """A tuple whose elements have names."""

    x: int
    y: int


class Place(NamedTuple):
    """Another one."""

    x: int
    y: int


@dataclass
class Settings:
    """A dataclass."""

    layers: int = 2
    names: list[str] = field(default_factory=list)
    note: str = field(default="", compare=False)


@dataclass
class Options:
    """One with the same fields."""

    layers: int = 2
    names: list[str] = field(default_factory=list)


@dataclass(eq=False)
class ByIdentity:
    """One that is compared by identity."""

    layers: int = 2


@dataclass(slots=True, frozen=True)
class Slotted:
    """One that has slots."""

    layers: int = 2


class Checkpoint:
    """A class that says what stands for an instance."""

    def __init__(self, path: Any) -> None:
        self.path = path

    def __warm_key__(self) -> Any:
        return self.path


class Plain:
    """A class of which nobody knows anything."""


def function(x: int) -> int:
    """Return the same."""
    return x


class Method:
    """A class with one."""

    def method(self) -> None:
        """Do nothing."""


def besides(value: Any, **more: Any) -> Any:
    """Return ``value`` with attributes that are no fields."""
    vars(value).update(more)
    return value


_DAY = datetime.date(2026, 1, 2)
_TIME = datetime.time(3, 4, 5, 6)
_NOW = datetime.datetime.combine(_DAY, _TIME)
_EAST = datetime.timezone(datetime.timedelta(hours=1))
_BERLIN = zoneinfo.ZoneInfo("Europe/Berlin")

# What makes a value, so that what is made twice can be compared.
MAKERS: dict[str, Callable[[], Any]] = {
    "None": lambda: None,
    "True": lambda: True,
    "False": lambda: False,
    "ellipsis": lambda: ...,
    "0": lambda: 0,
    "1": lambda: 1,
    "-1": lambda: -1,
    "-2": lambda: -2,
    "large": lambda: 10**5000,
    "0.0": lambda: 0.0,
    "-0.0": lambda: -0.0,
    "1.0": lambda: 1.0,
    "nan": lambda: math.nan,
    "inf": lambda: math.inf,
    "0j": lambda: 0j,
    "1j": lambda: 1j,
    "text": lambda: "1",
    "empty text": lambda: "",
    "composed": lambda: "\u00e9",
    "decomposed": lambda: "e\u0301",
    "surrogate": lambda: "\ud800",
    "bytes": lambda: b"1",
    "bytearray": lambda: bytearray(b"1"),
    "tuple": lambda: (1, 2),
    "list": lambda: [1, 2],
    "list of one text": lambda: ["ab"],
    "list of two texts": lambda: ["a", "b"],
    "nested list": lambda: [[1], 2],
    "nested deeper": lambda: [[1, 2]],
    "empty tuple": lambda: (),
    "empty list": lambda: [],
    "set": lambda: {"a", "b", 3},
    "frozenset": lambda: frozenset({"a", "b", 3}),
    "set of sets": lambda: {frozenset({1, 2}), frozenset({3})},
    "dict": lambda: {"a": 1, "b": 2},
    "dict of ints": lambda: {1: "a", 2: "b"},
    "dict of texts": lambda: {"1": "a", "2": "b"},
    "empty dict": lambda: {},
    "nested dict": lambda: {"a": {"b": [1, {2}]}},
    "ordered": lambda: OrderedDict(a=1, b=2),
    "ordered otherwise": lambda: OrderedDict(b=2, a=1),
    "range": lambda: range(3),
    "range of none": lambda: range(0),
    "another range of none": lambda: range(5, 5),
    "slice": lambda: slice(1, None),
    "decimal": lambda: decimal.Decimal("1.0"),
    "longer decimal": lambda: decimal.Decimal("1.00"),
    "fraction": lambda: fractions.Fraction(1, 3),
    "whole fraction": lambda: fractions.Fraction(1),
    "uuid": lambda: uuid.UUID(int=1),
    "pure path": lambda: pathlib.PurePosixPath("a/b"),
    "windows path": lambda: pathlib.PureWindowsPath("a/b"),
    "date": lambda: _DAY,
    "time": lambda: _TIME,
    "time of a zone": lambda: _TIME.replace(tzinfo=_EAST),
    "datetime": lambda: _NOW,
    "datetime of the second fold": lambda: _NOW.replace(fold=1),
    "datetime utc": lambda: _NOW.replace(tzinfo=datetime.timezone.utc),  # noqa: UP017
    "datetime one hour east": lambda: _NOW.replace(tzinfo=_EAST),
    "datetime of Berlin": lambda: _NOW.replace(tzinfo=_BERLIN),
    "timezone": lambda: _EAST,
    "timezone of a name": lambda: datetime.timezone(datetime.timedelta(hours=1), "east"),
    "zone": lambda: _BERLIN,
    "timedelta": lambda: datetime.timedelta(days=1, microseconds=2),
    "pattern": lambda: re.compile("a.b"),
    "pattern of a flag": lambda: re.compile("a.b", re.DOTALL),
    "enum": lambda: Colour.RED,
    "another of the enum": lambda: Colour.BLUE,
    "int enum": lambda: Level.LOW,
    "flag": lambda: Flags.A,
    "flags": lambda: Flags.A | Flags.B,
    "named tuple": lambda: Point(1, 2),
    "another named tuple": lambda: Place(1, 2),
    "dataclass": Settings,
    "dataclass of other values": lambda: Settings(3, ["a"]),
    "dataclass with more": lambda: besides(Settings(), more=1),
    "another dataclass": Options,
    "slotted dataclass": Slotted,
    "said": lambda: Checkpoint("a.bin"),
    "said of a list": lambda: Checkpoint(["a.bin"]),
    "namespace": lambda: types.SimpleNamespace(a=1),
    "namespace of arguments": lambda: argparse.Namespace(a=1),
    "class": lambda: Settings,
    "built-in class": lambda: int,
    "function": lambda: function,
    "built-in function": lambda: len,
    "function of a module": lambda: math.sqrt,
    "method": lambda: Method.method,
    "float64": lambda: np.float64(1),
    "float32": lambda: np.float32(1),
    "int64": lambda: np.int64(1),
    "bool_": lambda: np.bool_(1),
    "str_": lambda: np.str_("1"),
    "bytes_": lambda: np.bytes_(b"1"),
    "complex64": lambda: np.complex64(1j),
    "datetime64": lambda: np.datetime64("2026-01-02"),
    "datetime64 in ns": lambda: np.datetime64("2026-01-02", "ns"),
    "structured scalar": lambda: np.zeros((), [("a", "i4"), ("b", ">f8", 2)])[()],
    "dtype": lambda: np.dtype("f4"),
    "dtype of objects": lambda: np.dtype("O"),
    "dtype of texts": lambda: np.dtype("U7"),
    "dtype of the other order": lambda: np.dtype("f4").newbyteorder(),
    "structured dtype": lambda: np.dtype([("a", "i4"), ("b", "f8", 2)]),
    "aligned dtype": lambda: np.dtype([("a", "i4"), ("b", "f8", 2)], align=True),
}
