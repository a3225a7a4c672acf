"""The program whose loaders and tasks travel in the tests of loading once on every engine.

It runs as a script or, executed as text, as a notebook does: its ``__main__`` has no file.
A copy of it is the module that can be imported. Each way of defining a loader is measured
as it is and with ``warmcache.task``: a batch of tasks, an edit, and a second batch. Who
loads and who tears down notes it in a journal, with the edit's version and its process.
"""

from __future__ import annotations

import functools
import importlib
import json
import os
import sys
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import by_value_engines

from warmcache import task, warm

VERSION = 1


def note(journal: str, what: str, version: int) -> None:
    import os  # here, for dill leaves out what a function of the main module reads

    with open(journal, "a") as file:  # noqa: PTH123 - one write, and so one line
        file.write(f"{what} {version} {os.getpid()}\n")


def forget(model: dict[str, Any]) -> None:
    note(model["journal"], "teardown", model["version"])


@warm(teardown=forget)
def load(journal: str) -> dict[str, Any]:
    note(journal, "load", VERSION)
    return {"journal": journal, "version": VERSION}


def work(journal: str) -> int:
    return int(load(journal)["version"])


def use(loader: Callable[[str], dict[str, Any]], journal: str) -> int:
    return int(loader(journal)["version"])


# What a notebook's cell says, whose body is edited.
CELL = """
@warm(teardown=forget)
def load(journal):
    note(journal, "load", 1)
    return {"journal": journal, "version": 1}

def work(journal):
    return load(journal)["version"]
"""


def edited(version: int, in_notebook: bool) -> None:
    """Edit ``load``: its body in a notebook, what it reads in a script."""
    global VERSION
    if in_notebook:
        exec(compile(CELL.replace("1", str(version)), "<cell>", "exec"), globals())
    VERSION = version


def loader_of(version: int, keep: Callable[[Any], Any]) -> Callable[[str], dict[str, Any]]:
    """Return a loader that is defined in a function, and has a default."""
    noted = note

    @keep
    def load(journal: str, version: int = version) -> dict[str, Any]:
        noted(journal, "load", version)
        return {"journal": journal, "version": version}

    loader: Callable[[str], dict[str, Any]] = load
    return loader


def nested(version: int, keep: Callable[[Any], Any]) -> Callable[[str], int]:
    """Return a task that closes over a loader."""
    load = loader_of(version, keep)
    return lambda journal: load(journal)["version"]


def by_hand(function: Callable[[str], Any]) -> Callable[[str], Any]:
    """Keep what ``function`` returns as people do who do without a library."""
    kept: dict[str, Any] = {}

    def get(journal: str) -> Any:
        if journal not in kept:
            kept[journal] = function(journal)
        return kept[journal]

    return get


def imported(version: int, path: Path) -> Callable[[str], int]:
    """Return the task of a module, this program's text, that every process can import."""
    source = Path(by_value_engines.__file__).with_name("by_value_program.py").read_text()
    path.write_text(source.replace("VERSION = 1", f"VERSION = {version}", 1))
    importlib.invalidate_caches()
    known = sys.modules.get(path.stem)
    module = importlib.reload(known) if known else importlib.import_module(path.stem)
    found: Callable[[str], int] = module.work
    return found


def ways(module: Path, in_notebook: bool) -> dict[str, Callable[[int], tuple[Any, ...]]]:
    """Return by name how a version's task is had, and its arguments but for the journal."""

    def of_main(*names: str) -> Callable[[int], tuple[Any, ...]]:
        def had(version: int) -> tuple[Any, ...]:
            edited(version, in_notebook)
            return tuple(globals()[name] for name in names)

        return had

    ours: dict[str, Callable[[int], tuple[Any, ...]]] = {
        "imported": lambda version: (imported(version, module),),
        "global": of_main("work"),
        "as argument": of_main("use", "load"),
        "itself": of_main("load"),
        "nested": lambda version: (nested(version, warm(teardown=forget)),),
    }
    if not in_notebook:
        return ours
    return {
        **ours,
        "nested, lru_cache": lambda version: (nested(version, functools.lru_cache),),
        "nested, by hand": lambda version: (nested(version, by_hand),),
        "as argument, by hand": lambda version: (use, loader_of(version, by_hand)),
    }


def said(answer: Any) -> int:
    """Return the version that answered: a task's answer, or what a loader itself loads."""
    return int(answer["version"] if isinstance(answer, dict) else answer)


Run = Callable[..., list[Any]]


def measured(
    had: Callable[[int], tuple[Any, ...]],
    connected: Callable[[], AbstractContextManager[Run]],
    journal: str,
    wrap: Callable[[Any], Any],
) -> dict[str, Any]:
    """Return what two batches of tasks answered, before an edit and after it."""
    answers: list[list[int]] = []
    try:
        with connected() as run:
            for version in (1, 2):
                answers.append([said(each) for each in run(*map(wrap, had(version)), journal)])
    except Exception as error:
        return {"answers": answers, "error": f"{type(error).__name__}: {error}"[:300]}
    return {"answers": answers, "error": ""}


def main(engine: str, journals: Path, module: Path) -> None:
    in_notebook = "__file__" not in globals()
    with by_value_engines.ENGINES[engine]() as connected:
        for way, had in ways(module, in_notebook).items():
            for means, wrap in {"as it is": lambda thing: thing, "task": task}.items():
                journal = journals / f"{way}, {means}"
                journal.touch()
                record = measured(had, connected, str(journal), wrap)
                record.update(way=way, means=means, journal=str(journal), client=os.getpid())
                print(json.dumps(record), flush=True)


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3]))
