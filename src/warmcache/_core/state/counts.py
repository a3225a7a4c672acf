"""What a cache tells about itself in numbers."""

from __future__ import annotations

from collections import defaultdict

from .entry import Entry
from .records import RemovalCause


class Counts:
    """What a store counts as it goes. The hits of a live entry are the entry's own."""

    def __init__(self) -> None:
        self.removals: defaultdict[RemovalCause, int] = defaultdict(int)
        self.past_hits = 0
        self.misses = 0
        self.joined = 0
        self.loads = 0
        self.load_failures = 0
        self.load_seconds = 0.0
        self.past_saved = 0.0
        self.teardown_failures = 0
        self.waits = 0

    def left(self, entry: Entry) -> None:
        """Add the hits of ``entry``, which has left."""
        hits, provenance = int(entry.hits), entry.provenance
        self.past_hits += hits
        provenance.source.past_hits += hits
        self.past_saved += hits * provenance.seconds
