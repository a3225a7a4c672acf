"""The sums of a cache: what is committed of its limit, and what may still be promised."""

from __future__ import annotations

import math
from collections.abc import Hashable

from warmcache._sizes import MIB, format_number, format_weight

from .flights import Flight
from .one_shot import OneShot


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


class Claim:
    """A wish for room; ``owed`` is what victims condemned for it are making.

    With ``alone``, nobody knows how much it takes: it gets all that is free, once that
    is ``weight``, or as much as idle entries can make. With ``present``, it is for a
    value that exists: the device need not have its memory a second time.
    """

    __slots__ = ("alone", "carried", "evicted", "key", "owed", "present", "weight")

    def __init__(
        self, key: Hashable, weight: float, *, alone: bool = False, present: bool = False
    ) -> None:
        self.key = key
        self.weight = weight
        self.alone = alone
        self.present = present
        self.owed: float = 0
        self.evicted: float = 0  # what went for it so far
        self.carried = 0  # uses that the entry it replaces leaves to its successor


class Promises(Ledger):
    """A ledger that claims are granted from; the lock is the store's here, too.

    ``flights`` are the loads under way: what they weigh was promised to them.
    """

    def __init__(self, limit: float) -> None:
        super().__init__(limit)
        self.flights: dict[Hashable, Flight] = {}
        self._waiting: list[OneShot] = []

    def free_for(self, claim: Claim) -> float:
        """What may be promised to ``claim``."""
        return self.limit - self.committed if claim.present else self.free

    def most_for(self, claim: Claim) -> float:
        """What may ever be promised to ``claim``."""
        return self.limit if claim.present else self.most

    @property
    def elastic_weight(self) -> float:
        """What loads of unknown weight hold; most of it comes back as they end."""
        return sum(flight.weight for flight in self.flights.values() if flight.elastic)

    def reserve(self, claim: Claim, flight: Flight | None = None) -> None:
        """Grant ``claim``: its weight is committed from now on."""
        self.committed += claim.weight
        if flight is not None:
            flight.weight += claim.weight
            flight.elastic = claim.alone
        self.settle(claim)

    def settle(self, claim: Claim) -> None:
        """Whatever became of ``claim``, nothing is owed to it any more."""
        if claim.owed:
            self.owed -= claim.owed
            claim.owed = 0
            self.wake()

    def unreserve(self, weight: float) -> None:
        """Take back ``weight`` of what was granted."""
        self.committed -= weight
        self.wake()

    def recharge(self, flight: Flight, weight: float) -> None:
        """Charge a load with what it turned out to weigh, whatever was reserved for it."""
        self.committed += weight - flight.weight
        flight.weight = weight
        flight.elastic = False
        self.wake()

    def change(self) -> OneShot:
        """Return a signal that happens at the next change of the ledger."""
        signal = OneShot()
        self._waiting.append(signal)
        return signal

    def wake(self) -> None:
        """Tell everybody who waits that the ledger has changed."""
        waiting, self._waiting = self._waiting, []
        for signal in waiting:
            signal.happen()
