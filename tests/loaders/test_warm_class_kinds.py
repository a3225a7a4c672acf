"""``@warm`` on every kind of class: data, abstract, generic, slotted, with a metaclass."""

from __future__ import annotations

import abc
import dataclasses
import gc
import pickle
import weakref
from collections.abc import Callable
from functools import cached_property, partialmethod, singledispatchmethod, wraps
from typing import Any, ClassVar, Generic, NamedTuple, TypeVar

import pydantic
import pytest
from interpreters import forgets_classes

from warmcache import WarmClass, warm

T = TypeVar("T")


class Base:
    def hello(self) -> str:
        return "base"


@warm
@dataclasses.dataclass
class Data:
    x: int
    y: list[int] = dataclasses.field(default_factory=list)


@warm
@dataclasses.dataclass(frozen=True, slots=True)
class Slotted:
    x: int
    y: int = 2


@warm
@dataclasses.dataclass(frozen=True)
class Frozen:
    x: int


@warm
class Told(WarmClass):  # what it has, to type checkers
    def __init__(self, name: str) -> None:
        self.name = name


@warm
class ToldAbstract(abc.ABC, WarmClass): ...


class SubFrozen(Frozen):
    pass


@warm
class Abstract(abc.ABC):
    @abc.abstractmethod
    def f(self) -> int: ...


class Concrete(Abstract):
    def f(self) -> int:
        return 1


@warm
class Box(Generic[T]):
    def __init__(self, x: T) -> None:
        self.x = x


@warm
class Private:
    __slots__ = ("__dict__", "__hidden", "shown")

    def __init__(self, x: int) -> None:
        self.__hidden = self.shown = x

    def hidden(self) -> int:
        return self.__hidden


@warm
class Pair(NamedTuple):
    x: int
    y: int = 2


@warm
class Number(int):
    pass


class Registry(type):
    """A metaclass with opinions."""

    names: ClassVar[list[str]] = []

    def __init__(cls, name: str, bases: Any, namespace: Any, **kwargs: Any) -> None:
        super().__init__(name, bases, namespace, **kwargs)
        Registry.names.append(name)

    def __call__(cls, *args: Any) -> Any:
        made = super().__call__(*args)
        made.through_meta = True
        return made


@warm
class WithMeta(metaclass=Registry):
    pass


class SubWithMeta(WithMeta):
    pass


@pytest.mark.parametrize(
    ("cls", "args"),
    [
        (Data, (1,)),
        (Slotted, (1,)),
        (Frozen, (1,)),
        (Concrete, None),
        (Box, (1,)),
        (Private, (1,)),
        (Pair, (1,)),
        (Number, (7,)),
        (WithMeta, ()),
    ],
    ids=lambda x: getattr(x, "__name__", ""),
)
def test_all_kinds_of_classes_can_be_warm(cls: Any, args: Any) -> None:
    if args is None:
        assert cls() is not cls()
        return
    assert cls(*args) is cls(*args) and type(cls(*args)) is cls
    assert pickle.loads(pickle.dumps(cls)) is cls


def test_what_each_kind_of_class_promises_still_holds() -> None:
    assert Data(1) == dataclasses.replace(Data(1)) and ["x", "y"] == [
        field.name for field in dataclasses.fields(Data)
    ]
    assert [] == Data(1).y and "Data(x=1, y=[])" == repr(Data(1))
    with pytest.raises(TypeError, match="abstract"):
        Abstract()
    assert 1 == Concrete().f()
    for frozen in (Slotted(1), Frozen(1)):
        with pytest.raises(dataclasses.FrozenInstanceError):
            frozen.x = 3  # type: ignore[misc]
    with pytest.raises(dataclasses.FrozenInstanceError):
        SubFrozen(1).x = 3  # type: ignore[misc]
    assert 3 == Private(3).hidden() and not hasattr(Slotted(1), "__dict__")
    assert Box[int](1) is Box(1) and (1, 2) == Pair(1) == tuple(Pair(1)) and Number(7) + 1 == 8
    assert WithMeta().through_meta and SubWithMeta().through_meta
    assert SubWithMeta() is not SubWithMeta() and "SubWithMeta" in Registry.names


def test_super_is_found_in_whatever_wraps_a_method() -> None:
    def decorated(function: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(function)
        def wrapper(*args: Any) -> Any:
            return function(*args)

        del wrapper.__wrapped__  # type: ignore[attr-defined]
        return wrapper

    class Custom:
        def __init__(self, function: Callable[..., Any]) -> None:
            self.my_function = function

        def __get__(self, instance: Any, owner: Any) -> Any:
            return self.my_function.__get__(instance)

    for wrap in (decorated, Custom, cached_property, property, singledispatchmethod, partialmethod):

        @warm
        class Child(Base):
            @wrap  # type: ignore[operator,arg-type]
            def greet(self, *rest: Any) -> str:
                return super().hello()

        found = Child().greet
        args = (1,) if wrap is singledispatchmethod else ()
        assert "base" == (found(*args) if callable(found) else found)


def test_set_name_and_weak_references_work() -> None:
    names: list[Any] = []

    class Field:
        def __set_name__(self, owner: type, name: str) -> None:
            names.append((owner, name))

    @warm(policy="lru", maxsize=1)
    class Plain:
        field = Field()

    assert (Plain, "field") == names[-1]
    watch = weakref.ref(Plain())
    Plain.cache_clear()
    assert watch() is None


@forgets_classes
def test_a_warm_class_is_garbage_like_any_other() -> None:
    @warm
    class Plain:
        pass

    Plain()
    Plain.cache_clear()
    watch = weakref.ref(Plain)
    del Plain
    gc.collect()
    assert watch() is None


def test_what_cannot_be_rebuilt_says_so() -> None:
    class Keyworded:
        def __init_subclass__(cls, kind: str) -> None: ...

    with pytest.raises(TypeError, match=r"Picky cannot be rebuilt.*put @warm over a function"):

        @warm
        class Picky(Keyworded, kind="x"):
            pass

    @warm
    class Lucky(Keyworded, abc.ABC, kind="x"):  # it has a metaclass to be replaced
        pass

    assert Lucky() is Lucky()

    with pytest.raises(TypeError, match=r"dict cannot be rebuilt.*put @warm over a function"):
        warm(dict)


def test_a_pydantic_model_can_be_warm() -> None:
    @warm
    class Config(pydantic.BaseModel):
        x: int
        y: list[int] = []

        def total(self) -> int:
            return self.x + sum(self.y)

    class More(Config):
        z: int = 3

    assert Config(x=1) is Config(x=1) and Config(x=1) is not Config(x=1, y=[2])
    assert Config.model_validate({"x": 1}) == Config(x=1) is not Config.model_validate({"x": 1})
    assert More(x=1) is not More(x=1) and (1, [], 3) == tuple(dict(More(x=1)).values())
    assert 3 == Config(x=1, y=[2]).total()
    with pytest.raises(pydantic.ValidationError):
        Config(x="many")


def test_what_tells_type_checkers_of_a_warm_class_changes_nothing_about_it() -> None:
    class Cold(WarmClass): ...

    assert Told("a") is Told("a") is Told.peek("a") and ToldAbstract() is ToldAbstract()
    with Told.lease("b") as held:
        assert "b" == held.name
    assert "a" == pickle.loads(pickle.dumps(Told("a"))).name
    for has_none in (Told("a"), Cold, Cold()):
        assert not hasattr(has_none, "lease") and not hasattr(has_none, "cache")
