"""Whether two values are the same in all that a file is to keep: types, order, who shares."""

from __future__ import annotations

import math
import sys
from collections import OrderedDict
from datetime import datetime, time
from decimal import Decimal
from typing import Any
from uuid import UUID

_MUTABLE = (list, dict, OrderedDict, set, bytearray)


def differs(a: Any, b: Any, path: str = "it", seen: dict[int, int] | None = None) -> str | None:
    """Return where two values differ, None where they do not."""
    seen = {} if seen is None else seen
    if type(a) is not type(b):
        return f"{path}: {type(a)} is not {type(b)}"
    if isinstance(a, _MUTABLE):
        if seen.setdefault(id(a), id(b)) != id(b):
            return f"{path}: one object became two"
        if len({*seen.values()}) != len(seen):
            return f"{path}: two objects became one"
    if type(a) in (list, tuple):
        return _first(a, b, path, seen)
    if isinstance(a, dict):
        if [*map(type, a)] != [*map(type, b)] or len(a) != len(b):
            return f"{path}: the keys differ"
        attributes = differs(vars(a), vars(b), path, seen) if isinstance(a, OrderedDict) else None
        return (
            attributes
            or _first([*a], [*b], path, seen)
            or _first(a.values(), b.values(), path, seen)
        )
    if type(a) in (set, frozenset):
        if len(a) == len(b) and all(any(not differs(x, y) for y in b) for x in a):
            return None
        return f"{path}: {a!r} is not {b!r}"
    return None if _same_leaf(a, b) else f"{path}: {a!r} is not {b!r}"


def _first(a: Any, b: Any, path: str, seen: dict[int, int]) -> str | None:
    if len(a) != len(b):
        return f"{path}: {len(a)} are not {len(b)}"
    for at, (x, y) in enumerate(zip(a, b, strict=True)):
        if found := differs(x, y, f"{path}[{at}]", seen):
            return found
    return None


def _same_leaf(a: Any, b: Any) -> bool:
    if type(a) is float:
        return (math.isnan(a) and math.isnan(b)) or (
            a == b and math.copysign(1, a) == math.copysign(1, b)
        )
    if type(a) is complex:
        return _same_leaf(a.real, b.real) and _same_leaf(a.imag, b.imag)
    if type(a) in (datetime, time, Decimal):
        return repr(a) == repr(b)  # with fold and zone, and as what is no number
    if type(a) is UUID:
        return a == b and a.is_safe is b.is_safe
    if type(a) is int:
        return bool(a == b)  # however many digits
    numpy = sys.modules.get("numpy")
    if numpy is not None and isinstance(a, numpy.ndarray | numpy.generic):
        return (
            repr(a.dtype) == repr(b.dtype)
            and a.shape == b.shape
            and a.tobytes() == b.tobytes()
            and all(getattr(a.flags, it) == getattr(b.flags, it) for it in ("writeable", "fnc"))
        )
    return bool(a == b) and repr(a) == repr(b)
