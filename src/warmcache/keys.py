"""What makes two calls the same call.

A key is made of a call's arguments as its signature binds them, defaults applied,
and compared by equality: ``f(1)``, ``f(x=1)`` and ``f(1, y=<its default>)`` are one
key. Hashable arguments are part of it as they are; lists, dicts, sets, namespaces,
dataclasses, classes of attrs and pydantic models by what they contain at the time of the
call, and by what they have besides, which their ``==`` ignores. What is compared by identity
and has weights or another state that its own methods change, as a ``torch.nn.Module``, is
refused: it would be the same key after each change.
"""

from __future__ import annotations

import sys
from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence, Set
from types import CoroutineType, MemberDescriptorType, SimpleNamespace
from typing import Any, Self

from ._array_contents import by_content
from ._public import list_public
from ._texts import text_of
from .errors import KeyingError

__all__ = ["CallKey", "CallText", "by_content", "drop_if_equal"]

# The types of what is part of a key as it is: neither its value nor its hash ever changes.
ATOMS = frozenset({str, int, float, bool, bytes, type(None), complex})

list_public(globals())


class _Dropped:
    """Stands in a key for an argument that was dropped from it."""

    def __repr__(self) -> str:
        return "..."


DROPPED = _Dropped()


class Unchanged:
    """Stands in a key for a default that cannot be part of one, where it was not changed."""

    __slots__ = ("name",)

    def __init__(self, name: str) -> None:
        self.name = name

    def __repr__(self) -> str:
        return f"<default of {self.name}>"


class Defaults:
    """The defaults of a loader that cannot be part of a key; unchanged, each is known as itself."""

    def __init__(self, parameters: Iterable[Any]) -> None:
        self._known: dict[int, tuple[Any, Unchanged]] = {}
        for parameter in parameters:
            try:
                frozen(parameter.default)
            except Exception:
                self._known[id(parameter.default)] = parameter.default, Unchanged(parameter.name)

    def __bool__(self) -> bool:
        return bool(self._known)

    def stood_for(self, raw: Any) -> Any:
        """Return ``raw`` with what stands for the defaults in it."""
        if type(raw) is tuple:
            return tuple(map(self.stood_for, raw))
        known = self._known.get(id(raw))
        return raw if known is None else known[1]


def drop_if_equal(default: Any) -> Callable[[Any], Any]:
    """Return a ``key=`` part that leaves an argument out when it equals ``default``.

    So a new argument can be added to a loader without changing the keys of calls
    that do not use it::

        @warm(key={"temperature": drop_if_equal(0)})
    """

    def part(value: Any) -> Any:
        if is_array(value):
            return value  # to be refused, with advice
        return DROPPED if value == default else value

    return part


class CallKey(tuple[Any, ...]):
    """The key, in its cache, of one call of one loader; it prints as that call.

    To another process, where it means nothing, it travels as its text.
    """

    __slots__ = ()

    @classmethod
    def of(cls, parts: tuple[Any, ...]) -> CallKey:
        """Return the key of a call with these parts, whatever their hashes come to."""
        key = _HashedOnce(parts)
        key._hash = _hash_of(key)
        return key

    @property
    def source(self) -> Any:
        """What the entries of its loader share."""
        return self[0]

    def __reduce__(self) -> tuple[object, ...]:
        return CallText, (repr(self), self.source.name)

    def __repr__(self) -> str:
        return shown(self, text_of)


class CallText(str):
    """A key as it arrives in another process: the text of the call, and the name of its loader."""

    __slots__ = ("loader",)
    loader: str

    def __new__(cls, text: str, loader: str) -> Self:
        made = super().__new__(cls, text)
        made.loader = loader
        return made

    def __reduce__(self) -> tuple[object, ...]:
        return CallText, (str(self), self.loader)

    def __str__(self) -> str:
        return str.__str__(self)

    __repr__ = __str__


_hash_of = tuple.__hash__


class _HashedOnce(CallKey):
    """One whose hash is taken once.

    An argument that changes its own afterwards must not keep the cache from removing the entry.
    That costs each look-up a call, which those of texts and numbers do without.
    """

    _hash: int

    def __hash__(self) -> int:
        return self._hash


