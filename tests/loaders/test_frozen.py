"""``freeze=True``: nobody can change what others are given, or the load says where one could."""

from __future__ import annotations

import builtins
import gc
import re
import subprocess
import sys
import threading
import weakref
from collections import Counter, OrderedDict, defaultdict, deque, namedtuple
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from enum import Enum
from fractions import Fraction
from pathlib import Path, PurePosixPath
from types import MappingProxyType, SimpleNamespace
from typing import Any, NamedTuple
from uuid import UUID

import numpy as np
import pytest

from warmcache import FreezeError, LRUCache, Removal, RemovalCause, disabled, warm
from warmcache.memory.footprint import footprint
from warmcache.testing import assert_consistent


class Colour(Enum):
    RED = "red"


class Point(NamedTuple):
    x: Any
    y: Any = 0


@dataclass(frozen=True)
class Settings:
    name: str
    sizes: Any = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Slotted:
    sizes: Any


@dataclass
class Loose:
    name: str = ""


class Name(str):
    __slots__ = ()


class NoteName(str):
    pass


class Asked:
    """Says what is to be kept of it."""

    def __init__(self, answer: Any) -> None:
        self.answer = answer

    def __warm_freeze__(self) -> Any:
        return self.answer


class Immutable:
    def as_immutable(self) -> Any:
        return ("of", self)


def frozen(value: Any, **options: Any) -> Any:
    """Return what a call of a loader gives that returns ``value``."""

    @warm(**{"maxsize": 4, "freeze": True, **options})
    def load() -> Any:
        return value

    found = load()
    assert load() is found
    return found


def same(value: Any, other: Any) -> None:
    """Whether it is equal, and of the same types all the way down."""
    assert type(value) is type(other)
    if isinstance(value, tuple):
        assert len(value) == len(other)
        for one, two in zip(value, other, strict=True):
            same(one, two)
    elif isinstance(value, MappingProxyType):
        assert list(value) == list(other)
        for key in value:
            same(value[key], other[key])
    else:
        assert value == other


@pytest.mark.parametrize(
    ("value", "result"),
    [
        ([1, [2]], (1, (2,))),
        ({1, 2}, frozenset({1, 2})),
        ({"a": [1], ("b", 2): {3}}, MappingProxyType({"a": (1,), ("b", 2): frozenset({3})})),
        (bytearray(b"ab"), b"ab"),
        (([1], 2), ((1,), 2)),
        (Point([1], "y"), Point((1,), "y")),
        (Settings("a", [1]), Settings("a", (1,))),
        (Slotted({"a": [1]}), Slotted(MappingProxyType({"a": (1,)}))),
        (MappingProxyType({"a": []}), MappingProxyType({"a": ()})),
        ([], ()),
        ({}, MappingProxyType({})),
    ],
    ids=lambda each: type(each).__name__,
)
def test_what_can_be_changed_becomes_what_cannot(value: Any, result: Any) -> None:
    same(result, frozen(value))


if sys.version_info >= (3, 15):

    def test_what_is_in_a_frozendict_is_frozen() -> None:
        frozendict: Any = vars(builtins)["frozendict"]
        assert frozendict(a=(1,)) == (result := frozen(frozendict(a=[1])))
        assert type(result) is frozendict
        assert frozen(result) is result


def test_a_dict_is_one_to_read() -> None:
    result = frozen({"a": {"b": [1]}})
    with pytest.raises(TypeError, match="does not support item assignment"):
        result["a"] = 1
    with pytest.raises(TypeError, match="does not support item assignment"):
        result["a"]["b"] = 1


