"""What is done in one place alone."""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator
from pathlib import Path

import warmcache

PACKAGE = Path(warmcache.__file__).parent
DRIVERS, PLANS, STATE = "_core/drivers/", "_core/plans/", "_core/state/"


def _found(wanted: Callable[[ast.AST], bool]) -> list[str]:
    """Return where in the package there is what is wanted: ``file.py: in what function``."""
    found = []
    for file in sorted(PACKAGE.rglob("*.py")):
        for function, node in _nodes(ast.parse(file.read_text())):
            if wanted(node):
                found.append(f"{file.relative_to(PACKAGE).as_posix()}: {function}")
    return found


def _nodes(tree: ast.AST, function: str = "") -> Iterator[tuple[str, ast.AST]]:
    for child in ast.iter_child_nodes(tree):
        inner = getattr(child, "name", function) if isinstance(child, ast.FunctionDef) else function
        yield inner, child
        yield from _nodes(child, inner)


def _calls(*names: str) -> Callable[[ast.AST], bool]:
    """Return what tells a call of a method or function of one of these names."""

    def wanted(node: ast.AST) -> bool:
        if not isinstance(node, ast.Call):
            return False
        called = node.func
        name = getattr(called, "attr", None) or getattr(called, "id", None)
        return name in names

    return wanted


def _elsewhere(found: list[str], *folders: str) -> list[str]:
    assert found, "nothing is found at all: what is looked for has another name"
    return [place for place in found if not place.startswith(folders)]


def test_nothing_but_a_driver_tears_down() -> None:
    names = "tear_down", "tear_down_async", "tear_down_at_once", "destroy", "let_go"
    found = _found(_calls(*names))
    assert [] == _elsewhere(found, DRIVERS, "_process/at_exit.py")


def test_nothing_but_a_driver_calls_a_teardown_of_the_users() -> None:
    # Outside of any cache, ``disabled()`` has leases of its own.
    teardowns = _found(_calls("teardown", "_teardown", "finish", "_finish"))
    ours = [place for place in teardowns if not place.startswith(("demo/", "dask.py"))]
    assert [] == _elsewhere(ours, DRIVERS, "_loaders/disabled.py", "executors.py")


def test_nothing_but_a_plan_condemns() -> None:
    assert [] == _elsewhere(_found(_calls("condemn", "turn_away")), PLANS, STATE)


def test_nobody_outside_of_the_state_touches_a_sum_of_the_ledger() -> None:
    sums = {"committed", "live", "idle", "retired", "dying", "zombies"}

    def touched(node: ast.AST) -> bool:
        return any(
            isinstance(each, ast.Attribute)
            and each.attr in sums
            and "ledger" in (getattr(each.value, "attr", None), getattr(each.value, "id", None))
            for each in [getattr(node, "target", None), *getattr(node, "targets", ())]
        )

    assert [] == _elsewhere(_found(touched), STATE)


def test_what_has_expired_is_condemned_by_plans() -> None:
    places = _found(_calls("expire"))
    assert [] == _elsewhere(places, PLANS, "_core/state/store.py")


def test_a_use_is_counted_by_the_store_and_by_generated_code() -> None:
    def counted(node: ast.AST) -> bool:
        return isinstance(node, ast.Assign) and "entry.hits = entry.hits.next" == ast.unparse(node)

    assert 2 * [STATE + "store.py"] == [place.split(": ")[0] for place in _found(counted)]


def test_nobody_but_the_store_tells_observers_of_uses_and_stores() -> None:
    found = _found(
        lambda node: (
            _calls("used", "stored")(node)
            and getattr(getattr(node.func, "value", None), "id", None) == "observer"
        )  # type: ignore[attr-defined]
    )
    assert [] == _elsewhere(found, "_core/state/observers.py")


def test_what_pickles_is_not_known_to_loaders() -> None:
    def pickler(node: ast.AST) -> bool:
        names = [alias.name for alias in getattr(node, "names", ()) if hasattr(alias, "name")]
        names.append(getattr(node, "module", None) or "")
        return isinstance(node, ast.Import | ast.ImportFrom) and any(
            name.partition(".")[0] in {"pickle", "cloudpickle", "dill", "copyreg"}
            or "_by_value" in name
            for name in names
        )

    assert [] == [place for place in _found(pickler) if place.startswith(("_loaders", "_core"))]
