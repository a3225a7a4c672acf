"""For tests, ours and yours: a clock and a device to move by hand, a check of the ledger."""

from __future__ import annotations

import weakref
from collections import deque
from typing import Any

from ._core.state.entry import State
from ._process.fork_safe_lock import ForkSafeLock
from ._process.janitor import janitor
from ._public import list_public
from .caches.cache import Cache
from .probes.probe import Sample

__all__ = ["FakeBlock", "FakeProbe", "ManualClock", "assert_consistent"]

list_public(globals())


class ManualClock:
    """A clock that moves when told to: ``LRUCache(2, timer=ManualClock())``."""

    def __init__(self, now: float = 0.0) -> None:
        self._now = now
        self._lock = ForkSafeLock()

    def __call__(self) -> float:
        return self._now

    def advance(self, seconds: float) -> None:
        """Move the clock on, and have the janitor notice."""
        with self._lock.lock:
            self._now += seconds
        janitor.look_at_all()


class FakeBlock:
    """Bytes of a :class:`FakeProbe`; they are released when it dies, as a tensor's are."""

    def __init__(self, nbytes: int) -> None:
        self.nbytes = nbytes

    def __repr__(self) -> str:
        return f"<FakeBlock of {self.nbytes}>"


class FakeProbe:
    """A device that has the memory a test says, and the habits of a real one.

    It may be used from many threads. Its attributes may be set at any time.

    Args:
        total: bytes of the device.
        foreign: bytes that others use.
        lag: for how many samples released bytes still look used; ``math.inf`` for
            "until :meth:`settle`".
        caching: whether released bytes stay with an allocator of this process, in
            reserve, until :meth:`empty_cache`.
        name: of the device, for people.

    Attributes:
        fragmented: bytes of the reserve that nothing can use and ``empty_cache`` cannot
            give back.
        unknown: whether samples know nothing, as with a card that fell off the bus.
        samples: how many were taken.
        emptied: how often ``empty_cache`` was called.
    """

    def __init__(
        self,
        total: int,
        *,
        foreign: int = 0,
        lag: float = 0,
        caching: bool = False,
        name: str = "a fake device",
    ) -> None:
        self.total = total
        self.foreign = foreign
        self.lag = lag
        self.caching = caching
        self.name = name
        self.fragmented = 0
        self.unknown = False
        self.samples = 0
        self.emptied = 0
        self._lock = ForkSafeLock()
        self._own = 0
        self._reserve = 0
        self._late: list[tuple[float, int]] = []  # the last sample that they spoil; bytes
        # A finalizer may run inside the lock, so what it releases waits here.
        self._released: deque[int] = deque()

    def sample(self) -> Sample:
        with self._lock.lock:
            self._tidy()
            self.samples += 1
            self._late = [(last, size) for last, size in self._late if last >= self.samples]
            if self.unknown:
                return Sample()
            free = max(self.total - self._used(), 0)
            reserved = self._reserve if self.caching else None
            return Sample(self.total, free, self.total - free, reserved)

    def allocated(self) -> int | None:
        with self._lock.lock:
            self._tidy()
            return None if self.unknown else self._own

    def allocate(self, nbytes: int) -> None:
        """Take bytes: first from the reserve, then from what is free.

        Raises:
            MemoryError: there are not as many.
        """
        with self._lock.lock:
            self._tidy()
            usable = max(self._reserve - self.fragmented, 0)
            if nbytes > self.total - self._used() + usable:
                raise MemoryError(f"{nbytes:,} bytes do not fit into {self.name}")
            self._reserve -= min(usable, nbytes)
            self._own += nbytes

    def release(self, nbytes: int) -> None:
        """Give bytes back that were taken."""
        self._released.append(nbytes)

    def block(self, nbytes: int) -> FakeBlock:
        """Take bytes for as long as the object that is returned lives."""
        self.allocate(nbytes)
        block = FakeBlock(nbytes)
        weakref.finalize(block, self._released.append, nbytes).atexit = False
        return block

    def empty_cache(self) -> None:
        """Give the reserve back to the device, but for what is fragmented."""
        with self._lock.lock:
            self._tidy()
            self.emptied += 1
            given = max(self._reserve - self.fragmented, 0)
            self._reserve -= given
            self._free(given)

    def settle(self) -> None:
        """Have everything that was released show."""
        with self._lock.lock:
            self._tidy()
            self._late.clear()

    def _used(self) -> int:
        late = sum(nbytes for _, nbytes in self._late)
        return self.foreign + self._own + self._reserve + late

    def _tidy(self) -> None:
        """Carry out the releases that wait."""
        while self._released:
            nbytes = self._released.popleft()
            assert nbytes <= self._own, f"{nbytes} released of {self._own}"
            self._own -= nbytes
            if self.caching:
                self._reserve += nbytes
            else:
                self._free(nbytes)

    def _free(self, nbytes: int) -> None:
        if nbytes and self.lag:
            self._late.append((self.samples + self.lag, nbytes))


def assert_consistent(cache: Cache[Any, Any]) -> None:
    """Assert that the sums of ``cache``'s ledger are those of its entries.

    Raises:
        AssertionError: they are not, or the cache holds more than its limit.
    """
    store, ledger = cache._store, cache._store.ledger
    with store.lock:
        live = list(store.live.values())
        retired = [entry for entry in store.leased if entry.state is State.RETIRED]
        dying = [entry for entries in store.dying.values() for entry in entries]
        idle = [entry for entry in live if not entry.leases]
        flights = sum(flight.weight for flight in store.flights.values())

        def same(expected: float, actual: float, what: str) -> None:
            assert abs(expected - actual) <= max(1e-9 * max(1, abs(expected)), ledger.slack), (
                f"{what}: the entries weigh {expected}, the ledger says {actual}"
            )

        same(sum(entry.weight for entry in live), ledger.live, "live")
        same(sum(entry.weight for entry in idle), ledger.idle, "idle")
        same(sum(entry.weight for entry in retired), ledger.retired, "retired")
        same(sum(entry.charged for entry in dying), ledger.dying, "dying")
        same(flights, ledger.reserved, "loading")
        same(sum(zombie.charged for zombie in store.zombies), ledger.zombies, "zombies")
        assert all(entry.state is State.LIVE for entry in live), "a removed entry can be found"
        assert all(claim.owed for claim in ledger.claims), "a claim that is owed nothing"
        if store.host is not None:
            parked = list(store.host.entries.values())
            taken = [entry.parked.nbytes for entry in store.alive() if entry.parked is not None]
            same(sum(taken), store.host.used, "parked")
            assert all(entry.state is State.PARKED for entry in parked), "what is parked"
            assert not store.host.entries.keys() & store.live.keys(), "a key in two places"
        assert store.leased == {entry for entry in [*live, *retired] if entry.leases}, "leases"
        # A load that is measured afterwards may have taken more than was reserved.
        assert cache._view.meter is not None or ledger.committed <= ledger.limit + ledger.slack, (
            f"{ledger.committed} committed of {ledger.limit}"
        )
