"""What is one call, on disk: the same anywhere for what is the same, and for nothing else."""

from __future__ import annotations

import builtins
import copy
import functools
import itertools
import pathlib
import sys
import types
from collections import Counter, OrderedDict
from dataclasses import dataclass
from typing import Any, NamedTuple

import attrs
import numpy as np
import pydantic
import pytest
from canonical_values import VALUES, made_anew, same
from hypothesis import given
from of_all_kinds import (
    MAKERS,
    ByIdentity,
    Checkpoint,
    Colour,
    Method,
    Plain,
    Point,
    Settings,
    Text,
    besides,
)

from warmcache import KeyingError, by_content, drop_if_equal
from warmcache._disk.canonical import call_digest, encode
from warmcache.keys import DROPPED, Unchanged, frozen


@attrs.define
class Lens:
    """A class of attrs."""

    name: str = attrs.field(default="a", eq=str.lower)
    note: str = attrs.field(default="", eq=False)


class Model(pydantic.BaseModel):
    """A model of pydantic."""

    model_config = pydantic.ConfigDict(extra="allow")
    layers: int = 1
    _kept: int = pydantic.PrivateAttr(default=2)


class Tagged(NamedTuple("Tagged", [("x", int)])):
    """A named tuple that takes attributes, too."""


@dataclass
class Settings2:
    """A dataclass whose name is another's with a number."""

    layers: int = 2


@dataclass
class Counted(Counter[str]):
    """A dataclass that is a dictionary, too."""

    name: str = "a"


# -- the same, and not the same -----------------------------------------------------------


@pytest.mark.parametrize("kind", MAKERS)
def test_what_is_made_twice_is_the_same(kind: str) -> None:
    assert encode(MAKERS[kind]()) == encode(MAKERS[kind]())


def test_no_two_kinds_are_the_same() -> None:
    encoded = {kind: encode(make()) for kind, make in MAKERS.items()}
    for one, other in itertools.combinations(encoded, 2):
        assert encoded[one] != encoded[other], (one, other)
    together = b"".join(encoded.values())
    assert all(together.count(each) >= 1 for each in encoded.values())


@pytest.mark.property
@given(VALUES, VALUES)
def test_what_differs_in_value_or_type_never_shares_an_encoding(one: Any, other: Any) -> None:
    assert same(one, other) == (encode(one) == encode(other))


@pytest.mark.property
@given(VALUES)
def test_what_is_equal_by_construction_always_does(value: Any) -> None:
    assert encode(value) == encode(made_anew(value))


@pytest.mark.property
@given(VALUES, VALUES)
def test_what_is_one_call_on_disk_is_one_key_in_memory(one: Any, other: Any) -> None:
    if encode(one) == encode(other) and "nan" not in repr(one):  # which equals only itself
        assert frozen(one) == frozen(other)
    assert encode(one) == encode(one) and frozen(made_anew(one)) == frozen(made_anew(one))


@pytest.mark.property
@given(VALUES, VALUES)
def test_no_encoding_begins_another(one: Any, other: Any) -> None:
    shorter, longer = sorted([encode(one), encode(other)], key=len)
    assert shorter == longer or not longer.startswith(shorter)


@pytest.mark.property
@given(VALUES)
def test_nothing_is_written_into_a_value(value: Any) -> None:
    before = copy.deepcopy(value)
    encode(value)
    assert same(before, value)


def test_order_counts_where_there_is_one() -> None:
    assert encode({"a": 1, "b": 2}) == encode({"b": 2, "a": 1})
    assert encode({"a": {2: 3, 4: 5}}) == encode({"a": {4: 5, 2: 3}})
    assert encode({3, "a", (1, 2)}) == encode({(1, 2), "a", 3})
    assert encode([1, 2]) != encode([2, 1])
    assert encode(OrderedDict(a=1, b=2)) != encode(OrderedDict(b=2, a=1))


