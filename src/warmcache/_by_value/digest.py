"""What a function means, as a text that is equal where the meaning is.

A digest covers a function's bytecode, constants and names, its defaults, what it closes
over, and the globals it reads; functions and classes among these likewise, unless they
can be imported, for then they are their name. File names and line numbers do not
count, nor does anything that differs between two runs of one program, as hashes and
addresses do, nor what the functions among these store to, see ``_rebound.py``.

Other objects count by what pickle would take of them; of what cannot be pickled, a lock
or a connection, only the type is known. A class says otherwise with a method
``__warm_digest__``, which returns what stands for the instance.
"""

from __future__ import annotations

import sys
import types
from collections.abc import Iterable, Iterator
from typing import Any

from warmcache._code_parts import (
    CACHED,
    INCIDENTAL,
    WRAPPERS,
    contents_of_cell,
    globals_read,
    parts_of_code,
)
from warmcache._named import is_found, module_of, qualified
from warmcache._rebound import Rebound, rebound_by, stored_to, walked

_ATOMS = (type(None), bool, int, float, complex, str, bytes, type(...), type(NotImplemented))
_FUNCTIONS = (types.FunctionType, CACHED)


def digest(thing: object) -> str:
    """Return the digest of ``thing``, a text of 32 characters. It never raises."""
    result, _ = walked(Walk, thing)
    return result.hex()


def importable(thing: Any) -> bool:
    """Whether ``thing``, a function or class, is found under its name in its module.

    Not so if its module is one that cloudpickle was told to take by value.
    """
    module = module_of(thing)
    return module != "__main__" and is_found(thing) and not _goes_by_value(module)


def _goes_by_value(module: str) -> bool:
    for pickler in ("cloudpickle", "ray.cloudpickle"):
        registered: set[str] = getattr(
            sys.modules.get(pickler), "list_registry_pickle_by_value", set
        )()
        if any(f"{module}.".startswith(f"{name}.") for name in registered):
            return True
    return False


class Walk:
    """One walk through what a thing is made of, each object visited once.

    Attributes:
        rebound: what the functions that it has met store to.
    """

    def __init__(self, left_out: set[Rebound]) -> None:
        self.rebound: set[Rebound] = set()
        self._left_out = left_out
        self._done: dict[int, bytes] = {}
        self._under_way: dict[int, int] = {}
        self._kept: list[object] = []  # so that no two objects have one number

    def of(self, thing: Any) -> bytes:
        kind = type(thing)
        if kind in _ATOMS:
            text = hex(thing) if kind is int else repr(thing)  # repr() refuses large integers
            return hashed(kind.__name__, text.encode("utf-8", "surrogatepass"))
        number = id(thing)
        if number in self._done:
            return self._done[number]
        if number in self._under_way:  # it contains itself
            return hashed("again", str(self._under_way[number]).encode())
        self._under_way[number] = len(self._under_way)
        self._kept.append(thing)
        try:
            result = self._whole(kind, thing)
        except Exception:  # it does not let itself be looked at
            result = hashed("opaque", self._name(kind))
        finally:
            del self._under_way[number]
        self._done[number] = result
        return result

    def _all(self, things: Iterable[Any]) -> Iterator[bytes]:
        return map(self.of, things)

    def _whole(self, kind: type, thing: Any) -> bytes:
        if kind in (tuple, list):
            return hashed(kind.__name__, *self._all(thing))
        if kind in (set, frozenset):
            return hashed("set", *sorted(self._all(thing)))
        if kind in (dict, types.MappingProxyType):
            return hashed("dict", *sorted(self.of(key) + self.of(thing[key]) for key in thing))
        if kind is types.CodeType:
            return self._code(thing)
        if kind is types.ModuleType:
            return hashed("module", thing.__name__.encode())
        if kind is types.CellType:
            left_out = (id(thing), "") in self._left_out
            return hashed("cell", *self._all(() if left_out else contents_of_cell(thing)))
        is_class = issubclass(kind, type)
        if (is_class or kind in _FUNCTIONS) and self._is_its_name(thing):
            return hashed("named", self._name(thing))
        if kind in WRAPPERS:
            parts = [getattr(thing, name) for name in WRAPPERS[kind]]
            return hashed(kind.__name__, *self._all(parts))
        if is_class:
            return self._class(thing)
        if hasattr(thing, "__warm_digest__"):
            return hashed("stands for", self._name(kind), self.of(thing.__warm_digest__()))
        return self._function(thing) if kind is types.FunctionType else self._object(thing)

    def _is_its_name(self, thing: Any) -> bool:
        """Whether a function or class counts as its name, and not as what it is made of."""
        return importable(thing)

    def _function(self, function: types.FunctionType) -> bytes:
        known = function.__globals__
        self.rebound.update(rebound_by(function))
        left_out = {name for where, name in self._left_out if where == id(known)}
        left_out.add("__name__")
        reads = sorted(set(globals_read(function.__code__)) & known.keys() - left_out)
        return hashed(
            "function",
            self.of(function.__code__),
            self.of(function.__defaults__),
            self.of(function.__kwdefaults__),
            self.of(function.__closure__),
            *self._all(part for name in reads for part in (name, known[name])),
        )

    def _code(self, code: types.CodeType) -> bytes:
        return hashed("code", *self._all(parts_of_code(code)))

    def _class(self, cls: type) -> bytes:
        own = [(name, value) for name, value in vars(cls).items() if name not in INCIDENTAL]
        slots = (types.GetSetDescriptorType, types.MemberDescriptorType)
        own = [(name, value) for name, value in own if not isinstance(value, slots)]
        own = [item for item in own if not stored_to(cls, item[0], self._left_out)]
        return hashed(
            "class",
            cls.__name__.encode(),
            *self._all((type(cls), *cls.__bases__)),
            *self._all(part for item in own for part in item),
        )

    def _object(self, thing: Any) -> bytes:
        reduced = thing.__reduce_ex__(4)
        if isinstance(reduced, str):
            return hashed("named", self._name(type(thing)), reduced.encode())
        parts = [list(part) if isinstance(part, Iterator) else part for part in reduced]
        return hashed("object", self._name(type(thing)), *self._all(parts))

    def _name(self, thing: Any) -> bytes:
        return qualified(thing).encode()


def hashed(kind: str, *parts: bytes) -> bytes:
    import hashlib

    found = hashlib.blake2b(digest_size=16, person=kind.encode()[:16])
    for part in parts:
        found.update(len(part).to_bytes(8, "big"))
        found.update(part)
    return found.digest()
