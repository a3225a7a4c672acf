"""One load among all processes: who loads has a file locked that is called like the key.

A wait looks again after half a millisecond, later after fifty, and has an end: the holder may be
stopped. Whoever waited in vain, or finds that no locks can be had, loads all the same: locks save
work, and nothing depends on them.
"""

from __future__ import annotations

import time

from .folder import Folder, check_key
from .locked_file import LockedFile

_FIRST, _LONGEST = 0.0005, 0.05  # seconds between two looks


class KeyLock:
    """``with`` it one is alone with a key; gives whether one is."""

    def __init__(self, folder: Folder, key: str, wait: float) -> None:
        check_key(key)
        self._file = LockedFile(folder, f"locks/{key}")
        self._wait = wait

    def __enter__(self) -> bool:
        pause, ends = _FIRST, time.monotonic() + self._wait
        try:
            while not self._file.take():
                left = ends - time.monotonic()
                if left <= 0:
                    return False
                time.sleep(min(pause, left))
                pause = min(2 * pause, _LONGEST)
        except OSError:  # it cannot be made, or there are no locks
            return False
        return True

    def __exit__(self, *exc: object) -> None:
        try:
            self._file.remove()
        except OSError:  # it is let go all the same
            pass
