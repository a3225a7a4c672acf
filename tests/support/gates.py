"""How races are forced: block one thread where it hurts, start the other, look."""

from __future__ import annotations

import threading
from typing import Any

CAP = 5.0


class Gate:
    """A place where a thread waits until it is let through; others see it arrive."""

    def __init__(self) -> None:
        self.arrived = threading.Event()
        self._open = threading.Event()

    def wait(self) -> None:
        self.arrived.set()
        assert self._open.wait(CAP), "nobody opened the gate"

    def until_reached(self) -> None:
        assert self.arrived.wait(CAP), "nobody came to the gate"

    def open(self) -> None:
        self._open.set()


def waiting(cache: Any, count: int) -> None:
    """Return once ``count`` callers have begun to wait in ``cache``."""
    deadline = threading.Event()
    for _ in range(5_000):
        if cache.stats().waits >= count:
            return
        deadline.wait(0.001)
    raise AssertionError(f"{cache.stats().waits} of {count} callers wait")
