"""Locks of files that end with their process, where the system has them."""

from __future__ import annotations

from typing import Any

fcntl: Any
try:
    import fcntl as _fcntl
except ImportError:  # as on Windows
    fcntl = None
else:
    fcntl = _fcntl


def need_flock() -> None:
    """Refuse where the system has no locks that end with their process.

    Raises:
        ValueError: there is no ``flock`` here.
    """
    if fcntl is None:
        raise ValueError(
            "node= needs flock, which this system does not have; leave node= out, and give "
            "each process a budget of its own"
        )


def lock(file: int) -> None:
    """Wait until nobody else has the file locked, and lock it."""
    fcntl.flock(file, fcntl.LOCK_EX)


def try_to_lock(file: int, *, shared: bool = False) -> bool:
    """Lock the file unless somebody has it locked; return whether it is."""
    try:
        fcntl.flock(file, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def unlock(file: int) -> None:
    """Let go of the file's lock, for all who have it by this very descriptor."""
    fcntl.flock(file, fcntl.LOCK_UN)
