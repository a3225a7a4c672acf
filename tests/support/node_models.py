"""What workers of an engine load under one budget of the node; they import it."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from warmcache import warm

MiB = 2**20
CAP = 60.0  # a worker that imports this on a busy machine


@warm(policy="ram", budget="100MiB", node=True, size="60MiB", wait=CAP)
def load(name: str) -> list[str]:
    return [name]


def meet(folder: str, name: str, both: Sequence[str] = "ab") -> tuple[int, int, int]:
    """Load what has room alone, and wait until another worker has done so, too.

    Returns this worker, and how many see each other and what they have together then. What the
    dead have had counts for a while, and what living ones were granted as long as they live.
    """
    load(name)
    (Path(folder) / name).touch()
    until(lambda: all((Path(folder) / each).exists() for each in both))
    until(lambda: status()[1] <= 100 * MiB)
    return os.getpid(), *status()


def status() -> tuple[int, int]:
    """Return how many processes there are at the node, and what they have."""
    assert load.cache is not None and load.cache.node is not None
    return load.cache.node[:2]


def until(claim: Callable[[], bool]) -> None:
    deadline = time.monotonic() + CAP
    while not claim():
        assert time.monotonic() < deadline, "it did not come to that"
        time.sleep(0.01)
