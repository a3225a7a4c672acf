"""A lock that a forked child finds free, whoever held it."""

from __future__ import annotations

import threading

from .after_fork import begins_anew_in_child


class ForkSafeLock:
    """A re-entrant lock, for ``with`` statements; in a forked child it is a new one.

    It is replaced and not released, for it may be the forking thread that holds it: that lets
    go of the very lock that it took as it leaves the block. Those that were taken are kept in
    the order in which they were, which is that of one thread: what another held at the fork
    stays at the bottom in the child, and is never let go there.
    """

    __slots__ = ("__weakref__", "_lock", "_taken")

    def __init__(self) -> None:
        self._taken: list[threading.RLock] = []
        self.begin_anew()
        begins_anew_in_child(self)

    def begin_anew(self) -> None:
        """Be free in a forked child."""
        self._lock = threading.RLock()

    def __enter__(self) -> None:
        lock = self._lock
        lock.acquire()
        self._taken.append(lock)

    def __exit__(self, *exc: object) -> None:
        self._taken.pop().release()
