"""What a cache tells about itself in numbers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

from ._entry import RemovalCause


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


class CacheInfo(NamedTuple):
    """As ``functools.lru_cache``'s: ``maxsize`` is None when there is no limit."""

    hits: int
    misses: int
    maxsize: float | None
    currsize: float