def test_what_a_record_has_besides_its_fields_counts_and_what_is_not_compared_does_not() -> None:
    assert encode(Settings(note="a")) == encode(Settings(note="b"))
    assert encode(besides(Settings(), more=1)) != encode(besides(Settings(), more=2))
    assert encode(Tagged(1)) == encode(Tagged(1))
    assert encode(Tagged(1)) != encode(besides(Tagged(1), more=2))
    assert encode(Lens("A", "a")) == encode(Lens("a", "b"))
    assert encode(Lens("a")) != encode(Lens("b"))
    assert encode(Model(layers=1)) == encode(Model(layers=1))
    assert encode(Model(layers=1)) != encode(Model(layers=2))
    assert encode(Model(layers=1)) != encode(Model(layers=1, more=2))
    model = Model(layers=1)
    model._kept = 3
    assert encode(Model(layers=1)) != encode(model)
    assert encode(Settings2()) != encode(Settings())


def test_the_same_object_twice_is_no_circle() -> None:
    inner = [1]
    assert encode([inner, inner]) == encode([[1], [1]])


# -- what is refused ------------------------------------------------------------------------


def _local() -> type:
    @dataclass
    class Local:
        layers: int = 1

    return Local


def _circle() -> list[Any]:
    circle: list[Any] = [1]
    circle.append({"a": circle})
    return circle


def _circle_of_records() -> Settings:
    settings = Settings()
    settings.names = [settings]  # type: ignore[list-item]
    return settings


def _deep() -> Any:
    return functools.reduce(lambda inner, _: [inner], range(100_000), [])


class Renamed:
    """Not what its name stands for."""


Old, Renamed = Renamed, type("Renamed", (), {})  # type: ignore[misc]


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (Plain, r"x: a of_all_kinds.Plain cannot be told from others"),
        (lambda: [1, Plain()], r"x\[1\]: a of_all_kinds.Plain cannot"),
        (lambda: {"a": [0, {"b": Plain()}]}, r"x\['a'\]\[1\]\['b'\]: a of_all_kinds.Plain cannot"),
        (lambda: {Plain(): 1}, r"x\.key\[<of_all_kinds.Plain .*\]: a of_all_kinds.Plain cannot"),
        (lambda: {"a", Plain()}, r"x\[\d\]: a of_all_kinds.Plain cannot"),
        (lambda: Settings(1, [Plain()]), r"x\.names\[0\]: a of_all_kinds.Plain cannot"),  # type: ignore[list-item]
        (lambda: besides(Settings(), more=Plain()), r"x\.more: a of_all_kinds.Plain cannot"),
        (lambda: Checkpoint(Plain()), r"x\.__warm_key__\(\): a of_all_kinds.Plain cannot"),
        (lambda: types.SimpleNamespace(a=Plain()), r"x\.a: a of_all_kinds.Plain cannot"),
        (lambda: Text("a"), r"x: a of_all_kinds.Text cannot"),
        (lambda: type("Sub", (int,), {})(1), r"x: a test_canonical.Sub cannot"),
        (lambda: Counter("a"), r"x: a collections.Counter cannot"),
        (lambda: lambda: 1, r"x: test_canonical.<lambda>.<locals>.<lambda> is not what its name"),
        (_local, r"x: test_canonical._local.<locals>.Local is not what its name stands for"),
        (lambda: _local()(), r"x: test_canonical._local.<locals>.Local is not"),
        (Old, r"x: test_canonical.Renamed is not what its name stands for"),
        (lambda: Method().method, r"x: a method cannot"),
        (lambda: [].append, r"x: list.append is not what its name"),
        (lambda: functools.partial(len), r"x: a functools.partial cannot"),
        (lambda: ByIdentity(), r"x: a of_all_kinds.ByIdentity is compared by identity"),
        (lambda: Counted(), r"x: a test_canonical.Counted has more in it than its fields"),
        (lambda: np.zeros(3), r"x: a numpy.ndarray is an array: .*warmcache.by_content"),
        (lambda: [np.zeros(3)], r"x\[0\]: a numpy.ndarray is an array"),
        (lambda: np.longdouble(1), r"x: an array of dtype .* cannot be part of a key"),
        (lambda: np.random.default_rng(1), r"x: a numpy.random._generator.Generator cannot"),
        (lambda: open, None),
        (lambda: iter([]), r"x: a list_iterator cannot"),
        (_circle, r"x\[1\]\['a'\]: a list contains itself"),
        (_circle_of_records, r"x\.names\[0\]: a of_all_kinds.Settings contains itself"),
        (_deep, r"x: nested too deep"),
        (lambda: DROPPED, None),
        (lambda: [DROPPED], r"x\[0\]: a warmcache.keys._Dropped cannot"),
        (lambda: pathlib.Path, None),
        (lambda: type("P", (pathlib.PurePosixPath,), {})("a"), r"x: a test_canonical.P cannot"),
    ],
)
def test_what_cannot_be_told_from_others_is_refused_and_named(
    make: Any, message: str | None
) -> None:
    value = make() if make is not Old else Old
    if message is None:
        assert call_digest("load", "", "", {"x": value})
        return
    with pytest.raises(KeyingError, match=f"^{message}"):
        call_digest("load", "", "", {"x": value})


