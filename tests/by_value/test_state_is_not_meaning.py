"""What a loader gives another value is state: its cell run again is no other loader for that."""

from __future__ import annotations

import textwrap
from pathlib import Path
from typing import Any

import pytest
from by_value import journal
from reruns import Notebook, edited_module

from warmcache._by_value.digest import digest

pytestmark = pytest.mark.usefixtures("a_process_that_knows_of_no_loader")

LOAD = """
from warmcache import warm
@warm(maxsize=1)
def load(name):
    note("load", name)
"""

# What is there before, and what the loader does.
WRITES = {
    "a counter": ("count = 0", "global count; count += 1; return [name]"),
    "what it loads": ("model = None", "global model; model = [name]; return model"),
    "what is not there yet": ("", "global model; model = [name]; return model"),
    "what it deletes": ("once = 1", "global once; made = [once]; del once; return made"),
    "an import": ("json = None", "global json; import json; return [json.dumps(name)]"),
    "what a helper counts": (
        "count = 0\ndef made():\n    global count\n    count += 1\n    return count",
        "return [made()]",
    ),
    "what a function inside counts": (
        "count = 0",
        """
        def made():
            global count
            count += 1
        made()
        return [count]
        """,
    ),
    "a class's counter": (
        "class M:\n    n = 0\n    def __init__(self):\n        M.n += 1",
        "return M()",
    ),
    "a class's counter by another name": (
        "class M:\n    n = 0\n    def __init__(self):\n        pass\nAlso = M",
        "Also.n = 1 + (M.n or 0); return M()",
    ),
    "the counter of an inner class": (
        "class M:\n    class Counts:\n        n = 0",
        "M.Counts.n += 1; return M()",
    ),
    "the counter of what type() says": (
        "class M:\n    n = 0\n    def __init__(self):\n        type(self).n += 1",
        "return M()",
    ),
    "the counter of self.__class__": (
        "class M:\n    n = 0\n    def __init__(self):\n        self.__class__.n += 1",
        "return M()",
    ),
    "the counter of a class method": (
        "class M:\n    n = 0\n    @classmethod\n    def made(cls, n):\n        cls.n = n\n"
        "        return cls()",
        "return M.made(3)",
    ),
    "a counter of a base": (
        "class Base:\n    n = 0\n    def __init__(self):\n        type(self).n += 1\n"
        "class M(Base): pass",
        "return M()",
    ),
}


@pytest.mark.parametrize("what", WRITES)
def test_what_a_loader_gives_another_value_makes_no_other_of_it(what: str) -> None:
    before, body = WRITES[what]
    notebook = Notebook()
    notebook.run(before)
    cell = LOAD + textwrap.indent(textwrap.dedent(body), "    ")
    first = notebook.run(cell)("a")
    for _ in range(2):
        assert notebook.run("# again\n" + cell)("a") is first
    assert [("load", "a")] == journal


def test_what_its_teardown_counts_makes_no_other_of_it() -> None:
    notebook = Notebook(closed=0)
    cell = """
    from warmcache import warm
    def close(value):
        global closed
        closed += 1
    @warm(maxsize=1, teardown=close)
    def load(name):
        return [name]
    """
    notebook.run(cell)("a")
    second = notebook["load"]("b")
    assert 1 == notebook["closed"]
    assert notebook.run(cell)("b") is second


@pytest.mark.parametrize("edit", [("n = 0", "n = 1"), ("size = 1", "size = 2")])
def test_what_no_class_is_given_is_still_what_it_means(edit: tuple[str, str]) -> None:
    """Attributes of an instance are none of its class, of which they have their defaults."""
    notebook = Notebook()
    cell = """
    from warmcache import warm
    class M:
        n = 0
        size = 1
        made = 0
        def __init__(self):
            self.n += 1
            M.made += self.size
    class Other:
        made = 3
    @warm(maxsize=1)
    def load(name):
        return M(), Other.made
    """
    first = notebook.run(cell)("a")
    assert notebook.run(cell)("a") is first
    assert notebook.run(cell, *edit)("a") is not first


def test_an_attribute_of_that_name_of_another_class_is_still_what_it_means() -> None:
    notebook = Notebook()
    cell = """
    from warmcache import warm
    class M:
        made = 0
        def __init__(self):
            type(self).made += 1
    class Other:
        made = 3
    @warm(maxsize=1)
    def load(name):
        return M(), Other.made
    """
    first = notebook.run(cell)("a")
    assert notebook.run(cell, "made = 3", "made = 4")("a") is not first


@pytest.mark.parametrize("kept", [True, False])
def test_a_module_that_is_reloaded_may_keep_its_counter_or_not(kept: bool, tmp_path: Path) -> None:
    source = """
    from warmcache import warm
    if not KEPT or "count" not in globals():
        count = 0
    @warm(maxsize=1)
    def load(name):
        global count
        count += 1
        return [name]
    """.replace("KEPT", str(kept))
    with edited_module(tmp_path) as edited:
        first = edited.imported(source).load("a")
        module = edited.reloaded(source)
        assert module.load("a") is first
        assert int(kept) == module.count


def test_a_digest_is_the_same_though_what_is_closed_over_was_counted() -> None:
    def counting() -> Any:
        count = 0

        def load() -> int:
            nonlocal count
            count += 1
            return count

        return load

    load = counting()
    before = digest(load)
    load()
    assert before == digest(load)
