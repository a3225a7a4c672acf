"""A file that is locked while the process lives that made it: the kernel says who is alive.

Who dies, in whatever way, has let go. Nothing that a file says of its maker is believed, no number
of a process and no time. Where the system has no such locks, or they lie, as on some network file
systems, work is done twice, and nothing wrong is ever read: what is consistent is so by renaming.

A lock is an open file's, which a forked child has as well: it closes it at once.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import cache

from warmcache._extras import brought_by
from warmcache._process.after_fork import in_child

from .folder import Folder

_held: set[LockedFile] = set()
_FLAGS = os.O_RDWR | os.O_CLOEXEC | getattr(os, "O_NOFOLLOW", 0)


def need_locks() -> None:
    """Refuse where the package is not installed that has the locks.

    Raises:
        ModuleNotFoundError: it is not; it says what to install.
    """
    with brought_by("disk", "filelock", what="a cache on disk"):
        import filelock  # noqa: F401


@cache
def _lock() -> Callable[..., bool]:
    from filelock import lock_descriptor

    return lock_descriptor


class NoLocksError(OSError):
    """There are no locks here."""


def try_to_lock(descriptor: int) -> bool:
    """Lock what is open unless somebody has it locked; return whether it is.

    Raises:
        NoLocksError: there are no locks here.
    """
    try:
        return _lock()(descriptor, blocking=False)
    except OSError as error:
        raise NoLocksError(error.errno, f"files cannot be locked: {error.strerror}") from error


class LockedFile:
    """One file of a folder, made if it is not there, and locked."""

    __slots__ = ("_folder", "descriptor", "name")

    def __init__(self, folder: Folder, name: str) -> None:
        self._folder = folder
        self.name = name
        self.descriptor = -1

    def make(self) -> bool:
        """Make it and lock it; return whether nobody has locked it, or removed it, before.

        Where there are no locks it is not locked, and others may take it for a dead one's.
        """
        try:
            return self.take(again=False)
        except NoLocksError:
            self._open(_FLAGS | os.O_CREAT)
            return True

    def take(self, *, make: bool = True, again: bool = True) -> bool:
        """Lock it unless somebody else has; return whether it is locked.

        Args:
            make: make it if it is not there.
            again: where it was removed before it was locked, begin anew.

        Raises:
            OSError: it cannot be made or opened.
            NoLocksError: there are no locks here.
        """
        while True:
            self._open(_FLAGS | (os.O_CREAT if make else 0))
            try:
                locked = try_to_lock(self.descriptor)
                if locked and os.fstat(self.descriptor).st_nlink:  # not removed before
                    return True
            except BaseException:
                self.close()
                raise
            self.close()
            if not (locked and again):
                return False

    def _open(self, flags: int) -> None:
        self.descriptor = self._folder.open(self.name, flags)
        _held.add(self)

    def remove(self) -> None:
        """Remove it, and then let go."""
        try:
            if self.descriptor >= 0:
                self._folder.discard(self.name)
        finally:
            self.close()

    def close(self) -> None:
        """Let go of it."""
        _held.discard(self)
        descriptor, self.descriptor = self.descriptor, -1
        if descriptor >= 0:
            try:
                os.close(descriptor)
            except OSError:  # it is closed all the same
                pass


@in_child
def _leave_to_the_parent() -> None:
    for each in [*_held]:
        each.close()
