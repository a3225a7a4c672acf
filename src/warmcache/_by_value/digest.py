"""What a function means, as a text that is equal where the meaning is.

A digest covers a function's bytecode, constants and names, its defaults, what it closes
over, and the globals it reads; functions and classes among these likewise, unless they
can be imported, for then they are their name. File names and line numbers do not
count, nor does anything that differs between two runs of one program, as hashes and
addresses do, nor what the functions among these store to, see ``rebound.py``.

Other objects count by what pickle would take of them; of what cannot be pickled, a lock
or a connection, only the type is known. A class says otherwise with a method
``__warm_digest__``, which returns what stands for the instance.
"""

from __future__ import annotations

import functools
import opcode
import sys
import types
from collections.abc import Callable, Iterable, Iterator
from typing import Any, TypeVar

from .rebound import Rebound, rebound_by, stored_to

_READS = {  # opcodes that read a global, and by how much to shift the argument
    opcode.opmap[name]: shift
    for name, shift in (
        ("LOAD_GLOBAL", 1),
        ("LOAD_NAME", 0),
        ("LOAD_FROM_DICT_OR_GLOBALS", 0),
    )
    if name in opcode.opmap
}
_EXTENDED_ARG = opcode.opmap["EXTENDED_ARG"]
_ATOMS = (type(None), bool, int, float, complex, str, bytes, type(...), type(NotImplemented))
_CACHED = type(functools.lru_cache(len))
_FUNCTIONS = (types.FunctionType, _CACHED)
_WRAPPERS: dict[type, tuple[str, ...]] = {  # what wraps a function, and where it has it
    staticmethod: ("__func__",),
    classmethod: ("__func__",),
    types.MethodType: ("__func__", "__self__"),
    property: ("fget", "fset", "fdel"),
    functools.partial: ("func", "args", "keywords"),
    functools.cached_property: ("func",),
    _CACHED: ("__wrapped__",),
}
# Of a class: what it is made with, and does not mean.
_INCIDENTAL = {
    *("__dict__", "__weakref__", "__module__", "__qualname__", "__doc__", "__annotations__"),
    *("__firstlineno__", "__static_attributes__", "__annotate__", "__annotate_func__"),
    *("__annotations_cache__", "_abc_impl", "__abstractmethods__", "__slotnames__"),
}


def digest(thing: object) -> str:
    """Return the digest of ``thing``, a text of 32 characters. It never raises."""
    result, _ = walked(Walk, thing)
    return result.hex()


def importable(thing: Any) -> bool:
    """Whether ``thing``, a function or class, is found under its name in its module.

    Not so if its module is one that cloudpickle was told to take by value.
    """
    name = getattr(thing, "__qualname__", None)
    module = module_of(thing)
    if not isinstance(name, str) or module == "__main__" or _goes_by_value(module):
        return False
    found: Any = sys.modules.get(module)
    for part in name.split("."):
        found = getattr(found, part, None)
    return found is thing


def _goes_by_value(module: str) -> bool:
    for pickler in ("cloudpickle", "ray.cloudpickle"):
        registered: set[str] = getattr(
            sys.modules.get(pickler), "list_registry_pickle_by_value", set
        )()
        if any(f"{module}.".startswith(f"{name}.") for name in registered):
            return True
    return False


def module_of(thing: Any) -> str:
    """Return the name of the module of ``thing``; a main module is ``__main__`` in children too."""
    module = str(getattr(thing, "__module__", None) or type(thing).__module__)
    return "__main__" if module == "__mp_main__" else module


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
            return hashed("cell", *self._all(() if left_out else _contents(thing)))
        is_class = issubclass(kind, type)
        if (is_class or kind in _FUNCTIONS) and self._is_its_name(thing):
            return hashed("named", self._name(thing))
        if kind in _WRAPPERS:
            parts = [getattr(thing, name) for name in _WRAPPERS[kind]]
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
        reads = sorted(set(_globals_of(function.__code__)) & known.keys() - {"__name__"} - left_out)
        return hashed(
            "function",
            self.of(function.__code__),
            self.of(function.__defaults__),
            self.of(function.__kwdefaults__),
            self.of(function.__closure__),
            *self._all(part for name in reads for part in (name, known[name])),
        )

    def _code(self, code: types.CodeType) -> bytes:
        parts = (
            *(code.co_name, code.co_code, code.co_exceptiontable, code.co_consts),
            *(code.co_names, code.co_varnames, code.co_freevars, code.co_cellvars),
            *(code.co_argcount, code.co_posonlyargcount, code.co_kwonlyargcount, code.co_flags),
        )
        return hashed("code", *self._all(parts))

    def _class(self, cls: type) -> bytes:
        own = [(name, value) for name, value in vars(cls).items() if name not in _INCIDENTAL]
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
        return f"{module_of(thing)}.{thing.__qualname__}".encode()


W = TypeVar("W", bound=Walk)


def walked(walk: Callable[[set[Rebound]], W], thing: Any) -> tuple[bytes, W]:
    """Return the digest of ``thing`` and the walk that found it, which leaves out what is rebound.

    What is, it takes a walk to know, and so another to leave it out.
    """
    left_out: set[Rebound] = set()
    while True:
        this = walk(left_out)
        result = this.of(thing)
        if this.rebound <= left_out:
            return result, this
        left_out |= this.rebound


def hashed(kind: str, *parts: bytes) -> bytes:
    import hashlib

    found = hashlib.blake2b(digest_size=16, person=kind.encode()[:16])
    for part in parts:
        found.update(len(part).to_bytes(8, "big"))
        found.update(part)
    return found.digest()


def _contents(cell: types.CellType) -> tuple[Any, ...]:
    try:
        return (cell.cell_contents,)
    except ValueError:  # empty so far
        return ()


def _globals_of(code: types.CodeType) -> Iterator[str]:
    """Yield the names that ``code``, and any code in it, may look up in its module."""
    text, high = code.co_code, 0
    for at in range(0, len(text), 2):
        operation, argument = text[at], text[at + 1] | high
        high = argument << 8 if operation == _EXTENDED_ARG else 0
        if operation in _READS:
            yield code.co_names[argument >> _READS[operation]]
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            yield from _globals_of(constant)
