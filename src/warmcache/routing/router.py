"""A router that places requests as they come."""

from __future__ import annotations

from heapq import heapify, heappop, heappush, heapreplace

from .fleet import Fleet, K, Model, Placement, W, Worker

_HOMES = 4  # that are compared: with two choices or more, the longest queue is short
_TURN = 64  # requests that may join a turn, where fewer are placed


class Router(Fleet[W, K]):
    """Places requests as they come: on a worker that has the key warm, or else the freest.

    It is for callers that do not hold the queue: a proxy that forwards, a broker with a queue for
    each worker. Who can wait until a slot is free loads less with :class:`Backlog`.

    Work is counted in uses: a request is one, and one that has to load is what a load costs
    more. Of the workers that have the key warm, or are about to load it, the one with least
    work gets the request, unless the least of all has so much less that a load pays: that is
    the bound on the load of a worker, and how what is hot gets replicas. What is cold goes to an
    idle worker that throws out little for it, or to the one with least work.

    ``Placement.turn`` orders what waits on one worker, the lowest first, so that requests of one
    key run together. A turn is closed once as many as were placed there when it opened, 64 at
    least, were placed after it: so many later ones overtake a request at most.

    A request that has not begun may be placed anew: ``done(it, warm=not it.cold)``, then ``pick``.
    """

    def __init__(self) -> None:
        super().__init__()
        self._heap: list[tuple[float, int, Worker]] = []  # work per slot, record, whose

    def pick(self, key: K) -> Placement[W, K]:
        """Return where to run a request for ``key``, and book it.

        Raises:
            LookupError: there are no workers.
        """
        if not self._workers:
            raise LookupError("no worker takes part")
        self._clock += 1
        model, least = self._model(key), self._least()
        model.asked = self._clock
        worker = self._lightest(model)
        if worker is None or _density(worker) > _density(least) + self.patience:
            worker = self._cheapest(model) or least
        return self._place(worker, model, turn=self._turn(worker, model), since=self._clock)

    def _lightest(self, model: Model) -> Worker | None:
        """Return the home with least work, of a few taken in turn."""
        homes = model.homes
        if len(homes) > _HOMES:
            model.next = start = (model.next + _HOMES) % len(homes)
            homes = homes[start : start + _HOMES]
        return min(homes, key=_density, default=None)

    def _turn(self, worker: Worker, model: Model) -> int:
        worker.picks += 1
        number, last = worker.turns.get(model, (0, 0))
        if worker.picks > last:
            number = self._clock
            last = worker.picks + max(_TURN, len(worker.placed))
            worker.turns[model] = number, last
        return number

    # -- the least work: a lazy heap --------------------------------------------------

    def _arrived(self, worker: Worker) -> None:
        super()._arrived(worker)
        self._record(worker)

    def _freed(self, worker: Worker) -> None:
        super()._freed(worker)
        self._record(worker)

    def _record(self, worker: Worker) -> None:
        """Have the heap know that ``worker`` has less work: that it has more may wait."""
        self._clock += 1
        worker.record = self._clock
        heappush(self._heap, (_density(worker), worker.record, worker))
        if len(self._heap) > 64 + 2 * len(self._workers):
            self._heap = [record for record in self._heap if self._valid(record)]
            heapify(self._heap)

    def _valid(self, record: tuple[float, int, Worker]) -> bool:
        _, number, worker = record
        return number == worker.record and self._workers.get(worker.name) is worker

    def _least(self) -> Worker:
        heap = self._heap
        while True:
            record = heap[0]
            density, _, worker = record
            if not self._valid(record):
                heappop(heap)
            elif density < (today := _density(worker)):
                self._clock += 1
                worker.record = self._clock
                heapreplace(heap, (today, worker.record, worker))
            else:
                return worker


def _density(worker: Worker) -> float:
    return worker.work / worker.slots
