"""The Python of a page of the docs, as modules that a type checker can read."""

from __future__ import annotations

import ast
import doctest
import re

_FENCE = re.compile(r"^```python\n(.*?)^```", re.DOTALL | re.MULTILINE)
_LEFT_OUT = "% untyped: next\n\n", "% skip: next\n\n"
_SCOPES = ast.Lambda, ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp


def modules_of(page: str, name: str) -> dict[str, str]:
    """Return the sources of modules that have a page's Python on the very lines that it has there.

    A page may define a name anew and a module may not: with what does so begins another module,
    which imports whatever else was defined before. What is shown to be an error is left out: what
    ends with a traceback, and a block below ``% untyped: next``, or one that nobody runs either.
    """
    made: dict[str, list[str]] = {}
    found_in: dict[str, str] = {}
    module = ""
    for line, source in _pieces(page):
        defined = _defined(ast.parse(source))
        if not module or any(found_in.get(each) == module for each in defined):
            imports = [
                f"from {there} import {each} as {each}"
                for each, there in found_in.items()
                if each not in defined
            ]
            module = f"{name}_{len(made)}"
            # On the line of the title, so that none is added.
            made[module] = ["; ".join(["from __future__ import annotations", *imports])]
        found_in |= dict.fromkeys(defined, module)
        made[module] += [""] * (line - 1 - len(made[module])) + source.splitlines()
    return {module: "\n".join(lines) + "\n" for module, lines in made.items()}


def _pieces(page: str) -> list[tuple[int, str]]:
    """Return what a page has of Python that is no error, and on which line each begins."""
    found = []
    for block in _FENCE.finditer(page):
        if page[: block.start()].endswith(_LEFT_OUT):
            continue
        line = page.count("\n", 0, block.start(1)) + 1
        if ">>> " not in block[1]:
            found.append((line, block[1]))
            continue
        examples = doctest.DocTestParser().get_examples(block[1])
        found += [(line + each.lineno, each.source) for each in examples if not each.exc_msg]
    return found


def _defined(tree: ast.AST) -> set[str]:
    """Return the names that statements bind, but for those in a scope of their own."""
    if isinstance(tree, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        return {tree.name}
    if isinstance(tree, _SCOPES):
        return set()
    if isinstance(tree, ast.alias):
        return {(tree.asname or tree.name).partition(".")[0]} - {"annotations"}
    if isinstance(tree, ast.Name) and isinstance(tree.ctx, ast.Store):
        return {tree.id}
    return set().union(*map(_defined, ast.iter_child_nodes(tree)))
