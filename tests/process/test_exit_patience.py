"""How long the end waits for a teardown, as it was told."""

from __future__ import annotations

from pathlib import Path

import pytest
from processes import run

PROGRAM = """
import logging, math
logging.basicConfig(stream=sys.stdout, format="%(message)s")

@warm(teardown="close")
def load(name):
    return Value(str(name))

load("a"), load("b")
"""
CLOSED = [f"parent closes parent's {name}" for name in "cba"]


@pytest.mark.parametrize("patience", ["math.inf", "1e12", "10**15", "0.5"])
@pytest.mark.parametrize("end", ["close_all", "sigterm"])
def test_any_patience_has_everything_torn_down(tmp_path: Path, patience: str, end: str) -> None:
    call = {
        "close_all": f"warmcache.close_all(patience={patience})",
        "sigterm": f"""
warmcache.close_on_sigterm(patience={patience})
import signal
os.kill(os.getpid(), signal.SIGTERM)
""",
    }[end]
    said = run(tmp_path, PROGRAM + call, status=0 if end == "close_all" else -15)
    assert CLOSED[1:] == said


@pytest.mark.parametrize("patience", ["-1", "0", "math.nan", "'5'", "None"])
def test_a_patience_that_makes_no_sense_is_refused_before_anything_is_closed(
    tmp_path: Path, patience: str
) -> None:
    said = run(
        tmp_path,
        PROGRAM
        + f"""
for end in (warmcache.close_all, warmcache.close_on_sigterm):
    try:
        end(patience={patience})
    except (TypeError, ValueError) as error:
        say("refused", str(error).split(" must")[0])
load("c")
""",
    )
    assert ["refused patience"] * 2 + CLOSED == said