KEPT: dict[str, Any] = {
    "None": None,
    "numbers": (1, 1.5, True, 1j),
    "texts": ("a", b"a"),
    "range": range(3),
    "dots": (..., NotImplemented),
    "member": Colour.RED,
    "paths": (PurePosixPath("/a"), Path("b")),
    "times": (datetime(2026, 1, 2, tzinfo=UTC), date(2026, 1, 2), timedelta(1)),
    "exact": (Decimal("1.5"), Fraction(1, 3), UUID(int=1)),
    "pattern": re.compile("a"),
    "class": Loose,
    "tuple": (1, ("a", frozenset({2, (3,)}))),
    "named": Point(1, Point(2)),
    "frozen": Settings("a", ("b",)),
    "slots": Slotted((1,)),
    "text": Name("a"),
    "numpy": (np.float32(1), np.int64(2), np.datetime64("2026-01-01"), np.str_("a"), np.bool_(1)),
}


@pytest.mark.parametrize("value", KEPT.values(), ids=KEPT)
def test_what_cannot_change_stays_the_very_object(value: Any) -> None:
    assert value is frozen(value)


def test_what_is_of_a_named_tuple_made_at_run_time_stays_of_it() -> None:
    pair = namedtuple("pair", "a b")
    result = frozen(pair([1], 2))
    assert ((1,), 2) == result and type(result) is pair


def test_others_who_have_the_mapping_below_a_proxy_change_nothing() -> None:
    below = {"a": 1}
    result = frozen([MappingProxyType(below)])
    below["a"] = 2
    assert 1 == result[0]["a"]


def test_the_value_itself_is_left_as_it_was() -> None:
    inner: dict[str, list[int]] = {"a": [1]}
    settings = Settings("a", inner)
    frozen([settings, inner])
    assert settings.sizes is inner
    assert {"a": [1]} == inner


def test_an_attribute_that_is_no_field_is_frozen_too() -> None:
    settings = Settings("a", ())
    vars(settings)["more"] = [1]
    result = frozen(settings)
    assert (1,) == result.more and result is not settings


def test_what_stands_there_twice_is_one_object() -> None:
    shared = [1]
    first, second = frozen([shared, {"a": shared}])
    assert first is second["a"]


def test_much_that_stands_there_often_is_frozen_once() -> None:
    value: list[Any] = []
    for _ in range(60):  # or it would be 2 ** 60
        value = [value, value]
    result = frozen(value)
    assert result[0] is result[1]


# -- arrays --------------------------------------------------------------------------------


def test_an_array_is_made_read_only_and_not_copied() -> None:
    array = np.arange(3)
    result = frozen({"w": array})["w"]
    for each in (array, result):
        with pytest.raises(ValueError, match="read-only"):
            each[0] = 5
    assert np.shares_memory(array, result)
    assert result is frozen(result)


@pytest.mark.parametrize("shape", [(), 0, 3, (2, 3)], ids=str)
def test_that_an_array_is_read_only_cannot_be_set_back(shape: Any) -> None:
    with pytest.raises(ValueError, match="cannot set WRITEABLE flag to True"):
        frozen(np.ones(shape)).flags.writeable = True


def test_a_view_is_copied_for_its_base_could_be_changed() -> None:
    base = np.asfortranarray(np.arange(6.0).reshape(2, 3))
    result = frozen(base[:, 1:])
    base[:] = -1
    assert [[1, 2], [4, 5]] == result.tolist()
    assert result.flags.f_contiguous and not result.flags.writeable
    assert base.flags.writeable


def test_a_read_only_view_is_copied_all_the_same() -> None:
    base = np.arange(3)
    view = base.view()
    view.flags.writeable = False
    result = frozen(view)
    base[0] = 9
    assert [0, 1, 2] == result.tolist()


def test_numpy_is_not_imported_for_it() -> None:
    program = (
        "import sys\nfrom warmcache import warm\n"
        "@warm(freeze=True)\ndef load(): return [1]\n"
        "print(load(), 'numpy' in sys.modules)"
    )
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert ("(1,) False\n", "") == (ran.stdout, ran.stderr)


# -- what is asked --------------------------------------------------------------------------


@pytest.mark.parametrize("answer", ["text", [1], {"a": 1}], ids=str)
def test_what_an_object_answers_is_kept_as_it_is(answer: Any) -> None:
    assert answer is frozen([Asked(answer)])[0]


