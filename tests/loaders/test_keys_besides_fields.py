"""What a value has besides its fields, and its ``==`` ignores, makes another key all the same."""

from __future__ import annotations

import dataclasses
import functools
from collections import OrderedDict, defaultdict
from dataclasses import InitVar
from types import SimpleNamespace
from typing import Any

import pytest

from warmcache import KeyingError, warm


@dataclasses.dataclass
class Quantization:
    """As transformers' BitsAndBytesConfig: no attribute is a field."""

    def __init__(self, load_in_8bit: bool = False, **more: Any) -> None:
        self._load_in_8bit = load_in_8bit
        for name, value in more.items():
            setattr(self, name, value)

    @property
    def load_in_8bit(self) -> bool:
        return self._load_in_8bit


@dataclasses.dataclass
class WithInit:
    name: str
    mode: InitVar[str] = "fast"
    note: str = dataclasses.field(default="", compare=False)

    def __post_init__(self, mode: str) -> None:
        self.chosen = mode


@dataclasses.dataclass(frozen=True)
class Frozen:
    name: str

    def __init__(self, name: str, mode: str = "fast") -> None:
        object.__setattr__(self, "name", name)
        object.__setattr__(self, "mode", mode)


class Inherited(WithInit):
    """Not decorated itself."""

    def __init__(self, name: str, more: str) -> None:
        super().__init__(name)
        self.more = more


class Base:
    __slots__ = ("__hidden",)

    def hide(self, value: Any) -> Any:
        self.__hidden = value
        return self


@dataclasses.dataclass(slots=True)
class Slotted(Base):
    name: str


class Likewise:
    """As attrs makes classes: ``==`` goes by its attributes."""

    __attrs_attrs__ = (
        SimpleNamespace(name="name", eq=True),
        SimpleNamespace(name="note", eq=False),
    )
    __hash__ = None  # type: ignore[assignment]

    def __init__(self, name: str, note: str = "", mode: str = "fast") -> None:
        self.name, self.note, self.mode = name, note, mode

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Likewise) and self.name == other.name


class Settings(dict[str, Any]):
    def __init__(self, mode: str) -> None:
        super().__init__(a=1)
        self.mode = mode


class Names(list[str]):
    mode: str


def named(mode: str) -> Names:
    names = Names(["a"])
    names.mode = mode
    return names


@pytest.mark.parametrize(
    "make",
    [
        lambda mode: Quantization(mode == "fast"),
        lambda mode: Quantization(compute={"dtype": mode}),
        lambda mode: WithInit("a", mode),
        lambda mode: Frozen("a", mode),
        lambda mode: Inherited("a", mode),
        lambda mode: Slotted("a").hide(mode),
        lambda mode: Likewise("a", mode=mode),
        lambda mode: [Quantization(mode == "fast")],
        lambda mode: {"config": Quantization(mode == "fast")},
        Settings,
        named,
    ],
)
def test_what_differs_besides_the_fields_is_another_key(make: Any) -> None:
    loaded: list[Any] = []
    load = warm(lambda config: loaded.append(config))

    for mode in ("fast", "slow", "fast", "slow"):
        load(make(mode))

    assert 2 == len(loaded)
    assert load.contains(make("slow"))


def test_the_order_in_which_attributes_were_set_is_none_of_the_key() -> None:
    key = warm(lambda config: None).cache_key
    assert key(Quantization(a=1, b=2)) == key(Quantization(b=2, a=1))


def test_what_is_said_not_to_count_still_does_not() -> None:
    key = warm(lambda config: None).cache_key
    assert key(WithInit("a", note="one")) == key(WithInit("a", note="two"))
    assert key(Likewise("a", note="one")) == key(Likewise("a", note="two"))


class KeptByHand:
    """A cached property as other libraries have it."""

    def __set_name__(self, owner: type, name: str) -> None:
        self.name = name

    def __get__(self, instance: Any, owner: type) -> Any:
        instance.__dict__[self.name] = object()
        return instance.__dict__[self.name]


class KeptByProperty(property):
    """The same, as a property that can be set."""

    def __get__(self, instance: Any, owner: Any = None) -> Any:
        return instance.__dict__.setdefault("third", object())


@dataclasses.dataclass(eq=True, unsafe_hash=True)
class Keeping:
    name: str

    @functools.cached_property
    def first(self) -> object:
        return object()

    second = KeptByHand()
    third = KeptByProperty()


def test_what_a_property_has_kept_is_no_part_of_the_key() -> None:
    key = warm(lambda config: None).cache_key
    fresh, asked = Keeping("a"), Keeping("a")
    assert asked.first and asked.second and asked.third
    assert {"first", "second", "third"} <= {*vars(asked)}
    assert key(fresh) == key(asked)
    assert asked is key(asked)[1]


def test_a_model_keeps_what_is_set_beside_its_fields() -> None:
    pydantic = pytest.importorskip("pydantic")

    class Model(pydantic.BaseModel):  # type: ignore[misc, name-defined]
        name: str

        @functools.cached_property
        def length(self) -> int:
            return len(self.name)

    def made(**besides: Any) -> Any:
        model = Model(name="a")
        vars(model).update(besides)
        return model

    key = warm(lambda config: None).cache_key
    asked = made()
    assert 1 == asked.length
    assert key(made()) == key(asked)
    assert key(made(mode="fast")) != key(made(mode="slow"))
    assert key(made(mode="fast")) == key(made(mode="fast"))


def test_what_cannot_be_compared_there_is_refused() -> None:
    class Tensor:
        __hash__ = None  # type: ignore[assignment]

    with pytest.raises(KeyingError, match=r"Tensor cannot be part of a key: it is not hashable"):
        warm(lambda config: None)(Quantization(weights=Tensor()))


def test_plain_containers_stay_what_they_were() -> None:
    key = warm(lambda config: None).cache_key
    assert key({"a": 1}) == key(defaultdict(int, a=1))
    assert key(OrderedDict(a=1)) != key({"a": 1})
    assert key(Quantization) == key(Quantization)