def shown(part: Any, text: Callable[[Any], str] = repr) -> str:
    """Return the text of a key or a part of one; sets are sorted, so that processes agree.

    It raises what an argument's own ``repr`` does, unless ``text`` is one that never fails.
    """
    if type(part) is tuple:
        return f"({', '.join(_all_shown(part, text))}{',' if len(part) == 1 else ''})"
    if type(part) is frozenset:
        return f"{{{', '.join(sorted(_all_shown(part, text)))}}}"
    if isinstance(part, CallKey):
        return f"{part.source.name}({', '.join(_arguments(part, text))})"
    if type(part) is _Contents:
        return f"{part.kind.__name__}:{shown(part.contents, text)}"
    return text(part)


def _arguments(key: CallKey, text: Callable[[Any], str]) -> Iterator[str]:
    """Yield the texts of what a call was given, spread out as it was."""
    positional, keywords = key.source.spread
    for place, part in enumerate(key[1:], 1 - len(key)):
        if place == positional and type(part) is tuple:
            yield from _all_shown(part, text)
        elif place == keywords and type(part) is frozenset:
            yield from sorted(f"{name}={shown(value, text)}" for name, value, *_ in part)
        else:
            yield shown(part, text)


def _all_shown(parts: Iterable[Any], text: Callable[[Any], str]) -> list[str]:
    return [shown(part, text) for part in parts]


class _Contents:
    """An unhashable value as a part of a key: its type and what was in it."""

    __slots__ = ("_hash", "contents", "kind")

    def __init__(self, kind: type, contents: Hashable) -> None:
        self.kind = kind
        self.contents = contents
        self._hash = hash((kind, contents))

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, _Contents):
            return NotImplemented
        return self.kind is other.kind and self.contents == other.contents

    def __hash__(self) -> int:
        return self._hash

    def __repr__(self) -> str:
        return shown(self, text_of)


def frozen(value: Any) -> Hashable:
    """Return what stands for ``value`` in a key; ``value`` itself where it can.

    A class can say so itself: ``__warm_key__`` is a method that returns what stands
    for the instance.

    Raises:
        KeyingError: ``value`` is an array or tensor, has a state that changes, is or
            contains something else unhashable, contains itself, or is nested too deep.
    """
    try:
        return _frozen(value)
    except RecursionError:
        why = "that contains itself, or is nested too deep,"
        raise KeyingError(f"a {_name(value)} {why} cannot be a key") from None


def _frozen(value: Any) -> Hashable:
    kind = type(value)
    if kind in ATOMS:
        return value  # type: ignore[no-any-return]
    if hasattr(kind, "__warm_key__") and not isinstance(value, type):
        return _Contents(kind, _frozen(value.__warm_key__()))
    if isinstance(value, CoroutineType):
        raise KeyingError("a coroutine cannot be part of a key: await it, and pass what it gives")
    if is_array(value):
        raise KeyingError(
            f"a {_name(value)} cannot be part of a key: it is compared element by element, "
            f"and may be changed. Pass what it was made from (a path, a name, a seed), or say with "
            f"key={{'<argument>': ...}} what stands for it: warmcache.by_content for what is in "
            f"it, None for nothing"
        )
    if isinstance(value, (tuple, frozenset)):
        return _frozen_collection(value)
    if is_record(value):
        return _frozen_record(value)
    if not _is_hashable(value):  # out here, or its error would be shown before ours
        return _frozen_unhashable(value)
    if setter := _setter_of_state(kind):
        raise KeyingError(
            f"a {_name(value)} cannot be part of a key: it is compared by identity, and would be "
            f"the same key after {setter}() and the like have changed it. Pass what it was made "
            f"from (a path, a name, a configuration, a seed), or say with "
            f"key={{'<argument>': ...}} what stands for it: None for nothing, weakref.ref for this "
            f"very object, whatever happens to it"
        )
    return value  # type: ignore[no-any-return]


def _is_hashable(value: Any) -> bool:
    try:
        hash(value)
    except TypeError:
        return False
    return True


