"""A lock that a forked child finds free, whoever held it."""

from __future__ import annotations

import threading

from .after_fork import begins_anew_in_child


class ForkSafeLock:
    """``with guard.lock:`` holds a re-entrant lock; in a forked child it is another one.

    It is replaced and not released: the ``with`` statement of the thread that has forked lets go
    of the very lock that it took.
    """

    __slots__ = ("__weakref__", "lock")

    def __init__(self) -> None:
        self.begin_anew()
        begins_anew_in_child(self)

    def begin_anew(self) -> None:
        """Be free in a forked child."""
        self.lock = threading.RLock()
