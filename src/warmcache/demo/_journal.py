"""What was in memory when: loads, removals, answers, and the ledger at each of them."""

from __future__ import annotations

import threading
import time
from collections import defaultdict
from collections.abc import Hashable, Mapping
from dataclasses import dataclass, field
from typing import Any

from warmcache._core.state.records import Removal, RemovalCause
from warmcache.caches.cache import Cache
from warmcache.probes.host import HostProbe

from ._spec import Answer


@dataclass(frozen=True, slots=True)
class Load:
    """One load; times are seconds since the start, ``weight`` bytes found after it.

    ``instead`` is None for one by the loader, and for one from disk what the loader had taken.
    """

    name: str
    began: float
    ended: float
    weight: int
    instead: float | None = None

    @property
    def from_disk(self) -> bool:
        """Whether what an earlier load had made was read."""
        return self.instead is not None

    @property
    def seconds(self) -> float:
        """How long it took."""
        return self.ended - self.began


@dataclass(frozen=True, slots=True)
class Move:
    """A model was parked, or came back: ``instead`` of a load, which had taken so many seconds."""

    name: str
    began: float
    ended: float
    instead: float = 0.0

    @property
    def seconds(self) -> float:
        """How long it took."""
        return self.ended - self.began


@dataclass(frozen=True, slots=True)
class Gone:
    """One removal, once it was complete."""

    name: str
    at: float
    cause: RemovalCause

    @property
    def evicted(self) -> bool:
        """Whether the cache itself decided it."""
        return self.cause.evicted


@dataclass(frozen=True, slots=True)
class Sample:
    """The bytes committed to each model at one time, and the process's own (RSS)."""

    at: float
    weights: Mapping[str, float]
    resident: int | None


@dataclass
class Journal:
    """Writes down what happens; any thread may call it, a loader and a listener too.

    ``before`` are the loads of before the start.
    """

    before: list[Load] = field(default_factory=list)
    loads: list[Load] = field(default_factory=list)
    parks: list[Move] = field(default_factory=list)
    unparks: list[Move] = field(default_factory=list)
    gone: list[Gone] = field(default_factory=list)
    samples: list[Sample] = field(default_factory=list)
    answers: dict[str, list[Answer]] = field(default_factory=lambda: defaultdict(list))

    def __post_init__(self) -> None:
        self._lock = threading.Lock()
        self._host = HostProbe()
        self._away: set[str] = set()  # the names of what is parked
        self._zero = time.perf_counter()

    def follow(self, cache: Cache[Any, Any], names: Mapping[Hashable, str]) -> None:
        """Begin: from now on samples are of ``cache``, whose keys ``names`` translates."""
        self._cache, self._names = cache, names
        self.restart()

    def restart(self) -> None:
        """Forget everything but loads; the time is 0 again."""
        self.before += self.loads
        for moves in (self.parks, self.unparks):
            moves.clear()
        for notes in (self.loads, self.gone, self.samples, self.answers):
            notes.clear()
        self._zero = time.perf_counter()
        self.sample()

    def now(self) -> float:
        """Return the seconds since the start."""
        return time.perf_counter() - self._zero

    def sample(self) -> None:
        """Write down what is committed now; what is parked is not."""
        with self._lock:  # so that samples are in the order of their times
            weights: dict[str, float] = defaultdict(float)
            for entry in self._cache.entries():
                name = self._names[entry.key]
                # What is torn down where it was parked is no longer on the device either.
                if not (entry.state == "parked" or (entry.state == "dying" and name in self._away)):
                    weights[name] += entry.weight
            self.samples.append(Sample(self.now(), dict(weights), self._host.allocated()))

    def loaded(self, name: str, began: float, weight: int, instead: float | None = None) -> Load:
        """Write down a load that has just ended, and return it."""
        load = Load(name, began, self.now(), weight, instead)
        self.loads.append(load)
        return load

    def parked(self, name: str, began: float) -> None:
        """Write down that a model has just been parked."""
        self._away.add(name)
        self.parks.append(Move(name, began, self.now()))

    def unparked(self, name: str, began: float) -> None:
        """Write down that it has just come back."""
        self._away.discard(name)
        load = next(load for load in reversed(self.loads) if load.name == name)
        self.unparks.append(Move(name, began, self.now(), load.seconds))

    def removed(self, removal: Removal) -> None:
        """Write down a removal: a listener for ``on_removal``."""
        name = self._names[removal.key]
        self._away.discard(name)
        self.gone.append(Gone(name, self.now(), removal.cause))
        self.sample()

    def answered(self, name: str, answer: Answer) -> None:
        """Write down the outcome of a request."""
        with self._lock:
            self.answers[name].append(answer)

    # -- reading it ----------------------------------------------------------------

    def mean_seconds(self) -> dict[str, float]:
        """Return what one load of each model by its loader took, on average."""
        seconds: dict[str, list[float]] = defaultdict(list)
        for load in self.loads:
            seconds[load.name].append(load.seconds if load.instead is None else load.instead)
        return {name: sum(of) / len(of) for name, of in seconds.items()}

    def parked_spans(self, name: str) -> list[tuple[float, float]]:
        """Return from when to when a model was parked, each time."""
        back = [move.began for move in self.unparks if move.name == name]
        ends = sorted(back + [gone.at for gone in self.gone if gone.name == name])
        starts = [move.ended for move in self.parks if move.name == name]
        return [(start, next(end for end in ends if end >= start)) for start in starts]

    def peak(self) -> float:
        """Return the most bytes that were committed at any sample."""
        return max(sum(sample.weights.values()) for sample in self.samples)

    def resident_growth(self) -> tuple[int, int] | None:
        """Return the process's bytes at the start, and the most seen; None if unknown."""
        seen = [sample.resident for sample in self.samples if sample.resident is not None]
        return (seen[0], max(seen)) if seen else None
