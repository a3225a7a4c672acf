"""The sums of a cache: what is committed of its limit, and what may still be promised."""

from __future__ import annotations

import math

from warmcache._sizes import MIB, format_number, format_weight


class Ledger:
    """What is committed, in five sums; plain arithmetic, and the lock is the store's.

    ``committed`` is the weight of everything that is alive or has a promise of room: live
    entries, reserved loads, entries retired under a lease, entries being torn down, and
    zombies: values that were torn down and that somebody still holds. Nothing starts to
    load unless it fits beside that, and, where a device is asked, into what that has
    ``available`` beside what was ``reserved`` already.
    """

    def __init__(self, limit: float) -> None:
        self.limit = limit
        # What the sums may be off by when weights are fractions.
        self.slack = limit * 1e-12 if limit < math.inf else 0
        self.live_weight: float = 0
        self.idle_weight: float = 0  # the part of it that no lease holds
        self.committed: float = 0
        self.retired_weight: float = 0
        self.dying_weight: float = 0
        self.zombie_weight: float = 0
        self.available: float = math.inf
        self.attainable: float = math.inf  # what the device has, beside its headroom
        self.owed: float = 0  # room that condemned entries are making for claims

    @property
    def reserved(self) -> float:
        """What loads under way, and values about to be stored, were promised."""
        gone = self.retired_weight + self.dying_weight + self.zombie_weight
        return self.committed - self.live_weight - gone

    @property
    def free(self) -> float:
        """What may be promised. Nobody knows how much of a reservation is in use already."""
        return min(self.limit - self.committed, self.available - self.reserved)

    @property
    def most(self) -> float:
        """What may ever be promised to a single load."""
        return min(self.limit, self.attainable)

    def in_words(self) -> str:
        """Return the sums as a text."""
        size = format_weight if self.limit >= MIB else format_number
        sums = {
            "live": self.live_weight,
            "reserved by loads": self.reserved,
            "retired under a lease": self.retired_weight,
            "being torn down": self.dying_weight,
            "torn down but still held": self.zombie_weight,
        }
        text = ", ".join(f"{size(weight)} {what}" for what, weight in sums.items() if weight)
        text = f"warmcache: of {size(self.limit)}: {text or 'nothing committed'}"
        return text if self.available == math.inf else f"{text}; {size(self.available)} available"
