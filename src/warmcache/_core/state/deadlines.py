"""Entries by the time they end."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from heapq import heapify, heappop, heappush, heapreplace
from typing import Any

from .entry import Entry, State

_SLACK = 64  # dead records beyond which it is worth sweeping


class Deadlines:
    """Entries by the time they end, as a lazy heap: a use may only push it back.

    Those that never end have no record, and are counted all the same.
    """

    def __init__(self, deadline: Callable[[Entry], Any]) -> None:
        self._deadline = deadline
        self._heap: list[tuple[Any, Entry]] = []
        self._live = 0

    def add(self, entry: Entry, ends: Any) -> None:
        """Keep an entry that ``ends`` then, unless it is used; None is never."""
        self._live += 1
        if ends is not None:
            heappush(self._heap, (ends, entry))
        if len(self._heap) > _SLACK + 2 * self._live:
            self.sweep()

    def sweep(self) -> None:
        """Drop the records of what has left."""
        self._heap = [record for record in self._heap if record[1].state is State.LIVE]
        heapify(self._heap)

    def renew(self, entry: Entry) -> None:
        """Note that the deadline of a known entry may have come forward."""
        ends = self._deadline(entry)
        if ends is not None:
            heappush(self._heap, (ends, entry))

    def mend(self, live: Iterable[Entry]) -> None:
        """Begin anew with what is ``live``, for some change was interrupted."""
        self._heap, self._live = [], 0
        for entry in live:
            self.add(entry, self._deadline(entry))

    def discard(self) -> None:
        """Note that some entry has left."""
        self._live -= 1

    def due(self, now: Any) -> list[Entry]:
        """Return the live entries that have ended by ``now``, earliest first."""
        heap, ended = self._heap, []
        while heap and not now < heap[0][0]:
            recorded, entry = heap[0]
            if entry.state is not State.LIVE:
                heappop(heap)
                continue
            today = self._deadline(entry)
            if recorded < today:
                heapreplace(heap, (today, entry))
            else:
                heappop(heap)
                ended.append(entry)
        return ended

    def earliest(self) -> Any:
        """Return a time before which nothing ends; None when nothing ever will."""
        while self._heap and self._heap[0][1].state is not State.LIVE:
            heappop(self._heap)
        return self._heap[0][0] if self._heap else None
