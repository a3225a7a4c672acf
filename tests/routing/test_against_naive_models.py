"""Both routers against models that look at everything, in whatever order things come."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule
from routers import UNTOLD, Anything

from warmcache.routing import Backlog, Placement, Router

pytestmark = [pytest.mark.oracle, pytest.mark.property]

WORKERS, KEYS = st.integers(0, 4), st.sampled_from("abcdef")


class Books(RuleBasedStateMachine):
    """What both routers promise, against sets that are scanned."""

    def __init__(self) -> None:
        super().__init__()
        self.router: Anything = self.made()
        self.warm: dict[int, set[str]] = {}
        self.slots: dict[int, int] = {}
        self.ever: list[Placement[Any, Any]] = []
        self.running: list[Placement[Any, Any]] = []
        self.submitted = self.ended = 0

    def made(self) -> Anything:
        raise NotImplementedError

    def at(self, worker: int) -> list[Placement[Any, Any]]:
        return [placement for placement in self.running if placement.worker == worker]

    def free(self) -> set[int]:
        return {worker for worker in self.warm if len(self.at(worker)) < self.slots[worker]}

    def note(self, placement: Placement[Any, Any]) -> None:
        assert placement.cold == (placement.key not in self.warm[placement.worker])
        self.warm[placement.worker].add(placement.key)
        self.running.append(placement)
        self.ever.append(placement)

    @rule(worker=WORKERS, slots=st.integers(1, 3), warm=st.sets(KEYS))
    def add(self, worker: int, slots: int, warm: set[str]) -> None:
        if worker not in self.warm:
            self.router.add(worker, slots, warm)
            self.warm[worker], self.slots[worker] = set(warm), slots

    @rule(worker=WORKERS, warmed=st.sets(KEYS), evicted=st.sets(KEYS))
    def changed(self, worker: int, warmed: set[str], evicted: set[str]) -> None:
        self.router.changed(worker, warmed, evicted)
        self.now_warm(worker, warmed | (self.warm.get(worker, set()) - evicted))

    @rule(worker=WORKERS, warm=st.sets(KEYS))
    def report(self, worker: int, warm: set[str]) -> None:
        self.router.report(worker, warm)
        self.now_warm(worker, warm)

    def now_warm(self, worker: int, warm: set[str]) -> None:
        if worker in self.warm:
            self.warm[worker] = warm | {placement.key for placement in self.at(worker)}

    @precondition(lambda self: self.ever)
    @rule(data=st.data(), warm=st.booleans())
    def done(self, data: st.DataObject, warm: bool) -> None:
        placement = data.draw(
            st.sampled_from(self.running or self.ever) | st.sampled_from(self.ever)
        )
        self.router.done(placement, warm=warm)
        if placement in self.running:
            self.running.remove(placement)
            self.ended += 1
            if not warm and all(p.key != placement.key for p in self.at(placement.worker)):
                self.warm[placement.worker].discard(placement.key)

    @rule(worker=WORKERS)
    def remove(self, worker: int) -> None:
        if worker in self.warm:
            lost = self.router.remove(worker)
            assert self.at(worker) == lost
            self.running = [p for p in self.running if p.worker != worker]
            del self.warm[worker], self.slots[worker]
            self.lost(worker, lost)

    def lost(self, worker: int, lost: list[Placement[Any, Any]]) -> None:
        raise NotImplementedError

    @invariant()
    def the_books_are_right(self) -> None:
        fleet = self.router
        assert self.warm == {
            name: {model.key for model in worker.warm} for name, worker in fleet._workers.items()
        }
        for key, model in fleet._models.items():
            assert key == model.key
            assert model.homes or model.waiting
            assert model.slots == sum(worker.slots for worker in model.homes)
            assert [*range(len(model.homes))] == [w.warm[model] for w in model.homes]
        for name, worker in fleet._workers.items():
            assert self.at(name) == [*worker.placed]
            booked = [model.key for model, count in worker.booked.items() for _ in range(count)]
            assert sorted(p.key for p in self.at(name)) == sorted(booked)
            assert sum(p.cold for p in self.at(name)) == worker.loading
            assert sum(p.cost for p in self.at(name)) == pytest.approx(worker.work)
        assert [*range(len(fleet._idle))] == [worker.place for worker in fleet._idle]
        assert {worker.name for worker in fleet._idle} <= self.free()
        assert all(w.turns.keys() <= w.warm.keys() for w in fleet._workers.values())


class RouterMachine(Books):
    def made(self) -> Router[int, str]:
        return Router()

    def density(self, worker: int) -> float:
        return sum(placement.cost for placement in self.at(worker)) / self.slots[worker]

    @precondition(lambda self: self.warm)
    @rule(key=KEYS)
    def pick(self, key: str) -> None:
        assert isinstance(self.router, Router)
        density = {worker: self.density(worker) for worker in self.warm}
        free, least = self.free(), min(density.values())
        homes = {worker for worker in self.warm if key in self.warm[worker]}
        near = {w for w in homes if density[w] <= least + self.router.patience + 1e-9}
        chosen = self.router.pick(key)
        if near and len(homes) <= 4:
            assert chosen.worker in near, "it is warm on one that is not too busy"
            assert density[chosen.worker] <= min(density[w] for w in near) + 1e-9
        elif near:
            assert chosen.worker in near | free or density[chosen.worker] <= least + 1e-9
        elif free - homes:
            assert chosen.worker in free - homes
        else:
            assert density[chosen.worker] <= least + 1e-9
        self.submitted += 1
        self.note(chosen)

    def lost(self, worker: int, lost: list[Placement[Any, Any]]) -> None:
        for placement in lost:
            self.submitted -= 1
            if self.warm:
                self.pick(placement.key)

    @invariant()
    def no_request_is_lost(self) -> None:
        assert self.submitted == self.ended + len(self.running)


class BacklogMachine(Books):
    def made(self) -> Backlog[int, str]:
        self.waiting: list[tuple[int, str]] = []  # requests are numbers: the order they came in
        self.rounds: dict[int, tuple[int, int]] = {}  # the last that waited, how many were served
        return Backlog()

    @rule(keys=st.lists(KEYS, min_size=1, max_size=8))
    def submit(self, keys: list[str]) -> None:
        assert isinstance(self.router, Backlog)
        for key in keys:
            self.submitted += 1
            self.router.submit(key, self.submitted)
            self.waiting.append((self.submitted, key))

    @rule(at=st.integers(0, 20))
    def withdraw(self, at: int) -> None:
        assert isinstance(self.router, Backlog)
        if at < len(self.waiting):
            number, key = self.waiting.pop(at)
            assert self.router.withdraw(key, number)
            self.ended += 1

    def lost(self, worker: int, lost: list[Placement[Any, Any]]) -> None:
        assert isinstance(self.router, Backlog)
        self.rounds.pop(worker, None)
        for placement in lost:
            self.router.again(placement)
            self.waiting.append((placement.request, placement.key))

    def oldest(self, keys: Iterable[str]) -> int | None:
        among = {*keys}
        return min((number for number, key in self.waiting if key in among), default=None)

    def wanting(self) -> set[str]:
        """Return the keys that more wait for than those who have them are for."""
        keys = [key for _, key in self.waiting]
        slots = {k: sum(self.slots[w] for w in self.warm if k in self.warm[w]) for k in keys}
        return {key for key in keys if keys.count(key) > UNTOLD / 2 * slots[key]}

    @rule()
    def take(self) -> None:
        assert isinstance(self.router, Backlog)
        free, wanting = self.free(), self.wanting()
        chosen = self.router.take()
        if chosen is None:
            for worker in free:
                assert self.oldest(self.warm[worker]) is None, "it is warm on a free slot"
                assert wanting <= self.warm[worker], "a slot is idle, and a key wants one"
            return
        worker = chosen.worker
        assert worker in free
        assert chosen.request == self.oldest([chosen.key]), "those of one key go in order"
        warm, line = self.oldest(self.warm[worker]), self.oldest(wanting)
        if chosen.cold:
            assert chosen.request == line, "not the oldest in line"
            assert warm is None or chosen.request < warm, "passes what is warm there"
            self.rounds[worker] = (self.submitted, 0)
        else:
            last, served = self.rounds.get(worker, (0, 0))
            assert chosen.request == warm, "not the oldest of those that are warm there"
            if line is not None and line < chosen.request:
                assert chosen.request <= last or served < UNTOLD, "passes one in line"
            self.rounds[worker] = (last, served + 1)
        self.waiting.remove((chosen.request, chosen.key))
        self.note(chosen)

    @rule()
    def take_all(self) -> None:
        before = -1
        while before != (before := len(self.waiting)):
            self.take()

    @invariant()
    def no_request_is_lost(self) -> None:
        assert isinstance(self.router, Backlog)
        assert len(self.waiting) == len(self.router)
        assert self.submitted == self.ended + len(self.running) + len(self.waiting)


for _machine in (RouterMachine, BacklogMachine):
    _case = _machine.TestCase
    _case.settings = settings(max_examples=100, stateful_step_count=50, deadline=None)
TestRouter = RouterMachine.TestCase
TestBacklog = BacklogMachine.TestCase
