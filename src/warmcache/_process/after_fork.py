"""What a forked child does with what it inherits: it begins anew, and destroys nothing.

A child has its parent's objects and one of its threads. What is warm stays the parent's
to tear down, a lock may be held by a thread that is not there, and whatever another
thread was in the midst of is never finished. So all that has a state or a lock
registers here, and the one hook below has each begin anew. It takes no lock and waits for nothing.
Locks are replaced, not released: the thread that has forked may itself hold one, and lets
go of that as it leaves the block.

(Two others have something to do before a fork, for the driver's library and faulthandler
have locks that nobody can replace: the session of NVML and the end of the process.)
"""

from __future__ import annotations

import os
import weakref
from collections.abc import Callable
from typing import Protocol, TypeVar

from warmcache._log import log

from .gil import FREE_THREADED

F = TypeVar("F", bound=Callable[[], object])


class BeginsAnew(Protocol):
    """What has something to forget in a forked child."""

    def begin_anew(self) -> None:
        """Forget what is the parent's. Called in the child, by its only thread."""


# By number, for caches are mappings, which cannot be hashed.
_members: weakref.WeakValueDictionary[int, BeginsAnew] = weakref.WeakValueDictionary()
_functions: list[Callable[[], object]] = []


def begins_anew_in_child(member: BeginsAnew) -> None:
    """Have ``member`` begin anew in each forked child, as long as it lives."""
    _members[id(member)] = member


def in_child(function: F) -> F:
    """Have a module's ``function`` called in each forked child; a decorator."""
    _functions.append(function)
    return function


def keep_forever(*things: object) -> None:
    """Keep ``things`` as they are for as long as the process exists, and beyond its end.

    A value with a ``__del__``, or a suspended generator, would destroy what is the
    parent's as the child drops it.
    """
    _kept_forever.append(things)


def _immortal() -> list[object]:
    """Return a list that is never freed.

    A list of this module would be as the interpreter ends. This one is part of a cycle
    through a code object, which the garbage collector cannot see through. Without the GIL
    it may, so there the list has a reference that nobody holds.
    """
    kept: list[object] = []
    if FREE_THREADED:
        import ctypes

        ctypes.pythonapi.Py_IncRef(ctypes.py_object(kept))
    else:
        kept.append(_immortal.__code__.replace(co_consts=(kept,)))
    return kept


_kept_forever = _immortal()


def _begin_anew() -> None:
    members = [member for ref in _members.valuerefs() if (member := ref()) is not None]
    for begin in [*_functions, *(member.begin_anew for member in members)]:
        try:
            begin()
        except Exception:
            log().exception("%r did not begin anew in a forked child", begin)


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_begin_anew)
