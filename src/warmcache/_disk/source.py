"""The text that a function or class was made of, if it is certain that it is.

A file is edited while its module is loaded, a line moves, a cell is run again, an import hook
rewrites what it loads: where a function says that it is written may stand something else by now.
So what is found there is compiled, and has to give the bytecode that runs. A class has no code
any more, so its methods have to be the same, and its constants and annotations, as far as they
show.
What has no such text is known by its bytecode, or by what is in it.
"""

from __future__ import annotations
import __future__

import ast
import enum
import functools
import linecache
import sys
import types
from collections.abc import Callable, Iterator
from typing import Any

from warmcache._code_parts import WRAPPERS, all_codes, parts_of_code
from warmcache._named import module_of

from .encoder import Encoder
from .syntax import Definition

_FUTURES = functools.reduce(
    int.__or__, (getattr(__future__, name).compiler_flag for name in __future__.all_feature_names)
)
_LITERALS = (bool, int, float, complex, str, bytes)


class Bytecode(Encoder):
    """Encodes code by what is in it, but for where that is written."""

    def whole(self, kind: Any, value: Any) -> bytes:
        if kind is types.CodeType:
            return super().whole(tuple, parts_of_code(value))
        return super().whole(kind, value)


def _same(one: types.CodeType, other: types.CodeType) -> bool:
    return Bytecode("").of(one) == Bytecode("").of(other)


class _File:
    """What a text defines."""

    def __init__(self, lines: list[str]) -> None:
        self.lines = lines
        self._definitions: dict[str, list[Definition]] = {}
        self._compiled: dict[int, list[types.CodeType]] = {}
        try:
            self._tree = ast.parse("".join(lines))
        except (SyntaxError, ValueError):  # no Python, as a cell with magics
            self._tree = ast.Module([], [])
        for each in ast.walk(self._tree):
            if isinstance(each, Definition):
                name = getattr(each, "name", "<lambda>")
                self._definitions.setdefault(name, []).append(each)

    def definitions(
        self, name: str, line: int | None, futures: int
    ) -> Iterator[tuple[Definition, types.CodeType]]:
        """Yield what defines ``name``, first what begins at ``line``, each with its code."""
        if name in self._definitions:
            codes = [each for each in self._codes(futures) if each.co_name == name]
            for code in sorted(codes, key=lambda each: each.co_firstlineno != line):
                if (tree := self._tree_of(code)) is not None:
                    yield tree, code

    def _codes(self, futures: int) -> list[types.CodeType]:
        """Return all code of the text, compiled as a module is and as cells are.

        Those are compiled a statement at a time, and so without knowing what the others import,
        which decides how some Pythons call its functions.
        """
        if futures not in self._compiled:
            body = self._tree.body
            self._compiled[futures] = [
                code
                for statements in (body, *([each] for each in body))
                for code in _compiled(statements, futures)
            ]
        return self._compiled[futures]

    def _tree_of(self, code: types.CodeType) -> Definition | None:
        """Return the smallest definition that ``code`` can be of."""
        line = code.co_firstlineno
        fitting = [
            tree
            for tree in self._definitions[code.co_name]
            if _first_line(tree) == line and _contains(tree, code)
        ]
        return min(fitting, key=_span, default=None)


def _compiled(statements: list[ast.stmt], futures: int) -> Iterator[types.CodeType]:
    flags = futures | ast.PyCF_ALLOW_TOP_LEVEL_AWAIT
    try:
        code = compile(ast.Module(statements, []), "", "exec", flags, dont_inherit=True)
    except (SyntaxError, ValueError):  # as a __future__ that comes too late for one
        return
    yield from all_codes(code)


def _first_line(tree: Definition) -> int:
    decorators = [] if isinstance(tree, ast.Lambda) else tree.decorator_list
    return min([tree.lineno, *(each.lineno for each in decorators)])


def _span(tree: Any) -> tuple[int, int]:
    return tree.end_lineno - tree.lineno, tree.end_col_offset - tree.col_offset


def _contains(tree: Definition, code: types.CodeType) -> bool:
    """Whether all of ``code`` is in ``tree``; where it is, columns say only of lambdas."""
    if not isinstance(tree, ast.Lambda):
        return True
    body: Any = tree.body
    first, last = (body.lineno, body.col_offset), (body.end_lineno, body.end_col_offset)
    return all(
        first <= (line, column) and (end, end_column) <= last
        for line, end, column, end_column in code.co_positions()
        if None not in (line, end, column, end_column) and column != end_column
    )


