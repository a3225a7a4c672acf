"""How a cache that is shared by name is made, as its modules say it: policy and options.

Several may say it, and what they say has to mean the same, however it is written: a policy is its
class, a size its bytes, and what is left out its default.

Callables are compared by module and qualified name: a cell that is run again, a module that is
reloaded, makes the same anew, and that has to be no contradiction. A lambda has no name, so it is
compared by what it does as well (its code, what it closes over, its defaults), but not by its
line, which an edit above it changes. What is bound to an object is the same of that object alone:
of another it would be called for another.
"""

from __future__ import annotations

import operator
import os
import types
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial
from typing import Any, NamedTuple

from warmcache import _checks as checks
from warmcache import policies
from warmcache._sizes import parse_size
from warmcache._texts import short_text_of
from warmcache.caches.cache import Cache

from .three_questions import defaults_of

_GETTERS = (operator.attrgetter, operator.itemgetter, operator.methodcaller)
_OBJECT_BOUND = (types.MethodType, types.BuiltinMethodType, types.MethodWrapperType)


class Definition(NamedTuple):
    """The policy of a cache, a name or a class, and its options, as somebody has written them."""

    policy: Any
    options: dict[str, Any]

    @classmethod
    def of(cls, policy: Any, options: dict[str, Any]) -> Definition:
        """Return what these define, the default policy filled in."""
        return cls("lru" if policy is None else policy, options)

    def cache(self) -> Cache[Any, Any]:
        """Make such a cache."""
        made: Cache[Any, Any] = policies.create(self.policy, **self.options)
        return made

    def means(self, other: Definition) -> bool:
        """Whether ``other`` defines the same."""
        mine, theirs = _meant(self), _meant(other)
        return all(_same(mine.get(name), theirs.get(name)) for name in mine.keys() | theirs.keys())

    def __str__(self) -> str:
        written = {"policy": self.policy, **self.options}
        return f"({', '.join(f'{name}={_shown(value)}' for name, value in written.items())})"


def _meant(definition: Definition) -> dict[str, Any]:
    """Return what ``definition`` comes to, all that it leaves out included; None is no option."""
    try:
        making = policies.registry.making(definition.policy, definition.options)
        order = making.options.get("order")
        kind = making.kind._policy_class() if order is None else policies.registry.order(order)
    except (TypeError, ValueError):  # its policy has been unregistered since, say
        return {"policy": definition.policy, **definition.options}
    meant = {**defaults_of(kind), **defaults_of(making.kind), **making.options}
    if meant.get("budget") is None:
        meant["budget"] = meant.get("high")
    for name, reading in _READINGS.items():
        if meant.get(name) is not None or name == "maxsize":
            meant[name] = _read(reading, meant.get(name))
    return {**meant, "policy": making.kind, "order": kind}


def _read(reading: Callable[[Any], Any], value: Any) -> Any:
    """Return what is meant by ``value``; what cannot be is refused where a cache is made of it."""
    try:
        return reading(value)
    except (TypeError, ValueError):
        return value


def _share(value: Any) -> tuple[str, float]:
    """Return a size as what it is a number of: bytes, or devices."""
    number = parse_size(value)
    in_bytes = isinstance(value, str) or checks.is_whole_number(value) or number > 1
    return ("bytes" if in_bytes else "devices"), number


def _device(value: Any) -> int | str:
    from warmcache.probes.cuda_numbering import parse  # which comes with probes

    return parse(value)


_READINGS: Mapping[str, Callable[[Any], Any]] = {
    "maxsize": partial(checks.limit, "maxsize"),
    "budget": _share,
    "floor": _share,
    "headroom": _share,
    "device": _device,
    "learn": os.fspath,
    "record": os.fspath,
}


# -- what is the same ------------------------------------------------------------------


def _same(one: Any, other: Any) -> bool:
    if one is other:
        return True
    if callable(one) and callable(other):
        return _same_callable(one, other)
    if isinstance(one, bool) is not isinstance(other, bool):
        return False
    return _equal(one, other)


def _equal(one: Any, other: Any) -> bool:
    try:
        return bool(one == other)
    except Exception:  # arrays say so of each element
        return False


def _all_same(some: Iterable[Any], others: Iterable[Any]) -> bool:
    mine, theirs = [*some], [*others]
    return len(mine) == len(theirs) and all(map(_same, mine, theirs))


def _same_callable(one: Any, other: Any) -> bool:
    if _name_of(type(one)) != _name_of(type(other)):
        return False
    if isinstance(one, partial):
        return (
            _same(one.func, other.func)
            and _all_same(one.args, other.args)
            and one.keywords.keys() == other.keywords.keys()
            and all(_same(one.keywords[name], other.keywords[name]) for name in one.keywords)
        )
    if isinstance(one, _GETTERS):
        return _all_same(one.__reduce__()[1], other.__reduce__()[1])
    if isinstance(one, _OBJECT_BOUND) and not _same_owner(one.__self__, other.__self__):
        return False
    if not isinstance(getattr(one, "__qualname__", None), str):  # an instance that can be called
        return _equal(one, other)
    return _name_of(one) == _name_of(other) and (
        not one.__qualname__.endswith("<lambda>") or _does_the_same(one, other)
    )


def _name_of(thing: Any) -> tuple[Any, Any]:
    return getattr(thing, "__module__", None), getattr(thing, "__qualname__", None)


def _same_owner(one: Any, other: Any) -> bool:
    """Whether what is bound to these is bound to the same: an object, a class, a module."""
    both_classes = isinstance(one, type) and isinstance(other, type)
    return one is other or (both_classes and _same(one, other))


def _does_the_same(one: Any, other: Any) -> bool:
    mine, theirs = [*_text(one.__code__)], [*_text(other.__code__)]
    return mine == theirs and _all_same(_parts(one), _parts(other))


def _parts(function: Any) -> Iterator[Any]:
    """Yield what a function has besides its code."""
    yield from function.__defaults__ or ()
    for name, value in sorted((function.__kwdefaults__ or {}).items()):
        yield from (name, value)
    for cell in function.__closure__ or ():
        try:
            yield cell.cell_contents
        except ValueError:  # empty so far
            yield cell


def _text(code: types.CodeType) -> Iterator[Any]:
    """Yield what code is made of, but for where it is written."""
    yield code.co_code, code.co_names, code.co_varnames, code.co_freevars, code.co_flags
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            yield from _text(constant)
        else:
            yield type(constant), constant


# -- what it is called in messages -----------------------------------------------------


def _shown(value: Any) -> str:
    """Return ``value`` as one would write it: what can be called, by its name."""
    code = getattr(value, "__code__", None)
    if isinstance(value, type):
        return value.__qualname__
    if code is None or not isinstance(value, types.FunctionType):
        return short_text_of(value)
    if value.__name__ == "<lambda>":
        return f"<lambda of {value.__module__}, line {code.co_firstlineno}>"
    return f"{value.__module__}.{value.__qualname__}"
