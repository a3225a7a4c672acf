"""Who decides which worker gets a request: ours, and what else is in use."""

from __future__ import annotations

import random
from bisect import bisect
from collections import deque
from collections.abc import Callable
from hashlib import blake2b
from heapq import heappop, heappush
from typing import Any

from warmcache.routing import Backlog, Placement, Router

from .routing_world import Contender

_POINTS = 100  # of a worker on the ring


class _AtOnce:
    """Places requests as they come; what it places is ``choose``'s."""

    def __init__(self) -> None:
        self.load: dict[int, int] = {}
        self.slots: dict[int, int] = {}
        self.total = 0
        self._placed: deque[tuple[int, int, int, Any]] = deque()

    def choose(self, key: int) -> int:
        raise NotImplementedError

    def add(self, worker: int, slots: int) -> None:
        self.load[worker], self.slots[worker] = 0, slots

    def remove(self, worker: int, lost: list[tuple[int, int]]) -> None:
        self.total -= self.load.pop(worker)
        for key, request in lost:
            self.submit(key, request)

    def changed(self, worker: int, warmed: list[int], evicted: list[int]) -> None:
        pass

    def submit(self, key: int, request: int) -> None:
        worker = self.choose(key)
        self.load[worker] += 1
        self.total += 1
        self._placed.append((worker, 0, request, worker))

    def take(self) -> tuple[int, int, int, Any] | None:
        return self._placed.popleft() if self._placed else None

    def done(self, token: Any, seconds: float, loading: float | None) -> None:
        self.load[token] -= 1
        self.total -= 1


class LeastLoaded(_AtOnce):
    """The worker with the fewest requests, in turn among equals: what schedulers do."""

    def __init__(self) -> None:
        super().__init__()
        self._heap: list[tuple[float, int, int]] = []
        self._tick = 0

    def _push(self, worker: int) -> None:
        self._tick += 1
        heappush(self._heap, (self.load[worker] / self.slots[worker], self._tick, worker))

    def add(self, worker: int, slots: int) -> None:
        super().add(worker, slots)
        self._push(worker)

    def choose(self, key: int) -> int:
        while True:
            load, _, worker = heappop(self._heap)
            if worker in self.load and load == self.load[worker] / self.slots[worker]:
                self._tick += 1
                heappush(self._heap, (load + 1 / self.slots[worker], self._tick, worker))
                return worker

    def done(self, token: Any, seconds: float, loading: float | None) -> None:
        super().done(token, seconds, loading)
        self._push(token)


class TwoChoices(_AtOnce):
    """The less loaded of two drawn workers (Mitzenmacher 2001)."""

    def __init__(self) -> None:
        super().__init__()
        self._workers: list[int] = []
        self._random = random.Random(0)

    def add(self, worker: int, slots: int) -> None:
        super().add(worker, slots)
        self._workers.append(worker)

    def remove(self, worker: int, lost: list[tuple[int, int]]) -> None:
        self._workers.remove(worker)
        super().remove(worker, lost)

    def choose(self, key: int) -> int:
        one, other = self._random.choice(self._workers), self._random.choice(self._workers)
        return one if self.load[one] <= self.load[other] else other


class Hashing(_AtOnce):
    """The next worker on a ring of hashes (Karger et al. 1997)."""

    bound: float | None = None

    def __init__(self) -> None:
        super().__init__()
        self._ring: list[tuple[int, int]] = []

    def add(self, worker: int, slots: int) -> None:
        super().add(worker, slots)
        self._ring += [(_hash(f"worker {worker} {n}"), worker) for n in range(_POINTS)]
        self._ring.sort()

    def remove(self, worker: int, lost: list[tuple[int, int]]) -> None:
        self._ring = [point for point in self._ring if point[1] != worker]
        super().remove(worker, lost)

    def choose(self, key: int) -> int:
        ring = self._ring
        place = bisect(ring, (_hash(f"key {key}"), 0))
        limit = self.bound and self.bound * (self.total + 1) / len(self.load)
        while True:
            worker = ring[place % len(ring)][1]
            if limit is None or self.load[worker] < limit:
                return worker
            place += 1


class BoundedHashing(Hashing):
    """The same, past workers with 1.25 x the mean load (Mirrokni et al. 2016)."""

    bound = 1.25


def _hash(text: str) -> int:
    return int.from_bytes(blake2b(text.encode(), digest_size=8).digest())


class FirstFree:
    """One queue for all, in order; whoever is free takes the next: what pools do."""

    def __init__(self) -> None:
        self._queue: deque[int] = deque()
        self._free: deque[tuple[int, int]] = deque()
        self._life: dict[int, int] = {}

    def add(self, worker: int, slots: int) -> None:
        life = self._life[worker] = self._life.get(worker, 0) + 1
        self._free.extend([(worker, life)] * slots)

    def remove(self, worker: int, lost: list[tuple[int, int]]) -> None:
        self._life[worker] += 1
        self._queue.extendleft(request for _, request in reversed(lost))

    def changed(self, worker: int, warmed: list[int], evicted: list[int]) -> None:
        pass

    def submit(self, key: int, request: int) -> None:
        self._queue.append(request)

    def take(self) -> tuple[int, int, int, Any] | None:
        while self._queue and self._free:
            worker, life = self._free.popleft()
            if life == self._life[worker]:
                return worker, 0, self._queue.popleft(), (worker, life)
        return None

    def done(self, token: Any, seconds: float, loading: float | None) -> None:
        self._free.append(token)


class OurRouter:
    """``warmcache.routing.Router``: places requests as they come."""

    def __init__(self) -> None:
        self._router: Router[int, int] = Router()
        self._placed: deque[tuple[int, int, int, Any]] = deque()
        self.add, self.changed = self._router.add, self._router.changed

    def remove(self, worker: int, lost: list[tuple[int, int]]) -> None:
        self._router.remove(worker)
        for key, request in lost:
            self.submit(key, request)

    def submit(self, key: int, request: int) -> None:
        placement = self._router.pick(key)
        self._placed.append((placement.worker, placement.turn, request, placement))

    def take(self) -> tuple[int, int, int, Any] | None:
        return self._placed.popleft() if self._placed else None

    def done(self, token: Placement[int, int], seconds: float, loading: float | None) -> None:
        self._router.done(token, seconds=seconds, loading=loading)


class OurBacklog:
    """``warmcache.routing.Backlog``: places requests once a slot is free."""

    def __init__(self) -> None:
        self._backlog: Backlog[int, int] = Backlog()
        self.add, self.changed = self._backlog.add, self._backlog.changed
        self.submit = self._backlog.submit

    def remove(self, worker: int, lost: list[tuple[int, int]]) -> None:
        for placement in self._backlog.remove(worker):
            self._backlog.again(placement)

    def take(self) -> tuple[int, int, int, Any] | None:
        placement = self._backlog.take()
        return placement and (placement.worker, 0, placement.request, placement)

    def done(self, token: Placement[int, int], seconds: float, loading: float | None) -> None:
        self._backlog.done(token, seconds=seconds, loading=loading)


CONTENDERS: dict[str, Callable[[], Contender]] = {
    "least loaded": LeastLoaded,
    "first free": FirstFree,
    "two choices": TwoChoices,
    "hashing": Hashing,
    "bounded hashing": BoundedHashing,
    "Router": OurRouter,
    "Backlog": OurBacklog,
}
