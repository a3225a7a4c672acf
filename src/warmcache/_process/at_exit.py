"""The end of the process: what is warm is torn down, the last loaded first.

It is registered by the first entry that has to be torn down, and then runs with ``atexit``
or with the finalizers of ``multiprocessing``, which are all that some of its children
run; whichever comes first. Neither is inherited by a forked child that has loaded
nothing itself.

Python gets there only when all threads have ended that are no daemons. So a value that has such
a thread goes before: as soon as all that are left are such values' threads, for whoever
runs another may still want it. Nothing is closed by that, so nobody is refused anything.
"""

from __future__ import annotations

import atexit
import contextlib
import faulthandler
import os
import sys
import threading
import time
import weakref
from collections.abc import Callable, Hashable, Iterable
from functools import partial
from typing import Any, Protocol, Self

from warmcache import _checks as checks
from warmcache._log import log
from warmcache._texts import text_of

from .after_fork import in_child
from .janitor import janitor
from .own_threads import threads_of, waited_for

PATIENCE = 10.0  # seconds that a teardown may take, unless others have hung before
_LEAST = 0.1  # seconds that it may take even then
_MOST = 10 * 365 * 86400.0  # seconds that are no limit, and still fit into every timer
THE_END = "the end of the process"  # by which caches are closed
_FIRST = 100  # among multiprocessing's finalizers, of which its own have up to 15


class Overdue(BaseException):
    """Raised in a teardown that takes too long as the process ends.

    Not an ``Exception``, which a teardown may well catch and try again.
    """


class ExitJob:
    """One thing to be torn down at the end: when it was loaded, its name, and how."""

    __slots__ = ("key", "leased", "let_go", "loaded")

    def __init__(
        self, loaded: float, leased: bool, key: Hashable, let_go: Callable[[], object]
    ) -> None:
        self.loaded = loaded
        self.leased = leased
        self.key = key
        self.let_go = let_go


class ClosesAtExit(Protocol):
    """What is closed when the process ends."""

    def warm_at_exit(self, patience: float) -> Iterable[tuple[object, object, ExitJob]]:
        """Return each value that can go now, what is to finish it, and the job.

        What is leased can, if the threads have ended that could release it.
        """
        ...

    def close_at_exit(self, patience: float, by: str) -> Iterable[ExitJob]:
        """Refuse whatever comes after: ``by`` has closed it. Return what is to be torn down."""
        ...

    def finish_at_exit(self) -> None:
        """Do what remains once all of that, and of others, is torn down."""


_closing: weakref.WeakValueDictionary[int, ClosesAtExit] = weakref.WeakValueDictionary()
_registered: set[str] = set()


def close_at_exit(thing: ClosesAtExit) -> None:
    """Close ``thing``, if it still exists, when the process ends; see :func:`register_exit`."""
    _closing[id(thing)] = thing


def closing() -> list[ClosesAtExit]:
    """Return what is to be closed when the process ends."""
    return [thing for ref in _closing.valuerefs() if (thing := ref()) is not None]


def register_exit() -> None:
    """Have the end of the process close what is to be closed, for there is something.

    Called with each entry that needs it: ``multiprocessing`` may be imported meanwhile,
    and a child of it begins by throwing away what was registered before.
    """
    if _before_threads[-1] is not _end_threads:
        # Others may wait there, as pools do for their threads, which may be a value's, too.
        _before_threads.append(_end_threads)
    if "atexit" not in _registered:
        _registered.add("atexit")
        atexit.unregister(_at_exit)
        atexit.register(_at_exit)
    if "multiprocessing.util" in sys.modules and "multiprocessing" not in _registered:
        finalize: Any = getattr(sys.modules["multiprocessing.util"], "Finalize", None)
        if finalize is not None:  # else it is only being imported
            _registered.add("multiprocessing")
            finalize(None, _at_exit, exitpriority=_FIRST)


@in_child
def _be_a_child() -> None:
    global _is_child
    _registered.clear()
    _is_child = True


_is_child = False


def _arm(seconds: float) -> Callable[[], object]:
    """Have the process end there and then in so many ``seconds``; return what calls that off.

    By faulthandler, whose thread needs nothing of Python. Not in a forked child: if its parent has
    that thread, as under a test runner that watches for hangs, whoever uses it there waits for
    ever. So a thread of Python's does it, as long as one can be started and gets the interpreter.
    """
    if not _is_child:
        faulthandler.dump_traceback_later(seconds, exit=True)
        return faulthandler.cancel_dump_traceback_later
    timer = threading.Timer(seconds, _end_there_and_then)
    timer.daemon = True
    timer.start()
    return timer.cancel


def _end_there_and_then() -> None:
    try:
        faulthandler.dump_traceback()
    finally:
        os._exit(1)


def _call_off() -> None:
    """Give up the last resort before a teardown forks.

    A child would wait for ever for faulthandler's thread, which is not there, as soon as
    it used faulthandler itself, or ended.
    """
    for watch in _watched:
        watch.disarm()


_watched: list[_Watch] = []  # those that have a last resort just now
if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_call_off)


def _at_exit() -> None:
    _registered.clear()
    end(PATIENCE)


@atexit.register
def _at_last() -> None:
    """Do so again, if others that come with ``atexit`` have loaded something since."""
    if _registered:
        _at_exit()


def _end_threads() -> None:
    """Have warm values go whose threads would keep the process from ending.

    It is called in the main thread, which must not wait here, for others may wait for its end:
    where there is anything to wait for, a thread of ours does.
    """
    if _end_own_threads():
        with contextlib.suppress(RuntimeError):  # Python 3.12.1 starts no thread any more
            threading.Thread(target=_wait_and_end, name="warmcache-end", daemon=True).start()


