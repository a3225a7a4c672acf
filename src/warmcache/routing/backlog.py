"""A router that keeps requests back until a slot is free for them."""

from __future__ import annotations

from heapq import heappop, heappush, heapreplace
from math import sqrt
from typing import Any

from .fleet import Fleet, K, Model, Placement, W, Worker

# How it decides.
#
# A request starts in one of three ways, which `take` tries in this order:
#
# 1. Warm on an idle worker (`_asked`: models to look at, since a request or a home has come).
# 2. On a slot that was freed (`_free`: workers to look at). It serves what is warm there, the
#    oldest first, for a round; after that the oldest of all. If that is not warm there, it gets
#    the idle worker that throws out least for it, this one or another.
# 3. From the line (`_line`), on the idle worker that throws out least. In line is a model of which
#    more wait than the slots of its homes are for, and so is each that has no home.
#
# Whoever fits none of these waits for a change, and every change is noted where it happens: a
# request (`_wait`), a slot (`_freed`, `_arrived`), a home more or less (`_gain`, `_drop`).
#
# Invariants. `_waiting` are the models for which anything waits, each with its requests by age. A
# worker with a free slot is in `_free`, or among the idle, or in both while something older has to
# start first; `model.idle` are the homes of the model that are among the idle. `model.in_line`
# says that `_line` has a record of the model, and not a newer one than its oldest request: so the
# record on top is the oldest in line, once it has been held against the model and corrected.
# Nothing is searched for in the heap, and nothing taken out of its middle.
#
# A round begins with a load: `gate` is the clock then, `runs` counts what was served warm since.
# Until all that waited at the gate are served, and `patience` requests at least, what is warm goes
# before what is in line, however old that is.
#
# Why nothing starves. Nothing later passes a request at its home: those that are warm go by age,
# and one in line goes before them only if it is older. What is in line is passed on a worker by
# those that waited at the gate and by the first `patience` of the round, which both come to an
# end; the next round begins with the oldest in line. So each round that begins while a request is
# in line begins with one that is older than it, and of those there are ever fewer.
#
# What loses (docs/routing.md has numbers):
#
# - a free slot for the oldest of all: with fewer slots than keys, nearly every request loads;
# - what is warm for as long as there is any: a flood of one key starves all others;
# - requests placed as they come, as Router does: who will be free first is not known yet;
# - a bound in requests, whether they load or not, in place of one in uses: where a load is dear,
#   more loads and more than twice the time, even beside Router.


