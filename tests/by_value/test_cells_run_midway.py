"""A cell is run again while what its loader has is loaded, torn down or used."""

from __future__ import annotations

import threading
from typing import Any

import pytest
from by_value import journal, note
from gates import Gate, waiting
from reruns import Notebook

pytestmark = pytest.mark.usefixtures("a_process_that_knows_of_no_loader")


@pytest.mark.race
def test_who_comes_while_a_predecessors_value_is_torn_down_waits_for_that() -> None:
    gate = Gate()

    def close(name: str) -> None:
        gate.wait()
        note("close", name)

    notebook = Notebook(close=close)
    cell = """
    from warmcache import warm
    @warm(maxsize=1, teardown=close)
    def load(name):
        note("load", name)
        return name
    """
    old = notebook.run(cell)
    old("a")
    load = notebook.run(cell, "maxsize=1", "maxsize=2")
    threads = [threading.Thread(target=load, args=[name]) for name in "bc"]
    threads[0].start()
    gate.until_reached()
    threads[1].start()
    for _ in range(5_000):
        if old.cache._store.ledger.waiting or len(journal) > 1:
            break
        threads[1].join(0.001)
    gate.open()
    for thread in threads:
        thread.join(5)
    assert [("load", "a"), ("close", "a")] == journal[:2]
    assert {("load", "b"), ("load", "c")} == {*journal[2:]}


@pytest.mark.race
def test_what_a_predecessor_is_loading_goes_too() -> None:
    gate = Gate()
    notebook = Notebook(gate=gate)
    cell = """
    from warmcache import warm
    OLD = True
    @warm(maxsize=2, teardown=lambda value: note("close", value))
    def load(name, old=OLD):
        if old and name == "b":
            gate.wait()
        return name, old
    """
    old = notebook.run(cell)
    old("a")
    thread = threading.Thread(target=old, args=["b"])
    thread.start()
    gate.until_reached()
    new = notebook.run(cell, "OLD = True", "OLD = False")
    assert ("b", False) == new("b")
    gate.open()
    thread.join(5)
    assert [("close", ("a", True)), ("close", ("b", True))] == journal
    assert not old.contains("b") and new.contains("b")


@pytest.mark.race
def test_what_a_predecessor_is_loading_serves_one_that_means_the_same() -> None:
    gate = Gate()
    notebook = Notebook(gate=gate)
    cell = """
    from warmcache import warm
    @warm(maxsize=1)
    def load(name):
        note("load", name)
        if name == "b":
            gate.wait()
        return [name]
    """
    old = notebook.run(cell)
    old("a")
    got: list[Any] = []
    threads = [threading.Thread(target=lambda: got.append(old("b")))]
    threads[0].start()
    gate.until_reached()
    new = notebook.run(cell)
    threads.append(threading.Thread(target=lambda: got.append(new("b"))))
    threads[1].start()
    waiting(old.cache, 1)
    gate.open()
    for thread in threads:
        thread.join(5)
    assert got[0] is got[1]
    assert [("load", "a"), ("load", "b")] == journal


def test_a_teardown_may_ask_the_successor() -> None:
    notebook = Notebook()
    cell = """
    from warmcache import warm
    @warm(maxsize=1, teardown=lambda value: note("close", value, load("b")))
    def load(name):
        return name, 1
    """
    notebook.run(cell)("a")
    load = notebook.run(cell, "maxsize=1", "maxsize=2")
    load("c")
    assert [("close", ("a", 1), ("b", 1))] == journal
    del notebook["load"]
    notebook["load"] = lambda name: name
    load.cache.close()
