"""A cell that is run again: its loader goes on with what is warm, or it goes first."""

from __future__ import annotations

import gc
import textwrap
from collections.abc import Callable
from typing import Any

import by_value
import pytest
from by_value import journal, note
from reruns import Notebook

import warmcache
from warmcache._process.janitor import janitor

pytestmark = pytest.mark.usefixtures("a_process_that_knows_of_no_loader")

CELL = """
from warmcache import warm

FACTOR = 1
SIZES = {"small": 1}

class Model:
    def __init__(self, name, *more):
        note("load", name)
        self.name, self.more = name, more

    def close(self):
        note("close", self.name)

def build(name, suffix):
    return Model(name + suffix, FACTOR, SIZES)

@warm(maxsize=1, teardown="close")
def load(name, suffix=""):
    return build(name, suffix)
"""

EDITS = {
    "default": ('suffix=""', 'suffix="!"'),
    "global": ("FACTOR = 1", "FACTOR = 2"),
    "global dictionary": ('"small": 1', '"small": 2'),
    "helper": ("build(name, suffix):\n", "build(name, suffix):\n    note\n"),
    "class": ("    def close", "    extra = 1\n\n    def close"),
    "limit": ("maxsize=1", "maxsize=2"),
    "policy": ("maxsize=1", 'policy="fifo", maxsize=1'),
    "time to live": ("maxsize=1", "maxsize=1, ttl=60"),
    "teardown": ('teardown="close"', "teardown=lambda model: model.close()"),
    "version": ("maxsize=1", "maxsize=1, version=1"),
}


def test_a_limit_of_nothing_lets_go_of_what_was_kept_before_the_first_load() -> None:
    notebook = Notebook()
    notebook.run(CELL)("a")
    load = notebook.run(CELL, "maxsize=1", "maxsize=0")
    assert load("b") is not load("b")
    assert [("load", "a"), ("close", "a"), ("load", "b"), ("load", "b")] == journal


def test_what_is_warm_stays_when_nothing_is_edited() -> None:
    notebook = Notebook()
    model = notebook.run(CELL)("a")
    for _ in range(3):
        load = notebook.run("# moved\n\n" + CELL)
        assert load.contains("a") and load.peek("a") is model
        assert load("a") is model
    assert [("load", "a")] == journal


def test_the_cache_keeps_its_name_when_the_old_loader_is_gone() -> None:
    notebook = Notebook()
    for _ in range(3):
        notebook.run(CELL)("a")
        gc.collect()
        assert "__main__.load" == notebook["load"].cache.name


RANKED = CELL.replace("maxsize=1", "policy=Heaviest, maxsize=1").replace(
    "@warm",
    """
import warmcache

class Heaviest(warmcache.Cache):
    def rank(self, entry):
        return -entry.weight

@warm""",
)


def test_a_policy_that_is_a_class_of_the_cell_is_the_same_while_it_is_not_edited() -> None:
    notebook = Notebook()
    model = notebook.run(RANKED)("a")
    load = notebook.run("# moved\n\n" + RANKED)
    assert load("a") is model
    edited = notebook.run(RANKED.replace("-entry.weight", "entry.used"))
    assert edited("a") is not model
    assert [("load", "a"), ("close", "a"), ("load", "a")] == journal


def leased(load: Any) -> Any:
    with load.lease("a") as value:
        return value


USES: dict[str, Callable[[Any], Any]] = {
    "call": lambda load: load("a"),
    "lease": lambda load: leased(load),
    "peek": lambda load: load.peek("a").name,
    "cache_info": lambda load: 1 / load.cache_info().currsize,
    "cache_key": lambda load: load.cache[load.cache_key("a")],
    "warm_up": lambda load: load.warm_up(["a"]),
}


@pytest.mark.parametrize("use", USES)
def test_it_stays_whatever_of_the_loader_is_used_first(use: str) -> None:
    notebook = Notebook()
    notebook.run(CELL)("a")
    USES[use](notebook.run(CELL))
    assert [("load", "a")] == journal


@pytest.mark.parametrize("let_go", ["evict", "cache_clear"])
def test_it_goes_where_that_is_the_first_that_is_asked(let_go: str) -> None:
    notebook = Notebook()
    notebook.run(CELL)("a")
    getattr(notebook.run(CELL), let_go)(*["a"] * (let_go == "evict"))
    assert [("load", "a"), ("close", "a")] == journal


