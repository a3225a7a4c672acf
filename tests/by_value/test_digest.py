"""What changes the digest of a function, and what does not."""

from __future__ import annotations

import builtins
import functools
import subprocess
import sys
import threading
import time
import types
from pathlib import Path
from typing import Any

import by_value
import cloudpickle
import numpy as np
import pytest
from by_value import cell

from warmcache._by_value.digest import digest, importable

BASE = """
import math
A = 1
UNREAD = 1

def helper(x):
    return x + A

class Thing:
    size = 1

    @property
    def half(self):
        return helper(self.size) / 2

def f(x, y=2, *, z=(3, "three")):
    inner = lambda: math.pi
    return [helper(v) for v in x if v in {"a", "b", "c"}], Thing, inner, f
"""


def of(source: str, what: str = "f") -> str:
    return digest(cell(source)[what])


def changed(old: str, new: str) -> str:
    assert 1 == BASE.count(old)
    return BASE.replace(old, new)


@pytest.mark.parametrize(
    "source",
    [
        BASE,
        "# a comment\n\n\n" + BASE,
        changed("return x + A", "return (  # why\n        x\n        + A\n    )"),
        changed("UNREAD = 1", "UNREAD = 2"),
        changed("import math\nA = 1", "A = 1\nimport math"),
        changed("A = 1", "A = 3 - 2"),
    ],
)
def test_what_means_the_same_has_one_digest(source: str) -> None:
    assert of(BASE) == of(source)


@pytest.mark.parametrize(
    "source",
    [
        changed("v in x if", "v in x if not"),
        changed('"c"}', '"d"}'),
        changed("y=2", "y=3"),
        changed("y=2", "y=2.0"),
        changed('"three"', '"four"'),
        changed("x, y=2", "w, y=2").replace("in x", "in w"),
        changed("A = 1", "A = 2"),
        changed("A = 1", "A = True"),
        changed("x + A", "x - A"),
        changed("size = 1", "size = 2"),
        changed(") / 2", ") / 3"),
        changed("class Thing:", "class Thing(dict):"),
        changed("math.pi", "math.e"),
        changed("import math", "import cmath as math"),
        changed("inner, f", "inner, helper"),
    ],
)
def test_what_means_something_else_has_another(source: str) -> None:
    assert of(BASE) != of(source)


def closing_over(value: Any) -> Any:
    def inner() -> Any:
        return value

    return inner


@pytest.mark.parametrize("value", [1, "text", [1, [2]], {"a": {1, 2}}, by_value.note, np.ones(3)])
def test_what_is_closed_over_counts(value: Any) -> None:
    assert digest(closing_over(value)) == digest(closing_over(value))
    assert digest(closing_over(value)) != digest(closing_over("else"))


def test_values_count_by_what_is_in_them() -> None:
    assert digest(closing_over(np.zeros(3))) == digest(closing_over(np.zeros(3)))
    assert digest(closing_over(np.zeros(3))) != digest(closing_over(np.zeros(4)))
    assert digest([1, 2]) != digest((1, 2)) != digest({1, 2})
    assert digest([[1], 2]) != digest([[1, 2]])
    assert digest({"a": 1, "b": 2}) == digest({"b": 2, "a": 1}) != digest({"a": 2, "b": 1})
    assert digest(-1) != digest(-2)
    assert digest(0.0) != digest(-0.0)
    assert digest("\ud800") != digest(b"\xed\xa0\x80")
    assert digest(10**5000) != digest(10**5000 + 1)


@pytest.mark.parametrize(
    "wrap",
    [
        staticmethod,
        classmethod,
        property,
        functools.cached_property,
        functools.partial,
        lambda f: functools.partial(print, f),
        lambda f: functools.partial(print, sep=f),
        lambda f: types.MethodType(f, "self"),
        lambda f: {"nested": [(f,)]},
        lambda f: types.MappingProxyType({"f": f}),
        lambda f: vars(builtins).get("frozendict", dict)({"f": f}),
        functools.lru_cache,
        functools.wraps(by_value.note),
    ],
)
def test_wrapped_functions_count(wrap: Any) -> None:
    assert digest(wrap(closing_over(1))) == digest(wrap(closing_over(1)))
    assert digest(wrap(closing_over(1))) != digest(wrap(closing_over(2)))


def test_what_can_be_imported_is_its_name() -> None:
    assert importable(by_value.note) and importable(Path)
    assert not importable(closing_over(1)) and not importable(cell(BASE)["f"])
    f, g = closing_over(by_value.note), closing_over(by_value.cell)
    assert digest(f) != digest(g)


