"""What may still be alive of a value that is torn down."""

from __future__ import annotations

import math
import time
import weakref
from collections.abc import Callable, Hashable, Sequence
from typing import Any

_Ref = Callable[[], object]

ENOUGH = 0.75  # of a weight: drivers round, and others allocate meanwhile
_NOISE = 2**20  # bytes too few to be looked for on a device


class Remains:
    """What may still be alive of a value that is torn down, and its memory.

    Args:
        key: whose value it was.
        weight: what it was charged with.
        parts: weak references to what owns its memory, and the bytes of each.
        faces: weak references to the tensors or arrays over that memory.
        whole: a weak reference to the value itself, where it allows one.
        used: reads the bytes in use on the device; None where unknown.
        patience: seconds after which it is given up.
        ask: whether the device has to show the memory, too, when its owners have died.
    """

    did = "torn down"  # what became of the value
    blocks: tuple[Any, ...] = ()  # what of it is known by its addresses,
    shared = False  # and whether others are charged with a part of that
    holders = ""  # who holds it still, in words, once it was given up,
    remedies: tuple[str, ...] = ()  # and what makes them let go

    def __init__(
        self,
        key: Hashable,
        weight: float,
        *,
        parts: Sequence[tuple[_Ref, int]],
        faces: Sequence[_Ref],
        whole: _Ref | None,
        used: Callable[[], int | None],
        patience: float,
        ask: bool,
    ) -> None:
        self.key = key
        self.weight = self.charged = weight
        self._parts = parts
        self._faces = faces
        self._whole = whole
        self._used = used
        # Before the teardown, or what comes back could not be seen.
        self._baseline = used() if ask and weight >= _NOISE else None
        self._deadline = time.monotonic() + patience

    def living(self) -> list[object]:
        """Return the owners that somebody still holds."""
        references = [part for part, _ in self._parts]
        if not references and self._whole is not None:
            references = [self._whole]
        return [alive for ref in references if (alive := ref()) is not None]

    def held(self) -> list[object]:
        """Return the value, if somebody still holds that, else what of it is held."""
        value = self._whole() if self._whole is not None else None
        if value is not None:
            return [value]
        return [face for ref in self._faces if (face := ref()) is not None] or self.living()

    def leave_out_the_value(self) -> None:
        """Watch its memory alone: the value stays, and all that is made over that memory."""
        self._whole, self._faces, self.did = None, (), "parked"

    def left(self) -> float:
        """Return the weight of what somebody still holds."""
        total = sum(size for _, size in self._parts)
        if not total:
            return (self.weight if self.living() else 0) + self._back()
        alive = sum(size for part, size in self._parts if part() is not None)
        return math.ceil(self.weight * alive / total) + self._back()

    def _back(self) -> float:
        """Return the weight of what others were charged with, and is this one's again."""
        back: Sequence[tuple[_Ref, int]] = getattr(self._parts, "back", ())
        if not back or (self._whole is not None and self._whole() is None):
            return 0
        return sum(size for part, size in back if part() is not None)

    def confirmed(self) -> bool:
        """Whether the memory has come back: its owners died, or the device shows it."""
        if self.living():
            return False
        now = self._used() if self._baseline is not None else None
        return now is None or self._baseline is None or self.came_back(now)

    def came_back(self, used: int) -> bool:
        """Whether a device of which ``used`` bytes are in use has this memory back."""
        return self._baseline is None or self._baseline - used >= ENOUGH * self._expected()

    def _expected(self) -> float:
        """Return the weight of what is to come back: a part that is ``taken`` others have."""
        total = sum(size for _, size in self._parts)
        taken = sum(size for part, size in self._parts if getattr(part, "taken", False))
        return self.weight * (1 - taken / total) if taken else self.weight

    def overdue(self) -> bool:
        """Whether to stop waiting for it."""
        return time.monotonic() >= self._deadline

    def another_came_back(self, weight: float) -> None:
        """Note that ``weight`` bytes of what the device got back were another's."""
        if self._baseline is not None:
            self._baseline -= int(weight)


def weakly(value: Any) -> weakref.ref[Any] | None:
    try:
        return weakref.ref(value)
    except TypeError:
        return None
