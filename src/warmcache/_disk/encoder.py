"""Values as bytes, the same in any process, and no two values the same.

Invariant: what is unequal, or of another type, has another encoding. So the type is part of each,
and only types that are known exactly are taken: a subclass may mean anything. Nothing is asked of
``hash``, ``repr`` or ``pickle``, which change between processes, hide parts, or run what they are
told. What cannot be taken is refused, wherever it is inside, since a shorter key would be wrong.

An encoding says where it ends: ``tag``, then ``7:`` and as many bytes, or ``2[`` and as many
encodings. So a list of ``"a"`` and ``"b"`` is no list of ``"ab"``. What has no order is sorted by
its encodings.
"""

from __future__ import annotations

import builtins
import datetime
import decimal
import enum
import fractions
import pathlib
import re
import struct
import sys
import types
import uuid
import zoneinfo
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, NoReturn

from warmcache._array_contents import ArrayContents, dtype_text, feed_numpy
from warmcache._named import is_found, qualified
from warmcache._texts import short_text_of
from warmcache.errors import KeyingError
from warmcache.keys import Unchanged, besides, fields_of, is_array, is_namespace, is_record


def leaf(tag: str, content: bytes | str = b"") -> bytes:
    """Return the encoding of what has no parts."""
    if isinstance(content, str):
        content = content.encode("utf-8", "surrogatepass")
    return b"%s%d:%s" % (tag.encode(), len(content), content)


def node(tag: str, parts: Iterable[bytes]) -> bytes:
    """Return the encoding of what has ``parts``, which are encodings."""
    parts = [*parts]
    return b"%s%d[%s" % (tag.encode(), len(parts), b"".join(parts))


_LEAVES: dict[type, Callable[[Any], tuple[str, bytes | str]]] = {
    type(None): lambda value: ("none", b""),
    type(...): lambda value: ("ellipsis", b""),
    bool: lambda value: ("bool", "yes" if value else "no"),
    int: lambda value: ("int", hex(value)),
    float: lambda value: ("float", struct.pack(">d", value)),  # -0.0 is not 0.0; nan is itself
    complex: lambda value: ("complex", struct.pack(">dd", value.real, value.imag)),
    str: lambda value: ("str", value),
    bytes: lambda value: ("bytes", value),
    bytearray: lambda value: ("bytearray", bytes(value)),
    range: lambda value: ("range", f"{value.start:x} {value.stop:x} {value.step:x}"),
    decimal.Decimal: lambda value: ("decimal", str(value)),
    fractions.Fraction: lambda value: ("fraction", f"{value.numerator:x}/{value.denominator:x}"),
    uuid.UUID: lambda value: ("uuid", value.bytes),
    datetime.date: lambda value: ("date", value.isoformat()),
    datetime.timedelta: lambda value: (
        "timedelta",
        f"{value.days} {value.seconds} {value.microseconds}",
    ),
    ArrayContents: lambda value: ("array", ascii(value.parts)),
    Unchanged: lambda value: ("default", value.name),
}
for _kind in (
    *(pathlib.PurePosixPath, pathlib.PosixPath),
    *(pathlib.PureWindowsPath, pathlib.WindowsPath),
):
    _LEAVES[_kind] = lambda value, name=_kind.__name__: ("path", f"{name} {value}")  # type: ignore[misc]

_FROZEN_DICT = vars(builtins).get("frozendict", dict)  # which Python has since 3.15
_MOMENTS = (datetime.datetime, datetime.time)
_FUNCTIONS = (types.FunctionType, types.BuiltinFunctionType)
# What cannot be the base of a record whose fields say all.
_CONTAINERS = (str, bytes, bytearray, int, float, complex, tuple, list, dict, set, frozenset)


