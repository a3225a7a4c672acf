"""What can be called can be made warm, however it came to be, and with the defaults it has."""

from __future__ import annotations

import ctypes
import functools
import gc
import io
import math
import operator
import re
import sys
import weakref
from collections.abc import Callable
from typing import Any, Generic, TypeVar

import pytest

from warmcache import KeyingError, warm

T = TypeVar("T")


class Model:
    class Nested(Generic[T]):
        def __init__(self, name: str = "a") -> None:
            self.name = name

    def load(self, name: str) -> list[str]:
        return [name]

    @classmethod
    def make(cls, name: str) -> list[str]:
        return [name]

    def __call__(self, name: str) -> list[str]:
        return [name]


CALLS: dict[str, tuple[Any, tuple[Any, ...], Any]] = {
    "built in": (max, (3, 4), 4),
    "of a module in C": (math.hypot, (3, 4), 5.0),
    "built in, of a type": (int.from_bytes, (b"\1", "big"), 1),
    "built in, of an instance": ("a,b".split, (",",), ["a", "b"]),
    "built in, of a class": (dict.fromkeys, ("a",), {"a": None}),
    "a method of a type": (str.upper, ("a",), "A"),
    "a slot": (int.__add__, (1, 2), 3),
    "a bound slot": ((1).__add__, (2,), 3),
    "a slot of all": (object.__eq__, (1, 1), True),
    "a class method in C": (dict.__dict__["fromkeys"], (dict, "a"), {"a": None}),
    "list[int]": (list[int], ("ab",), ["a", "b"]),
    "dict[str, int]": (dict[str, int], (), {}),
    "a getter": (operator.itemgetter(0), (("a", "b"),), "a"),
    "a partial": (functools.partial(max, 3), (4,), 4),
    "a method of an object": (Model().load, ("a",), ["a"]),
    "a method of a class": (Model.make, ("a",), ["a"]),
    "an object": (Model(), ("a",), ["a"]),
    "another cache": (functools.lru_cache(lambda name: [name]), ("a",), ["a"]),
    "a function in Python of a C module": (re.compile, ("a",), re.compile("a")),
}


@pytest.mark.parametrize("what", CALLS)
def test_it_is_called_once_and_gives_what_it_would(what: str) -> None:
    target, args, expected = CALLS[what]
    load = warm(target)

    assert expected == load(*args)
    assert load(*args) is load(*args)
    assert 1 == load.cache_info().misses
    assert load.contains(*args)
    load.cache_clear()
    assert not load.contains(*args)


def test_a_class_with_a_parameter_is_a_function_wherever_it_is_from() -> None:
    load = warm(Model.Nested[int])
    assert "a" == load("a").name
    assert load("a") is load("a")


@pytest.mark.parametrize("cls", [type, object, io.BytesIO, bytearray, ctypes.c_int])
def test_a_class_that_cannot_be_is_refused_with_the_way_out(cls: Any) -> None:
    with pytest.raises(TypeError, match="put @warm over a function that returns it"):
        warm(cls)


# -- defaults that cannot be part of a key ---------------------------------------------


class Timeout:
    """As httpx has it: equal by what it says, and so not hashable."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Timeout) and self.seconds == other.seconds


class Array:
    """As a tensor: compared element by element."""

    def __dlpack__(self) -> None: ...
    def __eq__(self, other: object) -> Any:
        raise AssertionError("it was compared")

    def __hash__(self) -> int:
        return 1


class Untold:
    def __warm_key__(self) -> str:
        raise OSError("it cannot be told")


UNUSUAL = [Timeout(5), Array(), [Timeout(5)], {"a": Array()}, Untold()]


@pytest.mark.parametrize("default", UNUSUAL, ids=lambda each: type(each).__name__)
@pytest.mark.parametrize("typed", [False, True])
def test_a_default_that_cannot_be_a_key_refuses_no_call_that_leaves_it(
    default: Any, typed: bool
) -> None:
    loaded: list[Any] = []

    @warm(typed=typed)
    def load(name: str = "a", *, timeout: Any = default) -> object:
        loaded.append(timeout)
        return object()

    @warm(typed=typed)
    def load_one(timeout: Any = default) -> object:
        return object()

    @warm
    class Client:
        def __init__(self, timeout: Any = default) -> None:
            self.timeout = timeout

        @warm
        def get(self, name: str, timeout: Any = default) -> object:
            return object()

    assert load() is load("a") is load(timeout=default)
    assert load("b") is not load()
    assert load_one() is load_one(default)
    assert Client() is Client()
    assert Client().get("a") is Client().get("a")
    assert 2 == len(loaded) and all(each is default for each in loaded)
    assert load.contains() and load.contains("b") and not load.contains("c")
    assert "<default of timeout>" in repr(load.cache_key())
    load.evict()
    assert not load.contains()


def test_a_value_like_the_default_is_refused_still() -> None:
    @warm
    def load(timeout: Any = UNUSUAL[0]) -> object:
        return object()

    with pytest.raises(KeyingError, match="Timeout cannot be part of a key"):
        load(Timeout(5))
    assert load(None) is not load()


def test_two_defaults_are_two() -> None:
    @warm
    def load(first: Any = UNUSUAL[0], second: Any = UNUSUAL[1]) -> object:
        return object()

    assert load() is not load(UNUSUAL[1], UNUSUAL[0])


# -- methods that nobody can see to be some --------------------------------------------


def plain(function: Callable[..., Any]) -> Callable[..., Any]:
    """Decorate without functools.wraps."""

    def inner(*args: Any) -> Any:
        return function(*args)

    return inner


def test_a_method_under_a_decorator_without_wraps_says_that_it_keeps_its_instance() -> None:
    class Store:
        @warm
        @plain
        def load(self, name: str) -> list[str]:
            return [name]

    store = Store()
    with pytest.warns(UserWarning, match=r"inner\(\) is a method of .*Store, and keeps") as said:
        value = store.load("a")
    assert __file__ == said[0].filename
    assert value is store.load("a")


def test_the_same_function_outside_of_a_class_says_nothing() -> None:
    load = warm(plain(lambda store, name: [name]))
    assert ["a"] == load(Model(), "a")


def test_with_wraps_the_instance_goes() -> None:
    class Store:
        @warm
        @lambda function: functools.wraps(function)(lambda *args: function(*args))
        def load(self, name: str) -> list[str]:
            return [name]

    store = Store()
    store.load("a")
    gone = weakref.ref(store)
    del store
    gc.collect()
    assert gone() is None


# -- recursion -------------------------------------------------------------------------


def test_a_loader_may_call_itself_a_hundred_times_deep() -> None:
    @warm(maxsize=None)
    def load(level: int) -> list[Any]:
        return [load(level - 1)] if level else []

    depth, frame = 0, sys._getframe()
    while (frame := frame.f_back) is not None:  # type: ignore[assignment]
        depth += 1
    limit = sys.getrecursionlimit()
    sys.setrecursionlimit(1000 + depth)
    try:
        levels = 100 if sys.gettrace() is None else 50  # who measures coverage has frames, too
        load(levels)
        assert levels + 1 == len(load.cache)
    finally:
        sys.setrecursionlimit(limit)
