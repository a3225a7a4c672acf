"""What one of several worker processes does: it serves what its parent hands to it.

It ends with its parent: what comes through the pipe ends then, and it tears down, or leaves if that
takes too long. A Ctrl-C is the parent's.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
import traceback
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias

from warmcache._core.state.records import Stats

from ._journal import Gone, Journal, Load
from ._kept import open_tier
from ._libraries import import_all, use_one_thread
from ._options import Options
from ._requests import Request
from ._server import Server
from ._spec import Answer, Model, Spec, chosen
from ._tally import Tally

PATIENCE = 10.0  # seconds in which a worker tears down as it ends
_CLOSED = EOFError, BrokenPipeError, ConnectionResetError
Catalogue: TypeAlias = Callable[[], Sequence[Spec]]


def real_models() -> Sequence[Spec]:
    """Import what the models need, and return them."""
    import_all()
    use_one_thread()
    from ._models import specs

    return specs()


@dataclass(frozen=True, slots=True)
class Job:
    """What a worker is for: its place among all, the models, the file of the tally."""

    at: int
    options: Options
    catalogue: Catalogue
    tally: Path


class Begin(NamedTuple):
    """Serve from now on within ``budget`` bytes, all who meet in the folder ``node`` together."""

    budget: int
    node: str | None


class Ready(NamedTuple):
    """It can be asked; every model has answered once, from cold."""

    rehearsal: Mapping[str, Answer]


class End(NamedTuple):
    """Tear everything down, and report."""


class Answered(NamedTuple):
    """A request was answered."""


class Failed(NamedTuple):
    """A request or a load has raised this."""

    error: str


@dataclass(frozen=True, slots=True)
class Report:
    """What happened between a :class:`Begin` and its :class:`End`; ``before``, in the rehearsal."""

    before: Sequence[Load]
    loads: Sequence[Load]
    gone: Sequence[Gone]
    answers: Mapping[str, Sequence[Answer]]
    stats: Stats


def work(pipe: Connection, job: Job) -> None:
    """Do what comes through ``pipe``, until nothing comes any more."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    worker = _Worker(pipe, job)
    try:
        worker.run()
    except _CLOSED:  # the parent is gone, or wants no more
        pass
    except Exception as error:
        worker.fail(error)
        sys.exit(1)


class _Worker:
    def __init__(self, pipe: Connection, job: Job) -> None:
        self._pipe, self._options = pipe, job.options
        self._sending = threading.Lock()
        self._tally = Tally(job.tally, job.options.workers, job.at)
        self._specs = [_counted(spec, self._tally) for spec in chosen(job.catalogue(), job.options)]
        self._tier = open_tier(job.options)
        self._rehearsal: Mapping[str, Answer] = {}

    def run(self) -> None:
        while True:
            self._serve(self._receive())

    def _receive(self) -> Any:
        try:
            return self._pipe.recv()
        except _CLOSED:
            end = threading.Timer(PATIENCE, os._exit, (1,))
            end.daemon = True
            end.start()
            raise

    def _serve(self, begin: Begin) -> None:
        journal = Journal()
        new_server = partial(
            Server,
            self._specs,
            policy=self._options.policy,
            budget=begin.budget,
            journal=journal,
            node=begin.node,
            tier=self._tier,
            teardown=partial(_close, self._tally),
        )
        if not self._rehearsal:
            self._rehearsal = new_server().rehearse()
        server = new_server()
        with server.cache:
            journal.restart()
            self._send(Ready(self._rehearsal))
            self._answer_all(server)
            stats = server.cache.stats()
        answers = dict(journal.answers)
        self._send(Report(journal.before, journal.loads, journal.gone, answers, stats))

    def _answer_all(self, server: Server) -> None:
        """Answer what is asked, several at a time, until it ends."""
        pool = ThreadPoolExecutor(self._options.threads, "server", initializer=use_one_thread)
        try:
            while isinstance(asked := self._receive(), Request):
                pool.submit(self._answer, server, asked)
        finally:
            pool.shutdown(wait=True, cancel_futures=True)

    def _answer(self, server: Server, request: Request) -> None:
        try:
            server.answer(request)
        except Exception as error:
            self.fail(error)
        else:
            self._send(Answered())

    def fail(self, error: Exception) -> None:
        """Show what was raised, and tell the parent that it was."""
        traceback.print_exception(error)
        try:
            self._send(Failed(f"{type(error).__name__}: {error}"))
        except OSError:
            pass

    def _send(self, message: object) -> None:
        with self._sending:
            self._pipe.send(message)


def _counted(spec: Spec, tally: Tally) -> Spec:
    """Return ``spec`` with loads that count what they will have before they begin."""

    def counted(load: Callable[..., Model]) -> Callable[..., Model]:
        def counting(*args: Any) -> Model:
            tally.add(spec.weight)
            try:
                return load(*args)
            except BaseException:
                tally.add(-spec.weight)
                raise

        return counting

    saved = spec.saved and replace(spec.saved, read=counted(spec.saved.read))
    return replace(spec, load=counted(spec.load), saved=saved)


def _close(tally: Tally, model: Any) -> None:
    weight = model.weigh()  # while it has what it weighs
    model.close()
    tally.add(-weight)
