"""What a record is: fields by name, a mapping, a text for people and for JSON."""

from __future__ import annotations

import enum
import math
import sys
from collections.abc import Callable, Hashable, Iterator, Mapping
from functools import partial
from typing import Any, ClassVar, TypeVar, dataclass_transform

from warmcache._sizes import format_seconds, format_size, format_weight
from warmcache._texts import short_text_of, text_of
from warmcache.keys import CallKey, CallText


@dataclass_transform(frozen_default=True)
class Record(Mapping[str, Any]):
    """A frozen record: its annotated fields as attributes, and as a mapping of plain values.

    As a mapping it is what goes elsewhere: web frameworks and pandas take one as an object, or a
    row, of its fields by name, where a tuple would lose the names. To make one is no more than a
    tuple takes, and a text for people or for JSON is made when it is asked for.
    """

    __slots__ = ("_values",)

    _values: tuple[Any, ...]
    _fields: ClassVar[tuple[str, ...]] = ()
    _defaults: ClassVar[dict[str, Any]]
    _names: ClassVar[tuple[str, ...]] = ()  # of what it is as a mapping
    # Properties among these: those that follow the first field, and those that come last.
    _derived: ClassVar[tuple[str, ...]] = ()
    _derived_last: ClassVar[tuple[str, ...]] = ()

    def __init_subclass__(cls) -> None:
        """Make a property of each field, with what was given as the default of it."""
        cls._fields = fields = tuple(cls.__annotations__)
        cls._defaults = {name: cls.__dict__[name] for name in fields if name in cls.__dict__}
        for place, name in enumerate(fields):
            setattr(cls, name, property(_value_at(place)))
        first, *rest = [name for name in fields if name[0] != "_"]
        cls._names = (first, *cls._derived, *rest, *cls._derived_last)

    def __init__(self, *values: Any, **named: Any) -> None:
        if len(values) != len(self._fields):
            values = self._completed(values, named)
        self._values = values

    def _completed(self, values: tuple[Any, ...], named: dict[str, Any]) -> tuple[Any, ...]:
        given = {**dict(zip(self._fields, values, strict=False)), **named}
        known = {**self._defaults, **given}
        if known.keys() != set(self._fields) or len(given) < len(values) + len(named):
            raise TypeError(f"{type(self).__name__}() takes {', '.join(self._fields)}")
        return tuple([known[name] for name in self._fields])

    def as_dict(self) -> dict[str, Any]:
        """Return the fields by name, in types that JSON knows: keys as text, tags sorted."""
        return {name: self[name] for name in self._names}

    def __getitem__(self, name: str) -> Any:
        if name not in self._names:
            raise KeyError(name)
        return _text_of_key(self) if name == "key" else plain(getattr(self, name))

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)

    def __eq__(self, other: object) -> bool:
        if isinstance(other, Record):
            return type(self) is type(other) and self._compared() == other._compared()
        return NotImplemented

    def __hash__(self) -> int:
        return hash(self._compared())

    def _compared(self) -> tuple[Any, ...]:
        """Return what it is compared by: keys of calls as texts, as other processes get them."""
        return tuple(map(_compared, self._values))

    def __repr__(self) -> str:
        names = [name for name in self._names if name not in ("call", "loader")]
        text = partial(_shown, of_memory=getattr(self, "weighed_by", None) is not None)
        shown = [f"{name}={text(name, getattr(self, name))}" for name in names]
        return f"{type(self).__name__}({', '.join(shown)})"

    @property
    def __pydantic_serializer__(self) -> Any:
        """What pydantic writes one with where it expects anything, as in ``-> Any``."""
        core = sys.modules["pydantic_core"]  # which is what asks
        return core.SchemaSerializer(self.__get_pydantic_core_schema__(type(self), None))

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: Any) -> dict[str, Any]:
        """Have pydantic, and so FastAPI, take one as it is, and write it as a dictionary."""
        written = {"type": "function-plain", "function": cls.as_dict}
        written["return_schema"] = {"type": "dict"}
        return {"type": "is-instance", "cls": cls, "serialization": written}


R = TypeVar("R", bound=Record)


def record_of(kind: type[R], values: tuple[Any, ...]) -> R:
    """Return a record of all its values, in half the time that it takes to call its kind."""
    record = object.__new__(kind)
    record._values = values
    return record


def _compared(value: Any) -> Any:
    if isinstance(value, CallKey):
        return repr(value)
    return value


def _value_at(place: int) -> Callable[[Any], Any]:
    return lambda record: record._values[place]


def _text_of_key(record: Any) -> str:
    return text_of(record.key)


def plain(value: Any) -> Any:
    """Return ``value`` as what JSON knows; what is infinite ends never, and is None."""
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, str):
        return str.__str__(value)
    if isinstance(value, Mapping):
        return {plain(name): plain(each) for name, each in value.items()}
    if isinstance(value, frozenset):
        return sorted(value)
    if hasattr(value, "__index__"):
        return int(value)
    number = float(value)
    return number if math.isfinite(number) else None


_WEIGHTS = {"weight", "live", "loading", "retired", "dying", "zombies", "bytes", "budget"}
_SECONDS = {"age", "idle", "seconds", "load_seconds", "saved_seconds", "ends_in"}


def _shown(name: str, value: Any, *, of_memory: bool) -> str:
    """Return ``value`` for people, with its unit."""
    if name == "key" or value is None or isinstance(value, str):
        return short_text_of(str(value) if isinstance(value, enum.StrEnum) else value)
    if name in _WEIGHTS:
        return format_size(value) if of_memory else format_weight(value)
    if name in _SECONDS:
        return format_seconds(value)
    return short_text_of(plain(value) if isinstance(value, frozenset | Mapping) else value)


class OfKey(Record):
    """A record of what has a key."""

    __slots__ = ()
    _derived = ("call", "loader")

    key: Hashable

    @property
    def call(self) -> str:
        """The key as text; of a loader's, the call."""
        return text_of(self.key)

    @property
    def loader(self) -> str | None:
        """The name of the loader; None for what was stored by the mapping."""
        if isinstance(self.key, CallText):
            return self.key.loader
        return self.key.source.name if isinstance(self.key, CallKey) else None
