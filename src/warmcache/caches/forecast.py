"""The order in which residents would go, if all of them had to."""

from __future__ import annotations

from collections.abc import Iterable
from heapq import heapify, heappop, heappush
from typing import Any

from .known_keys import KnownKey
from .leash import Leash
from .worth import Worth


def forecast(residents: Iterable[KnownKey], worth: Worth, leash: Leash) -> list[KnownKey]:
    """Return ``residents`` in the order in which they would go, changing nothing.

    The leased stand by their rank between the others, and have no part in it otherwise.
    """
    orders = [((worth.rank(record), record.stamps.loaded), record) for record in residents]
    ranked = sorted(orders, key=lambda pair: pair[0])
    idle = [(order, record) for order, record in ranked if not record.stamps.leases]
    leased = [(order, record) for order, record in ranked if record.stamps.leases]
    ahead: list[KnownKey] = []
    for order, record in _Forecast(idle, leash).run():
        while leased and leased[0][0] < order:
            ahead.append(leased.pop(0)[1])
        ahead.append(record)
    return ahead + [record for _, record in leased]


class _Forecast:
    """Evicts in thought: what the shadow holds while the slack lasts, else what it drops."""

    def __init__(self, idle: list[tuple[Any, KnownKey]], leash: Leash) -> None:
        self.slack = leash.slack()
        self.orders = {record: order for order, record in idle}  # of those that are still there
        self.surplus = [(order, id(r), r) for order, r in idle if not r.held]
        self.shared = [(order, id(r), r) for order, r in idle if r.held]
        heapify(self.surplus)
        heapify(self.shared)
        self.too_dear: list[tuple[float, int, KnownKey]] = []  # for the slack
        self.line = iter(leash.shadow.in_order())
        self.lacking = {each: each.owed for each in leash.lacking}

    def run(self) -> list[tuple[Any, KnownKey]]:
        """Return all, as they would go."""
        gone = []
        while self.orders:
            if not self._first(self.surplus):
                self._concede()
                continue
            record = self._lowest()
            gone.append((self.orders.pop(record), record))
        return gone

    def _first(self, heap: list[tuple[Any, int, KnownKey]]) -> Any:
        """Return the lowest of a heap that is still there, if any."""
        while heap and heap[0][2] not in self.orders:
            heappop(heap)
        return heap[0] if heap else None

    def _lowest(self) -> KnownKey:
        surplus = self._first(self.surplus)
        while (shared := self._first(self.shared)) is not None and shared < surplus:
            heappop(self.shared)
            record: KnownKey = shared[2]
            owed = record.at_most
            if owed <= self.slack:
                self.slack -= owed
                self.lacking[record] = owed
                return record
            heappush(self.too_dear, (owed, id(record), record))
        heappop(self.surplus)
        return surplus[2]  # type: ignore[no-any-return]

    def _concede(self) -> None:
        """Drop what LRU would drop next: it becomes surplus, or is owed no more."""
        record = next(self.line, None)
        if record is None:  # nobody is left that LRU could drop
            self.surplus = [(order, id(each), each) for each, order in self.orders.items()]
            heapify(self.surplus)
            return
        self.slack += self.lacking.pop(record, 0.0)
        if record in self.orders:
            heappush(self.surplus, (self.orders[record], id(record), record))
        while self.too_dear and self.too_dear[0][0] <= self.slack:
            _, mark, dear = heappop(self.too_dear)
            if dear in self.orders:
                heappush(self.shared, (self.orders[dear], mark, dear))
