"""What is kept of a value in host memory while it is on its device again.

Who parks weights that nobody writes need not copy them twice. A copy is good as long as the storage
that it was taken of lives and torch has counted no write to a tensor that looks into it. What goes
round the count, as ``tensor.data`` does and what is done in inference mode, is not noticed: so
copies are kept only where that was asked for.
"""

from __future__ import annotations

import weakref
from collections.abc import Sequence
from typing import Any

from .finding import Finding, Tensors
from .slabs import Slab


class Copy:
    """What a slab has of storages on the device.

    Attributes:
        slab: where it is.
        uses: of the slab, as long as nobody else had it.
        offsets: of each copy in the slab, by its storage's number.
    """

    __slots__ = ("_storages", "_writes", "offsets", "slab", "uses")

    def __init__(
        self, slab: Slab, offsets: Sequence[int], storages: Sequence[Any], tensors: Tensors
    ) -> None:
        self.slab = slab
        self.uses = slab.uses
        self.offsets = offsets
        self._storages = [weakref.ref(storage) for storage in storages]
        self._writes = _writes(tensors, len(storages))

    def unchanged(self, found: Finding) -> set[int] | None:
        """Return the numbers of the storages whose copies are good.

        None: it is a copy of others, or not in the same order.
        """
        if [storage() for storage in self._storages] != found.storages:
            return None
        now = _writes(found.tensors, len(found.storages))
        return {at for at, count in enumerate(self._writes) if count == now[at]}


def _writes(tensors: Tensors, storages: int) -> list[int]:
    """Return how often each storage was written, as far as torch counts it."""
    counts = [0] * storages
    for tensor, numbers in tensors:
        for number in numbers:
            if number is not None and not tensor.is_inference():
                counts[number] += tensor._version + 1
    return counts
