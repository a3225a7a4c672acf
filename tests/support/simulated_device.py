"""A device of bounded memory, simulated on the CPU: every step that may fail fails on demand.

What torch itself has allocated on the host lies "on the device"; what looks into a slab does not.
"""

from __future__ import annotations

import math
import weakref
from collections.abc import Iterable
from typing import Any


class StepError(RuntimeError):
    """What was to fail has failed."""


class SimulatedDevice:
    """A device whose ``fail_at``-th step fails: an allocation, a copy, a wait."""

    def __init__(self, limit: float = math.inf) -> None:
        self.limit = limit
        self.fail_at = 0
        self.steps: list[str] = []
        self.capturing = False
        self._alive: dict[int, int] = {}

    @property
    def used(self) -> int:
        """Bytes of all storages that it has seen and that still exist."""
        return sum(self._alive.values())

    def begin(self, fail_at: int = 0) -> None:
        """Count steps anew."""
        self.fail_at = fail_at
        self.steps.clear()

    def step(self, what: str) -> None:
        self.steps.append(what)
        if len(self.steps) == self.fail_at:
            raise StepError(f"step {self.fail_at}: {what}")

    # -- what parking asks for ---------------------------------------------------------------

    def has(self, place: Any) -> bool:
        return "cpu" == place.type

    def holds(self, storage: Any) -> bool:
        if not self.has(storage.device) or not storage.resizable():  # as what lies in a slab
            return False
        self._enter(storage)
        return True

    def why_not_now(self, places: Iterable[Any]) -> str | None:
        return "a graph is being captured" if self.capturing else None

    def allocate(self, nbytes: int, place: Any) -> Any:
        import torch

        self.step("allocate")
        if self.used + nbytes > self.limit:
            raise torch.OutOfMemoryError(f"{nbytes} bytes of {self.limit - self.used}")
        storage = torch.UntypedStorage(nbytes, device=place)
        self._enter(storage)
        return storage

    def copy(self, into: Any, of: Any) -> None:
        self.step("copy")
        into.copy_(of)

    def synchronize(self, places: Iterable[Any]) -> None:
        self.step("synchronize")

    def _enter(self, storage: Any) -> None:
        if storage._cdata not in self._alive:
            self._alive[storage._cdata] = storage.nbytes()
            weakref.finalize(storage, self._alive.pop, storage._cdata, None)
