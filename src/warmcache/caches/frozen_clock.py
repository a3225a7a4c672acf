"""A timer that a thread can freeze, so that one operation sees one time."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any


class Timer:
    """A clock; inside ``with timer as now`` this thread sees it stand still.

    Attributes of the clock it wraps can be reached through it, as with cachetools'
    timed caches: ``cache.timer.advance(5)``.
    """

    def __init__(self, timer: Callable[[], Any]) -> None:
        self._timer = timer
        self._frozen = threading.local()

    def __call__(self) -> Any:
        if getattr(self._frozen, "depth", 0):
            return self._frozen.now
        return self._timer()

    def __enter__(self) -> Any:
        if not getattr(self._frozen, "depth", 0):
            self._frozen.now = self._timer()
            self._frozen.depth = 0
        self._frozen.depth += 1
        return self._frozen.now

    def __exit__(self, *exc: object) -> None:
        self._frozen.depth -= 1

    def __reduce__(self) -> tuple[Any, ...]:
        return Timer, (self._timer,)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._timer, name)
