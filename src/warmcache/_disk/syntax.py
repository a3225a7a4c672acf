"""The syntax of a function or class as bytes: what a compiler makes its meaning of.

Comments and formatting are not in a tree. Left out of it are, too,

- where things are, and in which Python the tree was made;
- docstrings, and other texts that are statements;
- annotations of parameters, results and local variables, unless another's decorator sees the
  function: those of a class say what its fields are, and count;
- decorators of ours: their options change when a loader is run, not what it gives.
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator
from typing import Any

from .encoder import Encoder, leaf, node

_INCIDENTAL = {"ctx", "kind", "type_comment", "type_ignores", "simple", "is_lazy"}
_FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)
Definition = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef | ast.Lambda


class Stripped(ast.NodeTransformer):
    """Takes out of a copy of a definition what says nothing.

    Args:
        is_ours: whether a decorator is.
    """

    def __init__(self, is_ours: Callable[[ast.expr], bool]) -> None:
        self._is_ours = is_ours
        self._of_class = False

    def visit_FunctionDef(self, node: Any) -> Any:
        node.decorator_list = [each for each in node.decorator_list if not self._is_ours(each)]
        if not node.decorator_list:
            node.returns = None
            arguments = node.args
            for each in (*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs):
                each.annotation = None
            for each in (arguments.vararg, arguments.kwarg):
                if each is not None:
                    each.annotation = None
        return self._body(node, of_class=False)

    visit_AsyncFunctionDef: Any = visit_FunctionDef  # noqa: N815

    def visit_ClassDef(self, node: ast.ClassDef) -> Any:
        node.decorator_list = [each for each in node.decorator_list if not self._is_ours(each)]
        return self._body(node, of_class=True)

    def visit_AnnAssign(self, node: ast.AnnAssign) -> Any:
        if self._of_class:
            return node
        if node.value is None:
            return None
        return self.generic_visit(ast.Assign(targets=[node.target], value=node.value))

    def visit_Expr(self, node: ast.Expr) -> Any:
        constant = node.value
        is_text = isinstance(constant, ast.Constant) and isinstance(constant.value, str)
        return None if is_text else self.generic_visit(node)

    def visit_JoinedStr(self, node: ast.JoinedStr) -> Any:
        """Have texts that follow each other be one: which they are, depends on the Python."""
        joined: list[Any] = []
        for each in node.values:
            if not isinstance(each, ast.Constant):
                joined.append(self.visit(each))
            elif joined and isinstance(joined[-1], ast.Constant):
                joined[-1] = ast.Constant(str(joined[-1].value) + str(each.value))
            elif each.value:
                joined.append(each)
        node.values = joined
        return node

    def _body(self, node: Any, *, of_class: bool) -> Any:
        before, self._of_class = self._of_class, of_class
        self.generic_visit(node)
        self._of_class = before
        node.body = node.body or [ast.Pass()]
        return node


def encoded(tree: ast.AST) -> bytes:
    """Return ``tree`` as bytes, which are the same in each Python that has such syntax."""
    if isinstance(tree, ast.Constant):
        return node("Constant", [Encoder("").of(tree.value)])
    parts: list[bytes] = []
    for name, value in ast.iter_fields(tree):
        if name not in _INCIDENTAL and value is not None and value != []:
            parts += [leaf("str", name), _field(value)]
    return node(type(tree).__name__, parts)


def _field(value: Any) -> bytes:
    if isinstance(value, list):
        return node("list", map(_field, value))
    return encoded(value) if isinstance(value, ast.AST) else Encoder("").of(value)


def identifiers(tree: ast.AST) -> Iterator[str]:
    """Yield the names that ``tree`` has, of variables, attributes and what is imported."""
    for each in ast.walk(tree):
        if isinstance(each, ast.Name):
            yield each.id
        elif isinstance(each, ast.Attribute):
            yield each.attr
        elif isinstance(each, ast.alias):
            yield from each.name.split(".")


def outer_names(tree: Definition) -> set[str]:
    """Return the names that are read where ``tree`` is defined: by decorators, of its bases."""
    if isinstance(tree, ast.Lambda):
        return set()
    outside: list[ast.AST] = [*tree.decorator_list]
    if isinstance(tree, ast.ClassDef):
        outside += [*tree.bases, *tree.keywords]
    return {name for each in outside for name in identifiers(each)}
