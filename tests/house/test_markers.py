"""Tests are marked by how they find out, and the marks are true."""

from __future__ import annotations

import ast
from collections.abc import Iterable
from pathlib import Path

import pytest

TESTS = Path(__file__).parents[1]
FILES = sorted(TESTS.rglob("test_*.py"))
WITHOUT_HYPOTHESIS = """
import pytest

def test_drawn_by_nobody(): ...
"""
GIVEN = """
@pytest.mark.property
@given(st.integers())
def test_drawn(n): ...
"""
MACHINE = """
pytestmark = [pytest.mark.oracle, pytest.mark.property]

class Model(RuleBasedStateMachine): ...
class Further(Model): ...
"""


def _marks(nodes: Iterable[ast.expr]) -> set[str]:
    """Return what ``nodes`` have of ``pytest.mark``."""
    inside = [each for node in nodes for each in ast.walk(node)]
    attributes = [each for each in inside if isinstance(each, ast.Attribute)]
    return {each.attr for each in attributes if "pytest.mark" == ast.unparse(each.value)}


def _last_name(node: ast.expr) -> str:
    return ast.unparse(node.func if isinstance(node, ast.Call) else node).rpartition(".")[2]


def _marks_of_all(tree: ast.Module) -> set[str]:
    assigned = [node for node in tree.body if isinstance(node, ast.Assign)]
    return _marks(node.value for node in assigned if "pytestmark" == ast.unparse(node.targets[0]))


def wrongly_marked(source: str) -> list[str]:
    """Return what Hypothesis draws without being marked so, or is marked and not drawn."""
    tree = ast.parse(source)
    of_all = "property" in _marks_of_all(tree)
    wrong: list[str] = []
    for node in ast.walk(tree):
        if isinstance(node, ast.ClassDef) and not of_all:
            bases = map(_last_name, node.bases)
            wrong += [node.name] if "RuleBasedStateMachine" in bases else []
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            drawn = "given" in map(_last_name, node.decorator_list)
            marked = of_all or "property" in _marks(node.decorator_list)
            if drawn != marked and (drawn or node.name.startswith("test_")):
                wrong.append(node.name)
    return wrong


def test_what_hypothesis_draws_is_marked_property_and_nothing_else_is() -> None:
    wrong = {
        path.relative_to(TESTS).as_posix(): names
        for path in FILES
        if (names := wrongly_marked(path.read_text(encoding="utf-8")))
    }
    assert {} == wrong


@pytest.mark.parametrize("source", [WITHOUT_HYPOTHESIS, GIVEN, MACHINE])
def test_a_true_mark_is_no_finding(source: str) -> None:
    assert [] == wrongly_marked(source)


@pytest.mark.parametrize(
    ("source", "found"),
    [
        (GIVEN.replace("@pytest.mark.property", ""), "test_drawn"),
        (GIVEN.replace("@given(st.integers())", ""), "test_drawn"),
        (GIVEN.replace("given", "hypothesis.given").replace("property", "oracle"), "test_drawn"),
        (MACHINE.replace("property", "race"), "Model"),
        (MACHINE + WITHOUT_HYPOTHESIS, "test_drawn_by_nobody"),
    ],
)
def test_a_mark_that_is_forgotten_or_false_is_found(source: str, found: str) -> None:
    assert [found] == wrongly_marked(source)