class Backlog(Fleet[W, K]):
    """Keeps requests until a slot is free, and gives the slot to those who have it warm there.

    A request starts on a worker that has its key warm. Its key gets in line for another one if
    no worker has it, or if more wait for it than the slots of those are for: that is how what is
    hot gets replicas. An idle worker that throws out little takes the oldest in line. A slot that
    becomes free serves what is warm there, the oldest first, in rounds: once all that waited
    when the round began are served, and ``patience`` requests at least, the oldest goes first,
    warm there or in line, and its load begins the next round. So with fewer slots than keys,
    requests run grouped by key, the more so the more wait.

    Nothing starves. Nothing later passes a request on a worker that has its key warm; one in line
    is passed by those of the rounds under way, and each round that begins meanwhile begins with a
    request that is older still.

    After anything that could let a request start, call :meth:`take` until it returns None.
    """

    def __init__(self) -> None:
        super().__init__()
        self._free: dict[Worker, None] = {}  # may have a slot for somebody who waits
        self._asked: dict[Model, None] = {}  # may be warm on an idle worker
        self._waiting: dict[Model, None] = {}
        self._line: list[tuple[int, int, Model]] = []  # since, tie, who wants a worker
        self._count = 0

    def __len__(self) -> int:
        """Return how many requests wait."""
        return self._count

    def submit(self, key: K, request: Any = None) -> None:
        """Have ``request`` wait for a slot on a worker that has ``key`` warm."""
        self._clock += 1
        self._wait(key, self._clock, request)

    def again(self, placement: Placement[W, K]) -> None:
        """Have a request that was not served, as its worker has gone, wait where it was in line."""
        self._wait(placement.key, placement.since, placement.request)

    def withdraw(self, key: K, request: Any) -> bool:
        """Have ``request`` wait no more; False if it does not, as it was placed or withdrawn."""
        model = self._models.get(key)
        for entry in model.waiting if model else ():
            if entry[1] is request and model:
                model.waiting.remove(entry)
                self._left(model)
                return True
        return False

    def take(self) -> Placement[W, K] | None:
        """Return the next request that starts, and where; None if none can before a change."""
        if not (self._free or self._asked or (self._line and self._idle)):
            return None  # at once, as it is asked after every request
        return self._for_asked() or self._for_free() or self._for_line()

    # -- what starts next -------------------------------------------------------------

    def _for_asked(self) -> Placement[W, K] | None:
        """Start what is warm on an idle worker."""
        while self._asked:
            model = next(reversed(self._asked))
            if model.waiting and model.idle:
                worker = next(reversed(model.idle))
                return self._start(worker, self._next_on(worker) or model)
            del self._asked[model]
        return None

    def _for_free(self) -> Placement[W, K] | None:
        """Start what workers that became free have warm, and what has to go before it."""
        older = None
        for worker in [*self._free]:
            model = self._next_on(worker)
            if model and model in worker.warm:
                return self._start(worker, model)
            self._rest(worker)
            if model:
                older = worker, model  # once that has started, the worker is looked at again
            else:
                del self._free[worker]
        if older:
            worker, model = older
            return self._start(self._cheapest(model) or worker, model)
        return None

    def _next_on(self, worker: Worker) -> Model | None:
        """Return whose request is next where some key is warm: of that, or of one in line."""
        both = worker.warm.keys() & self._waiting.keys()
        if not both:
            return None
        warm = min(both, key=_since)
        if _since(warm) > worker.gate and worker.runs >= self.patience:
            cold = self._first_in_line()
            if cold and _since(cold) < _since(warm):
                return cold
        worker.runs += 1
        return warm

    def _for_line(self) -> Placement[W, K] | None:
        """Start the oldest in line on the worker that throws out least for it."""
        model = self._first_in_line() if self._idle else None
        worker = model and self._cheapest(model)
        return self._start(worker, model) if model and worker else None

    def _first_in_line(self) -> Model | None:
        line = self._line
        while line:
            since, _, model = line[0]
            if not model.waiting or not self._wants_worker(model):
                heappop(line)
                model.in_line = False
            elif since != _since(model):
                heapreplace(line, (_since(model), id(model), model))
            else:
                return model
        return None

    def _wants_worker(self, model: Model) -> bool:
        """Tell if more wait than the slots of its homes are for.

        When ``n`` requests wait for ``h`` slots, they wait ``n ** 2 / (2 * h)`` uses in all, and
        with one slot more about ``n ** 2 / (2 * h ** 2)`` less. That is what two loads cost at
        ``n = 2 * h * sqrt(load / use)``.
        """
        return len(model.waiting) > 2 * sqrt(self._uses) * model.slots

    def _start(self, worker: Worker, model: Model) -> Placement[W, K]:
        since, request = model.waiting.popleft()
        if model not in worker.warm:
            worker.gate, worker.runs = self._clock, 0
        model.asked = self._clock
        placement = self._place(worker, model, request=request, since=since)
        self._left(model)
        return placement

    # -- who waits --------------------------------------------------------------------

    def _wait(self, key: K, since: int, request: Any) -> None:
        model = self._model(key)
        place = len(model.waiting)
        while place and model.waiting[place - 1][0] > since:
            place -= 1
        model.waiting.insert(place, (since, request))
        model.in_line &= place > 0  # it may now be older than its record
        self._waiting[model] = None
        self._count += 1
        self._look_at(model)

    def _look_at(self, model: Model) -> None:
        """Note that requests for ``model`` may start, or want another worker."""
        self._asked[model] = None
        if not model.in_line and self._wants_worker(model):
            model.in_line = True
            heappush(self._line, (_since(model), id(model), model))

    def _left(self, model: Model) -> None:
        self._count -= 1
        if not model.waiting:
            del self._waiting[model]
            self._forget(model)

    # -- who is free; what rests is found by its keys -----------------------------------

    def _arrived(self, worker: Worker) -> None:
        self._free[worker] = None

    def _freed(self, worker: Worker) -> None:
        self._free[worker] = None

    def _rest(self, worker: Worker) -> None:
        if worker.place < 0:
            for model in worker.warm:
                model.idle[worker] = None
        super()._rest(worker)

    def _busy(self, worker: Worker) -> None:
        self._free.pop(worker, None)
        if worker.place >= 0:
            for model in worker.warm:
                model.idle.pop(worker, None)
        super()._busy(worker)

    def _gain(self, worker: Worker, model: Model) -> None:
        super()._gain(worker, model)
        if worker.place >= 0:
            model.idle[worker] = None
        if model.waiting:
            self._look_at(model)

    def _drop(self, worker: Worker, model: Model) -> None:
        model.idle.pop(worker, None)
        super()._drop(worker, model)
        if model.waiting:
            self._look_at(model)


def _since(model: Model) -> int:
    return model.waiting[0][0]