def test_as_immutable_is_asked_too() -> None:
    it = Immutable()
    assert ("of", it) == frozen(it)


def test_a_list_that_answers_is_asked_and_not_rebuilt() -> None:
    class Rows(list[int]):
        def __warm_freeze__(self) -> Any:
            return sum(self)

    assert 3 == frozen(Rows([1, 2]))


def test_what_answers_nothing_is_refused() -> None:
    with pytest.raises(TypeError, match=r"result\[0\]: .*Asked, whose __warm_freeze__\(\) re"):
        frozen([Asked(None)])


def test_what_it_raises_reaches_the_caller() -> None:
    class Failing:
        def __warm_freeze__(self) -> Any:
            raise OSError("it does not")

    with pytest.raises(OSError, match="it does not"):
        frozen(Failing())


async def _answer() -> None: ...


def test_an_answer_that_is_to_be_awaited_is_refused() -> None:
    with pytest.raises(TypeError, match=r"__warm_freeze__\(\) returned a coroutine"):
        frozen(Asked(_answer()))


# -- what is refused -------------------------------------------------------------------------


def test_what_is_nested_too_deep_is_refused() -> None:
    deep: list[Any] = []
    for _ in range(100_000):
        deep = [deep]
    with pytest.raises(FreezeError, match="result: list, which is nested too deep"):
        frozen(deep)


class Model:
    pass


def _in_itself() -> Any:
    value: list[Any] = [1]
    value.append({"me": value})
    return value


masked = np.ma.masked_array([1, 2], mask=[0, 1])
REFUSED: dict[str, tuple[Any, str]] = {
    "object": ([0, 1, {"w": Model()}], r"result[2]['w']: test_frozen.Model"),
    "alone": (Model(), "result: test_frozen.Model"),
    "deep": (({"a": [Point(0, Settings("a", [Model()]))]},), "result[0]['a'][0][1].sizes[0]: "),
    "in a set": ({"a": {Model()}}, "list(result['a'])[0]: test_frozen.Model"),
    "key": ([{("a", Model()): 1}], "list(result[0])[0][1]: test_frozen.Model"),
    "long key": ({"k" * 1000: Model()}, f"result['{'k' * 199}...]: test_frozen.Model"),
    "dataclass": (Loose(), "result: test_frozen.Loose"),
    "namespace": (SimpleNamespace(), "result: types.SimpleNamespace"),
    "function": (len, "result: builtin_function_or_method"),
    "text with attributes": (NoteName("a"), "result: test_frozen.NoteName"),
    "ordered": (OrderedDict(a=1), "result: collections.OrderedDict"),
    "default": (defaultdict(list), "result: collections.defaultdict"),
    "counter": (Counter("a"), "result: collections.Counter"),
    "deque": (deque(), "result: collections.deque"),
    "memory": ([memoryview(b"a")], "result[0]: memoryview"),
    "iterator": (iter([1]), "result: list_iterator"),
    "objects": ([np.array([[], 1], dtype=object)], "result[0]: numpy.ndarray of dtype('O')"),
    "some objects": (np.zeros(1, "i4, O"), "result: numpy.ndarray of dtype([('f0'"),
    "masked": (masked, "MaskedArray"),
    "matrix": (np.zeros(2).view(np.recarray), "recarray; "),
    "record": (np.zeros(1, "i4, i4")[0], "result: numpy.void"),
    "in itself": (_in_itself(), "result[1]['me']: list, which contains itself"),
}


@pytest.mark.parametrize(("value", "says"), REFUSED.values(), ids=REFUSED)
def test_what_can_be_changed_is_refused_by_the_path_to_it(value: Any, says: str) -> None:
    with pytest.raises(FreezeError, match=r"^load\(\) says freeze=True") as refused:
        frozen(value)
    assert says in str(refused.value)
    assert "__warm_freeze__()" in str(refused.value)
    assert refused.value.__context__ is None


