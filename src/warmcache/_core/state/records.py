"""What users are told of entries, removals and counts: small frozen records."""

from __future__ import annotations

import enum
from collections.abc import Hashable, Mapping
from typing import NamedTuple


class RemovalCause(enum.Enum):
    """Why an entry left."""

    SIZE = "size"
    EXPIRED = "expired"
    PRESSURE = "pressure"
    EXPLICIT = "explicit"
    REPLACED = "replaced"
    INVALID = "invalid"
    CLOSED = "closed"

    __hash__ = object.__hash__  # Enum's own is Python code, and counts are kept by cause

    @property
    def evicted(self) -> bool:
        """Whether the cache itself decided it."""
        return self in _EVICTIONS


_EVICTIONS = {RemovalCause.SIZE, RemovalCause.EXPIRED, RemovalCause.PRESSURE}


class Removal(NamedTuple):
    """What a listener is told once an entry is gone; it never holds the value.

    ``age`` is seconds since the load, ``load_seconds`` what that load took.
    """

    key: Hashable
    cause: RemovalCause
    weight: float
    age: float
    uses: int = 0
    load_seconds: float = 0.0
    tags: frozenset[str] = frozenset()


class EntryInfo(NamedTuple):
    """A snapshot of one entry, as :meth:`Cache.entries` gives it.

    ``age``, ``idle`` and ``load_seconds`` are seconds. ``age`` counts from the end of the
    load, and while that is under way (``state`` is ``"loading"``) from when it was first
    asked for; its ``weight`` then is what is reserved. ``idle`` never overstates: a use
    on the hit path leaves a stamp, not a time, so it is dated when the cache next
    looks (at a lease, a release or a snapshot). With ``idle_ttl`` it is exact.
    ``weighed_by`` is what a memory cache took the weight from: ``"size"``,
    ``"footprint"``, ``"allocator"`` or ``"device"``; ``"guess"`` where all of these were
    unknown, as while other loads ran. None: nothing was seen to grow. ``ends_in`` is how many
    seconds it has left if nobody uses it, by ``ttl`` and ``idle_ttl``; None: it does not end.
    """

    key: Hashable
    weight: float
    uses: int
    age: float
    idle: float
    load_seconds: float
    leases: int
    state: str
    tags: frozenset[str] = frozenset()
    weighed_by: str | None = None
    ends_in: float | None = None


class Stats(NamedTuple):
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
