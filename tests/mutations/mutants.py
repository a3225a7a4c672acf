"""What can be changed in a source file, one place at a time."""

from __future__ import annotations

import ast
import copy
import sys
from collections.abc import Iterator
from dataclasses import dataclass

_SWAPS: dict[type[ast.AST], type[ast.AST]] = {
    **{ast.Eq: ast.NotEq, ast.NotEq: ast.Eq, ast.Is: ast.IsNot, ast.IsNot: ast.Is},
    **{ast.In: ast.NotIn, ast.NotIn: ast.In, ast.Lt: ast.LtE, ast.LtE: ast.Lt},
    **{ast.Gt: ast.GtE, ast.GtE: ast.Gt, ast.And: ast.Or, ast.Or: ast.And},
    **{ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.Div, ast.Div: ast.Mult},
    **{ast.FloorDiv: ast.Mult, ast.Mod: ast.Mult, ast.Pow: ast.Mult},
    **{ast.BitOr: ast.BitAnd, ast.BitAnd: ast.BitOr},
}
_NAMES = {"min": "max", "max": "min", "any": "all", "all": "any"}
_UNCHANGED = {"annotation", "returns", "decorator_list", "bases"}  # fields of a node
_FREE_THREADED = not getattr(sys, "_is_gil_enabled", lambda: True)()


@dataclass(frozen=True)
class Mutant:
    """A file with one place changed; ``lines`` are those that run when the place does."""

    file: str
    function: str
    lines: range
    before: str
    after: str
    start: int
    end: int

    def of(self, source: bytes) -> bytes:
        """Return ``source`` so changed."""
        return source[: self.start] + self.after.encode() + source[self.end :]

    @property
    def change(self) -> str:
        """The change in words that stay the same when lines are added above."""
        before, after = (" ".join(text.split()) for text in (self.before, self.after))
        return f"{self.file}  {self.function}:  {before}  ->  {after}"

    def __str__(self) -> str:
        return self.change.replace(self.file, f"{self.file}:{self.lines[0]}", 1)


def mutants_of(file: str, source: bytes) -> Iterator[Mutant]:
    """Yield every mutant of a file, in the order of its lines."""
    begins = [0]
    for line in source.splitlines(keepends=True):
        begins.append(begins[-1] + len(line))
    for node, forced, function, first in _places(ast.parse(source), "", 1):
        for after in (*_changes(node, inside=bool(function)), *forced):
            start = begins[node.lineno - 1] + node.col_offset
            end = begins[node.end_lineno - 1] + node.end_col_offset
            lines = range(first, node.end_lineno + 1)
            before = source[start:end].decode()
            yield Mutant(file, function, lines, before, after, start, end)


def _places(
    node: ast.AST, function: str, first: int
) -> Iterator[tuple[ast.AST, tuple[str, ...], str, int]]:
    """Yield what may be changed: a node, what it may be forced to, its function, its statement."""
    for field, value in ast.iter_fields(node):
        if field in _UNCHANGED or (isinstance(node, ast.If) and _never_runs(node, field)):
            continue
        for child in value if isinstance(value, list) else [value]:
            if not isinstance(child, ast.AST) or isinstance(child, ast.JoinedStr):
                continue
            inner, begun = function, first
            if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef):
                inner = f"{function}.{child.name}".lstrip(".")
            if isinstance(child, ast.stmt):
                begun = child.lineno
            if isinstance(child, ast.expr | ast.stmt):
                yield child, _forced(node, field, child), function, begun
            yield from _places(child, inner, begun)


def _never_runs(node: ast.If, field: str) -> bool:
    """Whether this field of an ``if`` is for type checkers, or for other interpreters."""
    names = {each.id for each in ast.walk(node.test) if isinstance(each, ast.Name)}
    if "FREE_THREADED" in names:
        return field in ("test", "orelse" if _FREE_THREADED else "body")
    return "TYPE_CHECKING" in names


def _forced(node: ast.AST, field: str, child: ast.AST) -> tuple[str, ...]:
    """Return what a condition may be replaced by: who never leaves a loop only takes time."""
    if isinstance(child, ast.Constant) or field not in ("test", "ifs"):
        return ()
    return ("False",) if isinstance(node, ast.While) else ("True", "False")


def _changes(node: ast.AST, *, inside: bool) -> Iterator[str]:
    """Yield what may stand in the place of ``node``, which may be ``inside`` a function."""
    match node:
        case ast.Constant(value=bool(value)):
            yield str(not value)
        case ast.Constant(value=int(value) | float(value)):
            yield repr(value + 1)
        case ast.Name(id="min" | "max" | "any" | "all"):
            yield _NAMES[node.id]
        case ast.Compare():
            for place, operator in enumerate(node.ops):
                yield _with(node, ops=_replaced(node.ops, place, _SWAPS[type(operator)]()))
        case ast.BinOp(op=ast.BitOr()) if not inside:
            pass  # of types
        case ast.BoolOp() | ast.BinOp():
            yield _with(node, op=_SWAPS[type(node.op)]())
        case ast.UnaryOp(op=ast.Not() | ast.USub()):
            yield f"({ast.unparse(node.operand)})"
        case ast.AugAssign():
            yield _with(node, op=_SWAPS[type(node.op)]())[1:-1]
            yield "pass"
        case ast.Expr(value=ast.Constant()):
            pass  # a docstring
        case ast.Expr() | ast.Raise() | ast.Delete() | ast.Continue() | ast.Break():
            yield "pass"
        case ast.Assign(targets=[ast.Attribute() | ast.Subscript()]):
            yield "pass"
        case ast.Return(value=ast.expr() as value) if not isinstance(value, ast.Constant):
            yield "return None"


def _with(node: ast.AST, **fields: object) -> str:
    changed = copy.copy(node)
    for name, value in fields.items():
        setattr(changed, name, value)
    return f"({ast.unparse(changed)})"


def _replaced(values: list[ast.cmpop], place: int, value: ast.AST) -> list[ast.AST]:
    return [*values[:place], value, *values[place + 1 :]]
