"""``@warm`` on class methods, static methods and async methods, and how methods look."""

from __future__ import annotations

import functools
import gc
import inspect
import pickle
import pydoc
import sys
import threading
import typing
import weakref
from typing import Any

import pytest
from interpreters import forgets_classes

from warmcache import warm

CAP = 5.0


class Model:
    def __init__(self, name: Any = None) -> None:
        self.name = name


class Zoo:
    """Loaders of every kind."""

    def __init__(self, where: str = "here") -> None:
        self.where = where

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Zoo)

    def __hash__(self) -> int:
        return 7

    @warm(policy="lru", maxsize=9)
    def load(self, name: str, dtype: str = "fp16") -> Model:
        """Load a model of this zoo."""
        return Model((self.where, name))

    @warm
    def __hidden(self, name: str) -> Model:
        return Model(name)

    def hidden(self, name: str) -> tuple[Model, Any]:
        return self.__hidden(name), self.__hidden

    @warm
    @classmethod
    def of_class(cls, name: str) -> Model:
        """Load a model of this class."""
        return Model((cls.__name__, name))

    @classmethod
    @warm
    def of_class_inside(cls, name: str) -> Model:
        return Model((cls.__name__, name))

    @warm
    @staticmethod
    def static(name: str, dtype: str = "fp16") -> Model:
        """Load a model."""
        return Model(name)

    @staticmethod
    @warm(policy="lru", maxsize=2)
    def static_inside(name: str, dtype: str = "fp16") -> Model:
        """Load a model."""
        return Model(name)

    @staticmethod
    @warm
    def static_of_nothing() -> Model:
        return Model()


class Annex(Zoo):
    pass


def test_class_methods_are_warm_per_class() -> None:
    model = Zoo.of_class("m")
    assert Zoo.of_class("m") is model is Zoo().of_class("m")
    assert Annex.of_class("m") is not model and ("Annex", "m") == Annex.of_class("m").name
    assert Zoo.of_class.contains("m") and Zoo.of_class.peek("m") is model
    with Zoo.of_class.lease("m") as leased:
        assert leased is model
    Zoo.of_class.evict("m")
    assert not Zoo.of_class.contains("m") and Annex.of_class.contains("m")


def test_class_methods_are_warm_per_class_with_the_decorators_swapped() -> None:
    assert Zoo.of_class_inside("m") is Zoo.of_class_inside("m") is Zoo().of_class_inside("m")
    assert Annex.of_class_inside("m") is not Zoo.of_class_inside("m")
    if sys.version_info >= (3, 13):  # a class method no longer hands on what it wraps
        with pytest.raises(AttributeError, match="@warm above @classmethod"):
            Zoo.of_class_inside.cache_info()  # type: ignore[attr-defined]
    else:
        assert Zoo.of_class_inside.contains("m")  # type: ignore[attr-defined]


@forgets_classes
def test_a_dead_classs_values_are_torn_down() -> None:
    gone = threading.Event()

    class Root:
        @warm(policy="lru", maxsize=2, on_removal=lambda removal: gone.set())
        @classmethod
        def load(cls) -> str:
            return "value"

    class Leaf(Root):
        pass

    Leaf.load()
    del Leaf
    gc.collect()
    assert gone.wait(CAP) and 0 == len(Root.load.cache)


@pytest.mark.parametrize("name", ["static", "static_inside"])
def test_static_methods_are_functions_in_either_order(name: str) -> None:
    load = getattr(Zoo, name)
    load.cache_clear()
    model = load("m")

    assert (
        load("m", dtype="fp16") is model is getattr(Zoo(), name)("m") is getattr(Annex, name)("m")
    )
    assert (3, 1) == load.cache_info()[:2] == getattr(Zoo(), name).cache_info()[:2]
    with load.lease("m") as leased:
        assert leased is model
    zoo = Zoo()
    assert load(zoo) is load(Zoo()), "an argument that happens to be an instance is an argument"
    assert load.evict("m") and not load.contains("m")
    assert "(name: 'str', dtype: 'str' = 'fp16') -> 'Model'" == str(inspect.signature(load))
    assert "Load a model." == load.__doc__ and name == load.__name__
    assert Zoo.static_of_nothing() is Zoo().static_of_nothing()


# -- looks -------------------------------------------------------------------------


