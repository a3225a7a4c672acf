"""Records by rank, so that the lowest few are found without a look at the others."""

from __future__ import annotations

import math
from collections.abc import Sized

from .known_keys import KnownKey
from .lazy_heap import Item, LazyHeap
from .worth import Worth

LOOKS = 8  # of the lowest, one of which goes
LASTS = 8  # uses of the cache until those are put in order anew
_USED = 32  # records put aside for one look, at most: no miss pays for all hits since the last


class Ranking:
    """Idle records, lowest rank first as of when each was filed; the lowest lie in front.

    A record counts under the item whose serial number is its ``place``. What was used since it was
    filed is told of when it comes up, and has none any more; what is leased loses its place, too,
    and is filed at its release.

    Invariant: while what a look told is good, nobody was filed below the highest in front.
    """

    __slots__ = ("_front", "_heap", "_highest", "_ordered_at", "_ranked", "_worth")

    def __init__(self, worth: Worth, residents: Sized) -> None:
        self._worth = worth
        self._heap = LazyHeap("place", residents)
        self._front: list[Item] = []
        self._highest = math.inf  # in front
        self._ranked: list[Item] = []  # those in front, lowest last, but for who went
        self._ordered_at = -math.inf  # when they were; then the order is good for a while

    def is_empty(self) -> bool:
        """Return whether nobody is filed, nor was and lies there still."""
        return not self._front and self._heap.is_empty()

    def file(self, record: KnownKey, serial: int) -> None:
        """Have ``record`` where it is filed; another place that it had counts no more."""
        record.place = serial
        self._heap.push((record.filed, serial, record))
        if record.filed < self._highest:
            self._ordered_at = -math.inf

    def lowest(self, slack: float) -> tuple[KnownKey | None, list[KnownKey]]:
        """Return the lowest that may go for ``slack`` seconds, and who was used since.

        The latter have no place any more: they want a new one.
        """
        if self._worth.now < self._ordered_at + LASTS:
            found = self._at_hand(slack)
            if found is not None:
                return found, []
        used = self._look()
        return self._at_hand(slack), used

    def _at_hand(self, slack: float) -> KnownKey | None:
        """Return the lowest that may go, as far as the last look tells."""
        ranked = self._ranked
        while ranked:
            record: KnownKey = ranked[-1][2]
            if ranked[-1][1] == record.place and record.at_most <= slack and _is_idle(record):
                return record
            ranked.pop()
        return None

    def _look(self) -> list[KnownKey]:
        """Rank the lowest anew; return those that were used since."""
        kept: list[Item] = []
        used: list[KnownKey] = []
        for item in self._front:
            if item[1] == item[2].place:
                _sort_in(item, kept, used)
        heap = self._heap
        while (first := heap.first()) is not None and len(used) < _USED:
            if len(kept) >= LOOKS and first[0] >= kept[-1][0]:
                break
            heap.pop()
            _sort_in(first, kept, used)
            kept.sort()
            if len(kept) > LOOKS:
                heap.push(kept.pop())
        self._front = kept
        self._highest = kept[-1][0] if len(kept) == LOOKS else math.inf
        self._ranked = self._worth.ranked(kept)
        self._ordered_at = self._worth.now
        return used


def _sort_in(item: Item, kept: list[Item], used: list[KnownKey]) -> None:
    record: KnownKey = item[2]
    if _is_idle(record):
        kept.append(item)
        return
    record.place = 0
    if not record.stamps.leases:
        used.append(record)


def _is_idle(record: KnownKey) -> bool:
    """Return whether ``record`` is neither leased nor was used since it was filed."""
    stamps = record.stamps
    return not stamps.leases and stamps.hits.number + stamps.base_uses <= record.folded
