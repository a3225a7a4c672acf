"""A simulated cluster: requests arrive, workers load, use, throw out the least recent, and fail.

Nothing sleeps: it goes from event to event. A worker keeps what fits in its bytes, least
recently used out first, what is in use never; a request that finds its key loading waits in its
slot. A worker that fails loses all that it has and does; it comes back empty.
"""

from __future__ import annotations

import random
from collections import Counter, OrderedDict
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from heapq import heapify, heappop, heappush
from itertools import accumulate
from time import thread_time_ns
from typing import Any, Protocol


@dataclass(frozen=True, kw_only=True)
class Scenario:
    """What is simulated. Times are seconds; a model weighs 1 on average, and so do ``keeps``."""

    name: str = ""
    workers: int = 100
    slots: int = 1
    keeps: float = 10.0
    models: int = 1000
    alike: bool = False
    requests: int = 100_000
    zipf: float = 0.9
    use: float = 0.2
    load: float = 2.0
    busy: float = 0.5  # the share of slots in use if nothing had to be loaded; 0: all at once
    failures: int = 0
    away: float = 60.0
    reports_every: float = 0.0  # seconds between a worker's reports; 0: with each request done
    seeds: int = 1


@dataclass(frozen=True)
class Outcome:
    """What came of it; ``busiest``: the busiest worker's seconds over the mean."""

    loads: float
    makespan: float
    median: float
    p99: float
    busiest: float
    decision: float  # microseconds of the processor a request: submit and take
    upkeep: float  # the same: changed and done


class Contender(Protocol):
    """Who decides. Everything is called from one thread."""

    def add(self, worker: int, slots: int) -> None: ...
    def remove(self, worker: int, lost: list[tuple[int, int]]) -> None:
        """Forget a worker, and submit what it has lost, keys and requests, again."""

    def changed(self, worker: int, warmed: list[int], evicted: list[int]) -> None: ...
    def submit(self, key: int, request: int) -> None: ...
    def take(self) -> tuple[int, int, int, Any] | None:
        """Return a worker, a rank in its queue, a request and a token for ``done``; or None."""

    def done(self, token: Any, seconds: float, loading: float | None) -> None: ...


class Cache:
    """What a worker has warm: least recently used out first, what is in use never."""

    def __init__(self, limit: float) -> None:
        self.limit, self.size = limit, 0.0
        self.warm: OrderedDict[int, float] = OrderedDict()
        self.users: Counter[int] = Counter()

    def use(self, key: int) -> bool:
        """Have one user more of ``key``; False if it is not there."""
        if key not in self.warm:
            return False
        self.warm.move_to_end(key)
        self.users[key] += 1
        return True

    def load(self, key: int, weight: float) -> list[int]:
        """Put ``key`` in with one user, and return what goes for it."""
        gone = []
        if self.size + weight > self.limit:
            for other in [other for other in self.warm if not self.users[other]]:
                self.size -= self.warm.pop(other)
                gone.append(other)
                if self.size + weight <= self.limit:
                    break
        self.warm[key] = weight
        self.size += weight
        self.users[key] += 1
        return gone


class _Worker:
    def __init__(self, scenario: Scenario) -> None:
        self.life, self.seconds, self.alive = 0, 0.0, True
        self.slots, self.keeps = scenario.slots, scenario.keeps
        self.begin()

    def begin(self) -> None:
        self.cache = Cache(self.keeps)
        self.free = self.slots
        self.queue: list[tuple[int, int, int, Any]] = []
        self.running: dict[int, tuple[Any, float, float | None]] = {}
        self.ready: dict[int, float] = {}  # when what loads is there
        self.warmed: list[int] = []
        self.evicted: list[int] = []
        self.reported = 0.0


_FAILS, _RETURNS = -1, -2


