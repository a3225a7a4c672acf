"""On every engine, ten tasks load once, wherever their loader is defined; edited, once more.

Each engine runs ``by_value_program.py`` twice, as a script and as a notebook would. What the
workers note is held against the table in ``docs/howto/by-value.md``.
"""

from __future__ import annotations

import functools
import json
import os
import re
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from uuid import uuid4

import pytest
from by_value_engines import BATCH, ENGINES

import warmcache

pytestmark = pytest.mark.engines

HERE = Path(__file__).parent
PACKAGE = Path(warmcache.__file__).parents[1]
PROGRAM = HERE / "by_value_program.py"
PAGE = HERE.parents[1] / "docs" / "howto" / "by-value.md"
CAP = 100  # seconds, after which a program hangs
NOTEBOOK = "import sys; exec(compile(sys.stdin.read(), '<cell>', 'exec'))"

THREADS = "Parsl, ThreadPoolExecutor"

# The columns of the table: what the program calls them, and as what it runs.
COLUMNS = {
    "importable": ("imported", "script"),
    "in a script": ("global", "script"),
    "in a notebook": ("global", "notebook"),
    "in a function": ("nested", "notebook"),
    "as an argument": ("as argument", "script"),
    "as the task": ("itself", "script"),
}


@dataclass(frozen=True)
class Seen:
    """What came of two batches of tasks: their answers, and what the workers noted."""

    answers: list[list[int]]
    error: str
    notes: list[tuple[str, int]]
    processes: set[int]
    client: int

    @property
    def loads(self) -> dict[int, int]:
        return dict(Counter(version for what, version in self.notes if what == "load"))

    @property
    def once_each(self) -> bool:
        """Whether each version was loaded once, and the first torn down before the second."""
        return (
            [[1] * BATCH, [2] * BATCH] == self.answers
            and [("load", 1), ("teardown", 1), ("load", 2)] == self.notes[:3]
            and self.notes[3:] in ([], [("teardown", 2)])
            and self.in_worker
        )

    @property
    def once_in_all(self) -> bool:
        """Whether the worker went on with what it has by name, and did not see the edit."""
        return (
            [[1] * BATCH] * 2 == self.answers
            and [("load", 1)] == self.notes[:1]
            and self.notes[1:] in ([], [("teardown", 1)])
            and self.in_worker
        )

    @property
    def in_worker(self) -> bool:
        """Whether all of it was done by one process, and not the client's."""
        return 1 == len(self.processes - {self.client}) == len(self.processes)


def held(command: list[str], stdin: str, env: dict[str, str], cwd: Path) -> str:
    """Run a program, and whatever it starts no longer than it; return what it said."""
    with subprocess.Popen(
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=env,
        cwd=cwd,
        start_new_session=True,
    ) as process:
        try:
            said, complained = process.communicate(stdin, timeout=CAP)
        finally:
            with_its_children(process, signal.SIGKILL)
    assert process.returncode == 0, complained
    return said


def with_its_children(process: subprocess.Popen[str], number: int) -> None:
    try:
        os.killpg(process.pid, number)
    except ProcessLookupError:
        pass


@dataclass(frozen=True)
class Place:
    """Where programs run: a scratch home, and modules that all processes can import."""

    folder: Path
    modules: Path
    env: dict[str, str]

    def run(self, engine: str, kind: str, env: dict[str, str]) -> dict[tuple[str, str], Seen]:
        """Return by way and means what came of it on ``engine``."""
        module = self.modules / f"module_{uuid4().hex}.py"
        journals = self.folder / module.stem
        journals.mkdir()
        how, stdin = [str(PROGRAM)], ""
        if kind == "notebook":
            how, stdin = ["-c", NOTEBOOK], PROGRAM.read_text(encoding="utf-8")
        command = [sys.executable, *how, engine, str(journals), str(module)]
        records = map(json.loads, held(command, stdin, env, self.folder).splitlines())
        return {(record["way"], record["means"]): seen(record) for record in records}


def seen(record: dict[str, Any]) -> Seen:
    """Return what the program says of one measurement, with what its journal says."""
    lines = Path(record["journal"]).read_text(encoding="utf-8").splitlines()
    notes = [(what, int(version), int(process)) for what, version, process in map(str.split, lines)]
    return Seen(
        record["answers"],
        record["error"],
        [note[:2] for note in notes],
        {process for *_, process in notes},
        record["client"],
    )


@pytest.fixture(scope="module")
def place() -> Iterator[Place]:
    with TemporaryDirectory(prefix="warm") as scratch:  # short, for Ray puts sockets there
        folder = Path(scratch)
        for each in ("home", "modules"):
            (folder / each).mkdir()
        env = {
            **os.environ,
            "HOME": str(folder / "home"),
            "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]),
            "PYTHONDONTWRITEBYTECODE": "1",  # an edit within a second would not be seen
            "PYTHONPATH": os.pathsep.join(map(str, [folder / "modules", HERE, PACKAGE])),
            "RAY_USAGE_STATS_ENABLED": "0",
        }
        yield Place(folder, folder / "modules", env)


DASK = """
from distributed import LocalCluster
if __name__ == "__main__":
    with LocalCluster(n_workers=1, threads_per_worker=1, dashboard_address=None) as cluster:
        print(cluster.scheduler_address, flush=True)
        input()
"""
RAY = """
import sys, ray
context = ray.init(
    num_cpus=1, include_dashboard=False, log_to_driver=False, object_store_memory=80_000_000,
    _temp_dir=sys.argv[1],
)
print(context.address_info["gcs_address"], flush=True)
input()
ray.shutdown()
"""


