"""Four processes, killed at random, never have more than their budget: some seconds of it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path


def test_no_exact_sum_is_over_the_budget_and_nothing_is_left() -> None:
    soak = [sys.executable, str(Path(__file__).parent / "soak.py"), "--seconds", "5"]
    ran = subprocess.run(soak, capture_output=True, text=True, timeout=50)
    assert ("", 0) == (ran.stderr, ran.returncode), ran.stdout