def test_a_hit_is_a_hit_again() -> None:
    notebook = Notebook()
    notebook.run(CELL)("a")
    load = notebook.run(CELL)
    load("a")
    site = load.lease.__self__._site
    assert 1 == len(site.hot.table)
    load("a")
    assert 2 == load.cache_info().hits


@pytest.mark.parametrize("edit", EDITS)
def test_what_is_warm_goes_before_an_edited_one_loads(edit: str) -> None:
    notebook = Notebook()
    old = notebook.run(CELL)
    old("a")
    load = notebook.run(CELL, *EDITS[edit])
    journal.clear()
    assert not load.contains("a")
    assert load("a") is load("a")
    closed, loaded = journal
    assert ("close", "a") == closed and "load" == loaded[0]
    assert not old.contains("a")


def test_what_the_edit_is_of_may_be_in_another_cell() -> None:
    notebook = Notebook(SCALE=1)
    cell = """
    from warmcache import warm
    @warm(maxsize=1, teardown=lambda value: note("close", value))
    def load(name):
        return name, SCALE
    """
    assert ("a", 1) == notebook.run(cell)("a")
    notebook["SCALE"] = 2
    assert ("a", 2) == notebook.run(cell)("a")
    assert [("close", ("a", 1))] == journal


def test_what_a_loader_writes_to_makes_no_other_of_it() -> None:
    written: list[Any] = []
    notebook = Notebook(written=written, counts={"loads": 0})
    cell = """
    from warmcache import warm
    @warm(maxsize=1, teardown=written.append)
    def load(name):
        counts["loads"] += 1
        written.append(name)
        return [name]
    """
    for _ in range(3):
        notebook.run(cell)("a")
    assert ["a"] == written
    notebook["load"]("b")
    assert ["a", ["a"], "b"] == written


def test_what_it_is_given_anew_it_is_torn_down_with() -> None:
    notebook = Notebook()
    cell = """
    from warmcache import warm
    closed = []
    @warm(maxsize=1, teardown=closed.append)
    def load(name):
        return [name]
    """
    first = notebook.run(cell)("a")
    before = notebook["closed"]
    assert notebook.run(cell)("a") is first
    notebook["load"]("b")
    assert [["a"]] == notebook["closed"] and [] == before


def test_who_is_told_of_removals_is_the_one_that_is_said_now() -> None:
    notebook = Notebook()
    cell = """
    from warmcache import warm
    told = []
    @warm(maxsize=1, on_removal=told.append)
    def load(name):
        return [name]
    """
    notebook.run(cell)("a")
    notebook.run(cell)("a")
    notebook["load"]("b")
    assert 1 == len(notebook["told"])


def test_one_displayed_by_a_notebook_is_succeeded_all_the_same() -> None:
    notebook = Notebook()
    shown = [notebook.run(CELL)]
    shown[0]("a")
    for factor in "23":
        shown.append(notebook.run(CELL, "FACTOR = 1", f"FACTOR = {factor}"))
        shown[-1]("a")
    assert [("load", "a"), ("close", "a")] * 2 + [("load", "a")] == journal


def test_an_old_one_in_somebodys_hands_stays_what_it_is() -> None:
    notebook = Notebook()
    cell = """
    from warmcache import warm
    @warm(maxsize=1, teardown=lambda value: note("close", value))
    def load(name):
        return "old", name
    """
    old = notebook.run(cell)
    new = notebook.run(cell, "old", "new")
    assert [("old", "a"), ("new", "a"), ("old", "a")] == [old("a"), new("a"), old("a")]
    assert old.contains("a") and not new.contains("a")
    assert [("close", ("old", "a")), ("close", ("new", "a"))] == journal


@pytest.mark.parametrize("edit", [(), ("maxsize=1", "maxsize=2")])
def test_one_that_was_deleted_is_gone_before_its_successor_loads(edit: tuple[str, str]) -> None:
    notebook = Notebook()
    notebook.run(CELL)("a")
    del notebook["load"]
    gc.collect()
    load = notebook.run(CELL, *edit)
    load("a")
    assert [("load", "a"), ("close", "a"), ("load", "a")] == journal


def test_deleting_a_loader_that_was_defined_anew_lets_go_of_what_it_has() -> None:
    notebook = Notebook()
    for factor in "12":
        notebook.run(CELL, "FACTOR = 1", f"FACTOR = {factor}")("a")
    journal.clear()
    del notebook["load"]
    gc.collect()
    janitor.drain(5.0)
    assert [("close", "a")] == journal


