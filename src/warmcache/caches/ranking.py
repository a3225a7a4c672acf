"""Records by rank, so that the lowest few are found without a look at the others."""

from __future__ import annotations

from .known_keys import KnownKey
from .lazy_heap import Item, LazyHeap

LOOKS = 8  # of the lowest, one of which goes
_USED = 32  # records put aside for one look, at most: no miss pays for all hits since the last


class Ranking:
    """Idle records, lowest rank first as of when each was filed; the lowest lie in front.

    A record counts under the item whose serial number is its ``place``. What was used since it
    was filed is told apart when it comes up, and what is leased loses its place.
    """

    __slots__ = ("_front", "_heap")

    def __init__(self) -> None:
        self._front: list[Item] = []
        self._heap = LazyHeap(_in_place)

    def __bool__(self) -> bool:
        return bool(self._front or self._heap)

    def file(self, record: KnownKey, living: int) -> None:
        """Have ``record`` at its new place; another that it had counts no more."""
        self._heap.push((record.filed, record.place, record), living)

    def lowest(self, living: int) -> tuple[list[KnownKey], list[KnownKey]]:
        """Return the lowest records, and those met that were used since: they want a new place."""
        kept: list[Item] = []
        used: list[KnownKey] = []
        for item in self._front:
            record = item[2]
            if item[1] == record.place:
                stamps = record.stamps  # as _sort_in, for what is most common
                if not stamps.leases and stamps.hits + stamps.base_uses <= record.folded:
                    kept.append(item)
                else:
                    _sort_in(item, kept, used)
        heap = self._heap
        while (first := heap.first()) is not None and len(used) < _USED:
            if len(kept) >= LOOKS and first[0] >= kept[-1][0]:
                break
            item = heap.pop()
            if item[1] == item[2].place:
                _sort_in(item, kept, used)
                kept.sort()
                if len(kept) > LOOKS:
                    heap.push(kept.pop(), living)
        self._front = kept
        return [item[2] for item in kept], used


def _in_place(item: Item) -> bool:
    return bool(item[1] == item[2].place)


def _sort_in(item: Item, kept: list[Item], used: list[KnownKey]) -> None:
    record: KnownKey = item[2]
    stamps = record.stamps
    if stamps.leases:
        record.place = 0
    elif stamps.hits + stamps.base_uses > record.folded:
        record.place = 0
        used.append(record)
    else:
        kept.append(item)
