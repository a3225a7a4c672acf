"""The benchmark of parking runs. No time is judged here."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.models
def test_it_says_what_parking_costs_beside_a_bare_copy() -> None:
    command = [sys.executable, "-m", "benchmarks.parking", "--quick"]
    ran = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=50)
    assert 0 == ran.returncode, ran.stderr
    assert "to unpark; that is" in ran.stdout
    assert "to park 100 parameters" in ran.stdout
