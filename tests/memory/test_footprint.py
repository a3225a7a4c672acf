"""Where in an object it is looked for what lies on a device, and what of it lives."""

from __future__ import annotations

import collections
import dataclasses
import functools
import gc
import threading
import types
import weakref
from typing import Any

import numpy as np
import pytest
from footprints import KIB, CudaArray, Plain, alive, kib, size, survivors

import warmcache
from warmcache.memory.footprint import footprint


class Slots:
    __slots__ = ("__weakref__", "a", "empty")

    def __init__(self, a: object) -> None:
        self.a = a


class MoreSlots(Slots):
    __slots__ = ("b",)


@dataclasses.dataclass(frozen=True, slots=True)
class Record:
    first: object
    second: object = None


# -- where it looks --------------------------------------------------------------------


def closure(value: object) -> Any:
    def use() -> object:
        return value

    return use


def with_slots(value: object) -> MoreSlots:
    thing = MoreSlots(kib(2))
    thing.b = value
    return thing


class Method:
    def __init__(self, value: object) -> None:
        self.value = value

    def use(self) -> object:
        return self.value


HOLDERS = {
    "itself": lambda value: value,
    "list": lambda value: [1, "x", value],
    "tuple": lambda value: (None, (value,)),
    "dict": lambda value: {"a": value},
    "deque": lambda value: collections.deque([value]),
    "ordered dict": lambda value: collections.OrderedDict(a=value),
    "user dict": lambda value: collections.UserDict(a=value),
    "named tuple": lambda value: collections.namedtuple("Pair", "a b")(1, value),
    "attribute": lambda value: Plain(deep=Plain(er=value)),
    "dataclass": lambda value: Record(first=Record(value)),
    "namespace": lambda value: types.SimpleNamespace(a=value),
    "list with attributes": lambda value: type("L", (list,), {})([value]),
    "attribute of a list": lambda value: (
        vars(found := type("L", (list,), {})()).update(a=value) or found
    ),
    "partial": lambda value: functools.partial(print, value, end=""),
    "keyword of a partial": lambda value: functools.partial(print, end=value),
    "bound method": lambda value: Method(value).use,
    "closure": closure,
    "objects in an array": lambda value: np.array([None, value, 1], dtype=object)[1:2].tolist(),
}


@pytest.mark.parametrize("holder", HOLDERS)
def test_it_is_found_inside_of(holder: str) -> None:
    assert KIB == size(HOLDERS[holder](kib()))


def test_slots_are_attributes_of_all_classes_of_an_object() -> None:
    assert 3 * KIB == size(with_slots(kib()))


def test_keys_count_and_objects_in_arrays() -> None:
    assert 4096 == size({b"x" * 4096: 1})
    assert KIB + 16 == size(np.array([kib(), None], dtype=object))


def test_what_refers_to_itself_ends() -> None:
    ring: list[object] = [kib()]
    ring.append(ring)
    thing = Plain(ring=ring)
    thing.thing = thing
    assert KIB == size(thing)


class Module(types.ModuleType):
    data = kib()


SHARED = {
    "a module": Module("m"),
    "a class": type("Class", (), {"data": kib()}),
    "an instance's class": type("Class", (), {"data": kib()})(),
    "a thread": threading.Thread(target=print, args=(kib(),)),
    "a lock": threading.Lock(),
    "an error": ValueError(kib()),
    "another cache": warmcache.LRUCache(4),
    "small bytes": [b"x" * 4000],
    "numbers and names": [1, 2.0, "x", None, True, {"a": 1}],
    "nothing": None,
}


@pytest.mark.parametrize("what", SHARED)
def test_what_is_the_programs_or_small_is_not_seen(what: str) -> None:
    thing = SHARED[what]
    if isinstance(thing, warmcache.Cache):
        thing["x"] = kib()
    assert size(thing) is None
    assert size([thing, kib()]) == KIB


def test_a_weak_reference_holds_nothing() -> None:
    values = kib()
    assert size([weakref.ref(values), weakref.proxy(values)]) is None


class Reluctant:
    """Everything that is asked of it fails."""

    def __init__(self) -> None:
        object.__setattr__(self, "values", kib())

    def __getattribute__(self, name: str) -> object:
        raise AssertionError(name)

    def __iter__(self) -> object:
        raise AssertionError("iterated")

    def __bool__(self) -> bool:
        raise AssertionError("asked for its truth")

    def __eq__(self, other: object) -> bool:
        raise AssertionError("compared")

    __hash__ = None  # type: ignore[assignment]

    @property
    def lazy(self) -> object:
        raise AssertionError("a property was run")


def test_nothing_of_an_object_is_run() -> None:
    assert KIB == size(Reluctant())
    items = type("Items", (dict,), {"values": Reluctant.__iter__, "__iter__": Reluctant.__iter__})
    assert KIB == size(items(a=kib()))


class Broken:
    """An array that does not tell."""

    @property
    def __cuda_array_interface__(self) -> dict[str, Any]:
        raise RuntimeError("gone")


def test_what_cannot_be_walked_does_not_spoil_the_rest() -> None:
    class Holder:
        device = None
        values = kib()

    assert size([Broken(), kib()], "cpu") == KIB
    assert size([Broken(), CudaArray(2, 4)], "cuda:0") == 8


# -- what is still there ---------------------------------------------------------------


def test_its_parts_live_as_long_as_the_memory() -> None:
    model = Plain(a=kib(1), b=kib(2), c=bytearray(5000))
    found = footprint(model, "cpu")
    assert found is not None
    assert (3 * KIB + 5000, 3 * KIB) == (found.nbytes, alive(found))
    kept = model.b[5:6]
    survivor = model.a
    del model
    assert 3 * KIB == alive(found)
    # A view keeps the array alive that it views.
    assert {id(survivor), id(kept.base)} == {*map(id, survivors(found))}
    del survivor
    assert 2 * KIB == alive(found)
    del kept
    assert (0, []) == (alive(found), survivors(found))


def test_looking_keeps_nothing_alive() -> None:
    model = Plain(a=Plain(), b=kib())
    model.a.model = model
    models = [weakref.ref(model), weakref.ref(model.b)]
    found = footprint(model, "cpu")
    del model.a.model, model
    gc_was = gc.isenabled()
    assert [None, None] == [reference() for reference in models], gc_was
    assert found is not None and found.nbytes == KIB