class Sources:
    """Texts of files and cells, each taken apart once."""

    def __init__(self) -> None:
        self._files: dict[str, _File] = {}

    def of_function(self, function: types.FunctionType) -> Definition | None:
        """Return what defines ``function``; None if nobody knows."""
        code = function.__code__
        name, line, futures = code.co_name, code.co_firstlineno, code.co_flags & _FUTURES
        for file in self._texts(code.co_filename, function.__globals__):
            for tree, found in file.definitions(name, line, futures):
                if _same(found, code):
                    return tree
        return None

    def of_class(
        self, cls: type, stored_to: Callable[[str], bool]
    ) -> tuple[Definition, types.CodeType] | None:
        """Return what defines ``cls``, and the code of its body; None if nobody knows.

        Args:
            cls: the class.
            stored_to: whether an attribute is given another value by functions.
        """
        if "<locals>" in cls.__qualname__:
            return None
        known = vars(sys.modules.get(module_of(cls), types))
        codes = [each.__code__ for each in functions_of(cls)]
        futures = codes[0].co_flags & _FUTURES if codes else _futures_of(known)
        for name in _files_of(known, codes):
            for file in self._texts(name, known):
                line = vars(cls).get("__firstlineno__")
                for tree, found in file.definitions(cls.__name__, line, futures):
                    own = [code for code in codes if code.co_filename == name]
                    if isinstance(tree, ast.ClassDef) and _makes(
                        tree, found, cls, own, known, stored_to
                    ):
                        return tree, found
        return None

    def _texts(self, name: str, known: dict[str, Any]) -> Iterator[_File]:
        """Yield the text of a file as it was first read, and as it is."""
        for again in (False, True):
            if again:
                linecache.checkcache(name)
            lines = linecache.getlines(name, known)
            file = self._files.get(name)
            if file is None or (file.lines is not lines and file.lines != lines):
                file = self._files[name] = _File(lines)
            elif again:
                return
            yield file


def _files_of(known: dict[str, Any], codes: list[types.CodeType]) -> list[str]:
    """Return where a class may be written: of a notebook, in any cell, most likely a late one."""
    if codes:
        return [codes[0].co_filename]
    if isinstance(file := known.get("__file__"), str):
        return [file]
    cells = {
        each.__code__.co_filename: None
        for each in known.values()
        if isinstance(each, types.FunctionType) and each.__globals__ is known
    }
    return [*reversed([*linecache.cache]), *cells] if known.get("__name__") == "__main__" else []


def _futures_of(known: dict[str, Any]) -> int:
    features = (known.get(name) for name in __future__.all_feature_names)
    return sum(each.compiler_flag for each in features if isinstance(each, __future__._Feature))


def functions_of(cls: type) -> Iterator[types.FunctionType]:
    """Yield the functions that were written in ``cls``, whatever wraps them."""
    for each in vars(cls).values():
        for function in _below(each):
            if function.__code__.co_qualname.rpartition(".")[0] == cls.__qualname__:
                yield function


def _below(thing: Any, depth: int = 0) -> Iterator[types.FunctionType]:
    if isinstance(thing, types.FunctionType):
        yield thing
    if isinstance(thing, type) or depth > 9:
        return
    inside = [getattr(thing, name) for name in WRAPPERS.get(type(thing), ())]
    for each in (*inside, getattr(thing, "__wrapped__", None)):
        if each is not None:
            yield from _below(each, depth + 1)


def _makes(
    tree: ast.ClassDef,
    body: types.CodeType,
    cls: type,
    codes: list[types.CodeType],
    known: dict[str, Any],
    stored_to: Callable[[str], bool],
) -> bool:
    """Whether ``tree`` is what ``cls`` was made of, as far as it shows."""
    if body.co_qualname != cls.__qualname__:
        return False
    written = [each for each in body.co_consts if isinstance(each, types.CodeType)]
    if not all(any(_same(code, each) for each in written) for code in codes):
        return False
    methods = [each.name for each in tree.body if isinstance(each, ast.FunctionDef)]
    if not all(hasattr(cls, mangled(name, cls.__name__)) for name in methods):
        return False
    hints = vars(cls).get("__annotations__", {})
    hinted = [each for each in tree.body if isinstance(each, ast.AnnAssign)]
    constants = [
        (getattr(target, "id", ""), each.value.value)
        for each in tree.body
        if isinstance(each, ast.Assign | ast.AnnAssign) and isinstance(each.value, ast.Constant)
        for target in (each.targets if isinstance(each, ast.Assign) else [each.target])
    ]
    constants = [item for item in constants if not stored_to(item[0])]
    return all(_is(vars(cls).get(name, value), value) for name, value in constants) and all(
        _means(each.annotation, hints[each.target.id], known)
        for each in hinted
        if isinstance(each.target, ast.Name) and each.target.id in hints
    )


def mangled(name: str, of: str) -> str:
    """Return what a ``name`` becomes that is private to the class ``of``."""
    private = name.startswith("__") and not name.endswith("__")
    return f"_{of.lstrip('_')}{name}" if private else name


def _is(live: Any, written: Any) -> bool:
    live = live.value if isinstance(live, enum.Enum) else live
    return type(live) not in _LITERALS or (type(live) is type(written) and live == written)


def _means(annotation: ast.expr, hint: Any, known: dict[str, Any]) -> bool:
    hint = getattr(hint, "__forward_arg__", hint)  # as named tuples have it
    if isinstance(hint, str):  # deferred, or written as a text
        return hint == ast.unparse(annotation) or repr(hint) == ast.unparse(annotation)
    try:
        return bool(eval(compile(ast.Expression(annotation), "", "eval"), known) == hint)
    except Exception:  # what is named there is gone
        return True