# By which pairs of methods a class says that its instances have a state that is put in: modules,
# optimizers and schedulers of torch; models of Keras; estimators; generators of random numbers.
_STATES = (
    ("state_dict", "load_state_dict"),
    ("get_weights", "set_weights"),
    ("get_params", "set_params"),
    ("get_state", "set_state"),
    ("getstate", "setstate"),
    ("bit_generator", "random"),  # numpy's, which has no method for it
)


def _setter_of_state(kind: Any) -> str | None:
    """Return what changes the state of instances of ``kind``, if only identity tells them apart."""
    if kind.__eq__ is not object.__eq__:
        return None
    return next((put for get, put in _STATES if hasattr(kind, get) and hasattr(kind, put)), None)


def _frozen_collection(value: Any) -> Hashable:
    parts = [_frozen(part) for part in value]
    if all(part is original for part, original in zip(parts, value, strict=True)):
        return value  # type: ignore[no-any-return]
    kind = type(value)
    return kind(parts) if kind in (tuple, frozenset) else _Contents(kind, tuple(parts))


def is_record(value: Any) -> bool:
    """Whether ``value`` is a dataclass, one of attrs, or a pydantic model."""
    kind: Any = type(value)
    if hasattr(kind, "__dataclass_fields__") or hasattr(kind, "__attrs_attrs__"):
        return not isinstance(value, type)
    return isinstance(getattr(kind, "model_fields", None), dict) and hasattr(kind, "model_dump")


