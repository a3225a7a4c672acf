"""What the garbage collector does not track: dicts and tuples of what can be in no cycle.

Arrays are such, and so nobody can be asked who has a dict of arrays. It is found from the other
side: in what everything that is tracked refers to, the youngest first, for a second at most.

A module is not asked what it refers to, but for its variables. That of asyncio, which is written in
C, gives iterators of futures that are freed already (CPython 3.12 and 3.13); who drops one frees
it again, and the next collection goes on for ever.
"""

from __future__ import annotations

import gc
import time
import types
from typing import Any

from .running import frames, variables

_SOME = 10_000  # objects to be asked at a time for what they refer to
_SECONDS = 1.0  # to look for what is not tracked


def untracked() -> list[Any]:
    """Return the dicts and tuples that the collector does not track, as far as there is time."""
    found: dict[int, Any] = {}
    deadline = time.monotonic() + _SECONDS
    pending = [variable for _, frame in frames() for _, variable in variables(frame)]
    tracked = [each for age in (2, 1, 0) for each in gc.get_objects(generation=age)]
    while (tracked or pending) and time.monotonic() < deadline:
        if not pending:
            some = tracked[-_SOME:]
            del tracked[-_SOME:]
            modules = [each for each in some if issubclass(type(each), types.ModuleType)]
            others = [each for each in some if not issubclass(type(each), types.ModuleType)]
            pending = [*map(vars_of, modules), *gc.get_referents(*others)]
        new = {
            id(each): each
            for each in pending
            if (type(each) is dict or type(each) is tuple)
            and not gc.is_tracked(each)
            and id(each) not in found
        }
        found |= new
        pending = [part for each in new.values() for part in values(each)]
    return [*found.values()]


def values(container: Any) -> list[Any]:
    """Return what a dict or a tuple has."""
    return list(container.values() if type(container) is dict else container)


def vars_of(thing: Any) -> Any:
    """Return the dictionary of ``thing``, if it has one, whatever its class makes of that."""
    try:
        return object.__getattribute__(thing, "__dict__")
    except AttributeError:
        return None
