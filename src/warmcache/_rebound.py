"""What functions store to: names of their module, what they close over, attributes of classes.

A counter, a ``_model = None`` that the first load sets, ``Model.made += 1``: what a loader, or what
it calls, gives another value is what becomes of it and not what it means. So it counts as little
as what is in a list that it appends to; that it is stored to is in the bytecode, which counts.

Attributes of instances are no such names: an object is known by itself, see
``_by_value/meaning.py``.
"""

from __future__ import annotations

import dis
import opcode
import types
from collections.abc import Callable, Iterator
from itertools import pairwise
from typing import Any, Protocol, TypeAlias, TypeVar

from ._code_parts import all_codes, contents_of_cell

# Of a module's names, of a class found and of a variable closed over: the number of it, and the
# name. Of what is only known to be the class of a method: its qualified name instead.
Rebound: TypeAlias = tuple[int | str, str]

_GLOBAL = ("STORE_GLOBAL", "DELETE_GLOBAL")
_FREE = ("STORE_DEREF", "DELETE_DEREF")
_ATTRIBUTE = "STORE_ATTR"
_LONGEST = 12  # steps that find out whose attribute it is
_STORES = {opcode.opmap[name] for name in (*_GLOBAL, *_FREE, _ATTRIBUTE)}


class _Walk(Protocol):
    rebound: set[Rebound]

    def of(self, thing: Any, /) -> bytes: ...


W = TypeVar("W", bound=_Walk)


def walked(walk: Callable[[set[Rebound]], W], thing: Any) -> tuple[bytes, W]:
    """Return the digest of ``thing`` and the walk that found it, which leaves out what is rebound.

    What is, it takes a walk to know, and so another to leave it out.
    """
    left_out: set[Rebound] = set()
    while True:
        this = walk(left_out)
        result = this.of(thing)
        if this.rebound <= left_out:
            return result, this
        left_out |= this.rebound


def rebound_by(function: types.FunctionType) -> Iterator[Rebound]:
    """Yield what ``function``, and any function in it, stores to, but for its own variables."""
    for code in all_codes(function.__code__):
        if _STORES.isdisjoint(code.co_code[::2]):
            continue
        steps = list(dis.get_instructions(code))
        for at, step in enumerate(steps):
            if step.opname in _GLOBAL:
                yield id(function.__globals__), step.argval
            elif step.opname in _FREE and (cell := _cell(function, step.argval)) is not None:
                yield id(cell), ""
            elif step.opname == _ATTRIBUTE:
                yield from _of_class(function, _receiver(steps, at, step.argval), step.argval)


def stored_to(cls: type, name: str, rebound: set[Rebound]) -> bool:
    """Whether the attribute ``name`` of ``cls`` is among what was ``rebound``."""
    classes: tuple[int | str, ...] = (id(cls), *(base.__qualname__ for base in cls.__mro__))
    return any((each, name) in rebound for each in classes)


def _cell(function: types.FunctionType, name: str) -> types.CellType | None:
    found = dict(zip(function.__code__.co_freevars, function.__closure__ or (), strict=True))
    return found.get(name)


def _receiver(steps: list[dis.Instruction], end: int, name: str) -> list[dis.Instruction]:
    """Return the steps that end with whose attribute ``name`` is stored at ``end``."""
    if end and steps[end - 1].opname == "SWAP":  # x.name += 1, which reads x.name first
        reads = ("LOAD_ATTR", name)
        while end and (steps[end].opname, steps[end].argval) != reads:
            end -= 1
        end -= 1  # before that, x is copied
    return steps[max(end - _LONGEST, 0) : max(end, 0)]


def _of_class(
    function: types.FunctionType, steps: list[dis.Instruction], name: str
) -> Iterator[Rebound]:
    """Yield the attribute ``name`` of what ``steps`` have found last, if that is a class."""
    if not steps:
        return
    last = steps[-1]
    names = last.argval if isinstance(last.argval, tuple) else (last.argval,)
    if names[-1] in ("cls", "__class__") or _calls_type(steps):
        owner, _, _ = function.__qualname__.rpartition(".")
        yield owner, name
        return
    path: list[str] = []
    while steps[-1].opname == "LOAD_ATTR" and len(steps) > 1:
        path.append(steps.pop().argval)
    found: Any = None
    if steps[-1].opname in ("LOAD_GLOBAL", "LOAD_NAME"):
        found = function.__globals__.get(steps[-1].argval)
    elif steps[-1].opname == "LOAD_DEREF" and (cell := _cell(function, steps[-1].argval)):
        found = next(iter(contents_of_cell(cell)), None)
    for part in reversed(path):
        found = vars(found).get(part) if isinstance(found, (type, types.ModuleType)) else None
    if isinstance(found, type):
        yield id(found), name


def _calls_type(steps: list[dis.Instruction]) -> bool:
    """Whether ``steps`` end with ``type(...)`` of one thing."""
    called = [step for step in steps[-5:] if step.opname not in ("PRECALL", "CACHE", "PUSH_NULL")]
    if len(called) < 3 or called[-1].opname != "CALL" or called[-1].argval != 1:
        return False
    return any(
        one.opname == "LOAD_GLOBAL" and one.argval == "type" and other is called[-2]
        for one, other in pairwise(called)
    )
