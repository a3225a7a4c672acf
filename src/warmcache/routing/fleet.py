"""What routers know of their workers: who has what warm, who is idle, what a load costs.

Nothing here reads a clock, takes a lock or knows an engine.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Hashable, Iterable, KeysView
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

from warmcache import _checks as checks
from warmcache._texts import text_of

W = TypeVar("W", bound=Hashable)
K = TypeVar("K", bound=Hashable)

_LOOKED_AT = 8  # idle workers that are compared before a load
_GUESS = 4.0  # uses that a load costs, until it is known
_MEMORY = 512  # numbers that count in a mean, at most
_TWICE = 2.0  # a load costs two: the other is that of what it throws out


@dataclass(frozen=True, slots=True, eq=False)
class Placement(Generic[W, K]):
    """One request on one worker: hand it to ``done`` when that worker is through with it.

    ``cold``: as far as is known, the worker has to load for it. ``request`` is what was handed to
    :meth:`Backlog.submit`. ``turn`` is :class:`Router`'s: on each worker, lower turns go first.
    """

    worker: W
    key: K
    cold: bool
    turn: int = 0
    request: Any = None
    since: int = field(default=0, repr=False)
    cost: float = field(default=0.0, repr=False)


@dataclass(slots=True, eq=False)
class Worker:
    """What is known of one worker."""

    name: Any
    slots: int
    placed: dict[Placement[Any, Any], Model] = field(default_factory=dict)
    booked: dict[Model, int] = field(default_factory=dict)  # placements of each
    # The one asked for longest ago first; what it is mapped to is the place in its homes.
    warm: dict[Model, int] = field(default_factory=dict)
    full: bool = False  # it has thrown something out
    loading: int = 0  # cold placements
    work: float = 0.0  # what is placed, in uses
    place: int = -1  # among the idle
    # In a Backlog alone, of its round:
    gate: int = 0  # when it began
    runs: int = 0  # what has run since
    # In a Router alone:
    record: int = 0  # the valid one in the heap
    picks: int = 0
    # Of each model the number of its turn, and the last pick that may join that.
    turns: dict[Model, tuple[int, int]] = field(default_factory=dict)


@dataclass(slots=True, eq=False)
class Model:
    """What is known of one key: for as long as it has a home, or somebody waits for it."""

    key: Any
    homes: list[Worker] = field(default_factory=list)  # workers that have it warm
    slots: int = 0  # of the homes together
    next: int = 0  # home to look at
    asked: int = 0  # when, last
    # In a Backlog alone:
    idle: dict[Worker, None] = field(default_factory=dict)  # homes that rest
    in_line: bool = False
    waiting: deque[tuple[int, Any]] = field(default_factory=deque)  # since when, the request


class Mean:
    """The mean of about the last few hundred numbers."""

    def __init__(self) -> None:
        self._sum, self._count = 0.0, 0

    def learn(self, number: float) -> None:
        if self._count == _MEMORY:
            self._sum, self._count = self._sum / 2, self._count // 2
        self._sum += number
        self._count += 1

    @property
    def value(self) -> float:
        return self._sum / self._count if self._count else 0.0


class Fleet(Generic[W, K]):
    """The workers of a router.

    Invariants: ``model.homes`` are the workers whose ``warm`` has the model, ``warm[model]``
    its place among them; ``worker.booked`` counts ``worker.placed`` by model and is part of
    ``warm``; ``_idle`` are workers with a free slot, ``worker.place`` their place in it.
    """

    def __init__(self) -> None:
        self._workers: dict[W, Worker] = {}
        self._models: dict[K, Model] = {}
        self._idle: list[Worker] = []
        self._next = 0
        self._clock = 0
        self._use, self._load = Mean(), Mean()  # seconds
        self._uses = _GUESS  # that a load costs

    # -- workers and what they say --------------------------------------------------

    @property
    def workers(self) -> KeysView[W]:
        """The workers that take part."""
        return self._workers.keys()

    def add(self, worker: W, slots: int = 1, warm: Iterable[K] = ()) -> None:
        """Have ``worker`` take part: it serves ``slots`` requests at once, and has ``warm``.

        Raises:
            TypeError: ``slots`` is no whole number.
            ValueError: it takes part already, or has no slot.
        """
        if worker in self._workers:
            raise ValueError(f"{text_of(worker)} takes part already")
        checks.count("slots", slots)
        warm = dict.fromkeys(warm)
        record = self._workers[worker] = Worker(worker, slots)
        self._arrived(record)
        self.changed(worker, warmed=warm)

    def remove(self, worker: W) -> list[Placement[W, K]]:
        """Forget ``worker``, and return what was placed there and is not done.

        Raises:
            KeyError: it takes no part.
        """
        record = self._workers.pop(worker)
        self._busy(record)
        for model in [*record.warm]:
            self._drop(record, model)
        return [*record.placed]

    def report(self, worker: W, warm: Iterable[K]) -> None:
        """Note that ``worker`` has ``warm`` and nothing else, but for what is placed there."""
        record = self._workers.get(worker)
        if record is not None:
            now = dict.fromkeys(warm)
            self.changed(worker, now, [m.key for m in record.warm if m.key not in now])

    def changed(self, worker: W, warmed: Iterable[K] = (), evicted: Iterable[K] = ()) -> None:
        """Note what ``worker`` has warm, and no longer has, since it last said so."""
        record = self._workers.get(worker)
        if record is None:  # it has gone meanwhile
            return
        for key in evicted:
            model = self._models.get(key)
            if model is not None and model in record.warm:
                record.full = True
                if model not in record.booked:
                    self._drop(record, model)
        for key in warmed:
            self._gain(record, self._model(key))

    def done(
        self,
        placement: Placement[W, K],
        *,
        seconds: float | None = None,
        loading: float | None = None,
        warm: bool = True,
    ) -> None:
        """Note that a request has ended, in whatever way.

        ``seconds``: how long it kept its slot, ``loading`` of them with a load, None if it needed
        none; from these the router learns what a load costs. ``warm=False``: the worker has not
        kept the object, as after a failed load. Done twice, or on a worker that has gone, changes
        nothing.
        """
        checks.optional(checks.measured_seconds, "seconds", seconds)
        checks.optional(checks.measured_seconds, "loading", loading)
        worker = self._workers.get(placement.worker)
        if worker is None or placement not in worker.placed:
            return
        model = worker.placed.pop(placement)
        worker.loading -= placement.cold
        worker.work = worker.work - placement.cost if worker.placed else 0.0
        left = worker.booked[model] - 1
        if left:
            worker.booked[model] = left
        else:
            del worker.booked[model]
            if not warm:
                self._drop(worker, model)
        if seconds is not None:
            self._learn(seconds, loading)
        self._freed(worker)

    @property
    def patience(self) -> float:
        """How many uses it is worth to wait for rather than load."""
        return _TWICE * self._uses

    def _learn(self, seconds: float, loading: float | None) -> None:
        self._use.learn(max(0.0, seconds - (loading or 0.0)))
        if loading is not None:
            self._load.learn(loading)
        if self._load.value and self._use.value:
            self._uses = self._load.value / self._use.value

    # -- the books ------------------------------------------------------------------

    def _place(self, worker: Worker, model: Model, **more: Any) -> Placement[W, K]:
        """Book a request for ``model`` on ``worker``."""
        cold = model not in worker.warm
        if cold:
            self._gain(worker, model)
        else:
            worker.warm[model] = worker.warm.pop(model)  # asked for last
        cost = 1.0 + cold * self._uses
        placement: Placement[W, K] = Placement(worker.name, model.key, cold, cost=cost, **more)
        worker.placed[placement] = model
        worker.booked[model] = worker.booked.get(model, 0) + 1
        worker.loading += cold
        worker.work += cost
        if len(worker.placed) >= worker.slots:
            self._busy(worker)
        return placement

    def _model(self, key: K) -> Model:
        model = self._models.get(key)
        if model is None:
            model = self._models[key] = Model(key)
        return model

    def _gain(self, worker: Worker, model: Model) -> None:
        if model not in worker.warm:
            worker.warm[model] = len(model.homes)
            model.homes.append(worker)
            model.slots += worker.slots

    def _drop(self, worker: Worker, model: Model) -> None:
        place, last = worker.warm.pop(model), model.homes.pop()
        if last is not worker:
            model.homes[place] = last
            last.warm[model] = place
        model.slots -= worker.slots
        worker.turns.pop(model, None)
        self._forget(model)

    def _forget(self, model: Model) -> None:
        if not model.homes and not model.waiting:
            self._models.pop(model.key, None)

    # -- the idle -------------------------------------------------------------------

    def _arrived(self, worker: Worker) -> None:
        """Note that ``worker`` is new."""
        self._rest(worker)

    def _freed(self, worker: Worker) -> None:
        """Note that ``worker`` is through with one request."""
        if len(worker.placed) < worker.slots:
            self._rest(worker)

    def _rest(self, worker: Worker) -> None:
        if worker.place < 0:
            worker.place = len(self._idle)
            self._idle.append(worker)

    def _busy(self, worker: Worker) -> None:
        if worker.place >= 0:
            last = self._idle.pop()
            if last is not worker:
                self._idle[worker.place] = last
                last.place = worker.place
            worker.place = -1

    def _cheapest(self, model: Model) -> Worker | None:
        """Return an idle worker on which a load of ``model`` costs little; None if none is idle.

        The next few of the idle are compared, in turn, so that no worker draws all that is cold.
        """
        idle, start = self._idle, self._next
        if len(idle) <= _LOOKED_AT:
            near = idle
        else:
            self._next = start = (start + _LOOKED_AT) % len(idle)
            near = idle[start : start + _LOOKED_AT] or idle[:_LOOKED_AT]
        return min((w for w in near if model not in w.warm), key=self._loss, default=None)

    def _loss(self, worker: Worker) -> tuple[int, bool, bool, int]:
        """Rank a worker by what a load there throws out: nothing, a copy, what few ask for."""
        if worker.full:
            for model in worker.warm:
                if model not in worker.booked:
                    return (worker.loading, True, len(model.homes) == 1, model.asked)
        return (worker.loading, worker.full, False, len(worker.warm))
