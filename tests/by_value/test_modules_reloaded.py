"""A module that is reloaded: its loaders go on with what is warm, or it goes first."""

from __future__ import annotations

import gc
import importlib
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from by_value import journal
from reruns import EditedModule, edited_module, update_in_place

import warmcache

pytestmark = pytest.mark.usefixtures("a_process_that_knows_of_no_loader")

SOURCE = """
from warmcache import warm

FACTOR = 1

def helper(name):
    return name, FACTOR

@warm(maxsize=1, teardown=lambda value: note("close", value))
def load(name):
    note("load", name)
    return helper(name)

class Models:
    @warm(maxsize=1, teardown=lambda value: note("close", value))
    def method(self, name):
        note("load", name)
        return helper(name)

    @warm(maxsize=1, teardown=lambda value: note("close", value))
    @classmethod
    def of_class(cls, name):
        note("load", name)
        return helper(name)

    @classmethod
    @warm(maxsize=1, teardown=lambda value: note("close", value))
    def of_class_below(cls, name):
        note("load", name)
        return helper(name)

    @warm(maxsize=1, teardown=lambda value: note("close", value))
    @staticmethod
    def static(name):
        note("load", name)
        return helper(name)

    @staticmethod
    @warm(maxsize=1, teardown=lambda value: note("close", value))
    def static_below(name):
        note("load", name)
        return helper(name)

@warm(maxsize=1, teardown="close")
class Model:
    def __init__(self, name):
        note("load", name)
        self.value = helper(name)

    def close(self):
        note("close", self.value)
"""
WHATS = [
    "load",
    "Models.of_class",
    "Models.of_class_below",
    "Models.static",
    "Models.static_below",
    "Model",
]


@pytest.fixture
def module(tmp_path: Path) -> Iterator[EditedModule]:
    with edited_module(tmp_path) as module:
        yield module


def found(module: Any, what: str) -> Any:
    for name in what.split("."):
        module = getattr(module, name)
    return module


@pytest.mark.parametrize("collected", [False, True])
@pytest.mark.parametrize("what", WHATS)
def test_what_is_warm_stays_when_nothing_of_it_is_edited(
    module: EditedModule, what: str, collected: bool
) -> None:
    value = found(module.imported(SOURCE), what)("a")
    for edit in ("", "def unrelated(): ...\n\n"):
        reloaded = module.reloaded(edit + SOURCE)
        if collected:
            gc.collect()
        assert found(reloaded, what)("a") is value
    assert [("load", "a")] == journal


@pytest.mark.parametrize("edit", [("FACTOR = 1", "FACTOR = 2"), ("name, FACTOR", "name, -FACTOR")])
@pytest.mark.parametrize("what", WHATS)
def test_what_is_warm_goes_before_an_edited_one_loads(
    module: EditedModule, what: str, edit: tuple[str, str]
) -> None:
    found(module.imported(SOURCE), what)("a")
    found(module.reloaded(SOURCE, *edit), what)("a")
    assert [("load", "a"), ("close", ("a", 1)), ("load", "a")] == journal


def test_what_is_warm_of_a_class_is_an_instance_of_the_one_there_is_now(
    module: EditedModule,
) -> None:
    first = module.imported(SOURCE).Model("a")
    model = module.reloaded(SOURCE).Model
    assert model("a") is first and isinstance(first, model)


def test_an_instance_of_before_keeps_its_method(module: EditedModule) -> None:
    models = module.imported(SOURCE).Models()
    models.method("a")
    again = module.reloaded(SOURCE).Models()
    again.method("a")
    models.method("a")
    assert [("load", "a"), ("close", ("a", 1)), ("load", "a")] == journal[:3]


def test_an_instance_that_is_given_the_new_class_keeps_what_it_has_warm(
    module: EditedModule,
) -> None:
    models = module.imported(SOURCE).Models()
    value = models.method("a")
    models.__class__ = module.reloaded(SOURCE).Models
    assert models.method("a") is value
    models.method("a")
    assert 2 == models.method.cache_info().hits
    del models
    gc.collect()
    from warmcache._process.janitor import janitor

    janitor.drain(5.0)
    assert [("load", "a"), ("close", ("a", 1))] == journal


