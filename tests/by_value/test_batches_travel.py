"""Loaders with ``batch=`` that travel, are edited, and are defined anew."""

from __future__ import annotations

import asyncio
import copy
import pickle
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import cloudpickle
import pytest
from by_value import journal, sent
from reruns import Notebook

pytestmark = pytest.mark.usefixtures("a_process_that_knows_of_no_loader")

CELL = """
from warmcache import warm

@warm(maxsize=9, batch="texts")
def load(texts, model="m"):
    note(*texts)
    return [[text, model] for text in texts]
"""
METHODS = """
from warmcache import warm
class Zoo:
    @warm(batch="texts")
    def method(self, texts):
        note("method", *texts)
        return [[text] for text in texts]
    @staticmethod
    @warm(batch="texts")
    async def static(texts):
        note("static", *texts)
        return [[text] for text in texts]
"""


def test_a_batch_loader_is_one_loader_wherever_it_came_from() -> None:
    data = sent(CELL)
    first, second = cloudpickle.loads(data), cloudpickle.loads(data)
    assert [["a", "m"], ["b", "m"]] == first(["a", "b"])
    assert [["b", "m"], ["c", "n"]] == second(["b"]) + second(["c"], model="n")
    assert first.contains("c", "n") and second.peek("a") == ["a", "m"]
    assert [("a", "b"), "c"] == journal


def test_many_of_a_copy_that_was_not_called_yet_is_one_batch() -> None:
    load = cloudpickle.loads(sent(CELL))
    assert [["a", "m"], ["b", "m"], ["a", "m"]] == load.many([("a",), ("b",), ("a",)])
    assert [("a", "b")] == journal


def test_methods_travel_with_their_class() -> None:
    zoo_class = cloudpickle.loads(sent(METHODS, "Zoo"))
    zoo = zoo_class()
    assert [["a"], ["b"], ["a"]] == zoo.method(["a", "b", "a"])
    assert [["b"], ["a"]] == zoo.method.many([("b",), ("a",)])
    assert [["a"], ["b"]] == asyncio.run(zoo_class.static(["a", "b"]))
    assert [("method", "a", "b"), ("static", "a", "b")] == journal


def test_what_is_warm_stays_when_nothing_is_edited() -> None:
    notebook = Notebook()
    notebook.run(CELL)(["a", "b"])
    load = notebook.run("# moved\n" + CELL)
    assert load.contains("a")
    assert [["b", "m"], ["a", "m"]] == load(["b", "a"])
    assert [("a", "b")] == journal


@pytest.mark.parametrize("maxsize", [9, 0])
def test_an_edit_lets_go_of_what_the_one_before_had_loaded(maxsize: int) -> None:
    notebook = Notebook()
    old = notebook.run(CELL)
    old(["a", "b"])
    new = notebook.run(CELL.replace("[text, model]", "[model, text]").replace("9", str(maxsize)))
    assert not new.contains("a")
    assert [["m", "c"]] == new(["c"])
    assert 0 == old.cache_info().currsize
    assert (1 if maxsize else 0) == new.cache_info().currsize


@pytest.mark.parametrize("is_async", [False, True])
def test_an_edit_while_it_loads_lets_go_of_what_comes_then(is_async: bool) -> None:
    def called(answer: Any) -> Any:
        return asyncio.run(answer) if asyncio.iscoroutine(answer) else answer

    notebook = Notebook()
    source = CELL.replace("note(*texts)", "again(texts)")
    if is_async:
        source = source.replace("def load", "async def load")
        source = source.replace("maxsize=9", "maxsize=9, loop_bound=False")
    notebook["again"] = lambda texts: None
    old = notebook.run(source)

    def again(texts: list[str]) -> None:
        if texts == ["a"]:
            new = notebook.run(source.replace("[text, model]", "[model, text]"))
            with ThreadPoolExecutor(1) as pool:
                pool.submit(lambda: called(new(["b"]))).result(5.0)

    notebook["again"] = again
    assert [["a", "m"]] == called(old(["a"]))
    assert 0 == old.cache_info().currsize and 1 == notebook["load"].cache_info().currsize


def test_batch_is_part_of_what_a_loader_means() -> None:
    notebook = Notebook()
    of_one = CELL.replace(', batch="texts"', "")
    notebook.run(of_one)("ab")
    assert [["a", "m"]] == notebook.run(CELL)(["a"])
    assert not notebook["load"].contains("ab")


def test_a_loader_of_a_module_pickles_by_name_and_copies_as_itself() -> None:
    from encoders import encode

    assert encode is pickle.loads(pickle.dumps(encode)) is copy.deepcopy(encode)
    assert [["a"]] == pickle.loads(pickle.dumps(encode.many))([("a",)])
