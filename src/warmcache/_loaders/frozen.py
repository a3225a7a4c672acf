"""``freeze=True``: what was loaded, as what nobody can change for all others who are given it.

It is part of the load: after the loader, or the disk, has given a value, and before anybody else
sees it. What cannot change passes as it is; built-in containers are rebuilt of what cannot, to the
innermost part; an array is made read-only; an object of another class is asked for what is to be
kept. What is left is refused by the path to it, and the load fails: to keep a part that could
change would be to keep a promise half.

Which of these it is, the type alone decides (:func:`_way_of`). Subclasses of list, set and dict
are refused, though a list could be made of each: what they do beside that would be lost.
"""

from __future__ import annotations

import builtins
import dataclasses
import re
import sys
from collections.abc import Callable, Collection, Iterable
from datetime import date, datetime, time, timedelta, tzinfo
from decimal import Decimal
from enum import Enum
from fractions import Fraction
from ipaddress import (
    IPv4Address,
    IPv4Interface,
    IPv4Network,
    IPv6Address,
    IPv6Interface,
    IPv6Network,
)
from pathlib import Path, PosixPath, PurePath, PurePosixPath, PureWindowsPath, WindowsPath
from types import (
    BuiltinFunctionType,
    EllipsisType,
    MappingProxyType,
    MemberDescriptorType,
    NotImplementedType,
)
from typing import Any, TypeAlias, TypeVar
from uuid import UUID

from warmcache._signatures import not_coroutine
from warmcache._texts import kind_of, short_text_of
from warmcache.errors import FreezeError

HOOKS = ("__warm_freeze__", "as_immutable")
_TEXTS_AND_NUMBERS = (str, bytes, bool, int, float, complex)
_ATOMS = frozenset([*_TEXTS_AND_NUMBERS, type(None), range, EllipsisType, NotImplementedType])
# What cannot change, nor what is of a subclass that adds no attributes.
_IMMUTABLE = frozenset(
    [
        *(*_TEXTS_AND_NUMBERS, Decimal, Fraction, UUID, re.Pattern),
        *(date, datetime, time, timedelta),
        *(PurePath, PurePosixPath, PureWindowsPath, Path, PosixPath, WindowsPath),
        *(IPv4Address, IPv4Interface, IPv4Network, IPv6Address, IPv6Interface, IPv6Network),
    ]
)
# What the program has anyway, whoever loads it.
_OF_THE_PROGRAM = (type, Enum, tzinfo)


_Sized = TypeVar("_Sized", bound=Collection[Any])
_Step: TypeAlias = tuple[str, str]  # what an expression of a part has around that of the whole


class _ChangeableError(Exception):
    """A part of the value can change; ``path`` leads to it, the innermost step first."""

    def __init__(self, what: str) -> None:
        super().__init__(what)
        self.what = what
        self.path: list[_Step] = []

    def __str__(self) -> str:
        text = "result"
        for before, after in reversed(self.path):
            text = f"{before}{text}{after}"
        return f"{text}: {self.what}"


def freeze(name: str, value: Any, *of: Any) -> Any:
    """Return ``value``, which the loader of this ``name`` gave, as what nobody can change.

    It was given for one element ``of`` several: the argument that takes them, and the element.

    Raises:
        FreezeError: a part of it can be changed, and nobody says what to keep in its place.
    """
    try:
        return _Freezing().frozen(value)
    except _ChangeableError as found:
        where = str(found)
    except RecursionError:
        where = f"result: {kind_of(value)}, which is nested too deep"
    given = f"gave for {short_text_of(of[1])} of {of[0]}=" if of else "gave"
    raise FreezeError(
        f"{name}() says freeze=True, and {given} what can be changed, {where}; return something "
        f"else there, or give its class __warm_freeze__(), which returns what is to be kept"
    )


def refuse_class(cls: type) -> None:
    """Raise TypeError if instances of ``cls`` cannot be frozen, where that itself is decorated."""
    if _way_of(cls) is None:
        raise TypeError(
            f"freeze=True: instances of {cls.__name__} can be changed; make it a dataclass with "
            f"frozen=True, or give it __warm_freeze__(), which returns what is to be kept"
        )


def _item(at: Any) -> _Step:
    return "", f"[{short_text_of(at)}]"


def _member(at: int) -> _Step:
    return "list(", f")[{at}]"


def _attribute(name: str) -> _Step:
    return "", f".{name}"


