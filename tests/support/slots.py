"""Slots whose answers are given by hand, and calls that want a letter warm."""

from __future__ import annotations

import threading
from concurrent.futures import BrokenExecutor, Executor, Future
from functools import partial
from typing import Any

from warmcache import warm
from warmcache._engines.worker_side import Answer, Report, hello
from warmcache.executors import RoutedExecutor

CAP = 5.0


@warm(policy="lru", maxsize=4)
def load(name: str) -> str:
    return name


def name_of(letter: str) -> str:
    return f"{load.__module__}.load({letter!r})"


class Slot(Executor):
    """A worker that answers what it is told to."""

    def __init__(self, *warm: str) -> None:
        self.warm = warm
        self.asked: list[tuple[Any, Future[Any]]] = []
        self.broken = self.waited_for = False
        self.ended = threading.Event()

    def submit(self, fn: Any, /, *args: Any, **kwargs: Any) -> Future[Any]:
        if self.broken:
            raise BrokenExecutor("broken")
        future: Future[Any] = Future()
        if fn is hello:
            future.set_result(Report(tuple(map(name_of, self.warm))))
        else:
            self.asked.append((args, future))
        return future

    def answer(self, value: Any, *warm: str) -> None:
        """Answer the oldest call."""
        _, future = self.asked.pop(0)
        future.set_result(Answer(value, Report(tuple(map(name_of, warm)), 0.1)))

    def fail(self, error: Exception) -> None:
        _, future = self.asked.pop(0)
        future.set_exception(error)

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        self.waited_for = wait
        self.ended.set()


class Late(Slot):
    """A worker that has not come yet."""

    def submit(self, fn: Any, /, *args: Any, **kwargs: Any) -> Future[Any]:
        if fn is hello:
            self.joining: Future[Any] = Future()
            return self.joining
        return super().submit(fn, *args, **kwargs)


class Immediate(Late):
    """One that answers before it is asked whether it has."""

    def submit(self, fn: Any, /, *args: Any, **kwargs: Any) -> Future[Any]:
        future = super().submit(fn, *args, **kwargs)
        if fn is not hello:
            self.answer(1, "a")
        return future


def routed(*slots: Slot) -> RoutedExecutor:
    return RoutedExecutor(slots)


def submit(executor: RoutedExecutor, letter: str) -> Future[Any]:
    return executor.submit(len, letter, warm=partial(load, letter))
