"""A process may be killed at any line of a write, and at any moment: some of it, every time."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent

pytestmark = pytest.mark.timeout(240)


def ran(script: str, *options: str) -> str:
    command = [sys.executable, "-W", "error", str(HERE / script), *options]
    found = subprocess.run(command, capture_output=True, text=True, timeout=230)
    assert ("", 0) == (found.stderr, found.returncode), found.stdout
    return found.stdout


def test_killed_at_each_line_once_nothing_is_wrong_lost_or_left() -> None:
    said = ran("crash_points.py", "--once")
    assert int(said.split("killed at ")[1].split()[0]) > 500
    assert " 0 complaints" in said


def test_killed_at_random_nothing_is_wrong_and_no_limit_exceeded() -> None:
    assert "40 kills" in ran("kills.py", "--kills", "40", "--seconds", "100")
