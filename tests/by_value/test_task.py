"""``task``: functions that any pickler ships, and loaders in processes of their own."""

from __future__ import annotations

import asyncio
import inspect
import json
import multiprocessing
import os
import pickle
import subprocess
import sys
import typing
from concurrent.futures import ProcessPoolExecutor
from multiprocessing.reduction import ForkingPickler
from pathlib import Path
from typing import Any

import dill
import pytest
from by_value import cell, journal, sent
from with_dill import needs_dill

import warmcache
from warmcache import task


@pytest.fixture(autouse=True)
def _an_empty_journal() -> None:
    journal.clear()


CELL = """
from warmcache import task, warm

FACTOR = 2

def double(x):
    return x * FACTOR

@warm
def load(name):
    note("load", name)
    return [double(name)]
"""


@pytest.mark.parametrize("dumps", [pickle.dumps, dill.dumps, ForkingPickler.dumps])
def test_a_lambda_takes_along_what_it_reads(dumps: Any) -> None:
    shipped = pickle.loads(sent(CELL, "task(lambda x: double(x) + 1)", dumps=dumps))
    assert 7 == shipped(3) == pickle.loads(pickle.dumps(shipped))(3)


def test_a_task_is_called_like_its_function_and_looks_like_it() -> None:
    def function(a: int, *, b: int = 1) -> int:
        """Add."""
        return a + b

    shipped = pickle.loads(pickle.dumps(task(function)))
    for each in (task(function), shipped):
        assert 3 == each(1, b=2)
        assert "(a: int, *, b: int = 1) -> int" == str(inspect.signature(each)).replace("'", "")
        assert {"a": int, "b": int, "return": int} == typing.get_type_hints(each)
        assert ("function", "Add.") == (each.__name__, each.__doc__)
        assert "<task <function" in repr(each)
        with pytest.raises(AttributeError, match="no attribute 'nothing'"):
            _ = each.nothing
    assert task(task(function))(1) == 2


def test_a_function_is_unpacked_only_where_it_is_called() -> None:
    shipped = pickle.loads(
        sent("import by_value\ndef f(): return by_value", "warmcache.task(f)", warmcache=warmcache)
    )
    again = pickle.dumps(shipped)
    assert ["_data"] == list(vars(shipped)) and pickle.dumps(shipped) == again
    shipped()
    assert "__wrapped__" in vars(shipped) and pickle.dumps(shipped) == again


def test_a_loader_is_shipped_as_a_task() -> None:
    payload = sent(CELL, "task(load)", dumps=pickle.dumps)
    first, second = pickle.loads(payload), pickle.loads(payload)
    assert first("ab") is second("ab") and [("load", "ab")] == journal


def test_an_async_function_stays_one() -> None:
    shipped = pickle.loads(
        sent("async def f(x): return x", "warmcache.task(f)", warmcache=warmcache)
    )
    assert 1 == asyncio.run(shipped(1))
    if sys.version_info >= (3, 12):
        assert inspect.iscoroutinefunction(shipped)


def test_what_is_no_function_is_refused() -> None:
    with pytest.raises(TypeError, match="task\\(\\) takes a function, not 3"):
        task(3)  # type: ignore[arg-type]


def test_without_cloudpickle_it_says_what_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    shipped = task(lambda: None)
    monkeypatch.setitem(sys.modules, "cloudpickle", None)
    with pytest.raises(ImportError, match=r"pip install .warmcache\[byvalue\]"):
        pickle.dumps(shipped)


# -- in processes of their own --------------------------------------------------------

SENDER = """
import sys
sys.path[:0] = {path!r}
import cloudpickle, dill, pickle
import warmcache
from warmcache import warm

FACTOR = {factor}

class Model:
    def __init__(self, name):
        from by_value import note
        note("load", name, FACTOR)

    def close(self):
        from by_value import note
        note("close")

@warm(policy="lru", maxsize=2, teardown="close")
def load(name, kinds=frozenset(("a", "b", "c"))):
    return Model(name)

def work(name):
    with load.lease(name) as model:
        assert model is load(name)

def nested():
    def inner(name):
        with load.lease(name) as model:
            assert model is load(name)
    return inner

with open(sys.argv[1], "wb") as file:
    file.write({dumps})
"""
RECEIVER = """
import json, pickle, sys
sys.path[:0] = {path!r}
import by_value
for name in sys.argv[1:]:
    with open(name, "rb") as file:
        task = pickle.load(file)
    task("a")
print(json.dumps(by_value.journal))
"""


def run(*command: object, **surroundings: str) -> str:
    """Run Python on ``command``, with variables of the environment; return what it printed."""
    done = subprocess.run(
        [sys.executable, *map(str, command)],
        env={**os.environ, **surroundings},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert 0 == done.returncode, done.stderr
    return done.stdout


@pytest.mark.parametrize(
    "dumps",
    [
        "cloudpickle.dumps(work)",
        "pickle.dumps(warmcache.task(work))",
        pytest.param("dill.dumps(work, recurse=True)", marks=needs_dill),
        "dill.dumps(warmcache.task(work))",
    ],
)
def test_scripts_that_send_the_same_task_have_it_loaded_once(dumps: str, tmp_path: Path) -> None:
    path = [entry for entry in sys.path if entry]
    for number, (factor, lines) in enumerate([(1, ""), (1, "\n\n"), (2, "")]):
        script = tmp_path / "sender.py"
        script.write_text(lines + SENDER.format(path=path, factor=factor, dumps=dumps))
        run(script, tmp_path / str(number), PYTHONHASHSEED=str(number))
    files = [tmp_path / str(number) for number in (0, 1, 0, 2)]
    events = json.loads(run("-c", RECEIVER.format(path=path), *files, PYTHONHASHSEED="9"))
    assert [["load", "a", 1], "close", ["load", "a", 2]] == events


def test_workers_of_a_pool_load_once_for_all_tasks() -> None:
    names = cell(CELL + "\ndef work(n):\n    load('a')\n    return load.cache_info().misses")
    method = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, mp_context=method) as pool:
        assert [1, 1, 1] == list(pool.map(task(names["work"]), range(3)))


def test_a_child_that_has_imported_the_main_module_uses_its_loader(tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(
        """
import multiprocessing, os
from concurrent.futures import ProcessPoolExecutor
import warmcache

@warmcache.warm
def load(name):
    return [os.getpid()]

def own():
    return load("a")

if __name__ == "__main__":
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        assert pool.submit(own).result() == pool.submit(warmcache.task(own)).result()
        info = pool.submit(load.cache_info).result()
        assert (1, 1) == info[:2], info
"""
    )
    run(script, PYTHONPATH=os.pathsep.join(entry for entry in sys.path if entry))
