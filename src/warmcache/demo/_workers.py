"""Several worker processes serve one stream of requests, twice: by one budget, and by split ones.

The parent hands each request to the worker that it is for, as one is answered, and shows how it
goes. It ends its workers whatever happens: they end as their pipe is closed, and are killed if they
do not. None of them hears a Ctrl-C.
"""

from __future__ import annotations

import contextlib
import signal
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from multiprocessing import get_context
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnProcess
from pathlib import Path
from typing import Any, Self, TypeVar

from warmcache import policies
from warmcache._core.state.records import Stats
from warmcache._node.flock import need_flock
from warmcache._sizes import format_size
from warmcache.memory import MemoryCache

from ._checks import Outcome
from ._journal import Journal, Sample
from ._kept import on_disk, open_tier
from ._options import DemoError, Options
from ._requests import Request, spread
from ._spec import Spec, check_budget, served
from ._status import Standing
from ._tally import Tally
from ._worker import PATIENCE, Answered, Begin, Catalogue, End, Failed, Job, Ready, Report, work

_REDRAW = 0.12  # seconds
M = TypeVar("M")


@dataclass(frozen=True, slots=True)
class Way:
    """A way of dividing the budget, and what came of it."""

    name: str
    outcome: Outcome


def check_workers(options: Options) -> None:
    """Raise DemoError unless several workers can share a budget here, by this policy."""
    if not issubclass(policies.registry[options.policy], MemoryCache):
        raise DemoError(
            f"--policy: {options.policy!r} has no budget that processes can share; with --workers "
            "the demo can use: auto, gpu, ram"
        )
    try:
        need_flock()
    except ValueError as error:
        raise DemoError(f"--workers: {error}") from None


def check_parts(options: Options, specs: Sequence[Spec]) -> None:
    """Raise DemoError when a worker's part of the budget could not serve some request."""
    part = options.budget // options.workers
    try:
        check_budget(part, specs)
    except DemoError as error:
        share = f"--workers: {options.workers} workers have {format_size(part)} each of a split "
        raise DemoError(f"{share}budget, and {str(error).removeprefix('--budget: ')}") from None


def perform_both(
    options: Options,
    specs: Sequence[Spec],
    catalogue: Catalogue,
    view: Callable[[], AbstractContextManager[Callable[[Standing], None]]],
) -> list[Way]:
    """Serve the same requests by one budget and by split ones; return what came of each."""
    names = [spec.name for spec in served(specs)]
    requests = spread(names, options.requests, options.workers, options.seed)
    part = options.budget // options.workers
    ways = []
    with (
        tempfile.TemporaryDirectory(prefix="warmcache-demo-") as folder,
        Crew(options, catalogue, Path(folder, "tally")) as crew,
    ):
        for name, begin in (
            ("one budget", Begin(options.budget, str(Path(folder, "node")))),
            (f"{options.workers} split budgets", Begin(part, None)),
        ):
            with view() as show:
                ways.append(Way(name, crew.perform(name, begin, requests, specs, show)))
    return ways


class Crew:
    """The workers, from their start to their end."""

    def __init__(self, options: Options, catalogue: Catalogue, tally: Path) -> None:
        self._options = options
        self._tally = Tally(tally, options.workers)
        jobs = [Job(at, options, catalogue, tally) for at in range(options.workers)]
        self._workers: list[tuple[SpawnProcess, Connection]] = []
        try:
            for job in jobs:
                self._start(job)
        except BaseException:
            self.close()
            raise

    def _start(self, job: Job) -> None:
        context = get_context("spawn")
        ours, theirs = context.Pipe()
        process = context.Process(
            target=work, args=(theirs, job), name=f"worker {job.at + 1}", daemon=True
        )
        self._workers.append((process, ours))
        with theirs, _no_interrupt():
            process.start()

    def perform(
        self,
        name: str,
        begin: Begin,
        requests: Sequence[tuple[int, Request]],
        specs: Sequence[Spec],
        show: Callable[[Standing], None],
    ) -> Outcome:
        """Serve ``requests``, each by the worker of that number; return what all made of it."""
        for _, pipe in self._workers:
            pipe.send(begin)
        ready = [self._receive(at, Ready) for at in range(len(self._workers))]
        self._tally.restart()
        began = time.perf_counter()
        for done in self._serve(requests):
            seconds = time.perf_counter() - began
            show(Standing(self._options, name, done, seconds, self._tally.parts()))
        seconds = time.perf_counter() - began
        for _, pipe in self._workers:
            pipe.send(End())
        reports = [self._receive(at, Report) for at in range(len(self._workers))]
        return Outcome(
            options=self._options,
            specs=specs,
            requests=[request for _, request in requests],
            rehearsal=ready[0].rehearsal,
            journal=self._merged(reports),
            seconds=seconds,
            stats=_total(reports),
            on_disk=on_disk(open_tier(self._options)),
        )

    def _serve(self, requests: Sequence[tuple[int, Request]]) -> Iterator[int]:
        """Have ``requests`` answered, some at a time; yield now and then how many have been."""
        done = handed = 0
        places = {pipe: at for at, (_, pipe) in enumerate(self._workers)}
        while done < len(requests):
            for at, request in requests[handed : done + self._options.threads]:
                self._workers[at][1].send(request)
                handed += 1
            for pipe in wait([*places], _REDRAW):
                self._receive(places[pipe], Answered)  # type: ignore[index]
                done += 1
            yield done

    def _receive(self, at: int, kind: type[M]) -> M:
        """Return what the worker sends, which has to be of that kind."""
        process, pipe = self._workers[at]
        try:
            message: Any = pipe.recv()
        except (EOFError, OSError):
            process.join(PATIENCE)
            raise DemoError(f"{process.name} has ended, exit code {process.exitcode}") from None
        if isinstance(message, Failed):
            raise DemoError(f"{process.name} has failed: {message.error}")
        assert isinstance(message, kind), message
        return message

    def _merged(self, reports: Sequence[Report]) -> Journal:
        """Return what all have written down, and the most that they had together."""
        journal = Journal()
        for report in reports:
            journal.before += report.before
            journal.loads += report.loads
            journal.gone += report.gone
            for name, answers in report.answers.items():
                journal.answers[name] += answers
        journal.samples.append(Sample(0.0, {"all": self._tally.peak()}, None))
        return journal

    def close(self) -> None:
        """End all workers: they tear down, or are killed."""
        try:
            for _, pipe in self._workers:
                pipe.close()
            deadline = time.monotonic() + PATIENCE
            for process, _ in self._workers:
                if process.pid is not None:
                    process.join(max(deadline - time.monotonic(), 0))
        finally:
            for process, _ in self._workers:
                if process.pid is not None and process.exitcode is None:
                    process.kill()
                    process.join()
            self._tally.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()


def _total(reports: Sequence[Report]) -> Stats:
    """Return the first one's, with the failures of all, which is what is looked at."""
    first = {name: getattr(reports[0].stats, name) for name in Stats.__annotations__}
    first["teardown_failures"] = sum(report.stats.teardown_failures for report in reports)
    return Stats(**first)


@contextmanager
def _no_interrupt() -> Iterator[None]:
    """Have a Ctrl-C wait; what is started inside never hears one before it can ignore it."""
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    with contextlib.ExitStack() as stack:
        stack.callback(signal.pthread_sigmask, signal.SIG_SETMASK, before)
        yield
