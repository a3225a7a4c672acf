"""The examples of engines, each in a small size, with real models."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = [pytest.mark.engines, pytest.mark.models, pytest.mark.timeout(300)]
EXAMPLES = Path(__file__).parents[2] / "examples/engines"


@pytest.mark.parametrize("example", ["process_pool", "dask_cluster", "ray_pool", "parsl_app"])
def test_each_request_is_answered_right(example: str, tmp_path: Path) -> None:
    beside = str(Path(sys.executable).parent)  # where Parsl's scripts are
    surroundings = {
        **os.environ,
        "PATH": f"{beside}{os.pathsep}{os.environ['PATH']}",
        "HOME": str(tmp_path),
    }
    ran = subprocess.run(
        [sys.executable, str(EXAMPLES / f"{example}.py"), "--requests", "24"],
        capture_output=True,
        text=True,
        timeout=250,
        check=False,
        cwd=tmp_path,
        env=surroundings,
    )
    assert 0 == ran.returncode, ran.stderr
    assert "24 requests for 4 models, 24 answered right" in ran.stdout
