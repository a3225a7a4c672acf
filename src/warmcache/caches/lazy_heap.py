"""A heap whose dead items are swept out a few at a time."""

from __future__ import annotations

from collections.abc import Iterator, Sized
from heapq import heappop, heappush
from operator import attrgetter
from typing import Any, TypeAlias

Item: TypeAlias = tuple[Any, int, Any]  # the key, a serial number, what it is of

_SLACK = 64  # items beside twice those that live, before sweeping begins
_MOVED = 4  # items looked at with each push, while it lasts


class LazyHeap:
    """Items by key, lowest first; one lives while what it is of has its ``serial`` number.

    Whoever files something anew gives it another number, pushes it once more and lets the old item
    lie. When those make up half of it, a new heap is begun beside the old, and each push takes some
    items off the *end* of the old one, which a heap can lose and stay one; what lives moves over.
    So no push takes long, and there are at most some four times as many items as there was in the
    containers that it is ``of`` when it last counted.
    """

    __slots__ = ("_enough", "_new", "_of", "_old", "_serial_of")

    def __init__(self, serial: str, *of: Sized) -> None:
        self._serial_of = attrgetter(serial)
        self._of = of
        self._new: list[Item] = []
        self._old: list[Item] = []  # being swept out
        self._enough = _SLACK  # items in the new one, until somebody counts

    def __len__(self) -> int:
        return len(self._new) + len(self._old)

    def __iter__(self) -> Iterator[Item]:
        """Return all that live, in no order."""
        return (item for item in [*self._new, *self._old] if self._serial_of(item[2]) == item[1])

    def push(self, item: Item) -> None:
        """Add ``item``."""
        new = self._new
        heappush(new, item)
        if self._old or len(new) > self._enough:
            self._sweep()

    def _sweep(self) -> None:
        new, old, serial_of = self._new, self._old, self._serial_of
        for item in old[-_MOVED:]:
            if serial_of(item[2]) == item[1]:
                heappush(new, item)
        del old[-_MOVED:]
        if old:
            return
        self._enough = _SLACK + 2 * sum(map(len, self._of))
        if len(new) > self._enough:
            self._old, self._new = new, old
        else:
            self._enough = min(self._enough, len(new) + _SLACK)

    def is_empty(self) -> bool:
        """Return whether nothing lies in it, dead or alive."""
        return not (self._new or self._old)

    def take(self) -> Item | None:
        """Remove and return the lowest item that lives."""
        new, old, serial_of = self._new, self._old, self._serial_of
        while new or old:
            item = heappop(old if old and (not new or old[0] < new[0]) else new)
            if serial_of(item[2]) == item[1]:
                return item
        return None

    def first(self) -> Item | None:
        """Return the lowest item that lives."""
        new, old, serial_of = self._new, self._old, self._serial_of
        while new or old:
            heap = old if old and (not new or old[0] < new[0]) else new
            item = heap[0]
            if serial_of(item[2]) == item[1]:
                return item
            heappop(heap)
        return None

    def pop(self) -> None:
        """Remove what is :meth:`first`."""
        new, old = self._new, self._old
        heappop(old if old and (not new or old[0] < new[0]) else new)
