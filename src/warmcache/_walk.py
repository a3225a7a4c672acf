"""What an object consists of: one walk for all that looks for something in a value.

It reads what objects have stored: attributes, slots, items, closures, defaults. It runs no
properties, and does not enter what an object shares with the rest of the program: modules, classes,
what belongs to the standard library, and what is this package's own.
"""

from __future__ import annotations

import enum
import functools
import gc
import sys
import types
import weakref
from collections import deque
from collections.abc import Callable, Container, Iterable, Iterator
from itertools import chain
from typing import Any, TypeAlias

from ._log import log
from ._ours import is_ours

Handler: TypeAlias = Callable[[Any], Iterable[object] | None]

_LEAVES = frozenset(
    [
        *(type(None), bool, int, float, complex, str, type, types.ModuleType),
        *(types.CodeType, types.FrameType, types.TracebackType),
        *(type(Ellipsis), type(NotImplemented), range, slice, property, staticmethod, classmethod),
        *(weakref.ref, weakref.ProxyType, types.CoroutineType),
    ]
)
_SHARED = ("torch._", "torch.fx", "torch.distributed", "importlib", "numpy")
_OF_C = {"builtins", "itertools"}
_WALKED_STDLIB = {"collections", "dataclasses", "functools", "types"}


def walk(value: object, special: Callable[[type], Handler | None]) -> None:
    """Visit each object that ``value`` consists of, once.

    Args:
        value: anything.
        special: given a type, returns what is to be done with its objects, or None to have them
            entered as any other. What a handler returns is visited in its turn.
    """
    handlers: dict[type, Handler] = {}
    # What was seen stays referred to, so that no id is given to another object.
    seen: dict[int, object] = {}
    waiting = [value]
    while waiting:
        thing = waiting.pop()
        kind = type(thing)
        if kind in _LEAVES or id(thing) in seen:
            continue
        seen[id(thing)] = thing
        try:
            handler = handlers.get(kind)
            if handler is None:
                handler = handlers[kind] = special(kind) or _usual(kind)
            waiting.extend(handler(thing) or ())
        except Exception as error:  # an object of a strange make is nobody's failure
            log().debug("a %s cannot be walked: %s", kind.__qualname__, error)


def imported(name: str, *needed: str) -> Any:
    """Return a module that is imported as far as to have what is needed, or None."""
    module = sys.modules.get(name)
    return module if all(hasattr(module, attribute) for attribute in needed) else None


def _usual(kind: type) -> Handler:
    if is_ours(_path(kind)):
        return nothing_inside
    return _container(kind) or (attributes if _is_entered(kind) else nothing_inside)


# -- what is inside of what ------------------------------------------------------------------


def module_parts(bookkeeping: Container[str], module: Any) -> Iterable[object]:
    """Return what a ``torch.nn.Module`` has, without its dozen empty dicts of hooks."""
    own = module.__dict__
    more = [value for name, value in own.items() if name not in bookkeeping]
    return chain(
        own["_parameters"].values(), own["_buffers"].values(), own["_modules"].values(), more
    )


def _container(kind: type) -> Handler | None:
    """Return what gives the items of containers, and their attributes, if ``kind`` is one."""
    for base in (dict, list, tuple, set, frozenset, deque):
        if issubclass(kind, base):
            items: Handler = _pairs if base is dict else base.__iter__
            if kind is base:
                return items
            return functools.partial(_items_and_attributes, items)
    if issubclass(kind, functools.partial):
        return lambda thing: (thing.func, thing.args, thing.keywords, thing.__dict__)
    if issubclass(kind, types.MethodType):
        return lambda thing: (thing.__self__, thing.__func__)
    if issubclass(kind, types.FunctionType):
        return lambda thing: (*_closure(thing), *thing.__dict__.values(), *_defaults(thing))
    if issubclass(kind, weakref.WeakKeyDictionary):
        return lambda thing: tuple(dict.values(thing.data))
    if _path(kind) in _OF_C and not issubclass(kind, BaseException):
        return gc.get_referents  # iterators, views, bound methods: nothing of them runs
    return None


def _items_and_attributes(items: Handler, thing: Any) -> Iterable[object]:
    return chain(items(thing) or (), attributes(thing))


def _pairs(thing: Any) -> Iterable[object]:
    return chain(tuple(dict.keys(thing)), tuple(dict.values(thing)))


def _closure(function: types.FunctionType) -> Iterator[object]:
    for cell in function.__closure__ or ():
        try:
            yield cell.cell_contents
        except ValueError:  # nothing in it yet
            pass


def _defaults(function: types.FunctionType) -> Iterable[object]:
    return *(function.__defaults__ or ()), *(function.__kwdefaults__ or {}).values()


def attributes(thing: object) -> Iterable[object]:
    """Yield what an object has stored, and run nothing of it."""
    try:
        yield from tuple(object.__getattribute__(thing, "__dict__").values())
    except AttributeError:
        pass
    for base in type(thing).__mro__:
        for member in tuple(vars(base).values()):
            if isinstance(member, types.MemberDescriptorType) and member.__objclass__ is base:
                try:
                    yield member.__get__(thing)
                except AttributeError:  # an empty slot
                    pass


def nothing_inside(thing: object) -> None:
    """Leave alone what is shared, or holds nothing."""


def _path(kind: type) -> str:
    """Return the module of a class; a class may make something else of ``__module__``."""
    path: object = kind.__module__
    return path if isinstance(path, str) else ""


def _is_entered(kind: type) -> bool:
    """Whether an object of this type is the value's own, rather than the program's."""
    if issubclass(kind, type | enum.Enum | types.ModuleType | BaseException):
        return False
    path = _path(kind)
    package = path.partition(".")[0]
    if package in sys.stdlib_module_names:
        return package in _WALKED_STDLIB or package == "__main__"
    return not path.startswith(_SHARED)