class World:
    """One run of one contender."""

    def __init__(self, scenario: Scenario, contender: Contender, seed: int = 0) -> None:
        self.scenario, self.contender = scenario, contender
        self._draw(random.Random(seed))
        self.workers = [_Worker(scenario) for _ in range(scenario.workers)]
        self.events: list[tuple[float, int, int, int]] = []  # when, what, worker, its life
        self.loads, self.count = 0, 0
        self.finished: list[float] = [-1.0] * scenario.requests
        self.decision, self.upkeep = 0, 0

    def _draw(self, draw: random.Random) -> None:
        s = self.scenario
        weights = [min(4.0, draw.lognormvariate(0, 0.8)) for _ in range(s.models)]
        mean = sum(weights) / s.models
        self.weights = [1.0 if s.alike else weight / mean for weight in weights]
        self.load_times = [s.load * (0.25 + 0.75 * weight) for weight in self.weights]
        shares = list(accumulate((rank + 1) ** -s.zipf for rank in range(s.models)))
        self.keys = draw.choices(range(s.models), cum_weights=shares, k=s.requests)
        rate = s.workers * s.slots * s.busy / s.use
        gaps = (draw.expovariate(rate) if rate else 0.0 for _ in range(s.requests))
        self.arrivals = list(accumulate(gaps))
        self.use_times = [draw.expovariate(1 / s.use) for _ in range(s.requests)]
        last = self.arrivals[-1]
        self.failures = [(draw.random() * last, draw.randrange(s.workers))
                         for _ in range(s.failures)]  # fmt: skip

    def run(self) -> None:
        """Run until every request is done."""
        for number in range(len(self.workers)):
            self.contender.add(number, self.scenario.slots)
        events, arrivals = self.events, self.arrivals
        events += [(when, _FAILS, number, 0) for when, number in self.failures]
        heapify(events)
        coming, left, requests = 0, len(arrivals), len(arrivals)
        while left:
            if coming < requests and (not events or arrivals[coming] <= events[0][0]):
                self._submit(coming)
                coming += 1
                if coming < requests and arrivals[coming] == arrivals[coming - 1]:
                    continue  # all at once: nothing starts before the last of them
                self._start_all(arrivals[coming - 1])
                continue
            now, what, number, life = heappop(events)
            if what == _FAILS:
                self._fail(number, now)
            elif what == _RETURNS:
                self._return(number)
            elif life == self.workers[number].life:
                self._finish(what, number, now)
                left -= 1
            self._start_all(now)

    def _submit(self, request: int) -> None:
        begun = thread_time_ns()
        self.contender.submit(self.keys[request], request)
        self.decision += thread_time_ns() - begun

    def _start_all(self, now: float) -> None:
        while True:
            begun = thread_time_ns()
            placed = self.contender.take()
            self.decision += thread_time_ns() - begun
            if placed is None:
                return
            number, rank, request, token = placed
            worker = self.workers[number]
            assert worker.alive, "placed on a worker that has gone"
            if worker.free:
                self._start(worker, number, request, token, now)
            else:
                self.count += 1
                heappush(worker.queue, (rank, self.count, request, token))

    def _start(self, worker: _Worker, number: int, request: int, token: Any, now: float) -> None:
        key, loading = self.keys[request], None
        worker.free -= 1
        if worker.cache.use(key):
            begin = max(now, worker.ready.get(key, 0.0))
        else:
            self.loads += 1
            loading = self.load_times[key]
            worker.evicted += worker.cache.load(key, self.weights[key])
            worker.warmed.append(key)
            begin = worker.ready[key] = now + loading
        end = begin + self.use_times[request]
        worker.seconds += end - now
        worker.running[request] = token, end - now, loading
        heappush(self.events, (end, request, number, worker.life))

    def _finish(self, request: int, number: int, now: float) -> None:
        worker, contender = self.workers[number], self.contender
        self.finished[request] = now
        worker.cache.users[self.keys[request]] -= 1
        worker.free += 1
        token, seconds, loading = worker.running.pop(request)
        begun = thread_time_ns()
        if now - worker.reported >= self.scenario.reports_every:
            if worker.warmed or worker.evicted:
                contender.changed(number, *_changes(worker))
                worker.warmed, worker.evicted = [], []
            worker.reported = now
        contender.done(token, seconds, loading)
        self.upkeep += thread_time_ns() - begun
        if worker.queue:
            _, _, following, token = heappop(worker.queue)
            self._start(worker, number, following, token, now)

    def _fail(self, number: int, now: float) -> None:
        worker = self.workers[number]
        if worker.alive:
            lost = sorted([*worker.running, *(entry[2] for entry in worker.queue)])
            worker.alive = False
            worker.life += 1
            heappush(self.events, (now + self.scenario.away, _RETURNS, number, 0))
            self.contender.remove(number, [(self.keys[request], request) for request in lost])

    def _return(self, number: int) -> None:
        worker = self.workers[number]
        worker.begin()
        worker.alive = True
        self.contender.add(number, self.scenario.slots)

    def outcome(self) -> Outcome:
        requests = self.scenario.requests
        waits = sorted(end - come for end, come in zip(self.finished, self.arrivals, strict=True))
        seconds = [worker.seconds for worker in self.workers]
        return Outcome(
            loads=self.loads,
            makespan=max(self.finished),
            median=waits[requests // 2],
            p99=waits[requests * 99 // 100],
            busiest=max(seconds) * len(seconds) / sum(seconds),
            decision=self.decision / requests / 1e3,
            upkeep=self.upkeep / requests / 1e3,
        )


def _changes(worker: _Worker) -> tuple[list[int], list[int]]:
    """Return what has come and is there, and what has gone and is not."""
    warm = worker.cache.warm
    return (
        [key for key in worker.warmed if key in warm],
        [key for key in worker.evicted if key not in warm],
    )


def simulate(
    scenario: Scenario, make: Callable[[], Contender], seeds: Iterable[int] | None = None
) -> Outcome:
    """Return the mean outcome over the scenario's seeds."""
    outcomes = []
    for seed in range(scenario.seeds) if seeds is None else seeds:
        world = World(scenario, make(), seed)
        world.run()
        outcomes.append(world.outcome())
    fields = Outcome.__dataclass_fields__
    return Outcome(
        *(sum(getattr(outcome, field) for outcome in outcomes) / len(outcomes) for field in fields)
    )
