"""The statement that defines a loader, which may be run again: a cell is, a module is reloaded.

What is defined by it then is the successor of what it defined before. By its name alone nobody
can tell: a loop, two functions of one name, two loaders of one function are all meant to be
there at once. So a loader has a predecessor only if

- a statement of a module or a cell defines it, and no function that may do so many times;
- that statement is *run again*: what runs is another code object than the last time, as each
  compilation makes one, or the same from its beginning. What one run defines under one name, is
  told apart by its order;
- what is defined is new, too: a decorator that is called on a function of before makes another
  loader of that, and replaces none.
"""

from __future__ import annotations

import dis
import inspect
import sys
import types
import weakref
from typing import Any, NamedTuple

from warmcache.caches.cache import Cache

from .holder import Holder
from .local_loader import LocalLoader
from .meaning import meaning
from .parts import Parts

_OPTIMIZED = 0x1  # inspect.CO_OPTIMIZED: of functions, whose variables are not in a dictionary


class Running(NamedTuple):
    """A statement of a module or a cell that is running, and what it defines.

    Attributes:
        file: that of the module; None in a notebook.
        code: that of the module, of the cell, or of one statement of a cell.
        at: where in there it is.
        defines: the code of a function, or a class.
    """

    file: str | None
    code: types.CodeType
    at: int
    defines: Any


def statement_that_runs(target: Any) -> Running | None:
    """Return the statement that defines ``target``; None where it is another's to define."""
    root = inspect.unwrap(target) if isinstance(target, types.FunctionType) else target
    if not isinstance(root, (types.FunctionType, type)):
        return None
    if "<" in root.__qualname__ + getattr(target, "__qualname__", ""):
        return None  # a function makes it, or it has no name
    frame: types.FrameType | None = sys._getframe(1)
    while frame is not None:
        if _runs_module_of(root, frame):
            defines = root if isinstance(root, type) else root.__code__
            return Running(frame.f_globals.get("__file__"), frame.f_code, frame.f_lasti, defines)
        frame = frame.f_back
    return None


def _runs_module_of(root: Any, frame: types.FrameType) -> bool:
    if frame.f_code.co_flags & _OPTIMIZED:
        return False
    known = frame.f_globals
    if frame.f_locals is not known and "__qualname__" in frame.f_locals:
        return False  # the body of a class
    if isinstance(root, type):
        return bool(known.get("__name__") == root.__module__)
    return root.__globals__ is known


class Run:
    """What one run of a module, or of what stands for one, has defined under one name so far."""

    __slots__ = ("_code", "_count", "_defined", "_statements")

    def __init__(self) -> None:
        self._code: weakref.ref[types.CodeType] | None = None
        self._count = 0
        self._defined: list[tuple[weakref.ref[Any], int]] = []  # in this run, and where
        self._statements: list[Statement] = []

    def statement(self, running: Running) -> Statement | None:
        """Return the statement that is running; None if it defines nothing new."""
        known = [at for defined, at in self._defined if defined() is running.defines]
        again = self._code is None or self._code() is not running.code
        if again and known:
            return None
        if again or (running.at in known and not _in_loop(running.code, running.at)):
            self._code = weakref.ref(running.code)
            self._count, self._defined = 0, []
        self._defined.append((weakref.ref(running.defines), running.at))
        self._count += 1
        if self._count > len(self._statements):
            self._statements.append(Statement())
        return self._statements[self._count - 1]


def _in_loop(code: types.CodeType, at: int) -> bool:
    return any(
        "JUMP" in step.opname and isinstance(step.argval, int) and step.argval <= at <= step.offset
        for step in dis.get_instructions(code)
    )


class Statement:
    """One statement that defines a loader, however often it is run: its loaders take turns."""

    __slots__ = ("_last", "holder")

    def __init__(self) -> None:
        self.holder: Holder | None = None
        self._last: weakref.ref[LocalLoader] | None = None

    def cache_for(self, parts: Parts) -> Cache[Any, Any] | None:
        """Return the cache of the one defined last, if ``parts`` say to make one like it.

        Only if all its options are the same, or equal and never to change: a clock, or who is
        told of removals, has to be the one that is said now.
        """
        last = self._last() if self._last is not None else None
        if last is None or last.cache._store.closed:
            return None
        module = parts.name[0]
        before = meaning(last.parts.recipe, module, only_itself=True)
        now = meaning(parts.recipe, module, before, only_itself=True)
        return last.cache if before.digest == now.digest else None

    def define(self, local: LocalLoader) -> None:
        """Have ``local`` be the one that is defined now, and those before it outdated."""
        last = self._last() if self._last is not None else None
        predecessors: tuple[Any, ...] | None = None if self._last is None else ()
        if last is not None:
            known = last.holder.predecessors if last.holder is not None else ()
            predecessors = known or (last.thing(),)
            for loader in last.loaders:
                loader.become_outdated()
            was, now = _caller(last), _caller(local)
            if was is not None and now is not None:
                was.successor = weakref.ref(now)
        Holder(self, local, predecessors=predecessors)
        self._last = weakref.ref(local)


def _caller(local: LocalLoader) -> Any:
    """Return what the function of ``local`` offers besides being called; None of a method."""
    return getattr(getattr(local.thing(), "lease", None), "__self__", None)
