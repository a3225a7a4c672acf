"""What a cache tells about itself in numbers."""

from __future__ import annotations

from collections import Counter, defaultdict

from .entry import Entry, Provenance
from .records import RemovalCause


class Counts:
    """What a store counts as it goes. The hits of a live entry are the entry's own.

    What goes for room is ``evicted``, what merely vanishes as another is stored ``replaced``, and
    neither is among the ``removals``: to look up a cause takes longer than to count.
    """

    def __init__(self) -> None:
        self.removals: defaultdict[RemovalCause, int] = defaultdict(int)
        self.evicted = 0
        self.replaced = 0
        self.past_hits = 0
        self.misses = 0
        self.joined = 0
        self.loads = 0
        self.load_failures = 0
        self.load_seconds = 0.0
        self.past_saved = 0.0
        self.teardown_failures = 0
        self.waits = 0

    def by_cause(self) -> dict[RemovalCause, int]:
        """Return how many entries have left, by why they did, in the order of the causes."""
        counts = Counter(self.removals)
        counts.update({RemovalCause.SIZE: self.evicted, RemovalCause.REPLACED: self.replaced})
        return {cause: counts[cause] for cause in RemovalCause if counts[cause]}

    def left(self, entry: Entry) -> None:
        """Add the hits of ``entry``, which has left."""
        self._add(int(entry.hits.number), entry.provenance)

    def begin_anew(self, entry: Entry) -> None:
        """Move the hits of a live ``entry`` to the past ones, and to its uses before.

        First they are no longer its own: an interrupt may have some not counted, and none twice.
        """
        hits = entry.take_hits()
        entry.base_uses += hits
        self._add(int(hits), entry.provenance)

    def _add(self, hits: int, provenance: Provenance) -> None:
        self.past_hits += hits
        provenance.source.past_hits += hits
        self.past_saved += hits * provenance.seconds
