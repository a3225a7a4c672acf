"""A copy of the tree, in which one worker changes one place at a time."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from worker import NONE_RAN

HERE = Path(__file__).parent


@dataclass
class Outcome:
    """How a run of tests has ended, which of them have failed, and what each has taken."""

    ended: str
    failed: list[str]
    seconds: dict[str, float]


class Tree:
    """A copy of the tree, and a process that runs tests in it."""

    def __init__(self, root: Path, path: Path) -> None:
        ignored = shutil.ignore_patterns(".git", ".tox", ".venv", ".hypothesis", "__pycache__")
        shutil.copytree(root, path, ignore=ignored)
        self.path = path
        # Not that of a test which runs this: pytest's own variables say which that is.
        inherited = {k: v for k, v in os.environ.items() if not k.startswith(("PYTEST_", "COV"))}
        self.environment = {**inherited, "PYTHONPATH": f"{path / 'src'}{os.pathsep}{HERE}"}
        self._worker = subprocess.Popen(
            [sys.executable, HERE / "worker.py"],
            cwd=path,
            env=self.environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def outcome(self, tests: Sequence[str], seconds: Mapping[str, float]) -> Outcome:
        """Run ``tests``, which take so many ``seconds``, until one fails, or hangs."""
        limits = {test: 8 + 3 * seconds[test] for test in tests}
        assert self._worker.stdin is not None and self._worker.stdout is not None
        print(json.dumps(limits), file=self._worker.stdin, flush=True)
        outcome = Outcome(**json.loads(self._worker.stdout.readline()))
        if outcome.ended == NONE_RAN:
            raise RuntimeError(f"none of these tests is found: {tests[:3]}")
        return outcome

    def write(self, file: str, source: bytes, *, stamp: int) -> None:
        path = self.path / file
        path.write_bytes(source)
        os.utime(path, (stamp, stamp))  # to the second, it says whether what is compiled is old

    def close(self) -> None:
        assert self._worker.stdin is not None
        self._worker.stdin.close()
        self._worker.wait()