class _Freezing:
    """One pass over one value. What stands in it twice is frozen once, and stays one object."""

    def __init__(self) -> None:
        self._ways: dict[type, _Way | None] = {}
        # By address; with what was frozen, so that no address is another object's.
        self._done: dict[int, tuple[Any, Any]] = {}
        self._inside: set[int] = set()

    def frozen(self, value: Any) -> Any:
        kind = type(value)
        if kind in _ATOMS:
            return value
        address = id(value)
        if address in self._done:
            return self._done[address][1]
        if address in self._inside:
            raise _ChangeableError(f"{kind_of(value)}, which contains itself")
        if kind not in self._ways:
            self._ways[kind] = _way_of(kind)
        way = self._ways[kind]
        if way is None:
            raise _ChangeableError(kind_of(value))
        self._inside.add(address)
        result = way(self, value)
        self._inside.discard(address)
        self._done[address] = value, result
        return result

    def _all(self, parts: Iterable[tuple[Any, Any]], step: Callable[[Any], _Step]) -> list[Any]:
        """Return ``parts`` frozen; each comes after that by which the ``step`` to it is known."""
        found = []
        for at, part in parts:
            try:
                found.append(self.frozen(part))
            except _ChangeableError as error:
                error.path.append(step(at))
                raise
        return found

    def _items(self, value: Iterable[Any]) -> list[Any]:
        return self._all(enumerate(value), _item)

    def _members(self, value: Iterable[Any]) -> list[Any]:
        return self._all(enumerate(value), _member)

    # -- what is done with which type --------------------------------------------------------

    def _as_it_is(self, value: Any) -> Any:
        return value

    def _asked(self, value: Any) -> Any:
        hook = next(name for name in HOOKS if hasattr(type(value), name))
        answer = not_coroutine(f"{hook}()", getattr(value, hook)())
        if answer is None:
            raise _ChangeableError(f"{kind_of(value)}, whose {hook}() returned None")
        return answer

    def _list(self, value: list[Any]) -> tuple[Any, ...]:
        return tuple(self._items(value))

    def _tuple(self, value: tuple[Any, ...]) -> tuple[Any, ...]:
        parts = self._items(value)
        return value if _same(parts, value) else tuple.__new__(type(value), parts)

    def _set(self, value: set[Any]) -> frozenset[Any]:
        return _all_of(value, frozenset(self._members(value)))

    def _frozenset(self, value: frozenset[Any]) -> frozenset[Any]:
        parts = self._members(value)
        return value if _same(parts, value) else _all_of(value, frozenset(parts))

    def _mapping(self, value: Any) -> MappingProxyType[Any, Any]:
        own = dict(value)
        values = self._all(own.items(), _item)
        result = dict(zip(self._members(own), values, strict=True))
        return MappingProxyType(_all_of(value, result))

    def _frozen_dict(self, value: Any) -> Any:
        frozen = self._mapping(value)
        return value if _same([*frozen.values()], value.values()) else type(value)(frozen)

    def _dataclass(self, value: Any) -> Any:
        names = dict.fromkeys(each.name for each in dataclasses.fields(value))
        # And what is none of them, of its own or of a base that is no dataclass.
        names |= dict.fromkeys([*getattr(value, "__dict__", ()), *_slots(type(value))])
        own = {name: getattr(value, name) for name in names if hasattr(value, name)}
        parts = self._all(own.items(), _attribute)
        if _same(parts, own.values()):
            return value
        twin = object.__new__(type(value))
        for name, part in zip(own, parts, strict=True):
            object.__setattr__(twin, name, part)
        return twin

    def _array(self, value: Any) -> Any:
        if value.dtype.hasobject:
            raise _ChangeableError(f"numpy.ndarray of {value.dtype!r}, which refers to objects")
        if _is_frozen_array(value):
            return value
        own = value if value.flags.owndata else value.copy(order="K")  # else its base could change
        own.flags.writeable = False
        return own.view()  # of which that cannot be set back


_Way: TypeAlias = Callable[[_Freezing, Any], Any]
_EXACTLY: dict[type, _Way] = {
    list: _Freezing._list,
    set: _Freezing._set,
    frozenset: _Freezing._frozenset,
    dict: _Freezing._mapping,
    MappingProxyType: _Freezing._mapping,  # others may have what is below it
    bytearray: lambda _, value: bytes(value),
}
if (_frozen_dict := vars(builtins).get("frozendict")) is not None:  # since Python 3.15
    _EXACTLY[_frozen_dict] = _Freezing._frozen_dict


def _way_of(kind: type) -> _Way | None:
    """Return how what is of this type is frozen; None where nobody knows."""
    if any(hasattr(kind, hook) for hook in HOOKS):
        return _Freezing._asked
    if kind in _EXACTLY:
        return _EXACTLY[kind]
    if issubclass(kind, _OF_THE_PROGRAM):
        return _Freezing._as_it_is
    numpy = sys.modules.get("numpy")  # else nothing is of it
    if kind is getattr(numpy, "ndarray", None):
        return _Freezing._array
    if issubclass(kind, getattr(numpy, "void", ())):
        return None
    parameters = vars(kind).get("__dataclass_params__")
    if parameters is not None and parameters.frozen:
        return None if _has_more_than_attributes(kind) else _Freezing._dataclass
    known = {*_IMMUTABLE, tuple, getattr(numpy, "generic", tuple)}
    base = next((each for each in kind.__mro__ if each in known), None)
    if base is None or _adds_attributes(kind, base):
        return None
    return _Freezing._tuple if base is tuple else _Freezing._as_it_is


def _adds_attributes(kind: type, base: type) -> bool:
    """Whether instances have attributes that those of ``base`` have not, and which can be set."""
    if kind is base:
        return False
    own = [each for each in kind.__mro__ if each not in base.__mro__]
    return bool(kind.__dictoffset__) or any(vars(each).get("__slots__") for each in own)


def _has_more_than_attributes(kind: type) -> bool:
    """Whether instances are made of what C knows, such as the items of a list."""
    news = [vars(each).get("__new__") for each in kind.__mro__ if each is not object]
    return any(isinstance(new, BuiltinFunctionType) for new in news)


def _slots(kind: type) -> list[str]:
    """Return the names of what instances have in slots."""
    return [
        name
        for each in kind.__mro__
        for name, slot in vars(each).items()
        if isinstance(slot, MemberDescriptorType)
    ]


def _is_frozen_array(value: Any) -> bool:
    """Whether neither an array of numpy can be written to, nor that of which it is a view."""
    base = value.base
    if type(base) is not type(value) or value.flags.writeable:
        return False
    return base.flags.owndata and not base.flags.writeable


def _all_of(value: Any, result: _Sized) -> _Sized:
    """Return ``result``, to which ``value`` has come, if nothing of it is lost."""
    if len(result) < len(value):
        raise _ChangeableError(f"{kind_of(value)}, of which some are equal once they are frozen")
    return result


def _same(parts: Iterable[Any], before: Iterable[Any]) -> bool:
    return all(part is old for part, old in zip(parts, before, strict=True))
