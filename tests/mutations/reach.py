"""Which tests run which line, in this process or one that they begin, and how long they take."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import coverage
import pytest
from mutants import Mutant
from tree import Tree
from worker import OPTIONS, Timed

_SETTINGS = """
[run]
core = ctrace
source = {source}
data_file = {tree}/.coverage
parallel = true
patch = _exit
context = ${{PYTEST_CURRENT_TEST-}}
"""


class Reach:
    """What was learnt from one run of all tests."""

    def __init__(self, lines: dict[str, dict[int, set[str]]], seconds: dict[str, float]) -> None:
        self.seconds = seconds
        self._lines = lines

    def tests(self, mutant: Mutant) -> list[str]:
        """Return the tests that run its lines; outside of functions, any of the file's."""
        by_line = self._lines.get(mutant.file, {})
        lines = mutant.lines if mutant.function else by_line
        reached = set[str]().union(*[by_line.get(line, ()) for line in lines])
        return sorted(reached & self.seconds.keys())


def reach_of(tree: Tree, source: str, tests: Sequence[str]) -> Reach:
    """Run ``tests`` once in ``tree``, where nothing is changed; those that pass may notice."""
    path = tree.path
    ini, known = path / "coverage.ini", path / "seconds.json"
    ini.write_text(_SETTINGS.format(tree=path, source=path / source))
    command = [sys.executable, "-m", "reach", ini, known, *tests]
    subprocess.run(command, cwd=path, env=tree.environment, stdout=sys.stderr, check=False)
    seconds: dict[str, float] = json.loads(known.read_text())
    if not seconds:
        raise SystemExit("no test passes, though nothing was changed")
    data = coverage.CoverageData(str(path / ".coverage"))
    data.read()
    lines: dict[str, dict[int, set[str]]] = {}
    for file in data.measured_files():
        lines[Path(file).relative_to(path).as_posix()] = {
            line: {_test(context) for context in contexts}
            for line, contexts in data.contexts_by_lineno(file).items()
        }
    return Reach(lines, seconds)


def _test(context: str) -> str:
    return re.sub(r"(\|\w+| \(\w+\))$", "", context)


def pytest_configure(config: pytest.Config) -> None:
    """Have processes that tests begin say what they run, too, and for which test."""
    if hasattr(config, "workerinput"):
        os.environ["COVERAGE_PROCESS_START"] = config.getoption("--cov-config")


def _main(ini: str, known: str, *tests: str) -> None:
    timed = Timed()
    options = [*OPTIONS, "-n", "auto", "--dist", "loadfile", "-p", "reach", "--cov"]
    options += [f"--cov-config={ini}", "--cov-context=test", "--cov-report="]
    pytest.main([*options, *tests], plugins=[timed])
    # Some fail, for they see that they are measured.
    passed = {test: took for test, took in timed.seconds.items() if test not in timed.failed}
    Path(known).write_text(json.dumps(passed))


if __name__ == "__main__":
    _main(*sys.argv[1:])