@contextmanager
def started(place: Place, program: str) -> Iterator[str]:
    """Start an engine in a process of its own, and yield its address."""
    path = place.folder / f"{uuid4().hex}.py"
    path.write_text(program, encoding="utf-8")
    with subprocess.Popen(
        [sys.executable, str(path), str(place.folder / "ray")],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=place.env,
        cwd=place.folder,
        start_new_session=True,
    ) as process:
        assert process.stdin and process.stdout
        try:
            address = process.stdout.readline().strip()
            assert address, "it did not start"
            yield address
            process.stdin.write("\n")
            process.stdin.close()
            process.wait(CAP)
        finally:
            with_its_children(process, signal.SIGKILL)


@pytest.fixture(scope="module")
def dask_at(place: Place) -> Iterator[str]:
    with started(place, DASK) as address:
        yield address


@pytest.fixture(scope="module")
def ray_at(place: Place) -> Iterator[str]:
    with started(place, RAY) as address:
        yield address


Ran = Callable[[str, str], dict[tuple[str, str], Seen]]


@pytest.fixture(scope="module")
def ran(place: Place, request: pytest.FixtureRequest) -> Ran:
    """Return what runs the program on an engine: once for all tests that ask for it."""

    @functools.cache
    def ran(engine: str, kind: str) -> dict[tuple[str, str], Seen]:
        env = dict(place.env)
        if engine == "Dask":
            env["DASK_AT"] = request.getfixturevalue("dask_at")
        if engine == "Ray":
            env["RAY_AT"] = request.getfixturevalue("ray_at")
        return place.run(engine, kind, env)

    return ran


@functools.cache
def table() -> dict[str, dict[str, str]]:
    """Return what the page says by engine and column."""
    rows = re.findall(r"^\|(.*)\|$", PAGE.read_text(encoding="utf-8"), re.MULTILINE)
    cells = [[cell.strip() for cell in row.split("|")] for row in rows]
    [start] = [at for at, row in enumerate(cells) if ["", *COLUMNS] == row]
    found = {}
    for engine, *said in cells[start + 2 :][: len(ENGINES)]:
        found[engine.replace("`", "")] = dict(zip(COLUMNS, said, strict=True))
    return found


def test_the_table_has_a_row_for_each_engine() -> None:
    assert list(ENGINES) == list(table())


@pytest.mark.parametrize("column", COLUMNS)
@pytest.mark.parametrize("engine", ENGINES)
def test_a_loader_travels_as_the_table_says(engine: str, column: str, ran: Ran) -> None:
    way, kind = COLUMNS[column]
    seen = ran(engine, kind)[way, "as it is"]
    assert table()[engine][column] == means_of(seen), seen


@pytest.mark.parametrize("kind", ["script", "notebook"])
@pytest.mark.parametrize("way", ["global", "nested", "as argument", "itself"])
@pytest.mark.parametrize("engine", [name for name in ENGINES if name not in ("Ray", THREADS)])
def test_a_task_loads_once_and_once_more_after_an_edit(
    engine: str, way: str, kind: str, ran: Ran
) -> None:
    seen = ran(engine, kind)[way, "task"]
    assert seen.once_each, seen


def test_ray_takes_functions_alone_and_no_task(ran: Ran) -> None:
    assert ran("Ray", "script")["global", "task"].error.startswith("TypeError: The @ray.remote")


def means_of(seen: Seen) -> str:
    """Return what the table has to say where that came of tasks as they are."""
    if seen.processes == {seen.client} and {1} == {*seen.loads.values()}:
        return "nothing travels"
    if seen.once_each:
        return "as it is"
    if seen.once_in_all:
        return "by name"
    return "`task`" if seen.error and not seen.notes else "what no cell may say"


WORKER = 2


@pytest.mark.parametrize(
    "seen",
    [
        Seen([[1] * BATCH, [2] * BATCH], "", [("load", 1)] * BATCH, {WORKER}, client=1),
        Seen([[1] * BATCH] * 2, "", [("load", 1)], {WORKER, 3}, client=1),
        Seen([], "", [], set(), client=1),
        Seen([[1] * BATCH], "KeyError: it came late", [("load", 1)], {WORKER}, client=1),
    ],
    ids=["a load for each task", "two processes", "nothing at all", "an error after the edit"],
)
def test_no_cell_says_what_is_neither_once_nor_refused(seen: Seen) -> None:
    assert means_of(seen) not in {cell for row in table().values() for cell in row.values()}


@pytest.mark.parametrize(
    ("engine", "way", "means"),
    [
        ("loky", "nested, by hand", "as it is"),
        ("Dask", "nested, by hand", "as it is"),
        ("Ray", "as argument, by hand", "as it is"),
        ("Globus Compute", "nested, lru_cache", "as it is"),
        ("ProcessPoolExecutor, spawn", "nested, by hand", "task"),
    ],
)
def test_what_is_not_ours_loads_for_each_task(engine: str, way: str, means: str, ran: Ran) -> None:
    seen = ran(engine, "notebook")[way, means]
    assert {1: BATCH, 2: BATCH} == seen.loads, seen


@pytest.mark.parametrize("engine", ["loky", "Dask", "Dask, LocalCluster"])
def test_what_uses_lru_cache_in_a_function_cannot_be_pickled_there(engine: str, ran: Ran) -> None:
    seen = ran(engine, "notebook")["nested, lru_cache", "as it is"]
    assert seen.error and not seen.notes, seen
