"""What makes two calls the same call."""

from __future__ import annotations

import argparse
import dataclasses
import enum
import os
import subprocess
import sys
from collections import OrderedDict, defaultdict, deque, namedtuple
from fractions import Fraction
from pathlib import Path
from types import MappingProxyType, SimpleNamespace
from typing import Any

import numpy as np
import pydantic
import pytest
from hypothesis import given
from hypothesis import strategies as st

from warmcache import KeyingError, Removal, WarmcacheError, drop_if_equal, warm
from warmcache.testing import assert_consistent


def same(a: Any, b: Any, **options: Any) -> bool:
    """Whether a loader takes ``a`` and ``b`` for one argument, asked in three ways."""
    load = warm(**options)(lambda x: object())
    rest = warm(**options)(lambda *x, **named: object())
    one = load(a) is load(b)
    assert one == (load.cache_key(a) == load.cache_key(b))
    assert one == (rest(a) is rest(b)) == (rest(x=a) is rest(x=b))
    assert load(a) is load(a) and load.cache_key(a) == load.cache_key(a)
    return one


@dataclasses.dataclass
class Plain:
    x: Any
    note: Any = dataclasses.field(default=None, compare=False)


@dataclasses.dataclass(frozen=True)
class Frozen:
    x: Any


@dataclasses.dataclass(frozen=True)
class AlsoFrozen:
    x: Any


@dataclasses.dataclass(eq=False)
class ByIdentity:
    x: Any


class Model(pydantic.BaseModel):
    model_config = pydantic.ConfigDict(arbitrary_types_allowed=True, extra="allow")
    x: Any
    _secret: int = pydantic.PrivateAttr(default=0)


class FrozenModel(pydantic.BaseModel, frozen=True):
    x: Any


class Colour(enum.Enum):
    RED = [1]
    GREEN = [2]


class ByName:
    """Equal to nothing but itself, and yet one key per name."""

    def __init__(self, name: Any, colour: Any) -> None:
        self.name = name
        self.colour = colour

    def __repr__(self) -> str:  # the same in each process, since tests are named by it
        return f"{type(self).__name__}({self.name!r}, {self.colour!r})"

    def __warm_key__(self) -> Any:
        return self.name


class UnhashableByName(ByName):
    def __eq__(self, other: object) -> bool:
        raise AssertionError("the key stands for it")


class Unhashable:
    __hash__ = None  # type: ignore[assignment]


Point = namedtuple("Point", "x y")
NAN = float("nan")

EQUAL = [
    (1, 1.0),
    (1, True),
    (0, False),
    (1, Fraction(1)),
    ("a", "a"),
    ([1, [2]], [1, [2]]),
    ([], []),
    ({1, 2}, {2, 1}),
    ({1}, frozenset({1})),
    ({"a": 1, "b": [2]}, {"b": [2], "a": 1}),
    (defaultdict(list, a=1), {"a": 1}),
    (MappingProxyType({"a": 1}), {"a": 1}),
    (OrderedDict(a=1, b=2), OrderedDict(a=1, b=2)),
    (bytearray(b"ab"), bytearray(b"ab")),
    (deque([1, [2]]), deque([1, [2]])),
    (SimpleNamespace(x=[1], y=2), SimpleNamespace(y=2, x=[1])),
    (argparse.Namespace(x=[1]), argparse.Namespace(x=[1])),
    (([1], {2: {3}}), ([1], {2: {3}})),
    (Point(1, [2]), Point(1, [2])),
    (Path("a"), Path("a")),
    (Colour.RED, Colour.RED),
    (Plain([1]), Plain([1])),
    (Plain(1, note="a"), Plain(1, note=["b"])),
    (Frozen((1,)), Frozen((1,))),
    (Frozen([1]), Frozen([1])),
    (Model(x=[1]), Model(x=[1])),
    (Model(x=Model(x={"a": 1})), Model(x=Model(x={"a": 1}))),
    (FrozenModel(x=1), FrozenModel(x=1)),
    (FrozenModel(x=[1]), FrozenModel(x=[1])),
    (ByName("a", 1), ByName("a", 2)),
    (ByName(["a"], 1), ByName(["a"], 2)),
    ([ByName("a", 1)], [ByName("a", 2)]),
    (UnhashableByName("a", 1), UnhashableByName("a", 2)),
    (NAN, NAN),  # the very object, as in a dict
]
UNEQUAL = [
    (-1, -2),  # they hash alike
    ([-1], [-2]),
    ({"a": -1}, {"a": -2}),
    (Frozen(-1), Frozen(-2)),
    (2**61, 1),  # and so do these
    ("1", 1),
    ("a", b"a"),
    ([1], (1,)),
    ([1], {1}),
    ([1], deque([1])),
    (SimpleNamespace(x=1), SimpleNamespace(x=2)),
    (SimpleNamespace(x=1), SimpleNamespace(x=1, y=1)),
    (SimpleNamespace(x=1), argparse.Namespace(x=1)),
    (SimpleNamespace(x=1), {"x": 1}),
    ([[1], 2], [1, [2]]),
    ({"a": 1}, {"a": 2}),
    ({"a": 1}, [("a", 1)]),
    ({"a": 1}, frozenset({("a", 1)})),
    (OrderedDict(a=1, b=2), OrderedDict(b=2, a=1)),
    (Path("a"), "a"),
    (Colour.RED, Colour.GREEN),
    (Plain(1), Plain(2)),
    (Plain([1]), Frozen([1])),
    (Frozen(1), AlsoFrozen(1)),
    (Frozen([1]), AlsoFrozen([1])),
    (ByIdentity(1), ByIdentity(1)),
    (Model(x=1), Model(x=2)),
    (Model(x=1), Model(x=1, y=1)),
    (Model(x=1), FrozenModel(x=1)),
    (ByName("a", 1), ByName("b", 1)),
    (ByName("a", 1), UnhashableByName("a", 1)),
    (ByName("a", 1), "a"),
    (float("nan"), float("nan")),
    (int, float),
    (None, "None"),
]


