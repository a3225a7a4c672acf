"""The threads of warm values: those that only a value's teardown ends.

At its end Python waits for threads before it runs ``atexit``, so for these it would wait for ever.
A thread is a value's if the value refers to it; or if the thread was given the value to run with,
and is older than that is warm, for nobody but its maker could have done so then. That may take
another's thread for one, so what follows from it, in ``at_exit.py``, is no more than an eviction.
"""

from __future__ import annotations

import functools
import gc
import math
import threading
import types
from collections import deque
from collections.abc import Iterator
from typing import Any

_FAR = 100_000  # objects of one value that are looked at
# What is made with what it refers to. What can be given something later, proves nothing.
_MADE = tuple, functools.partial, types.MethodType, types.FunctionType, types.CellType

_SINCE = "_warmcache_since"  # a thread's own attribute: the tick when it was first seen


def waited_for() -> set[threading.Thread]:
    """Return the threads besides this one that Python waits for at its end."""
    spared = threading.main_thread(), threading.current_thread()
    return {each for each in threading.enumerate() if not each.daemon and each not in spared}


def note_threads(loaded: float) -> None:
    """Note which threads there are as something that was ``loaded`` at a tick becomes warm."""
    # For each new entry, and so it must not take long: who is alone has no other to note, and
    # where the newest was seen, so were all.
    try:
        active: dict[int, Any] = threading._active  # type: ignore[attr-defined]
        if len(active) == 1 or _SINCE in next(reversed(active.values())).__dict__:
            return
    except (AttributeError, RuntimeError, StopIteration):
        pass  # Python no longer keeps them so, or one has just begun
    for thread in threading.enumerate():
        vars(thread).setdefault(_SINCE, loaded)


def threads_of(
    value: object, finish: object, loaded: float, among: set[threading.Thread]
) -> set[threading.Thread]:
    """Return which threads ``among`` those are of ``value``, or of what is to ``finish`` it."""
    older = {each for each in among if vars(each).get(_SINCE, math.inf) <= loaded}
    theirs = {each for each in older if gc.is_tracked(value) and _runs_for(each, value)}
    # By number, for what is reached need not be hashable.
    sought = {id(thread): thread for thread in among}
    found = {id(each) for each in _reached([value, finish]) if id(each) in sought}
    return theirs | {sought[number] for number in found}


def _runs_for(thread: threading.Thread, value: object) -> bool:
    """Whether ``value`` is among what ``thread`` was given to run, and to run it with."""
    work: Any = vars(thread)  # which has these for as long as it runs
    given = [work.get("_target"), *work.get("_args", ()), *work.get("_kwargs", {}).values()]
    return any(each is value for each in _reached(given, through=_MADE))


def _reached(roots: list[Any], through: tuple[type, ...] = (object,)) -> Iterator[Any]:
    """Yield what ``roots`` refer to, the nearest first, but nothing by way of modules."""
    seen: set[int] = set()
    pending = deque(roots)
    while pending and len(seen) < _FAR:
        thing = pending.popleft()
        if id(thing) in seen:
            continue
        seen.add(id(thing))
        yield thing
        # By its type, for what it says of itself is the user's code.
        kind = type(thing)
        if issubclass(kind, through) and not issubclass(kind, (types.ModuleType, type)):
            module = thing.__globals__ if kind is types.FunctionType else None
            pending.extend(each for each in gc.get_referents(thing) if each is not module)
