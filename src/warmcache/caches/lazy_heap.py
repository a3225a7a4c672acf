"""A heap whose dead items are swept out a few at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from heapq import heappop, heappush
from typing import Any, TypeAlias

Item: TypeAlias = tuple[Any, int, Any]  # the key, a serial number, what it is of

_SLACK = 64  # items beside twice those that live, before sweeping begins
_MOVED = 4  # items looked at with each push, while it lasts


class LazyHeap:
    """Items by key, lowest first; which of them still live, only the user knows.

    Whoever files something anew pushes it once more and lets the old item lie. When those make
    up half of it, a new heap is begun beside the old, and each push takes some items off the
    *end* of the old one, which a heap can lose and stay one; what lives moves over. So there are
    at most some four times as many items as live ones, and no push takes long.
    """

    __slots__ = ("_live", "_new", "_old")

    def __init__(self, live: Callable[[Item], bool]) -> None:
        self._live = live
        self._new: list[Item] = []
        self._old: list[Item] = []  # being swept out

    def __len__(self) -> int:
        return len(self._new) + len(self._old)

    def __iter__(self) -> Iterator[Item]:
        yield from self._new
        yield from self._old

    def push(self, item: Item, living: int) -> None:
        """Add ``item``; about ``living`` of all items live."""
        new, old = self._new, self._old
        heappush(new, item)
        if old:
            live = self._live
            for last in old[-_MOVED:]:
                if live(last):
                    heappush(new, last)
            del old[-_MOVED:]
        elif len(new) > _SLACK + 2 * living:
            self._old, self._new = new, []

    def first(self) -> Item | None:
        """Return the lowest item."""
        new, old = self._new, self._old
        if old and (not new or old[0] < new[0]):
            return old[0]
        return new[0] if new else None

    def pop(self) -> Item:
        """Remove and return the lowest item; there must be one."""
        new, old = self._new, self._old
        return heappop(old if old and (not new or old[0] < new[0]) else new)
