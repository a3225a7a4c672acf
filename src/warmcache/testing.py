"""For tests, ours and yours: a clock to move by hand, and a check of the ledger."""

from __future__ import annotations

import threading
from typing import Any

from ._cache import Cache
from ._entry import State
from ._process import janitor

__all__ = ["ManualClock", "assert_consistent"]


class ManualClock:
    """A clock that moves when told to: ``LRUCache(2, timer=ManualClock())``."""

    def __init__(self, now: float = 0.0) -> None:
        self._now = now
        self._lock = threading.Lock()

    def __call__(self) -> float:
        return self._now

    def advance(self, seconds: float) -> None:
        """Move the clock on, and have the janitor notice."""
        with self._lock:
            self._now += seconds
        janitor.look_at_all()


def assert_consistent(cache: Cache[Any, Any]) -> None:
    """Assert that the sums of ``cache``'s ledger are those of its entries.

    Raises:
        AssertionError: they are not, or the cache holds more than its limit.
    """
    store = cache._store
    with store.lock:
        live = list(store.live.values())
        retired = [entry for entry in store.held if entry.state is State.RETIRED]
        dying = [entry for entries in store.dying.values() for entry in entries]
        idle = [entry for entry in live if not entry.holds]
        flights = sum(flight.weight for flight in store.flights.values())

        def same(expected: float, actual: float, what: str) -> None:
            assert abs(expected - actual) <= 1e-9 * max(1, abs(expected)), (
                f"{what}: the entries weigh {expected}, the ledger says {actual}"
            )

        same(sum(entry.weight for entry in live), store.live_weight, "live")
        same(sum(entry.weight for entry in idle), store.idle_weight, "idle")
        same(sum(entry.weight for entry in retired), store.retired_weight, "retired")
        same(sum(entry.weight for entry in dying), store.dying_weight, "dying")
        same(flights, store.reserved, "loading")
        same(sum(zombie.charged for zombie in store.zombies), store.zombie_weight, "zombies")
        assert all(entry.state is State.LIVE for entry in live), "a removed entry can be found"
        assert store.held == {entry for entry in [*live, *retired] if entry.holds}, "leases"
        # A load that is measured afterwards may have taken more than was reserved.
        assert store.meter is not None or store.committed <= store.limit + store.slack, (
            f"{store.committed} committed of {store.limit}"
        )