def test_nothing_is_cached_and_the_teardown_runs_with_the_value_as_it_was() -> None:
    torn_down: list[Any] = []
    told: list[Removal] = []
    value = [Model()]
    loads: list[int] = []

    @warm(maxsize=4, freeze=True, teardown=torn_down.append, on_removal=told.append)
    def load() -> Any:
        loads.append(1)
        return value

    for again in (1, 2):
        with pytest.raises(TypeError, match=r"result\[0\]"):
            load()
        assert [value] * again == torn_down
        assert torn_down[-1] is value
        assert again == len(loads)
    assert [RemovalCause.CLOSED] * 2 == [removal.cause for removal in told]
    stats = load.cache.stats()
    assert (0, 2, 0) == (len(load.cache), stats.load_failures, stats.live + stats.dying)
    assert_consistent(load.cache)


@pytest.mark.parametrize("plan", [{}, {"ttl": 100}, {"size": len}], ids=["at once", "ttl", "size"])
def test_a_later_teardown_gets_what_is_frozen(plan: Any) -> None:
    torn_down: list[Any] = []

    @warm(maxsize=4, freeze=True, teardown=torn_down.append, **plan)
    def load() -> Any:
        return [1, 2]

    result = load()
    load.evict()
    assert [result] == torn_down and torn_down[0] is result


@pytest.mark.parametrize("plan", [{}, {"ttl": 100}, {"size": len}], ids=["at once", "ttl", "size"])
def test_an_error_keeps_nothing_of_the_value_alive(plan: Any) -> None:
    references: list[Any] = []

    @warm(maxsize=4, freeze=True, **plan)
    def load() -> Any:
        model = Model()
        references.append(weakref.ref(model))
        return [model]

    gc.disable()
    try:
        for act in (load, lambda: load.lease().__enter__()):
            with pytest.raises(TypeError) as refused:
                act()
            assert references.pop()() is None
            assert refused.value.__traceback__ is not None
        with disabled(), pytest.raises(TypeError):
            load()
        assert references.pop()() is None
    finally:
        gc.enable()


def test_generators_are_refused_for_they_have_the_value_as_it_was() -> None:
    def load() -> Any:
        yield [1]

    async def aload() -> Any:
        yield [1]

    for each in (load, aload):
        with pytest.raises(TypeError, match="generator, and freeze=True cannot freeze"):
            warm(freeze=True)(each)


# -- over loaders of all kinds -----------------------------------------------------------------


def test_a_class_is_refused_where_its_instances_can_be_changed() -> None:
    with pytest.raises(TypeError, match="instances of Model can be changed; make it a dataclass"):
        warm(freeze=True)(Model)
    with pytest.raises(TypeError, match="instances of Loose can be changed"):
        warm(freeze=True)(Loose)


def test_over_a_class_its_instances_are_frozen() -> None:
    made = warm(freeze=True)(Settings)("a", [1])
    assert (1,) == made.sizes
    assert "text" == warm(freeze=True)(Asked)("text")  # type: ignore[comparison-overlap]


def test_methods_of_all_kinds_give_what_is_frozen() -> None:
    class Sky:
        @warm(freeze=True)
        def beam(self, channel: int) -> Any:
            return [channel]

        @warm(freeze=True)
        @classmethod
        def of_class(cls) -> Any:
            return [cls.__name__]

        @warm(freeze=True)
        @staticmethod
        def static() -> Any:
            return [1]

    sky = Sky()
    assert ((3,), ("Sky",), (1,)) == (sky.beam(3), sky.of_class(), sky.static())
    assert sky.beam(3) is sky.beam(3)


@pytest.mark.parametrize("plan", [{}, {"ttl": 100}, {"teardown": id}], ids=["at once", "ttl", "td"])
async def test_async_loaders_give_what_is_frozen(plan: Any) -> None:
    @warm(maxsize=4, freeze=True, **plan)
    async def load(value: Any) -> Any:
        return [value]

    result = await load("a")
    assert ("a",) == result and await load("a") is result


