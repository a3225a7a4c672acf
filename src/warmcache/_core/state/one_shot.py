"""Something that happens once, for threads and event loops to wait for."""

from __future__ import annotations

import threading
from collections.abc import Callable


class OneShot:
    """Happens once. Cheaper than an Event or a Future, and open to event loops.

    :meth:`happen` may be called under a cache's lock: it wakes, and runs nothing but
    the callbacks, which must only hand over to an event loop.
    """

    __slots__ = ("_callbacks", "_latch", "happened")

    def __init__(self) -> None:
        self.happened = False
        self._latch = threading.Lock()
        self._latch.acquire()
        self._callbacks: list[Callable[[], object]] = []

    def happen(self) -> None:
        """Wake everybody who waits, now or later. Again, if that was interrupted."""
        self.happened = True
        self._open()
        for callback in self._callbacks:
            callback()

    def wait(self, timeout: float | None = None) -> bool:
        """Wait, ``timeout`` seconds at most; return whether it happened."""
        if self.happened:
            return True
        limit = -1.0 if timeout is None else min(max(timeout, 0.0), threading.TIMEOUT_MAX)
        try:
            if self._latch.acquire(timeout=limit):
                self._open()  # for the next one who waits
        except BaseException:  # which may have come once it was acquired
            self._open()
            raise
        return self.happened

    def _open(self) -> None:
        """Let the next one go on who waits, if it has happened."""
        if self.happened:
            try:
                self._latch.release()
            except RuntimeError:
                pass  # another has done so

    def call_back(self, callback: Callable[[], object]) -> None:
        """Call ``callback`` when it happens; it may be called twice if that is now."""
        self._callbacks.append(callback)
        if self.happened:
            callback()