# What Python calls before it waits for threads, the last one first.
_before_threads: list[Callable[[], object]] = getattr(threading, "_threading_atexits", [])
_before_threads.append(_end_threads)  # now, for the first entry may come when that has begun
_outlived: weakref.WeakSet[threading.Thread] = weakref.WeakSet()


def _wait_and_end() -> None:
    while left := _end_own_threads():
        pause = 0.01
        while waited_for() == left:  # none can be joined, for nobody knows which ends first
            time.sleep(pause)
            pause = min(2 * pause, 1.0)


def _end_own_threads() -> set[threading.Thread]:
    """Tear down what has threads while no others are left; return what is, if there are others.

    A thread that has outlived its value is another: it was not the value's, or takes its time.
    """
    while left := waited_for():
        found = [
            (theirs, job)
            for thing in closing()
            for value, finish, job in thing.warm_at_exit(PATIENCE)
            if (theirs := threads_of(value, finish, job.loaded, left.difference(_outlived)))
        ]
        owned = set[threading.Thread]().union(*(theirs for theirs, _ in found))
        if left - owned:
            return left
        with _Watch(PATIENCE, last_resort=True) as watch:
            _run_jobs(watch, [job for _, job in found])
        watch.tell()
        _outlived.update(owned)
    return set()


def end(patience: float) -> None:
    """Close all, for the process ends now.

    A teardown that no exception can interrupt, because it hangs in C code, must not keep
    it from ending: after twice its time the process ends there and then, with status 1,
    and says where each thread was.
    """
    _close(closing(), _Watch(patience, last_resort=True), THE_END)


def close_now(things: list[ClosesAtExit], patience: float, by: str) -> None:
    """Close ``things`` as the end does, earlier: ``by`` has closed them."""
    _close(things, _Watch(patience), by)


def as_patience(patience: float) -> float:
    """Return the seconds that were asked for, or as many as a timer can wait."""
    return min(checks.some_seconds("patience", patience), _MOST)


def _close(things: list[ClosesAtExit], watch: _Watch, by: str) -> None:
    with watch:
        _finish_jobs(watch)
        patience = watch.patience
        _run_jobs(watch, [job for each in things for job in each.close_at_exit(patience, by)])
        for thing in things:
            watch.run(thing.finish_at_exit, type(thing).__name__)
        _finish_jobs(watch)
    watch.tell()


def _run_jobs(watch: _Watch, jobs: list[ExitJob]) -> None:
    """Run ``jobs``, the last loaded first, and those of leased entries after all others."""
    jobs.sort(key=lambda job: (not job.leased, job.loaded))
    while jobs:
        watch.run(jobs[-1].let_go, jobs[-1].key)
        jobs.pop()


def _finish_jobs(watch: _Watch) -> None:
    for job in janitor.drain(watch.patience):
        watch.run(job, "what a dropped object had warm")
        del job


class _Watch:
    """Runs one thing after the other, each for so long and no longer.

    A timer's signal raises :class:`Overdue` in what takes too long. So everything can run
    in the thread that ends the process, which some teardowns need (sqlite's connections,
    GUIs): a thread to wait for would not do, and from Python 3.12 on none can be started
    at the end. Only the main thread gets signals; in others nothing is interrupted.
    """

    def __init__(self, patience: float, *, last_resort: bool = False) -> None:
        self.patience = patience
        self.left: list[Hashable] = []
        self.interrupt: BaseException | None = None  # to be raised in the end: a Ctrl-C
        self.disarm: Callable[[], object] = lambda: None  # the last resort
        self._last_resort = last_resort
        self._running = self._works = False

    def __enter__(self) -> Self:
        import signal  # not before something is closed

        try:
            self._handle = partial(signal.signal, signal.SIGALRM)
            self._set_timer = partial(signal.setitimer, signal.ITIMER_REAL)
            self._handler = self._handle(self._ring)
            self._timer = self._set_timer(0)
            self._works = True
        except (AttributeError, ValueError):  # there is none, or this is not the main thread
            pass
        return self

    def __exit__(self, *exc: object) -> None:
        if self._works:
            self._handle(self._handler)
            self._set_timer(*self._timer)

    def tell(self) -> None:
        """Say what was left; raise what interrupted it."""
        if self.left:
            names = ", ".join(text_of(key) for key in self.left)
            log().error("not torn down in time, and left as the process closes: %s", names)
        if self.interrupt is not None:
            raise self.interrupt

    def _ring(self, *_: object) -> None:
        if self._running:  # else it has ended this very moment
            raise Overdue(f"it took more than {self.patience:g} s, and the process ends")

    def run(self, job: Callable[[], object], key: Hashable) -> None:
        """Run ``job``, whatever becomes of it; ``key`` is left if it takes too long."""
        try:
            self._run(job)
        except Overdue:
            self.left.append(key)
            self.patience = max(self.patience / 2, _LEAST)
        except Exception:
            log().exception("closing failed")
        except BaseException as interrupt:
            self.interrupt = interrupt

    def _run(self, job: Callable[[], object]) -> None:
        try:
            try:
                self._start()
                job()
            finally:
                self._stop()
        except BaseException:
            self._stop()  # again, for a signal may have come just as that began
            raise

    def _start(self) -> None:
        self._running = True
        if self._works:
            # Again and again, for it may be caught.
            self._set_timer(self.patience, self.patience)
        if self._last_resort:
            try:
                self.disarm = _arm(2 * self.patience + 1)
                _watched.append(self)
            except (AttributeError, RuntimeError, ValueError, OSError):
                pass  # there is no stderr to write to

    def _stop(self) -> None:
        self._running = False
        if self._works:
            self._set_timer(0)
        if self in _watched:
            self.disarm()
            _watched.remove(self)