def fields_of(value: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return what a record is compared by, and what it has besides."""
    kind: Any = type(value)
    if hasattr(kind, "__dataclass_fields__"):
        fields = sys.modules["dataclasses"].fields(value)  # it is there, or none were
        compared = {field.name: field.compare for field in fields}
    elif hasattr(kind, "__attrs_attrs__"):
        compared = {field.name: field.eq for field in kind.__attrs_attrs__}
    else:
        return _fields_of_model(value)
    contents = {name: getattr(value, name) for name, counts in compared.items() if counts}
    for field in getattr(kind, "__attrs_attrs__", ()):  # eq=str.lower; a class compares in its way
        as_compared = getattr(field, "eq_key", None)
        if field.eq and as_compared is not None and not isinstance(as_compared, type):
            contents[field.name] = as_compared(contents[field.name])
    return contents, besides(value, compared)


def _fields_of_model(value: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return of a pydantic model all that its ``==`` compares, and the rest."""
    fields = type(value).model_fields
    contents = {name: getattr(value, name) for name in fields}
    contents |= getattr(value, "__pydantic_extra__", None) or {}
    contents |= getattr(value, "__pydantic_private__", None) or {}
    return contents, besides(value, fields)


def _frozen_record(value: Any) -> Hashable:
    kind: Any = type(value)
    if kind.__eq__ is object.__eq__:  # eq=False: compared by identity
        return value  # type: ignore[no-any-return]
    return _frozen_fields(value, *fields_of(value))


def _frozen_fields(value: Any, contents: dict[str, Any], rest: dict[str, Any]) -> Hashable:
    kind = type(value)
    parts = {name: _frozen(content) for name, content in contents.items()}
    as_it_is = kind.__hash__ is not None and not rest
    if as_it_is and all(part is contents[name] for name, part in parts.items()):
        return value  # type: ignore[no-any-return]
    parts |= {name: _frozen(content) for name, content in rest.items()}
    return _Contents(kind, frozenset(parts.items()))


def besides(value: Any, fields: Iterable[str]) -> dict[str, Any]:
    """Return the attributes of ``value`` that are none of its fields, and that ``==`` ignores.

    Of a class that keeps all it was told in such attributes, as some configurations do, any two
    instances are equal, and stand for different models all the same. What a property has kept
    is no such attribute: it was not there before somebody asked.
    """
    state = _state(value)
    names = state.keys() - fields
    return {name: state[name] for name in names if not _is_kept(type(value), name)}


def _state(value: Any) -> dict[str, Any]:
    """Return the attributes of ``value``, whether they are in a ``__dict__`` or in slots.

    Of what attrs has made slots for, all but the fields is kept: a hash, cached properties.
    """
    state = dict(getattr(value, "__dict__", ()))
    state.pop("_attrs_cached_hash", None)
    for base in type(value).__mro__:
        own = vars(base)
        if "__slots__" in own and "__attrs_attrs__" not in own:
            for name, slot in own.items():
                if isinstance(slot, MemberDescriptorType):
                    try:  # not by getattr(), which may have a __getattr__ make what is not there
                        state[name] = slot.__get__(value)
                    except AttributeError:
                        pass
    return state


def _is_kept(kind: type, name: str) -> bool:
    found = next((vars(base)[name] for base in kind.__mro__ if name in vars(base)), None)
    if isinstance(found, property):
        return True
    return hasattr(found, "__get__") and not hasattr(found, "__set__") and not callable(found)


def _frozen_unhashable(value: Any) -> Hashable:
    kind = type(value)
    rest = besides(value, ()) if isinstance(value, _CONTAINERS) else None
    if rest:
        return _Contents(kind, (_frozen_contents(value), _frozen(rest)))
    contents = _frozen_contents(value)
    if contents is not None:
        return contents
    raise KeyingError(
        f"a {_name(value)} cannot be part of a key: it is not hashable. Give its class a "
        f"__warm_key__ method, or say with key= what stands for it"
    )


_CONTAINERS = (dict, list, set, bytearray)  # of others the attributes are how they contain


def _frozen_contents(value: Any) -> Hashable:
    """Return what stands for a container that is not hashable; None: it is none."""
    if isinstance(value, SimpleNamespace) or is_namespace(value):
        return _Contents(type(value), frozenset((k, _frozen(v)) for k, v in vars(value).items()))
    if isinstance(value, Mapping):
        items = ((_frozen(k), _frozen(v)) for k, v in value.items())
        if isinstance(value, OrderedDict):  # compared in order
            return _Contents(OrderedDict, tuple(items))
        return _Contents(dict, frozenset(items))
    if isinstance(value, Set):
        return frozenset(_frozen(part) for part in value)
    if isinstance(value, Sequence):
        return _Contents(type(value), tuple(_frozen(part) for part in value))
    return None


def is_namespace(value: Any) -> bool:
    """Whether ``value`` is what ``argparse`` gives."""
    argparse = sys.modules.get("argparse")  # it is there, or there is no namespace of it
    return argparse is not None and isinstance(value, argparse.Namespace)


def is_array(value: Any) -> bool:
    """Whether ``value`` is an array or tensor, of whatever library."""
    kind = type(value)
    if hasattr(kind, "__dlpack__") or hasattr(kind, "__cuda_array_interface__"):
        return True
    return hasattr(kind, "__array__") and getattr(value, "ndim", 1) != 0


def _name(value: Any) -> str:
    return f"{type(value).__module__}.{type(value).__qualname__}".removeprefix("builtins.")


def frozen_items(kwargs: dict[str, Any]) -> Hashable:
    """Return what stands for ``**kwargs`` in a key."""
    try:
        return frozenset(kwargs.items())
    except TypeError:
        return frozenset((name, _frozen(value)) for name, value in kwargs.items())


def typed_part(value: Any) -> tuple[Any, type]:
    """Return what stands for ``value`` where its type counts."""
    return value, type(value)


def typed_items(kwargs: dict[str, Any]) -> Hashable:
    """Return what stands for ``**kwargs`` in a key where types count."""
    return frozen_items({name: typed_part(value) for name, value in kwargs.items()})


def checked_parts(
    key: Callable[..., Hashable] | Mapping[str, Callable[[Any], Any] | None] | None,
    parameters: Mapping[str, Any],
) -> Mapping[str, Callable[[Any], Any] | None]:
    """Return the per-argument part of ``key=``, empty if it is a callable or missing.

    Raises:
        TypeError: it names something that is no argument, or a part is not callable.
    """
    if key is None or callable(key):
        return {}
    if not isinstance(key, Mapping):
        raise TypeError(f"key must be callable or a mapping of arguments, got {text_of(key)}")
    for name, part in key.items():
        if name not in parameters:
            known = ", ".join(parameters) or "none"
            raise TypeError(f"key= names {text_of(name)}, which is no argument; there are: {known}")
        if part is not None and not callable(part):
            raise TypeError(f"key={{{name!r}: ...}} must be callable or None, got {text_of(part)}")
    return key
