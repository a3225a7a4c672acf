"""The gate of a node's ledger: whoever is inside is alone, of all processes of the node.

It is a ``flock`` on the file ``lock``, which the kernel drops when its holder dies in any way. A
holder that is stopped keeps it, as in a debugger or by SIGSTOP: then all wait, for who went on
without could grant what the stopped one is just about to. After a second they say so in the log.

The last one to leave removes the file. Whoever has waited for it then has a lock that nobody
else will ask for; so each looks whether what it has locked still has the name, and begins anew if
not.
"""

from __future__ import annotations

import os
import time
from pathlib import Path

from warmcache._log import log

from .flock import lock, try_to_lock, unlock

NAME = "lock"
_LONG = 1.0  # seconds, after which it is said that all wait


class Gate:
    """One process' way into the ledger; its threads exclude each other by other means."""

    def __init__(self, folder: int, path: Path) -> None:
        self._folder = folder
        self._path = path / NAME
        self._file: int | None = None
        self.inside = False

    def enter(self, patience: float | None = None) -> bool:
        """Wait until nobody else is inside; False, if that takes longer than ``patience``."""
        while True:
            if self._file is None:
                self._open()
            assert self._file is not None
            if not self._lock(self._file, patience):
                return False
            try:
                named = os.stat(NAME, dir_fd=self._folder, follow_symlinks=False)
            except FileNotFoundError:
                named = None
            if named is not None and named.st_ino == os.fstat(self._file).st_ino:
                self.inside = True
                return True
            self.close()

    def _open(self) -> None:
        flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
        try:
            self._file = os.open(NAME, flags, 0o600, dir_fd=self._folder)
        except FileNotFoundError:  # though it would be made
            raise FileNotFoundError("the folder was removed while it was in use") from None

    def leave(self) -> None:
        """Let the next one in. Harmless outside, so that a Ctrl-C cannot come in between."""
        self.inside = False
        if self._file is not None:
            unlock(self._file)

    def _lock(self, file: int, patience: float | None) -> bool:
        pause, began = 0.00005, time.monotonic()
        while not try_to_lock(file):
            waited = time.monotonic() - began
            if waited > (_LONG if patience is None else patience):
                self._warn()
                if patience is not None:
                    return False
                lock(file)
                return True
            time.sleep(pause)
            # A look takes a twentieth of a millisecond: who waits long, waits for a stopped one.
            pause = min(2 * pause, 0.0002 if waited < 0.02 else 0.002)
        return True

    def _warn(self) -> None:
        log().warning(
            "another process has held %s for more than %g s, so nobody on this node gets room: it "
            "may be stopped, or in a debugger; `fuser -v %s` says which it is, and `kill -CONT` "
            "has it go on",
            *(self._path, _LONG, self._path),
        )

    def remove(self) -> None:
        """Remove the file: the last one leaves."""
        os.unlink(NAME, dir_fd=self._folder)

    def close(self) -> None:
        """Close the file, and so leave."""
        self.inside = False
        file, self._file = self._file, None
        if file is not None:
            os.close(file)
