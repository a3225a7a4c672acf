"""The Dask scheduler's part: marked tasks wait for a slot where what they want is warm."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import count
from time import monotonic
from typing import Any

from distributed import SchedulerPlugin  # pyright: ignore[reportMissingImports]
from distributed.core import Status  # pyright: ignore[reportMissingImports]
from tornado.ioloop import PeriodicCallback  # pyright: ignore[reportMissingImports]

from warmcache._log import log
from warmcache.routing.backlog import Backlog
from warmcache.routing.fleet import Placement

from .dask_worker import NAME

MARK = "warm"  # the annotation: what the task wants, by name

_HELD = frozenset({"warmcache://held-back"})  # where no worker is
_LOOK = 1000  # milliseconds between looks at what nobody tells us
_STIMULUS = "warmcache-route"

# What becomes of a marked task, by Dask's states:
#
#   waiting      What it depends on is not there yet. It gets a restriction that no worker
#                satisfies (`_hold_back`), unless its user has constrained it: then it is Dask's.
#   no-worker    All is there, and no worker will do: Dask has this state, and counts such tasks
#                when it scales. It waits in the backlog (`_queue`).
#   processing   The router has a slot (`_route`). It is restricted to that worker, loosely: if
#                anything happens to the worker, or another one has nothing to do, Dask may run
#                it elsewhere.
#   any other    Its slot is free again (`_ended`). If its worker has gone, it is about to be
#                waiting again, and then to take its old place in line (`_lost`).
#
# Hooks run in the midst of Dask's transitions, so what can start does so from the loop, once for
# all that has come together meanwhile (`_route_soon`). Of a worker that goes, Dask first forgets
# it, then has its tasks leave it one by one, and only then calls `remove_worker`.


@dataclass
class _Reported:
    """What a worker has said."""

    warm: set[str] = field(default_factory=set)
    at: float = 0.0  # by the worker's clock


class WarmScheduler(SchedulerPlugin):
    """Routes marked tasks by a :class:`~warmcache.routing.Backlog`.

    Everything runs in the scheduler's event loop. ``_waiting`` are the tasks in the backlog,
    all of them held back; ``_placed`` those that run, or are about to; ``_lost`` those whose
    worker has gone, until they are in the backlog again. ``_loads`` are the seconds in which
    tasks of ``_placed`` have loaded what they want, ``_last`` who was last placed on a worker.
    """

    name = NAME
    idempotent = True

    async def start(self, scheduler: Any) -> None:
        self._scheduler = scheduler
        self._backlog: Backlog[str, str] = Backlog()
        self._reported: dict[str, _Reported] = {}
        self._paused: set[str] = set()
        self._waiting: dict[Any, Any] = {}
        self._placed: dict[Any, Placement[str, str]] = {}
        self._lost: dict[Any, Placement[str, str]] = {}
        self._loads: dict[Any, float] = {}
        self._last: dict[str, Any] = {}
        self._turns = count()
        self._works, self._routing = True, False
        for worker, state in scheduler.workers.items():
            metric = state.metrics.get(NAME) or {}
            self._add(worker, _Reported({*metric.get("warm", ())}))
        scheduler.periodic_callbacks[NAME] = callback = PeriodicCallback(self._look, _LOOK)
        callback.start()

    # -- what Dask tells ---------------------------------------------------------------

    def add_worker(self, scheduler: Any, worker: str) -> None:
        self._safely(self._add, worker, _Reported())

    def remove_worker(self, scheduler: Any, worker: str, **_: Any) -> None:
        self._safely(self._remove, worker)

    def transition(self, key: Any, start: str, finish: str, *args: Any, **kwargs: Any) -> None:
        self._safely(self._follow, self._scheduler.tasks[key], start, finish, kwargs)

    def log_event(self, topic: str, msg: Any) -> None:
        if topic == NAME:
            self._safely(self._hear, msg)

    def _safely(self, act: Callable[..., None], *args: Any) -> None:
        """Do it; if that fails, let Dask do everything: no task may wait for ever."""
        if self._works:
            try:
                act(*args)
            except Exception:
                log().exception("routing by what is warm has failed; Dask goes on without")
                asyncio.get_running_loop().call_soon(self._give_up)

    # -- workers -----------------------------------------------------------------------

    def _add(self, worker: str, reported: _Reported) -> None:
        self._reported[worker] = reported
        self._backlog.add(worker, self._slots(worker), reported.warm)
        self._route_soon()

    def _slots(self, worker: str) -> int:
        """Return how many tasks a worker is handed: as many as Dask hands it of its own.

        By default that is one more than it has threads, so that none waits for a message.
        """
        threads: int = self._scheduler.workers[worker].nthreads
        saturation: float = self._scheduler.WORKER_SATURATION
        return max(1, threads + 1 if math.isinf(saturation) else math.ceil(threads * saturation))

    def _remove(self, worker: str) -> None:
        """Forget a worker that has gone; its tasks have come back already, one by one."""
        del self._reported[worker]
        self._last.pop(worker, None)
        if worker in self._paused:
            self._paused.remove(worker)
        else:
            self._backlog.remove(worker)
        self._route_soon()

    def _hear(self, msg: dict[str, Any]) -> None:
        reported = self._reported.get(msg.get("worker", ""))
        if reported is None:
            return
        for key in msg.get("seceded", ()):  # it needs no slot any more, though it runs on
            if key in self._placed:
                self._backlog.done(self._placed[key])
        for key, seconds in msg.get("loads", ()):
            if key in self._placed:
                self._loads[key] = seconds
        if msg.get("at", 0.0) > reported.at:
            reported.at, reported.warm = msg["at"], {*msg["warm"]}
            self._backlog.report(msg["worker"], reported.warm)
        self._route_soon()

    # -- tasks -------------------------------------------------------------------------

    def _follow(self, task: Any, start: str, finish: str, how: dict[str, Any]) -> None:
        """Note that a task has gone from one of Dask's states to another."""
        if start == "processing":
            self._ended(task, finish, how)
        elif start == "no-worker" and self._waiting.pop(task.key, None):
            self._backlog.withdraw(task.annotations[MARK], task)
        if finish == "waiting":
            self._hold_back(task)
        elif finish == "no-worker" and task.worker_restrictions == _HELD:
            self._queue(task)
        elif finish in ("forgotten", "erred"):
            self._lost.pop(task.key, None)

    def _hold_back(self, task: Any) -> None:
        marked = isinstance((task.annotations or {}).get(MARK), str) and not task.actor
        bound = task.worker_restrictions or task.host_restrictions or task.resource_restrictions
        if marked and not bound:
            task.worker_restrictions = set(_HELD)

    def _queue(self, task: Any) -> None:
        self._waiting[task.key] = task
        lost = self._lost.pop(task.key, None)
        if lost is not None and lost.request is task:
            self._backlog.again(lost)
        else:
            self._backlog.submit(task.annotations[MARK], task)
        self._route_soon()

    def _ended(self, task: Any, finish: str, how: dict[str, Any]) -> None:
        placement, loading = self._placed.pop(task.key, None), self._loads.pop(task.key, None)
        if placement is None:
            return
        task.worker_restrictions, task.loose_restrictions = None, False
        worker, name = placement.worker, placement.key
        if worker not in self._scheduler.workers:
            if finish == "released":
                self._lost[task.key] = placement
            return
        seconds = None
        if finish == "memory" and how.get("worker") == worker:  # it may have been stolen
            seconds = sum(
                each["stop"] - each["start"]
                for each in how.get("startstops") or ()
                if each["action"] == "compute"
            )
        warm = name in self._reported[worker].warm
        self._backlog.done(placement, seconds=seconds, loading=loading, warm=warm)
        self._route_soon()

    # -- routing -----------------------------------------------------------------------

    def _route_soon(self) -> None:
        """Have what can start do so, once Dask is through with what it is doing."""
        if not self._routing:
            self._routing = True
            asyncio.get_running_loop().call_soon(self._safely, self._route)

    def _route(self) -> None:
        self._routing = False
        scheduler, starting = self._scheduler, {}
        if scheduler.status in (Status.closing, Status.closed):
            return
        while (placement := self._backlog.take()) is not None:
            task = placement.request
            if scheduler.workers[placement.worker].status is not Status.running:
                self._pause(placement)
                continue
            del self._waiting[task.key]
            self._put_last(task, placement.worker)
            self._placed[task.key] = placement
            task.worker_restrictions, task.loose_restrictions = {placement.worker}, True
            starting[task.key] = "processing"
        scheduler.transitions(starting, stimulus_id=_STIMULUS)

    def _put_last(self, task: Any, worker: str) -> None:
        """Have a worker run a task after those that were placed there before it.

        A worker that has several at hand runs that of the highest priority, which is as a rule
        the oldest: where two models do not fit at once, the one that was to be kept until its
        last task has run would be thrown out before that, and loaded again.
        """
        last = self._last.get(worker)
        if last is not None and last.key in self._placed and task.priority < last.priority:
            task.priority = (*last.priority[:3], next(self._turns))
        self._last[worker] = task

    def _pause(self, placement: Placement[str, str]) -> None:
        """Have a worker that is paused, or retires, take no part for now."""
        self._backlog.remove(placement.worker)
        self._paused.add(placement.worker)
        self._backlog.again(placement)

    def _look(self) -> None:
        """Look, every second, at what no hook tells: workers that go on, and the clock."""
        if self._scheduler.plugins.get(NAME) is not self:  # it was unregistered
            self._give_up()
        self._safely(self._resume)

    def _resume(self) -> None:
        scheduler = self._scheduler
        for worker in [*self._paused]:
            if scheduler.workers[worker].status is Status.running:
                self._paused.remove(worker)
                self._add(worker, self._reported[worker])
        if scheduler.no_workers_timeout is not None and scheduler.running:
            # That time is for tasks that no worker can run; ours wait for a slot.
            for task in self._waiting.values():
                del scheduler.unrunnable[task]
                scheduler.unrunnable[task] = monotonic()

    def _give_up(self) -> None:
        """Leave all tasks to Dask, for good."""
        if not self._works:
            return
        self._works, scheduler, starting = False, self._scheduler, {}
        scheduler.periodic_callbacks.pop(NAME).stop()
        for task in scheduler.tasks.values():
            waits = task.state == "no-worker"
            if task.worker_restrictions == _HELD or (waits and task.key in self._placed):
                task.worker_restrictions, task.loose_restrictions = None, False
                if waits:
                    starting[task.key] = "processing"
        scheduler.transitions(starting, stimulus_id=_STIMULUS)