def test_a_class_of_a_script_is_what_its_code_means(monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    text = "from dataclasses import dataclass\n@dataclass\nclass Config:\n    x: int = 1\n"
    text += "    def get(self):\n        return self.x + {}\n"
    found = []
    for edit in (1, 2, 1):
        main = types.ModuleType("__main__")
        monkeypatch.setitem(sys.modules, "__main__", main)
        exec(text.format(edit), vars(main))
        found.append(call_digest("load", "", "", {"x": main.Config()}))
    assert found[0] == found[2] != found[1]


# -- a call -----------------------------------------------------------------------------------


def _call(**changes: Any) -> str:
    given: dict[str, Any] = dict(loader="app.load", version="1", code="c", arguments={"x": 1})
    return call_digest(**(given | changes))


def test_a_call_is_its_loader_version_code_and_arguments() -> None:
    assert 40 == len(_call())
    others = [
        _call(loader="app.other"),
        _call(version="2"),
        _call(version=1),
        _call(version=None),
        _call(code="d"),
        _call(arguments={"y": 1}),
        _call(arguments={"x": "1"}),
        _call(arguments={"x": 1, "y": None}),
        _call(arguments={}),
    ]
    assert len(others) + 1 == len({_call(), *others})
    assert _call(arguments={"x": 1, "y": 2}) == _call(arguments={"y": 2, "x": 1})


def test_what_was_dropped_leaves_nothing() -> None:
    part = drop_if_equal(0)
    assert _call() == _call(arguments={"x": 1, "heads": part(0)})
    assert _call() != _call(arguments={"x": 1, "heads": part(2)})
    assert _call() == _call(arguments={"verbose": DROPPED, "x": 1})


def test_a_default_that_has_no_encoding_is_known_as_itself() -> None:
    assert _call(arguments={"x": Unchanged("x")}) == _call(arguments={"x": Unchanged("x")})
    assert _call(arguments={"x": Unchanged("x")}) != _call(arguments={"x": "x"})


def test_an_array_stands_there_by_its_content() -> None:
    one, other = np.zeros((2, 3)), np.zeros((2, 3))
    assert _call(arguments={"x": by_content(one)}) == _call(arguments={"x": by_content(other)})
    other[1, 1] = 1
    assert _call(arguments={"x": by_content(one)}) != _call(arguments={"x": by_content(other)})


def test_versions_are_named_where_they_are_refused() -> None:
    with pytest.raises(KeyingError, match="^version: a of_all_kinds.Plain"):
        _call(version=Plain())


def test_what_is_finer_than_in_memory_is_meant_to_be() -> None:
    assert 1 == 1.0 == True and 3 == len({encode(1), encode(1.0), encode(True)})
    assert (1, 2) == Point(1, 2) and encode((1, 2)) != encode(Point(1, 2))
    assert encode(Colour.RED) != encode("red")


if sys.version_info >= (3, 15):

    def test_a_frozendict_is_the_dict_of_its_items() -> None:
        frozendict: Any = vars(builtins)["frozendict"]
        one, other = ({"x": made(a=[1], b=2)} for made in (dict, frozendict))
        assert call_digest("app.load", "", "", one) == call_digest("app.load", "", "", other)