def test_a_module_that_is_imported_anew_is_the_same(module: EditedModule) -> None:
    old = module.imported(SOURCE)
    old.load("a")
    del sys.modules[module.name]
    new = importlib.import_module(module.name)
    assert new is not old and new.load.contains("a")


def test_a_reload_that_fails_leaves_the_loaders_of_before_as_fast(module: EditedModule) -> None:
    load = module.imported(SOURCE).load
    load("a")
    with pytest.raises(ZeroDivisionError):
        module.reloaded(SOURCE + "\n1 / 0")
    vars(sys.modules[module.name]).clear()
    gc.collect()
    load("a")
    assert "a" in load.lease.__self__._site.hot.table
    assert [("load", "a")] == journal


# -- who is not hit -------------------------------------------------------------------

APART = {
    "a loop": """
loaders = []
for number in range(3):
    @warm(maxsize=1, teardown=lambda value: note("close", value))
    def load(name, number=number):
        note("load", name)
        return name, number
    loaders.append(load)
""",
    "two of one name": """
loaders = []
@loaders.append
@warm(maxsize=1, teardown=lambda value: note("close", value))
def load(name):
    note("load", name)
    return name, 1
@loaders.append
@warm(maxsize=1, teardown=lambda value: note("close", value))
def load(name):
    note("load", name)
    return name, 2
""",
    "a factory": """
def make(number):
    @warm(maxsize=1, teardown=lambda value: note("close", value))
    def load(name):
        note("load", name)
        return name, number
    return load
loaders = [make(1), make(2)]
""",
    "a factory that copies names": """
import functools
def make(function, number):
    @warm(maxsize=1, teardown=lambda value: note("close", value))
    @functools.wraps(function)
    def inner(name):
        note("load", name)
        return function(name), number
    return inner
def load(name): ...
loaders = [make(load, 1), make(load, 2)]
""",
    "one function twice": """
def load(name):
    note("load", name)
    return [name]
loaders = [
    warm(maxsize=1, teardown=lambda value: note("close", value))(load),
    warm(maxsize=2, teardown=lambda value: note("close", value))(load),
]
""",
    "functions without a name": """
loaders = [
    warm(maxsize=1, teardown=lambda value: note("close", value))(lambda n: note("load", n) or 1),
    warm(maxsize=1, teardown=lambda value: note("close", value))(lambda n: note("load", n) or 2),
]
""",
}


@pytest.mark.parametrize("apart", APART)
def test_loaders_that_are_meant_to_be_there_at_once_leave_each_other_alone(
    module: EditedModule, apart: str
) -> None:
    loaders = module.imported("from warmcache import warm\n" + APART[apart]).loaders
    for _ in range(2):
        for load in loaders:
            load("a")
    assert [("load", "a")] * len(loaders) == journal


@pytest.mark.parametrize("apart", ["a loop", "two of one name", "a factory that copies names"])
def test_each_of_them_has_a_successor_of_its_own(module: EditedModule, apart: str) -> None:
    source = "from warmcache import warm\n" + APART[apart]
    old = module.imported(source).loaders
    before = [load("a") for load in old]
    assert before == [load("a") for load in module.reloaded(source).loaders]
    assert [("load", "a")] * len(before) == journal


def test_modules_of_one_name_in_two_files_leave_each_other_alone(tmp_path: Path) -> None:
    modules = []
    for folder in ("one", "two"):
        (tmp_path / folder).mkdir()
        with edited_module(tmp_path / folder) as each:
            modules.append(each.imported(SOURCE.replace("FACTOR = 1", f"FACTOR = {len(folder)}")))
            modules[-1].load("a")
            sys.modules.pop(each.name)
    assert modules[0].load.contains("a") and modules[1].load.contains("a")


# -- functions that are changed in place, as by %autoreload -----------------------------

CHANGES = [("FACTOR = 1", "FACTOR = 2"), ("maxsize=1", "maxsize=2"), ("(name):", "(name, more=1):")]