@pytest.mark.parametrize(("a", "b"), EQUAL, ids=repr)
def test_equal_arguments_make_one_key(a: Any, b: Any) -> None:
    assert same(a, b)


@pytest.mark.parametrize(("a", "b"), UNEQUAL, ids=repr)
def test_unequal_arguments_make_two_keys_though_they_hash_alike(a: Any, b: Any) -> None:
    assert not same(a, b)


def test_a_models_private_attributes_count_as_they_do_for_its_equality() -> None:
    a, b = Model(x=1), Model(x=1)
    b._secret = 5

    assert a != b and not same(a, b)


@pytest.mark.parametrize(("a", "b"), [(1, 1.0), (1, True), (0.0, False), (b"", b"")])
def test_typed_tells_types_apart_positional_by_name_or_starred(a: Any, b: Any) -> None:
    assert same(a, b)
    assert (type(a) is type(b)) == same(a, b, typed=True)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-2, 2) | st.floats(-2, 2) | st.text("ab", max_size=1),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text("ab"), inner, max_size=2),
    max_leaves=4,
)


@pytest.mark.property
@given(JSON, JSON)
def test_json_arguments_are_one_key_exactly_when_they_are_equal(a: Any, b: Any) -> None:
    assert (a == b) == same(a, b)


def test_an_argument_counts_by_what_it_contained_at_the_call() -> None:
    load = warm(lambda x: object())
    names = ["a"]
    first = load(names)
    names.append("b")

    assert load(names) is not first
    assert load(["a"]) is first


@dataclasses.dataclass(unsafe_hash=True)
class Unstable:
    x: int


def test_an_argument_that_changes_its_hash_does_not_keep_the_cache_from_evicting() -> None:
    gone: list[Removal] = []
    load = warm(policy="lru", maxsize=1, on_removal=gone.append)(lambda x: object())
    argument = Unstable(1)
    load(argument)
    argument.x = 2
    load(argument)
    load("next")

    assert 2 == len(gone) and 1 == load.cache_info().currsize


# -- refused -----------------------------------------------------------------------


class Tensor:
    """Quacks like a tensor: hashable by identity, compared element by element."""

    def __dlpack__(self) -> None: ...
    def __hash__(self) -> int:
        return id(self)

    def __eq__(self, other: object) -> Any:
        return np.array([True, False])


class CudaArray:
    __cuda_array_interface__: dict[str, Any] = {}


class Series:
    ndim = 1

    def __array__(self) -> Any: ...


@pytest.mark.parametrize(
    "wrap",
    [
        lambda array: array,
        lambda array: (1, array),
        lambda array: [array],
        lambda array: {"a": (array,)},
        Plain,
        Frozen,
        lambda array: Frozen([Frozen(array)]),
        lambda array: Model(x=array),
        lambda array: FrozenModel(x=array),
        lambda array: ByName(array, None),
    ],
)
@pytest.mark.parametrize(
    "array",
    [np.zeros(2), np.array(1.0), np.zeros((0,)), Tensor(), CudaArray(), Series()],
    ids=["vector", "scalar", "empty", "tensor", "cuda array", "series"],
)
def test_an_array_is_refused_with_advice_wherever_it_hides(array: Any, wrap: Any) -> None:
    loads: list[Any] = []
    load = warm(lambda x, *rest, **named: loads.append(x))

    for call in (
        lambda: load(wrap(array)),
        lambda: load(1, wrap(array)),
        lambda: load(1, y=wrap(array)),
        lambda: load.lease(wrap(array)),
        lambda: load.contains(wrap(array)),
    ):
        with pytest.raises(KeyingError, match=r"cannot be part of a key.*key=.*None") as caught:
            call()
        assert type(array).__name__ in str(caught.value)
    assert [] == loads and (0, 0) == load.cache_info()[:2]


