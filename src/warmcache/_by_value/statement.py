"""The statement that defines a loader, which may be run again: a cell is, a module is reloaded.

What is defined by it then is the successor of what it defined before. By its name alone nobody
can tell: a loop, two functions of one name, two loaders of one function are all meant to be
there at once. So a loader has a predecessor only if

- a statement of a module or a cell defines it, and no function that may do so many times;
- that statement is *run again*: what runs is another code object than the last time, as each
  compilation makes one, or the same from its beginning. What one run defines under one name, is
  told apart by its order;
- what it is made of is defined there, too; else, as in ``load = warm(...)(function)``, and for what
  has no name, the result is given the same name as the last time.
"""

from __future__ import annotations

import dis
import inspect
import opcode
import sys
import types
import weakref
from collections.abc import Iterator
from typing import Any, NamedTuple

from warmcache._code_flags import OPTIMIZED
from warmcache._ours import is_ours
from warmcache.caches.cache import Cache

from .holder import Holder
from .local_loader import LocalLoader
from .meaning import meaning
from .parts import Parts

_STORES = {opcode.opmap["STORE_NAME"], opcode.opmap["STORE_GLOBAL"]}


class Running(NamedTuple):
    """A statement of a module or a cell that is running, and defines a loader.

    Attributes:
        file: that of the module; None in a notebook.
        bound: the name that the loader is given, where that is what to know it by again.
        code: that of the module, of the cell, or of one statement of a cell.
        at: where in there it is; None if it calls a function that calls ``@warm``.
    """

    file: str | None
    bound: str | None
    code: types.CodeType
    at: int | None


def statement_that_runs(target: Any) -> Running | None:
    """Return the statement that defines ``target``; None where nobody would know it again."""
    root = inspect.unwrap(target) if isinstance(target, types.FunctionType) else target
    name = getattr(root, "__qualname__", "")
    if "<locals>" in name + getattr(target, "__qualname__", ""):
        return None  # of a function, which makes many
    frame: types.FrameType | None = sys._getframe(1)
    directly = True
    while frame is not None and not _runs_module(frame):
        directly = directly and is_ours(frame.f_globals.get("__name__"))
        frame = frame.f_back
    if frame is None or not isinstance(frame.f_globals.get("__name__"), str):
        return None
    bound = None
    if not _defines(frame.f_code, root, name) and (bound := _bound_to(frame)) is None:
        return None
    at = frame.f_lasti if directly else None
    return Running(frame.f_globals.get("__file__"), bound, frame.f_code, at)


def _runs_module(frame: types.FrameType) -> bool:
    if frame.f_code.co_flags & OPTIMIZED:
        return False
    known = frame.f_locals
    return known is frame.f_globals or "__qualname__" not in known  # which a class has


def _defines(code: types.CodeType, root: Any, name: str) -> bool:
    """Whether ``code`` has the statement that makes the function or class ``root`` of that name."""
    found = [code]
    for part in name.split("."):
        found = [inner for outer in found for inner in _inside(outer, part)]
    if isinstance(root, types.FunctionType):
        return root.__name__ != "<lambda>" and any(each is root.__code__ for each in found)
    return isinstance(root, type) and bool(found)


def _inside(code: types.CodeType, name: str) -> Iterator[types.CodeType]:
    for inner in code.co_consts:
        if type(inner) is types.CodeType:
            if inner.co_name == name:
                yield inner
            elif inner.co_name.startswith("<generic"):  # def f[T]
                yield from _inside(inner, name)


def _bound_to(frame: types.FrameType) -> str | None:
    """Return the name that is given to what the call under way returns, if it is given one."""
    text, high = frame.f_code.co_code, 0
    for place in range(frame.f_lasti + 2, len(text), 2):
        operation, argument = text[place], text[place + 1] | high
        if operation == opcode.opmap["EXTENDED_ARG"]:
            high = argument << 8
        elif operation != opcode.opmap["CACHE"]:
            return frame.f_code.co_names[argument] if operation in _STORES else None
    return None


class Run:
    """What one run of a module, or of a cell, has defined under one name so far."""

    __slots__ = ("_at", "_code", "_count", "_statements")

    def __init__(self) -> None:
        self._code: weakref.ref[types.CodeType] | None = None
        self._at: dict[int | None, bool] = {}  # where in this run, and whether in a loop
        self._count = 0
        self._statements: list[Statement] = []

    def statement(self, running: Running) -> Statement:
        """Return the statement that is running."""
        code, at = running.code, running.at
        begins = self._code is None or self._code() is not code
        if begins or (at in self._at and not self._repeats(code, at)):
            self._code = weakref.ref(code)
            self._at, self._count = {}, 0
        self._at.setdefault(at, False)
        self._count += 1
        if self._count > len(self._statements):
            self._statements.append(Statement())
        return self._statements[self._count - 1]

    def _repeats(self, code: types.CodeType, at: int | None) -> bool:
        """Whether one run may come by more than once."""
        self._at[at] = repeats = self._at[at] or at is None or _in_loop(code, at)
        return repeats


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
        """Have ``local`` be the one that is defined now, and the one before it outdated."""
        before = self._last() if self._last is not None else None
        predecessors: tuple[Any, ...] | None = None if self._last is None else ()
        self._last = weakref.ref(local)
        if before is not None:
            known = before.holder.predecessors if before.holder is not None else ()
            predecessors = known or (before.thing(),)
            for loader in before.loaders:
                loader.become_outdated(self._newest)
        Holder(self, local, predecessors=predecessors)

    def _newest(self) -> Any:
        """Return the one defined last, or the caller of its function; None if it is gone."""
        last = self._last() if self._last is not None else None
        return last if last is None or last.caller is None else last.caller()