async def test_an_async_teardown_is_awaited_with_the_value_as_it_was() -> None:
    torn_down: list[Any] = []

    async def teardown(value: Any) -> None:
        torn_down.append(value)

    @warm(maxsize=4, freeze=True, teardown=teardown)
    async def load() -> Any:
        return [Model()]

    with pytest.raises(TypeError, match=r"result\[0\]"):
        await load()
    [[model]] = torn_down
    assert isinstance(model, Model)


def test_a_lease_gives_it_too() -> None:
    load = warm(freeze=True)(lambda: [1])
    with load.lease() as value:
        assert (1,) == value and load() is value


def test_who_joins_a_load_gets_the_same_object() -> None:
    inside, go_on = threading.Event(), threading.Event()
    results: list[Any] = []

    @warm(freeze=True)
    def load() -> Any:
        inside.set()
        assert go_on.wait(5)
        return {"a": [1]}

    first = threading.Thread(target=lambda: results.append(load()))
    first.start()
    assert inside.wait(5)
    second = threading.Thread(target=lambda: results.append(load()))
    second.start()
    while not load.cache.stats().waits:
        threading.Event().wait(0.001)
    go_on.set()
    first.join(5), second.join(5)
    assert results[0] is results[1] and type(results[0]) is MappingProxyType


@pytest.mark.parametrize("off", [True, False], ids=["disabled", "maxsize=0"])
def test_where_nothing_is_kept_it_is_frozen_and_refused_alike(off: bool) -> None:
    torn_down: list[Any] = []

    @warm(maxsize=1 if off else 0, freeze=True, teardown=torn_down.append)
    def load(value: Any) -> Any:
        return [value]

    def both() -> None:
        assert (1,) == load(1)
        with load.lease(1) as value:
            assert (1,) == value
        assert [(1,)] == torn_down
        with pytest.raises(TypeError, match=r"result\[0\]"):
            load(Model)  # a class cannot change
            load(Loose())
        assert [Loose()] == torn_down[-1]

    if off:
        with disabled():
            both()
    else:
        both()


@pytest.mark.parametrize("off", [True, False], ids=["disabled", "maxsize=0"])
async def test_so_it_is_of_async_loaders(off: bool) -> None:
    @warm(maxsize=1 if off else 0, freeze=True)
    async def load(value: Any) -> Any:
        return [value]

    async def both() -> None:
        assert (1,) == await load(1)
        with pytest.raises(TypeError, match=r"result\[0\]"):
            await load(Loose())

    if off:
        with disabled():
            await both()
    else:
        await both()


# -- weights and seconds ---------------------------------------------------------------------


def test_what_weighs_is_what_is_frozen() -> None:
    weighed: list[Any] = []

    def size(value: Any) -> int:
        weighed.append(value)
        return 3

    load = warm(maxsize=9, freeze=True, size=size)(lambda: [1])
    assert [load()] == weighed and (1,) == weighed[0]
    assert 3 == load.cache.currsize


def test_a_budget_of_memory_sees_the_arrays_in_a_read_only_dict() -> None:
    found = footprint(frozen({"a": [np.zeros(1000)]}), "cpu")
    assert found is not None and 8000 == found.nbytes


def test_its_seconds_are_those_of_the_load() -> None:
    now = [0.0]

    class Slow:
        def __warm_freeze__(self) -> Any:
            now[0] += 3
            return ()

    def load() -> Any:
        now[0] += 2
        return Slow()

    for plan in ({}, {"size": lambda _: 1}):
        cache: LRUCache[Any, Any] = LRUCache(4, timer=lambda: now[0])
        warm(cache=cache, freeze=True, **plan)(load)()
        assert [5.0] == [entry.load_seconds for entry in cache.entries()]
        assert 5.0 == cache.stats().load_seconds