class Encoder:
    """One walk through a value; it knows where in there it is, to say so when it refuses."""

    def __init__(self, where: str) -> None:
        self._where = [where]
        self._under_way: set[int] = set()

    def of(self, value: Any) -> bytes:
        """Return the encoding of ``value``.

        Raises:
            KeyingError: it has none, or something in it.
        """
        to_leaf = _LEAVES.get(type(value))
        if to_leaf is not None:
            return leaf(*to_leaf(value))
        number = id(value)
        if number in self._under_way:
            self.refuse(value, "contains itself")
        self._under_way.add(number)
        try:
            return self.whole(type(value), value)
        except RecursionError:
            raise KeyingError(f"{self._where[0]}: nested too deep to be part of a key") from None
        finally:
            self._under_way.discard(number)

    def whole(self, kind: Any, value: Any) -> bytes:
        """Return the encoding of what has parts, or a name."""
        if kind in (tuple, list):
            return node(kind.__name__, self._items(value))
        if kind in (set, frozenset):
            return node(kind.__name__, sorted(self.apart(self._items(value))))
        if kind is dict or kind is _FROZEN_DICT:
            return node("dict", sorted(self.apart(self._pairs(value))))
        if kind is OrderedDict:  # compared in order
            return node("ordered", self._pairs(value))
        if isinstance(value, type) or kind in _FUNCTIONS:
            return self.named(value)
        if hasattr(kind, "__warm_key__"):
            return node(
                "said", [self.named(kind), self.within(".__warm_key__()", value.__warm_key__())]
            )
        if isinstance(value, enum.Enum):
            name = leaf("str", value.name or "")
            return node("enum", [self.named(kind), name, self.within(".value", value.value)])
        if isinstance(value, tuple) and isinstance(getattr(kind, "_fields", None), tuple):
            parts = self._items(tuple.__iter__(value))
            return node("named", [self.named(kind), *parts, self._attributes(besides(value, ()))])
        if is_record(value):
            return self._record(kind, value)
        if kind is types.SimpleNamespace or (is_namespace(value) and is_found(kind)):
            return node("namespace", [self.named(kind), self._attributes(vars(value))])
        return self.rare(kind, value)

    def rare(self, kind: Any, value: Any) -> bytes:
        """Return the encoding of what is part of a key less often."""
        if kind in _MOMENTS:
            naive = value.replace(tzinfo=None)
            text = leaf("str", f"{naive.isoformat()} {value.fold}")
            return node(kind.__name__, [text, self.within(".tzinfo", value.tzinfo)])
        if kind is datetime.timezone:
            return node("timezone", map(self.of, (value.utcoffset(None), value.tzname(None))))
        if kind is zoneinfo.ZoneInfo and value.key is not None:
            return leaf("zone", value.key)
        if kind is slice:
            return node("slice", map(self.of, (value.start, value.stop, value.step)))
        if kind is re.Pattern:
            return node("pattern", map(self.of, (value.pattern, value.flags)))
        library = kind.__module__.partition(".")[0]
        if library == "torch" and kind.__name__ in ("dtype", "device") and is_found(kind):
            return leaf(f"torch.{kind.__name__}", str(value))
        if library == "numpy" and (numpy := sys.modules.get("numpy")) is not None:
            with self._refusing():
                if isinstance(value, numpy.dtype):
                    return leaf("dtype", dtype_text(value))
                if isinstance(value, numpy.generic) and value.dtype.type is kind:
                    return self._scalar(value, numpy.asarray(value))
        return self.other(kind, value)

    def other(self, kind: Any, value: Any) -> bytes:
        """Refuse what is none of all these."""
        if is_array(value):
            self.refuse(
                value,
                "is an array: say with key={'<argument>': warmcache.by_content} that its contents "
                "count, or pass what it was made from",
            )
        self.refuse(
            value,
            "cannot be told from others in another process. Pass what it was made from (a path, a "
            "name, a configuration, a seed), give its class a __warm_key__ method, or say with "
            "key= what stands for it",
        )

    def named(self, thing: Any) -> bytes:
        """Return the encoding of a function or class: where it is found."""
        if not is_found(thing):
            self.refuse(
                thing,
                f"is not what its name stands for in its module ({text_of_place(thing)}), and so "
                f"nobody knows it in another process. Define it at the top of a module",
                name=text_of_place(thing),
            )
        return leaf("class" if isinstance(thing, type) else "function", qualified(thing))

    def within(self, step: str, value: Any) -> bytes:
        """Return the encoding of ``value``, which is found by this ``step`` from where we are."""
        self._where.append(step)
        try:
            return self.of(value)
        finally:
            self._where.pop()

    def apart(self, parts: Iterator[bytes]) -> Iterator[bytes]:
        """Yield ``parts``, which are sorted then: none may depend on those before it."""
        return parts

    def refuse(self, value: Any, why: str, *, name: str = "") -> NoReturn:
        kind = type(value)
        text = name or f"a {kind.__module__}.{kind.__qualname__}".replace("builtins.", "")
        raise KeyingError(f"{''.join(self._where)}: {text} {why}")

    def _items(self, items: Iterable[Any]) -> Iterator[bytes]:
        for at, item in enumerate(items):
            yield self.within(f"[{at}]", item)

    def _pairs(self, pairs: Mapping[Any, Any]) -> Iterator[bytes]:
        for key, value in pairs.items():
            text = f"[{short_text_of(key)}]"
            yield self.within(f".key{text}", key) + self.within(text, value)

    def _attributes(self, attributes: Mapping[str, Any]) -> bytes:
        pairs = (leaf("str", name) + self.within(f".{name}", v) for name, v in attributes.items())
        return node("attributes", sorted(self.apart(pairs)))

    def _record(self, kind: Any, value: Any) -> bytes:
        if kind.__eq__ is object.__eq__:
            self.refuse(
                value,
                "is compared by identity, which is another in each process. Give its class a "
                "__warm_key__ method, or an __eq__",
            )
        if isinstance(value, _CONTAINERS):
            self.refuse(
                value, "has more in it than its fields. Give its class a __warm_key__ method"
            )
        return node("record", [self.named(kind), *map(self._attributes, fields_of(value))])

    def _scalar(self, value: Any, array: Any) -> bytes:
        content: list[bytes] = []
        feed_numpy(array, lambda elements: content.append(bytes(elements)))
        return node("scalar", [leaf("dtype", dtype_text(value.dtype)), *map(self.of, content)])

    @contextmanager
    def _refusing(self) -> Iterator[None]:
        try:
            yield
        except KeyingError as error:
            raise KeyingError(f"{''.join(self._where)}: {error}") from None


def text_of_place(thing: Any) -> str:
    """Return what a function or class is called in messages."""
    return qualified(thing).removeprefix("builtins.")
