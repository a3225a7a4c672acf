"""The janitor thread, of which a process has at most one.

The janitor tears down what expires though nobody touches the cache, and what has
to be torn down because an object died: a finalizer may run anywhere, inside any
lock, so it only leaves a job here.
"""

from __future__ import annotations

import math
import queue
import sys
import threading
import time
import weakref
from collections.abc import Callable
from typing import Protocol

from warmcache._auto_reset import AutoResetEvent
from warmcache._log import log

from .after_fork import begins_anew_in_child


class Expiring(Protocol):
    """What the janitor looks after."""

    def expire_now(self) -> float | None:
        """Tear down what has ended; return seconds until more may, or None."""


class Janitor:
    """A daemon thread, started by the first job or the first cache that needs it."""

    def __init__(self) -> None:
        self._jobs: queue.SimpleQueue[Callable[[], object] | None] = queue.SimpleQueue()
        self._due: dict[int, tuple[float, weakref.ref[Expiring]]] = {}
        self._thread: threading.Thread | None = None
        self._starting = threading.Lock()
        self._next = math.inf  # when it will look again (time.monotonic)
        self._look_at_all = False

    def watch(self, cache: Expiring, seconds: float) -> None:
        """Have ``cache`` expire what it must in ``seconds``, or sooner if that was said."""
        due = time.monotonic() + seconds
        known = self._due.get(id(cache))
        if known is None or due < known[0] or known[1]() is not cache:
            self._due[id(cache)] = due, weakref.ref(cache)
            if self._thread is None:
                self._start()
            if due < self._next:
                self._jobs.put(None)

    def defer(self, job: Callable[[], object]) -> None:
        """Have ``job`` run soon. Safe inside finalizers: it takes no lock."""
        self._jobs.put(job)
        if self._thread is None:
            self._start()

    def look_at_all(self) -> None:
        """Have every watched cache looked at now: its clock may have jumped."""
        self._look_at_all = True
        self._jobs.put(None)

    def drain(self, patience: float) -> list[Callable[[], object]]:
        """Have everything done that is under way or waiting; return what could not be.

        A teardown in the janitor's own thread gets ``patience`` seconds to finish.
        """
        thread = self._thread
        if thread is not None and thread.is_alive() and thread is not threading.current_thread():
            done = AutoResetEvent()
            self._jobs.put(done.set)
            if not done.wait(patience):
                log().error("a teardown is still running after %g s; it is left", patience)
        jobs = []
        while True:
            try:
                jobs.append(self._jobs.get_nowait())
            except queue.Empty:
                return [job for job in jobs if job is not None]

    def begin_anew(self) -> None:
        """Forget the thread and the queue of the process that this one was forked from."""
        self.__init__()  # type: ignore[misc]

    def _start(self) -> None:
        if sys.is_finalizing():
            return  # a thread would never begin to run, and be waited for; all is torn down by now
        # A finalizer may interrupt this very method: whoever holds the lock starts it.
        if self._starting.acquire(blocking=False):
            try:
                if self._thread is None:
                    thread = threading.Thread(
                        target=self._work, name="warmcache-janitor", daemon=True
                    )
                    thread.start()
                    self._thread = thread
            except RuntimeError as error:
                if "shutdown" not in str(error):  # else what ends the process does the job
                    log().error("the janitor cannot start: %s", error)
            finally:
                self._starting.release()

    def _work(self) -> None:
        jobs = self._jobs
        while True:
            self._next = math.inf  # whoever comes during the sweep wakes us again
            self._next = self._sweep()
            if jobs is not self._jobs:
                return  # a teardown or a job has forked: the child has a janitor of its own
            pause = self._next - time.monotonic()
            try:
                job = jobs.get(timeout=max(pause, 0.0) if pause < threading.TIMEOUT_MAX else None)
            except queue.Empty:
                continue
            if job is not None:
                _run(job)
            del job  # or it would hold its objects until the next one comes

    def _sweep(self) -> float:
        """Expire what is due in every watched cache; return when to look again."""
        look_at_all, self._look_at_all = self._look_at_all, False
        now = time.monotonic()
        for number, (due, reference) in self._due.copy().items():
            if due <= now or look_at_all:
                del self._due[number]
                cache = reference()
                seconds = _expired(cache) if cache is not None else None
                if cache is not None and seconds is not None:
                    self.watch(cache, seconds)
        return min((due for due, _ in self._due.copy().values()), default=math.inf)


def _expired(cache: Expiring) -> float | None:
    try:
        return cache.expire_now()
    except BaseException:  # a SystemExit, too: nobody is here to be told, and others wait
        log().exception("expiry failed; it is tried again in a minute")
        return 60.0


def _run(job: Callable[[], object]) -> None:
    try:
        job()
    except BaseException:  # likewise
        log().exception("a deferred teardown failed")


janitor = Janitor()
begins_anew_in_child(janitor)
