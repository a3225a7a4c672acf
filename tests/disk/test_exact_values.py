"""What comes back from a file equals what went in, types included; or it is not kept at all."""

from __future__ import annotations

import enum
import json
import math
import subprocess
import sys
import threading
from collections import Counter, OrderedDict, defaultdict, namedtuple
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta, timezone, tzinfo
from decimal import Decimal
from fractions import Fraction
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Any
from uuid import UUID, SafeUUID
from zoneinfo import ZoneInfo

import pytest
from coded import coder_of, read, through_bytes, through_file
from exactly import differs
from hypothesis import given
from hypothesis import strategies as st

from warmcache._disk.codecs import INLINE, coder_for, why_not

PLUS_3 = timezone(timedelta(hours=3, microseconds=1), "here")
WITH_ATTRIBUTES: OrderedDict[str, int] = OrderedDict(b=1, a=2)
vars(WITH_ATTRIBUTES)["_metadata"] = {"": {"version": 1}}
VALUES = [
    *(None, True, False, 0, 1, -1, 2**63 - 1, 2**63, -(2**63), -(2**63) - 1, 10**5000),
    *(0.0, -0.0, 1e-320, 0.1, math.inf, -math.inf, math.nan, 1e308),
    *(1j, complex(-0.0, math.nan), complex(math.inf, -0.0)),
    *("", "a", "\0", "ü€😀", "\ud800", "\udc80", "\ud83d\ude00", "😀", "x" * 600, "\ud800" * 600),
    *(b"", b"\0\xff", bytes(range(256)) * 3, bytearray(b"abc"), bytearray(1000)),
    *((), (1,), [], [1, [2, ()]], set(), {1, "1", (1, 2)}, frozenset([frozenset([1]), b"1"])),
    *({}, {"a": 1}, {1: "a", "1": "b", None: 2, (1, 2): 3, 1.5: 4, b"": 5, frozenset("x"): 6}),
    *({"b": 1, "a": 2}, {"$": 1}, {"$": "tuple", "v": [1]}, {"v": {"$": None}}, {"@": 1}),
    *([-0.0, 0.1, math.inf, math.nan, 1e-320] * 20, (0.5,) * 65, {n / 7 for n in range(99)}),
    *([True, 1, 1.0], [2**70, 1], [2**70, 1.5, "a"], {"a": 2**70}, (2**70,), {2**70}),
    *(OrderedDict(b=1, a=2), OrderedDict([(1, 2)]), WITH_ATTRIBUTES),
    *(date(1, 1, 1), date.max, datetime(2024, 10, 27, 2, 30, fold=1), datetime.max),
    *(datetime(2024, 1, 1, tzinfo=UTC), datetime(2024, 1, 1, 1, 2, 3, 4, PLUS_3)),
    *(time(1, 2, 3, 4, fold=1), time(1, tzinfo=PLUS_3), UTC, PLUS_3),
    *(timedelta(-1, 5, 7), timedelta.max, timedelta.min),
    *(Decimal("1.10"), Decimal("-0"), Decimal("sNaN12"), Decimal("Infinity"), Decimal("1e-99999")),
    *(UUID(int=5), UUID(int=5, is_safe=SafeUUID.safe), UUID(int=2**127 + 3)),
    *(Path("/a/b"), Path(), PurePosixPath("a"), PureWindowsPath("C:\\a"), Path("\udc80")),
    *(range(5), range(10, 0, -3), range(2**80, 2**90, 2**70)),
]


@pytest.mark.parametrize(
    "value",
    VALUES,
    ids=[f"{number} {type(value).__name__}" for number, value in enumerate(VALUES)],
)
def test_what_comes_back_is_what_went_in(value: Any, tmp_path: Path) -> None:
    for at, nested in enumerate((value, [value], {"k": (value, 1.5)})):
        assert None is differs(nested, through_bytes(nested))
        assert None is differs(nested, through_file(nested, tmp_path / str(at)))


class Text(str): ...


class Number(int): ...


class Row(dict): ...  # type: ignore[type-arg]


class Day(date): ...


class Zone(tzinfo): ...


class Colour(enum.Enum):
    RED = 1


class Level(enum.IntEnum):
    LOW = 1


@dataclass
class Point:
    x: int


Pair = namedtuple("Pair", "a b")
AWARE = datetime(2024, 1, 1, tzinfo=ZoneInfo("UTC"))


@pytest.mark.parametrize(
    "value",
    [
        *(
            Text("a"),
            Number(1),
            Row(a=1),
            Day(2024, 1, 1),
            Colour.RED,
            Level.LOW,
            Point(1),
            Pair(1, 2),
        ),
        *(Counter("a"), defaultdict(list), Fraction(1, 2), AWARE, time(1, tzinfo=Zone())),
        *(object(), len, int, ..., memoryview(b""), iter([]), threading.Lock(), Exception("x")),
    ],
    ids=lambda it: type(it).__name__,
)
def test_what_is_not_of_one_of_these_types_exactly_is_not_kept(value: Any) -> None:
    for nested in (value, [value], {"k": value}, ({"k": 1}, [value])):
        assert coder_for(nested) is None
        assert type(value).__name__ in str(why_not(nested))


def test_subclasses_as_keys_and_elements_are_not_kept_either() -> None:
    assert coder_for({Text("a"): 1}) is None
    assert coder_for({Text("a")}) is None
    assert coder_for({"a": 1, Text("b"): 2}) is None


def test_what_keeps_a_value_from_being_kept_is_said_by_its_place() -> None:
    assert "result['cfg'][2]: object" == why_not({"a": 1, "cfg": [1, 2, object()]})
    assert why_not([1]) is None