def test_a_key_that_leaves_the_array_out_or_names_it_takes_it() -> None:
    value = np.zeros(2)
    assert warm(key={"x": None})(lambda x, y: x)(value, 1) is value
    assert warm(key={"x": lambda x: x.tobytes()})(lambda x: x)(value) is value
    assert warm(lambda x: x)(ByIdentity(value)).x is value  # an object like any other
    with pytest.raises(KeyingError):
        warm(key={"x": drop_if_equal(0)})(lambda x: x)(value)


def test_scalars_of_numpy_are_numbers_like_any_other() -> None:
    assert same(np.float64(1), 1.0) and same(np.int64(-1), -1) and same(np.float32, np.float32)


@pytest.mark.parametrize("wrap", [lambda x: x, lambda x: [x], Plain, lambda x: {"a": x}])
def test_what_cannot_be_hashed_is_refused_with_advice(wrap: Any) -> None:
    load = warm(lambda x: object())

    with pytest.raises(KeyingError, match=r"Unhashable cannot.*__warm_key__.*key="):
        load(wrap(Unhashable()))
    assert issubclass(KeyingError, TypeError) and issubclass(KeyingError, WarmcacheError)


def test_what_contains_itself_is_refused() -> None:
    endless: list[Any] = []
    endless.append(endless)

    with pytest.raises(KeyingError, match="contains itself"):
        warm(lambda x: x)(endless)


@pytest.mark.parametrize("kind", [list, tuple])
def test_what_is_nested_too_deep_is_refused_and_nothing_is_lost(kind: Any) -> None:
    deep: Any = 1
    for _ in range(100_000):
        deep = kind([deep])
    load = warm(lambda x: x)
    several = warm(batch="names")(lambda names: names)
    for ask in (lambda: load(deep), lambda: several(["a", deep]), lambda: several.many([(deep,)])):
        with pytest.raises(KeyingError, match=rf"a {kind.__name__} that .* nested too deep, canno"):
            ask()
    assert ([1], ["a"]) == ([load(1)], several(["a"]))
    assert_consistent(load.cache), assert_consistent(several.cache)


# -- the key itself ----------------------------------------------------------------


def test_a_key_prints_as_its_call_and_is_found_in_the_cache() -> None:
    @warm
    def load(name: str, sizes: list[int], *, dtype: str = "fp16") -> object:
        return object()

    load("a", [1])
    key = load.cache_key("a", [1])

    assert "load('a', list:(1,), 'fp16')" == repr(key)
    assert key in load.cache and load.cache.victims() == [key]
    assert key == load.cache_key(name="a", sizes=[1], dtype="fp16")


def test_a_key_has_the_same_text_in_every_process() -> None:
    script = """if True:
        import dataclasses, warmcache
        @dataclasses.dataclass
        class Options:
            names: set
            sizes: list
        load = warmcache.warm(lambda x, **more: None)
        letters = "abcdefgh"
        for part in (
            set(letters), frozenset(letters), dict.fromkeys(letters, 1), ("a", frozenset(letters)),
            [{"deep": {*letters}}], Options({*letters}, ["x"]),
        ):
            print(load.cache_key(part, **dict.fromkeys(letters, part)))
        print(warmcache.keys.shown((frozenset(letters), 1)))
    """
    texts = {
        subprocess.run(
            [sys.executable, "-c", script],
            env={**os.environ, "PYTHONHASHSEED": seed},
            check=True,
            capture_output=True,
            text=True,
        ).stdout
        for seed in "123"
    }

    assert 1 == len(texts)
    assert texts.pop().startswith("<lambda>({'a', 'b', 'c', 'd', 'e', 'f', 'g', 'h'}, a=")


def test_two_loaders_of_one_cache_never_share_a_key() -> None:
    first, second = warm(lambda x: "first"), warm(lambda x: "second")
    shared = warm(cache=first.cache)(lambda x: "third")

    assert ["first", "second", "third"] == [load(1) for load in (first, second, shared)]
    assert first.cache_key(1) != shared.cache_key(1)


def test_the_version_is_part_of_every_key() -> None:
    for version in (1, "1", ("a", 2)):
        load = warm(version=version)(lambda x: object())
        assert (version, "name") == tuple(load.cache_key("name"))[1:]
        assert load("name") is load("name")
    with pytest.raises(TypeError, match="version must be hashable"):
        warm(version=[1])(lambda: None)