@pytest.mark.parametrize("edit", [(), *CHANGES])
@pytest.mark.parametrize("used", [True, False])
def test_a_function_changed_in_place_is_the_new_one_in_all(
    module: EditedModule, edit: tuple[str, str], used: bool
) -> None:
    old = module.imported(SOURCE).load
    old("a")
    journal.clear()
    new = module.reloaded(SOURCE, *edit).load
    if used:
        new("b")
    update_in_place(old, new)
    value = old("b")
    assert old("b") is value and new("b") is value
    assert old.contains("b") and new.contains("b")
    assert [("close", ("a", 1)), ("load", "b")] == journal
    assert old.cache is new.cache
    old.cache_clear()
    assert not new.contains("b")
    assert 1 == len([entry for entry in journal if entry[0] == "load"])


def test_a_function_changed_in_place_time_and_again_is_the_last_one(module: EditedModule) -> None:
    old = module.imported(SOURCE).load
    for factor in range(2, 8):
        new = module.reloaded(SOURCE, "FACTOR = 1", f"FACTOR = {factor}").load
        update_in_place(old, new)
        if factor % 3 == 0:
            assert ("a", factor) == old("a")
    assert ("a", 7) == old("a") == new("a")
    assert old("a") is new.peek("a")


LIVES = "teardown=", "ttl=60, teardown="


@pytest.mark.parametrize("edits", [(LIVES,), (LIVES, LIVES[::-1])])
def test_a_function_changed_in_place_asks_of_a_hit_what_the_new_one_asks(
    module: EditedModule, edits: tuple[tuple[str, str], ...]
) -> None:
    source, old = SOURCE, module.imported(SOURCE).load
    for edit in edits:
        old("a")
        source = source.replace(*edit)
        new = module.reloaded(source).load
        update_in_place(old, new)
    value = old("a")
    assert old("a") is value and new("a") is value
    assert 2 == old.cache_info().hits


NEITHER = "@warm\ndef load(name, factor): return [name, factor]"
DEFAULT = NEITHER.replace("factor)", "factor=1)", 1)
SHORT = DEFAULT.replace("@warm", "@warm(ttl=60)")


@pytest.mark.parametrize(
    ("one", "other"),
    [(NEITHER, DEFAULT), (DEFAULT, NEITHER), (DEFAULT, SHORT), (SHORT, DEFAULT)],
    ids=["default", "no-default", "ttl", "no-ttl"],
)
def test_a_function_whose_successor_was_changed_in_place_has_what_that_has_now(
    module: EditedModule, one: str, other: str
) -> None:
    """As where only the function that has the name now is changed, and an earlier one is kept."""
    importing = "from warmcache import warm\n"
    oldest = module.imported(importing + one.replace("[name", "[0, name")).load
    old = module.reloaded(importing + one).load
    update_in_place(oldest, old)
    oldest("a", "b")
    new = module.reloaded(importing + other).load
    update_in_place(old, new)
    for args in 2 * [("a", "b"), ("b", "a")]:
        value = oldest(*args)
        assert [*args] == value
        assert oldest(*args) is value
        assert old(*args) is value
        assert new(*args) is value


def test_a_function_changed_in_place_tells_its_hits_and_keeps_its_code(
    module: EditedModule, tmp_path: Path
) -> None:
    """The one before lives in the same cache, which gives all its hit paths another code."""
    source = "import warmcache\n@warmcache.warm(cache=warmcache.cache('told', maxsize=9))\n"
    old = module.imported(f"{source}def load(name, factor): return [0]").load
    old("a", "b")
    new = module.reloaded(f"{source}def load(name, factor='c'): return [name, factor]").load
    update_in_place(old, new)
    with warmcache.cache("told") as cache:
        value = old("a", "b")
        with cache.record(tmp_path / "told.csv"):
            assert ["b", "a"] == old("b", "a")
            assert old("a", "b") is old("a", "b") is value
            assert ["a", "c"] == old("a")
        assert ["b", "a"] == old("b", "a")
        assert old("a", "b") is value
        assert old.__code__ is new.__code__
        assert ["b", "a"] == old("b", "a")
    assert 5 == len((tmp_path / "told.csv").read_text().splitlines())
