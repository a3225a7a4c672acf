"""What a cache tells about itself in numbers."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

from .entry import Entry, RemovalCause


@dataclass(frozen=True, slots=True)
class Stats:
    """Counts since the cache was made, and its ledger now.

    ``load_seconds`` is what loads have cost, ``saved_seconds`` what hits would have
    cost as loads. ``waits`` counts how often a caller waited: for another's load or
    for room. ``live + loading + retired + dying + zombies`` is the weight committed:
    entries to be had, room reserved by loads, removed entries that are still leased,
    entries whose teardown is running or whose memory is not back yet, and, in memory
    caches, what was torn down while somebody kept holding it.
    """

    hits: int
    misses: int
    loads: int
    load_seconds: float
    saved_seconds: float
    removals: Mapping[RemovalCause, int]
    teardown_failures: int
    waits: int
    live: float
    loading: float
    retired: float
    dying: float
    zombies: float


class Counts:
    """What a store counts as it goes. The hits of a live entry are the entry's own."""

    def __init__(self) -> None:
        self.removals: defaultdict[RemovalCause, int] = defaultdict(int)
        self.past_hits = 0
        self.misses = 0
        self.loads = 0
        self.load_seconds = 0.0
        self.past_saved = 0.0
        self.teardown_failures = 0
        self.waits = 0

    def left(self, entry: Entry) -> None:
        """Add the hits of ``entry``, which has left."""
        self.past_hits += entry.hits
        entry.how.origin.past_hits += entry.hits
        self.past_saved += entry.hits * entry.how.seconds


class CacheInfo(NamedTuple):
    """As ``functools.lru_cache``'s: ``maxsize`` is None when there is no limit."""

    hits: int
    misses: int
    maxsize: float | None
    currsize: float
