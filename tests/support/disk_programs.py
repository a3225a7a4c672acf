"""Programs that run in processes of their own, which share nothing but a tier's folder."""

from __future__ import annotations

import subprocess
import sys
import textwrap
from pathlib import Path

CAP = 30.0


class Program:
    """A program, which is told the folder of a tier and one argument more."""

    def __init__(self, tmp_path: Path, text: str) -> None:
        path = tmp_path / "program.py"
        path.write_text(textwrap.dedent(text))
        self._command = [sys.executable, str(path), str(tmp_path / "tier")]

    def in_turn(self, *of_each: str) -> list[str]:
        """Run a process for each argument, one after the other; return what each says."""
        return [said for each in of_each for said in self.at_once(each)]

    def at_once(self, *of_each: str) -> list[str]:
        """Begin a process for each argument, and tell all to go on; return what each says."""
        running = [
            subprocess.Popen([*self._command, each], stdin=-1, stdout=-1, text=True)
            for each in of_each
        ]
        for each in running:
            assert each.stdin is not None
            each.stdin.write("go\n")
            each.stdin.flush()
        said = [each.communicate(timeout=CAP)[0] for each in running]
        assert [0] * len(running) == [each.returncode for each in running]
        return said
