"""This process as a member of a node: what its caches of one device have together.

Each cache has a ledger of its own, which knows nothing of other processes. Here is what the node
has granted to all of them, and what their ledgers have committed has to stay within that. Three
things are done, and never with a lock of a cache held:

- A load that has its room here *agrees* with the node before it begins. It takes what was granted
  and is not in use any more, and asks for the rest.
- What is back is *trued up*: the node gets what was granted and is not in use. That is looked for
  whenever something was removed, and each second.
- What is in use and was not granted, a debt, is asked for without waiting. It comes of values that
  turned out to weigh more, and of those that were handed in: these exist, whoever counts them.

``pending`` are bytes that a load has reserved in its cache and that the node has not granted yet.
They are in the cache's ledger and not in use. Between the reservation and that word it looks as if
they were: so a little too much may be asked for, which is trued up later, and never too little.
"""

from __future__ import annotations

import math
import weakref
from functools import partial
from pathlib import Path

from warmcache._core.drivers.threads import run
from warmcache._core.plans import share
from warmcache._core.plans.cache_view import CacheView
from warmcache._core.state.flights import Flight
from warmcache._core.state.records import RemovalCause
from warmcache._core.state.use_times import use_times
from warmcache._node.ledger import NodeLedger
from warmcache._node.refusal import Node, Refusal
from warmcache._process.after_fork import begins_anew_in_child
from warmcache._process.fork_safe_lock import ForkSafeLock
from warmcache.errors import ClosedError
from warmcache.probes.probe import Probe


class NodeMember:
    """What the caches of this process have together of one device of the node."""

    hit = None  # it is an observer of their stores, and wants no hits told

    def __init__(self, folder: Path, probe: Probe, budget: float, confirm: float) -> None:
        # The listening thread holds the ledger, and must not hold the caches through it.
        here = weakref.ref(self)
        self._ledger = NodeLedger(
            folder,
            budget=int(budget),
            quotes=partial(_quotes, here),
            reclaim=partial(_reclaim, here),
            available=lambda: probe.sample().available,
            confirm=confirm,
        )
        weakref.finalize(self, self._ledger.close)  # at the end of the process, too
        self._budget = budget
        self._mutex = ForkSafeLock()
        self._members: list[CacheView] = []
        self.begin_anew()
        begins_anew_in_child(self)

    def begin_anew(self) -> None:
        """Have been granted nothing, in a forked child. Its caches join again."""
        self._granted = self._pending = 0
        self._in_flight: dict[Flight, int] = {}

    @property
    def left(self) -> bool:
        """Whether all caches that had joined are gone, with all that they had."""
        return not self._open()

    def join(self, cache: CacheView, budget: float) -> None:
        """Have ``cache`` be one of those; ``budget`` is what it says that all may have."""
        with self._mutex.lock:
            self._members = [*self._open(), cache]
            self._budget = min(self._budget, budget)
        self._ledger.set_budget(int(self._budget))
        with cache.store.lock:
            cache.store.observers.add(self)

    def _open(self) -> list[CacheView]:
        """Return who has or may get something."""
        return [
            each
            for each in self._members
            if not each.store.inherited and (each.store.ledger.committed or not each.store.closed)
        ]

    # -- what the plans ask --------------------------------------------------------------

    def agree(self, flight: Flight, wait: float) -> Refusal | None:
        """Have granted what ``flight`` has reserved, in ``wait`` seconds; else return why not."""
        wanted = math.ceil(flight.weight)
        with self._mutex.lock:
            self._pending += wanted
            at_hand = min(max(self._spare(), 0), wanted)
            self._pending -= at_hand
        rest = wanted - at_hand
        refused: Refusal | None = None
        try:
            if rest:
                refused = self._ledger.grow(rest, wait)
        finally:
            with self._mutex.lock:
                self._pending -= rest
                if rest and refused is None:
                    self._granted += rest
                    self._in_flight[flight] = rest
        return refused

    def landed(self, flight: Flight) -> None:
        """Note that the load of ``flight`` has ended, whatever became of it."""
        rest = self._in_flight.pop(flight, 0)
        if rest:
            self._ledger.landed(rest)

    def true_up(self) -> int:
        """Give back what is not in use, ask for what was not granted; return that, if in vain."""
        with self._mutex.lock:
            spare = self._spare()
            if spare > 0:
                self._granted -= spare
        if spare > 0:
            self._ledger.shrink(spare)
        if spare >= 0:
            return 0
        try:
            if self._ledger.grow(-spare, 0) is not None:
                return -spare
        except ClosedError:  # the last cache was closed
            return 0
        with self._mutex.lock:
            self._granted -= spare
        self._ledger.landed(-spare)
        return 0

    def _spare(self) -> int:
        """Return what was granted and is not in use; the lock is held."""
        used = math.ceil(sum(each.store.ledger.committed for each in self._members))
        return self._granted - (used - self._pending)

    # -- what others of the node see -----------------------------------------------------

    def status(self) -> Node:
        """Return how full the node is, as all see it who share its budget."""
        return self._ledger.status()

    def publish(self) -> bool:
        """Say what is idle now; whether somebody else waits for room."""
        return self._ledger.publish()

    def quotes(self) -> list[tuple[float, float]]:
        """Return what is idle and others may ask for: bytes and price of each entry."""
        now = use_times.note()
        offered = [share.offers(each, now, own=False) for each in self._open()]
        return [(weight, price) for each in offered for price, weight in each]

    def reclaim(self, nbytes: float) -> float:
        """Have the cheapest go of what is idle, until it makes up ``nbytes``; return what went."""
        given = 0.0
        for giver, part in share.cheapest_of(self._open(), nbytes).items():
            given += run(share.give(giver, part, None, RemovalCause.NODE), giver)
        self.true_up()
        return given

    # -- what the caches tell ------------------------------------------------------------

    def removed(self, removal: object) -> None:
        self.true_up()

    def closed(self) -> None:
        """Leave the node with the last cache, once nothing of it is left."""
        self.true_up()
        with self._mutex.lock:
            self._members = self._open()
        if not self._members:
            self._ledger.close()

    def used(self, key: object) -> None:
        """Note nothing: what is used is as idle as before."""

    def stored(self, entry: object) -> None:
        """Note nothing: its load has agreed."""

    def waited(self, what: object) -> None:
        """Note nothing: that is about room in one cache."""

    def refused(self, error: object) -> None:
        """Note nothing."""


def _quotes(here: weakref.ref[NodeMember]) -> list[tuple[float, float]]:
    member = here()
    return [] if member is None else member.quotes()


def _reclaim(here: weakref.ref[NodeMember], nbytes: int) -> float:
    member = here()
    return 0 if member is None else member.reclaim(nbytes)