def test_what_is_one_object_comes_back_as_one() -> None:
    row, cell = [1.5], bytearray(b"x")
    value = {"a": row, "b": (row, {"c": row}), "d": {1: cell, 2: cell}, "e": [1.5]}
    back = through_bytes(value)
    assert None is differs(value, back)
    back["a"].append(1)
    assert [1.5, 1] == back["b"][1]["c"]
    assert [1.5] == back["e"]


def test_a_dict_that_is_met_twice_stays_one_also_within_itself() -> None:
    inner = {"x": [1]}
    value = [inner, [inner, inner["x"]], inner["x"], {"deep": inner}]
    assert None is differs(value, through_bytes(value))


def test_what_contains_itself_is_not_kept() -> None:
    own: list[Any] = [1]
    own.append({"a": (own,)})
    assert coder_for(own) is None
    assert "contains itself" in str(why_not(own))


def test_nor_is_what_is_too_deep_or_would_be_written_for_ever() -> None:
    deep: Any = []
    wide: Any = ((),)
    for _ in range(60):
        deep, wide = [deep], (wide, wide)
    assert coder_for(deep) is None
    wide = ((1, "a"), (2,))
    for _ in range(40):
        wide = (wide, wide)
    assert coder_for(wide) is None


def test_a_tuple_may_be_met_as_often_as_one_likes() -> None:
    origin = (0, 0)
    value = [origin] * 200_000
    coder = coder_of(value)
    assert coder.size_of(value) > INLINE
    assert value == read("json", b"".join(coder._parts_of(value)))


def test_the_deepest_that_is_kept_can_be_read_on_a_high_stack() -> None:
    deep: Any = {1: ()}
    while coder_for([deep, deep]) is not None:
        deep = {1: [deep]}
    deep = deep[1]
    data = coder_of([deep, deep]).dumps([deep, deep])

    def on(height: int) -> Any:
        return on(height - 1) if height else read("json", data)

    assert [deep, deep] == on(sys.getrecursionlimit() - 550)


def test_a_large_value_is_not_made_as_one_text(tmp_path: Path) -> None:
    value = [0.5, None] * INLINE
    assert coder_of(value).dumps(value) is None
    assert value == through_file(value, tmp_path / "file")


def test_a_coder_is_for_its_value_and_looks_again_at_another() -> None:
    coder = coder_of([1])
    assert b"[1]" == coder.dumps([1])
    assert b"[2,3]" == coder.dumps([2, 3])


def test_what_is_there_already_is_not_written_over(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"mine")
    with pytest.raises(FileExistsError):
        coder_of([1]).dump([1], path)
    assert b"mine" == path.read_bytes()


def test_plain_values_are_plain_json() -> None:
    value = {"a": [1, 2.5, None], "b": "text"}
    assert value == json.loads(coder_of(value).dumps(value))


def test_the_caller_s_value_is_not_touched() -> None:
    row = [1]
    value = {"a": row, "b": (row, {2, 3}), "c": OrderedDict(x=row)}
    before = repr(value)
    through_bytes(value)
    assert before == repr(value)


scalars = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.complex_numbers()
    | st.text(st.characters())
    | st.text(st.sampled_from("a\ud800\udc00\ud83d\ude00"))
    | st.binary(max_size=700)
    | st.dates()
    | st.datetimes(timezones=st.none() | st.just(PLUS_3))
    | st.times()
    | st.timedeltas()
    | st.decimals().filter(lambda it: not it.is_snan())  # which has no hash
    | st.uuids()
    | st.sampled_from(["$", "v", "tuple", 2**64, range(3), Path("x")])
)
hashable = st.recursive(
    scalars, lambda inner: st.tuples(inner, inner) | st.frozensets(inner, max_size=4), max_leaves=6
)
values = st.recursive(
    scalars | hashable,
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.tuples(inner, inner)
        | st.sets(hashable, max_size=4)
        | st.dictionaries(hashable, inner, max_size=4)
        | st.dictionaries(st.text(max_size=3), inner, max_size=4)
        | st.dictionaries(hashable, inner, max_size=3).map(OrderedDict)
        | st.binary(max_size=9).map(bytearray)
        | inner.map(lambda it: [it, [it]])
    ),
    max_leaves=12,
)


@pytest.mark.property
@given(values)
def test_whatever_is_kept_comes_back_exactly(value: Any) -> None:
    coder = coder_of(value)
    data = coder.dumps(value)
    assert None is differs(value, coder.loads(data, (), {}))


def test_a_module_that_is_being_imported_has_no_values_yet() -> None:
    program = """
import sys
from importlib.machinery import ModuleSpec
from types import ModuleType
numpy = ModuleType("numpy")
numpy.__spec__ = ModuleSpec("numpy", None)
numpy.__spec__._initializing = True
sys.modules["numpy"] = numpy
from warmcache._disk.codecs import coder_for
assert coder_for([1]) is not None
del sys.modules["numpy"]
import numpy
assert coder_for([numpy.arange(3)]) is not None
"""
    subprocess.run([sys.executable, "-c", program], check=True, timeout=50)


def test_nothing_of_it_needs_numpy_or_torch() -> None:
    program = """
import sys
sys.modules["numpy"] = sys.modules["torch"] = None
from warmcache._disk.codecs import coder_for, coder_named
value = {"a": (1, b"x" * 1000)}
coder = coder_for(value)
assert value == coder_named(coder.name).loads(coder.dumps(value), (), {})
"""
    subprocess.run([sys.executable, "-c", program], check=True, timeout=50)
