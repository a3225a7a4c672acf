"""What a loader that is defined here means, to be told from the one before it.

A digest, see ``digest.py``, is for another process: what lives in a module that can be imported
is its name there, and a list is what is in it. Here the module is what is edited, and the list
may be what the loader logs into. So what is of the loader's own module counts by what it is
made of, and an object that is not immutable by what it was when it was first looked at: as long
as it is the same object it means the same, and one made anew means the same if it is equal.

Invariant: to look costs little and keeps little alive. Nobody has asked for it, and what a
loader reads may be a model. So what is large is not taken apart, and is only ever itself. What
was looked at is remembered weakly; what cannot be, as a list, is kept, but not what is in it.
"""

from __future__ import annotations

import types
import weakref
from collections.abc import Mapping
from itertools import count
from typing import Any, NamedTuple

from warmcache._loaders.methods import WarmMethod
from warmcache._named import module_of
from warmcache._rebound import Rebound, walked

from .digest import Walk, hashed, importable
from .local_loader import LocalLoader

_MOST_PARTS = 1_000  # of one object
_MOST_BYTES = 1 << 20  # of one array
_numbers = count()


class Meaning(NamedTuple):
    """What a thing means, and which objects that was found of, by number."""

    digest: bytes
    seen: Mapping[int, tuple[Any, bytes]]


def meaning(
    thing: Any, module: str, before: Meaning | None = None, *, only_itself: bool = False
) -> Meaning:
    """Return what ``thing`` means in ``module``, to be compared with ``before``.

    With ``only_itself``, an object that is not immutable is never equal to another.
    """
    seen = before.seen if before is not None else {}

    def walk_of(left_out: set[Rebound]) -> _Meaning:
        return _Meaning(left_out, module, seen, only_itself=only_itself)

    result, walk = walked(walk_of, thing)
    return Meaning(result, walk.seen)


class _TooLarge(BaseException):
    """What was begun to be taken apart is large: not an error that a walk takes for an answer."""


class _Meaning(Walk):
    """A walk that takes objects for what they were when they were first looked at."""

    def __init__(
        self,
        left_out: set[Rebound],
        module: str,
        before: Mapping[int, tuple[Any, bytes]],
        *,
        only_itself: bool,
    ) -> None:
        super().__init__(left_out)
        self.seen: dict[int, tuple[Any, bytes]] = {}
        self._module = module
        self._before = before
        self._only_itself = only_itself
        self._left = 0
        self._inside = False  # of an object, whose parts are not remembered

    def _is_its_name(self, thing: Any) -> bool:
        return importable(thing) and module_of(thing) != self._module

    def of(self, thing: Any) -> bytes:
        if self._inside:
            self._left -= 1
            if self._left < 0:
                raise _TooLarge
        return super().of(thing)

    def _whole(self, kind: type, thing: Any) -> bytes:
        local = _local_loader(thing)
        if local is not None and not (kind is types.FunctionType and self._is_its_name(thing)):
            return hashed("loader", self.of(local.came_as or local.parts))
        if kind is types.BuiltinMethodType and not isinstance(thing.__self__, types.ModuleType):
            return hashed("method", thing.__name__.encode(), self.of(thing.__self__))
        if isinstance(thing, tuple) and not hasattr(thing, "__warm_digest__"):
            return hashed("tuple", self._name(kind), *self._all(thing))
        if not _is_object(thing):
            return super()._whole(kind, thing)
        if self._inside:
            return self._contents(kind, thing)
        return self._object_here(kind, thing)

    def _contents(self, kind: type, thing: Any) -> bytes:
        if getattr(thing, "nbytes", 0) > _MOST_BYTES:
            raise _TooLarge
        return super()._whole(kind, thing)

    def _object_here(self, kind: type, thing: Any) -> bytes:
        number = id(thing)
        if number in self._before and _same(self._before[number][0], thing):
            self.seen[number] = self._before[number]
            return self.seen[number][1]
        self._inside, self._left = True, _MOST_PARTS
        try:
            if self._only_itself and (kind.__hash__ is None or kind.__weakrefoffset__):
                raise _TooLarge
            result = self._contents(kind, thing)
        except _TooLarge:
            result = hashed("itself", str(next(_numbers)).encode())
        finally:
            self._inside = False
        try:
            reference: Any = weakref.ref(thing)
        except TypeError:
            reference = thing
        self.seen[number] = reference, result
        return result


def _same(reference: Any, thing: Any) -> bool:
    return reference is thing or (type(reference) is weakref.ref and reference() is thing)


def _is_object(thing: Any) -> bool:
    """Whether ``thing`` has an identity of its own, and is not just how something is written."""
    written = (types.FunctionType, types.MethodType, types.CodeType, types.CellType, type)
    other = (staticmethod, classmethod, property, types.ModuleType)
    return not isinstance(thing, (*written, *other)) and not hasattr(thing, "__warm_digest__")


def _local_loader(thing: Any) -> LocalLoader | None:
    """Return what ``thing`` is as a loader that is defined here, if it is one."""
    if isinstance(thing, types.FunctionType):
        found = getattr(thing.__dict__.get("__warm_digest__"), "__self__", None)
    else:
        found = vars(thing).get("_local") if isinstance(thing, WarmMethod) else None
    return found if isinstance(found, LocalLoader) else None
