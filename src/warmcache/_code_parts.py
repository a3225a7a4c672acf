"""What functions are made of: their bytecode, what they read by name, what they wrap.

Without what tells two compilations of one text apart: file names and line numbers.
"""

from __future__ import annotations

import dis
import functools
import opcode
import types
from collections.abc import Iterator
from typing import Any

_READS = {  # opcodes that read a global, and by how much to shift the argument
    opcode.opmap[name]: shift
    for name, shift in (
        ("LOAD_GLOBAL", 1),
        ("LOAD_NAME", 0),
        ("LOAD_FROM_DICT_OR_GLOBALS", 0),
    )
    if name in opcode.opmap
}
_EXTENDED_ARG = opcode.opmap["EXTENDED_ARG"]

CACHED = type(functools.lru_cache(len))
WRAPPERS: dict[type, tuple[str, ...]] = {  # what wraps a function, and where it has it
    staticmethod: ("__func__",),
    classmethod: ("__func__",),
    types.MethodType: ("__func__", "__self__"),
    property: ("fget", "fset", "fdel"),
    functools.partial: ("func", "args", "keywords"),
    functools.cached_property: ("func",),
    CACHED: ("__wrapped__",),
}
# Of a class: what it is made with, and does not mean.
INCIDENTAL = {
    *("__dict__", "__weakref__", "__module__", "__qualname__", "__doc__", "__annotations__"),
    *("__firstlineno__", "__static_attributes__", "__annotate__", "__annotate_func__"),
    *("__annotations_cache__", "_abc_impl", "__abstractmethods__", "__slotnames__"),
}


def parts_of_code(code: types.CodeType) -> tuple[Any, ...]:
    """Return what ``code`` does and is called with."""
    return (
        *(code.co_name, code.co_code, code.co_exceptiontable, code.co_consts),
        *(code.co_names, code.co_varnames, code.co_freevars, code.co_cellvars),
        *(code.co_argcount, code.co_posonlyargcount, code.co_kwonlyargcount, code.co_flags),
    )


def all_codes(code: types.CodeType) -> Iterator[types.CodeType]:
    """Yield ``code``, and that of all functions and classes in it."""
    yield code
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            yield from all_codes(constant)


def globals_read(code: types.CodeType) -> Iterator[str]:
    """Yield the names that ``code``, and any code in it, may look up in its module."""
    for each in all_codes(code):
        text, high = each.co_code, 0
        for at in range(0, len(text), 2):
            operation, argument = text[at], text[at + 1] | high
            high = argument << 8 if operation == _EXTENDED_ARG else 0
            if operation in _READS:
                yield each.co_names[argument >> _READS[operation]]


def names_in(code: types.CodeType) -> set[str]:
    """Return all names in ``code`` and any code in it that are not of its own variables."""
    return {name for each in all_codes(code) for name in each.co_names}


def imports_in(code: types.CodeType) -> Iterator[tuple[int, str, tuple[str, ...]]]:
    """Yield what ``code``, and any code in it, imports: how many dots, the module, names of it."""
    for each in all_codes(code):
        steps = [step for step in dis.get_instructions(each) if step.opname != "EXTENDED_ARG"]
        for at, step in enumerate(steps):
            if step.opname == "IMPORT_NAME":
                yield steps[at - 2].argval, step.argval, steps[at - 1].argval or ()


def contents_of_cell(cell: types.CellType) -> tuple[Any, ...]:
    """Return what ``cell`` contains, if anything."""
    try:
        return (cell.cell_contents,)
    except ValueError:  # empty so far
        return ()