def test_a_predecessors_leased_value_is_torn_down_when_its_lease_ends() -> None:
    notebook = Notebook()
    cell = CELL.replace("maxsize=1", "maxsize=2")
    with notebook.run(cell).lease("a"):
        journal.clear()
        notebook.run(cell, "FACTOR = 1", "FACTOR = 2")("b")
        assert [("load", "b")] == journal
    assert [("load", "b"), ("close", "a")] == journal


NOT_DEFINED_THERE = {
    "a function of another cell": "load = warm(maxsize=1, teardown=close)(build)",
    "an importable one": "load = warm(maxsize=1, teardown=close)(by_value.build)",
    "a lambda": "load = warm(maxsize=1, teardown=close)(lambda name: build(name))",
    "a partial": "load = warm(maxsize=1, teardown=close)(functools.partial(build))",
    "a class": "load = warm(maxsize=1, teardown=close)(Thing)",
}


@pytest.mark.parametrize("what", NOT_DEFINED_THERE)
def test_one_that_is_made_of_what_was_there_is_succeeded_under_its_name(
    what: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    notebook = Notebook()
    notebook.run(
        """
        import by_value, functools
        from warmcache import warm
        def build(name):
            note("load", name)
            return [name]
        class Thing:
            def __init__(self, name): build(name)
        def close(value): note("close")
        """
    )
    monkeypatch.setattr(by_value, "build", notebook["build"], raising=False)
    cell = NOT_DEFINED_THERE[what]
    notebook.run(cell)("a")
    notebook.run("# again\n" + cell)("a")
    assert [("load", "a")] == journal
    notebook.run(cell, "load = ", "other = ")
    other = notebook["other"]
    other("a")
    assert notebook["load"].contains("a")
    journal.clear()
    notebook.run(cell, "maxsize=1", "maxsize=2")("a")
    assert ["close", ("load", "a")] == journal
    assert other.contains("a")


def test_no_load_lets_nothing_go() -> None:
    notebook = Notebook()
    old = notebook.run(CELL)
    old("a")
    new = notebook.run(CELL, "FACTOR = 1", "FACTOR = 2")
    with warmcache.no_load(), pytest.raises(warmcache.WarmMissError):
        new("a")
    assert old.contains("a")


def test_a_cache_that_was_closed_is_not_gone_on_with() -> None:
    notebook = Notebook()
    notebook.run(CELL)("a")
    notebook["load"].cache.close()
    assert "a" == notebook.run(CELL)("a").name


def test_a_shared_cache_keeps_what_is_warm_of_a_loader_that_was_deleted() -> None:
    cache: Any = warmcache.LRUCache(2)
    notebook = Notebook(cache=cache)
    cell = CELL.replace("maxsize=1", "cache=cache")
    notebook.run(cell)("a")
    del notebook["load"]
    gc.collect()
    assert notebook.run(cell).contains("a")
    notebook.run(cell, "FACTOR = 1", "FACTOR = 2")("b")
    assert [("load", "a"), ("close", "a"), ("load", "b")] == journal
    assert 1 == len(cache)


async def test_an_asynchronous_loader_is_succeeded_likewise() -> None:
    notebook = Notebook()
    cell = """
    from warmcache import warm
    async def close(value):
        note("close", value)
    @warm(maxsize=1, teardown=close)
    async def load(name):
        note("load", name)
        return name, 1
    """
    await notebook.run(cell)("a")
    await notebook.run(cell)("a")
    await notebook.run(cell, "name, 1", "name, 2")("a")
    assert [("load", "a"), ("close", ("a", 1)), ("load", "a")] == journal


def test_a_generator_is_succeeded_likewise() -> None:
    notebook = Notebook()
    cell = """
    from warmcache import warm
    @warm(maxsize=1)
    def load(name):
        note("load", name)
        yield name, 1
        note("close", name)
    """
    notebook.run(cell)("a")
    notebook.run(cell)("a")
    notebook.run(cell, "name, 1", "name, 2")("a")
    assert [("load", "a"), ("close", "a"), ("load", "a")] == journal


def test_what_is_run_without_a_module_name_leaves_others_alone() -> None:
    loaders = []
    for _ in range(2):
        namespace: dict[str, Any] = {"note": note}
        exec(textwrap.dedent(CELL.replace("maxsize=1", "maxsize=2")), namespace)
        loaders.append(namespace["load"])
        loaders[-1]("a")
    assert [("load", "a")] * 2 == journal
    assert loaders[0].contains("a")
