"""Runs chosen tests in a fork of a process that has imported pytest: most mutants fail at once.

It is told on its input what to run and how long each may take, a line of JSON at a time, and says
on its output how that ended.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import tempfile
import time
from collections import defaultdict
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

import pytest
from hypothesis import Phase, settings

PASSED, FAILED, TIMED_OUT, NONE_RAN = "passed", "failed", "timed out", "none ran"
OPTIONS = ["-q", "--assert=plain"]  # for plugins are imported already, and nobody reads what fails


class Timed:
    """Adds up how long each test takes, and remembers which have failed."""

    def __init__(self) -> None:
        self.seconds: defaultdict[str, float] = defaultdict(float)
        self.failed: list[str] = []

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        self.seconds[report.nodeid] += report.duration
        if report.failed:
            self.failed.append(report.nodeid)


class Chosen(Timed):
    """Has pytest run these tests, in this order, each until its limit."""

    def __init__(self, limits: dict[str, float]) -> None:
        super().__init__()
        self._limits = limits
        self._rank = {test: rank for rank, test in enumerate(limits)}

    def pytest_collection(self) -> None:
        # What fails need not be shown in its smallest form, nor be tried on the next mutant.
        settings.register_profile(
            "mutants", settings(), phases=[Phase.explicit, Phase.generate], database=None
        )
        settings.load_profile("mutants")

    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        chosen = [item for item in items if item.nodeid in self._rank]
        items[:] = sorted(chosen, key=lambda item: self._rank[item.nodeid])
        for item in items:  # what is too slow ends the process, whatever its threads wait for
            limit = pytest.mark.timeout(self._limits[item.nodeid], method="thread")
            item.add_marker(limit, append=False)


def run(limits: dict[str, float]) -> dict[str, Any]:
    """Run tests until one fails, or takes more seconds than its limit; say how that ended."""
    with tempfile.TemporaryDirectory() as folder:
        said = Path(folder, "said.json")
        child = os.fork()
        if not child:
            _run_here(limits, said)
        deadline = time.monotonic() + 30 + sum(limits.values())
        try:
            while not os.waitpid(child, os.WNOHANG)[0]:
                if time.monotonic() > deadline:
                    os.kill(child, signal.SIGKILL)
                time.sleep(0.01)
        finally:
            try:
                os.killpg(child, signal.SIGKILL)  # what the tests have left behind
            except ProcessLookupError:
                pass
        nothing = {"ended": TIMED_OUT, "failed": [], "seconds": {}}
        return json.loads(said.read_text()) if said.exists() else nothing


def _run_here(limits: dict[str, float], said: Path) -> None:
    os.setsid()
    nowhere = os.open(os.devnull, os.O_RDWR)
    for stream in (0, 1, 2):
        os.dup2(nowhere, stream)
    chosen = Chosen(limits)
    files = dict.fromkeys(test.partition("::")[0] for test in limits)
    options = [*OPTIONS, "-x", "--tb=no", "--hypothesis-seed=0"]
    code = pytest.main([*options, *files], plugins=[chosen])
    ended = {0: PASSED, 5: NONE_RAN}.get(int(code), FAILED)
    told = {"ended": ended, "failed": chosen.failed, "seconds": chosen.seconds}
    said.write_text(json.dumps(told))
    os._exit(0)


if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.default_int_handler)  # which a shell may have switched off
    for plugin in entry_points(group="pytest11"):
        plugin.load()
    for line in sys.stdin:
        print(json.dumps(run(json.loads(line))), flush=True)