@pytest.mark.parametrize("name", ["edited", "edited.helpers"])
def test_what_cloudpickle_takes_by_value_counts_though_it_can_be_imported(
    monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    modules = [types.ModuleType("edited"), types.ModuleType(name)]
    for module in modules:
        monkeypatch.setitem(sys.modules, module.__name__, module)
    exec("def helper(): return 1", vars(modules[1]))
    reads = closing_over(modules[1].helper)
    before = digest(reads)
    cloudpickle.register_pickle_by_value(modules[0])
    try:
        assert not importable(modules[1].helper) and importable(by_value.note)
        assert before != digest(reads)
    finally:
        cloudpickle.unregister_pickle_by_value(modules[0])
    assert before == digest(reads)


def test_a_child_names_the_main_module_otherwise_and_means_the_same(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    child = types.ModuleType("__mp_main__")
    monkeypatch.setitem(sys.modules, "__mp_main__", child)
    exec(BASE, vars(child))
    assert of(BASE) == digest(child.f)


def test_cycles_end() -> None:
    source = """
def even(n):
    return n == 0 or odd(n - 1)

def odd(n):
    return n != 0 and even(n - {step})

loop = [even]
loop.append(loop)
"""
    once, again = cell(source.format(step=1)), cell(source.format(step=1))
    other = cell(source.format(step=3))
    for name in ("even", "odd", "loop"):
        assert digest(once[name]) == digest(again[name]) != digest(other[name])


class Sealed:
    def __reduce__(self) -> Any:
        raise RuntimeError("never")


class Opaque(Sealed):
    pass


class Named(Sealed):
    def __init__(self, name: str) -> None:
        self.name = name

    def __warm_digest__(self) -> Any:
        return self.name


def test_what_cannot_be_looked_into_counts_by_its_type_and_never_raises() -> None:
    assert digest(Sealed()) == digest(Sealed()) != digest(Opaque())
    assert digest(threading.Lock()) == digest(threading.Lock())
    assert digest(i for i in ()) == digest(i for i in ())
    deep: list[Any] = []
    for _ in range(100_000):
        deep = [deep]
    assert digest(deep)


def test_a_class_can_say_what_stands_for_it() -> None:
    assert digest(Named("a")) == digest(Named("a")) != digest(Named("b"))


def test_no_two_objects_are_taken_for_one() -> None:
    """Numbers of objects are used again once they are dead."""

    class Fresh:
        def __init__(self, number: int) -> None:
            self.number = number

        def __reduce__(self) -> Any:
            return Fresh, (self.number, ["made", "anew", self.number])

    assert digest([Fresh(n) for n in range(50)]) != digest([Fresh(0) for n in range(50)])


SCRIPT = """
import sys
sys.path[:0] = sys.argv[1:]
from warmcache._by_value.digest import digest
class C(frozenset): pass
S = {"a", "b", ("c", 1), frozenset("xyz")}
def f(x=frozenset("abcdef")): return x in {"q", "r", "s"}, S, C("pqr")
print(digest(f))
"""


def test_it_is_the_same_under_any_hash_seed(tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(SCRIPT)
    path = [entry for entry in sys.path if entry]
    printed = {
        subprocess.run(
            [sys.executable, script, *path],
            env={"PYTHONHASHSEED": seed},
            capture_output=True,
            check=True,
            timeout=60,
        ).stdout
        for seed in ("1", "2", "3")
    }
    assert 1 == len(printed)


def test_functions_with_many_names_are_read_whole() -> None:
    names = [f"name_{number}" for number in range(300)]  # more than one byte can number
    source = "\n".join(f"{name} = {{value}}" for name in names)
    source += "\ndef f():\n    return " + ", ".join(names)
    ones = cell(source.format(value=1))
    for name in (names[0], names[150], names[299]):
        before = digest(ones["f"])
        ones[name] = 2
        assert before != digest(ones["f"])


def test_global_names_of_nested_classes_and_comprehensions_are_read() -> None:
    source = """
A = B = C = 1
def f():
    class Inner:
        a = A
        def method(self):
            return [B for _ in range(3)]
    return Inner, lambda: C
"""
    names = cell(source)
    for name in "ABC":
        before = digest(names["f"])
        names[name] = 2
        assert before != digest(names["f"])
    names["time"] = time
    assert digest(names["f"]) == digest(names["f"])
