"""An event that resets itself as it wakes one who waits, and that no interrupt leaves locked."""

from __future__ import annotations

import threading


class AutoResetEvent:
    """Is set by any thread, and reset by the one who waits for it.

    A bare lock, held while the event is not set. :class:`threading.Event` and
    :class:`threading.Condition` take and release theirs in functions written in Python: a Ctrl-C
    that comes as one of these begins or ends leaves it locked for good, and who sets the event
    hangs.
    """

    __slots__ = ("_unset",)

    def __init__(self) -> None:
        self._unset = threading.Lock()
        self._unset.acquire()

    def set(self) -> None:
        """Wake the one who waits, or who will; nothing more if it is set."""
        try:
            self._unset.release()
        except RuntimeError:  # it is set
            pass

    def wait(self, timeout: float | None = None) -> bool:
        """Wait until it is set, ``timeout`` seconds at most, and reset it; tell if it was set."""
        limit = -1.0 if timeout is None else min(max(timeout, 0.0), threading.TIMEOUT_MAX)
        return self._unset.acquire(timeout=limit)
