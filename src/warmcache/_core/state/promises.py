"""Promises of room: what was granted to whom, and who waits for that to change."""

from __future__ import annotations

from collections.abc import Hashable

from .flights import Claim, Flight
from .ledger import Ledger
from .one_shot import Signal


class Promises(Ledger):
    """A ledger that claims are granted from; the lock is the store's here, too.

    ``flights`` are the loads under way: what they weigh was promised to them.
    """

    def __init__(self, limit: float) -> None:
        super().__init__(limit)
        self.flights: dict[Hashable, Flight] = {}
        self._waiting: list[Signal] = []

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

    def change(self) -> Signal:
        """Return a signal that happens at the next change of the ledger."""
        signal = Signal()
        self._waiting.append(signal)
        return signal

    def wake(self) -> None:
        """Tell everybody who waits that the ledger has changed."""
        waiting, self._waiting = self._waiting, []
        for signal in waiting:
            signal.happen()
