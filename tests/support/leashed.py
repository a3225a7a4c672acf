"""The choice of ``cost`` without a cache around it, and the LRU that it is judged by."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable
from typing import Any

from warmcache._core.state.hit_counts import NO_HITS, HitCount
from warmcache.caches.leash import WIDTH, Leash
from warmcache.caches.leashed_choice import LeashedChoice


class Resident:
    """What a hit stamps."""

    def __init__(self, key: Hashable, size: float, tick: int) -> None:
        self.key, self.size = key, size
        self.hits, self.base_uses = NO_HITS, 1
        self.used = self.loaded = tick
        self.leases: tuple[Any, ...] = ()


class Replay:
    """Serves requests as a cache would. With ``exact``, each use is told at once."""

    def __init__(self, limit: float, *, exact: bool = False, width: float = WIDTH) -> None:
        self.now, self.limit, self.exact = 1, limit, exact
        self.choice = LeashedChoice(lambda: self.now, limit, exact=exact, width=width)
        self.leash = self.choice.leash
        self.live: dict[Hashable, Resident] = {}
        self.size = self.paid = 0.0

    def ask(self, key: Hashable, size: float, seconds: float) -> None:
        self.now += 1
        resident = self.live.get(key)
        if resident is not None:
            self.use(resident)
            return
        self.paid += seconds
        if size <= self.limit:  # what is larger no cache keeps
            self.make_room(size)
            self.store(key, size, seconds)

    def use(self, resident: Resident) -> None:
        resident.hits = HitCount(resident.hits.number + 1)
        resident.used = self.now
        if self.exact:
            self.choice.used(resident)

    def make_room(self, size: float) -> None:
        while self.size + size > self.limit:
            record = self.choice.victim()
            assert record is not None
            resident = record.stamps
            self.choice.evicted(record)
            self.gone(resident)

    def gone(self, resident: Resident) -> None:
        del self.live[resident.key]
        self.size -= resident.size

    def store(self, key: Hashable, size: float, seconds: float) -> None:
        resident = self.live[key] = Resident(key, size, self.now)
        self.size += size
        self.choice.arrived(key, resident, size, seconds)


class TrueLRU:
    """LRU to the letter, and what it pays."""

    def __init__(self, limit: float) -> None:
        self.limit = limit
        self.held: OrderedDict[Hashable, float] = OrderedDict()
        self.size = self.paid = 0.0

    def ask(self, key: Hashable, size: float, seconds: float) -> None:
        if key in self.held:
            self.held.move_to_end(key)
            return
        self.paid += seconds
        if size > self.limit:
            return
        while self.size + size > self.limit:
            self.size -= self.held.popitem(last=False)[1]
        self.held[key] = size
        self.size += size


def assert_on_its_leash(leash: Leash) -> None:
    """The invariant of the proof, and that the debt is what it says."""
    assert leash.paid + leash.debt <= leash.share * leash.lru * (1 + 1e-9) + 1e-9
    owed = sum(record.owed for record in leash.lacking)
    assert abs(leash.debt - owed) <= 1e-6 * max(1, owed)
    assert 0 == leash.forced