def test_signature_hints_and_docs_are_the_methods_own() -> None:
    zoo = Zoo()
    hints = {"name": str, "dtype": str, "return": Model}

    assert "(name: 'str', dtype: 'str' = 'fp16') -> 'Model'" == str(inspect.signature(zoo.load))
    assert str(inspect.signature(Zoo.load)).startswith("(self, name: ")
    for load in (zoo.load, Zoo.load):
        assert hints == typing.get_type_hints(load)
        assert "Load a model of this zoo." == load.__doc__ == inspect.getdoc(load)
        assert ("load", "Zoo.load", __name__) == (load.__name__, load.__qualname__, load.__module__)
    assert "Load a model of this class." == Zoo.of_class.__doc__
    shown = pydoc.render_doc(Zoo, renderer=pydoc.plaintext)
    assert "load(self, name: " in shown and "Load a model of this zoo." in shown
    assert "Load a model of this zoo." in pydoc.render_doc(zoo.load, renderer=pydoc.plaintext)


def test_a_bound_method_is_equal_to_itself_and_calls_its_original_unwarmed() -> None:
    a, b = Zoo("a"), Zoo("b")

    assert a.load == a.load and a.load != b.load and 1 == len({a.load, a.load})
    assert a.load.__self__ is a and a.load.__func__ is Zoo.load
    assert a.load.__wrapped__("m") is not a.load.__wrapped__("m")
    assert "<warm Zoo.load: " in repr(a.load) and "Zoo.load" in repr(Zoo.load)


def test_a_bound_method_that_another_class_has_stays_bound_to_its_own_object() -> None:
    zoo = Zoo("a")

    class Visitor:
        load = zoo.load

    assert Visitor().load("m") is zoo.load("m")


def test_a_weak_reference_to_a_bound_method_gives_it_back() -> None:
    zoo = Zoo("z")
    reference: Any = weakref.WeakMethod(zoo.load)
    assert zoo.load == reference() and zoo.load("m") is reference()("m")
    assert reference().contains("m")


def test_methods_pickle_by_name() -> None:
    zoo = Zoo("z")
    assert pickle.loads(pickle.dumps(Zoo.load)) is Zoo.load
    assert pickle.loads(pickle.dumps(Zoo.static)) is Zoo.static
    assert pickle.loads(pickle.dumps(Zoo.static_inside)) is Zoo.static_inside
    assert pickle.loads(pickle.dumps(Zoo.of_class)) == Zoo.of_class
    assert pickle.loads(pickle.dumps(Annex.of_class)) == Annex.of_class != Zoo.of_class

    for bound in (zoo.load, zoo.hidden("m")[1]):
        bound("m")
        twin = pickle.loads(pickle.dumps(bound))
        assert twin.__func__ is bound.__func__ and "z" == twin.__self__.where
        assert twin.__self__ is not zoo and not twin.contains("m")


def test_a_partial_call_of_a_bound_method_is_one_of_that_method() -> None:
    zoo = Zoo("z")
    for bound in (zoo.load, Zoo.of_class):
        call = functools.partial(bound, "m")
        assert bound == call.func and ("m",) == call.args
        plain = functools.partial(bound.__wrapped__, "m")
        assert inspect.signature(plain) == inspect.signature(call)
        twin = pickle.loads(pickle.dumps(call))
        assert bound.__func__ is twin.func.__func__
        assert twin() is twin.func("m")


# -- async -------------------------------------------------------------------------


async def test_async_methods_are_warm_per_instance() -> None:
    class Small:
        @warm
        async def load(self, x: int) -> Model:
            return Model(x)

        @warm
        @classmethod
        async def of_class(cls, x: int) -> Model:
            return Model(cls)

        @staticmethod
        @warm
        async def static(x: int) -> Model:
            return Model(x)

    a, b = Small(), Small()
    model = await a.load(1)
    assert await a.load(1) is model is await Small.load(a, 1) and await b.load(1) is not model
    async with a.load.lease(1) as leased:
        assert leased is model
    assert 1 == len(await a.load.evict(1)) and b.load.contains(1)
    assert await Small.of_class(1) is await Small().of_class(1)
    assert await Small.static(1) is await a.static(1)
    assert inspect.iscoroutinefunction(Small.static) or sys.version_info < (3, 12)
    if sys.version_info >= (3, 12):
        assert inspect.iscoroutinefunction(a.load) and inspect.iscoroutinefunction(Small.load)
