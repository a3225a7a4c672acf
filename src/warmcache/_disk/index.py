"""The index of a store: what there is, how much it weighs, who goes first. Derived from the files.

Nothing that is read needs it, and what it says is never believed where the files say something
else: it may be deleted, emptied or garbage at any time, and is then made anew from the files. It
exists for what the files cannot do: one process at a time decides who has room, knowing what all
others have reserved.

- A row is there *before* the files of its entry and goes *after* them, so the sum of the rows is
  never less than what the files take, wherever a process is killed. What is too much is found when
  room is short.
- A row with a writer whose file in ``tmp`` exists is a reservation, by that writer; the rename
  that commits the entry makes it an entry, and nothing has to be written for that. ``old`` is what
  a predecessor takes until it is removed.
- The journal is a rollback journal and not a write-ahead log: that one maps a file, and who
  empties this kills whoever uses it; and it needs memory that processes share, which network
  file systems do not have.
- Nothing is synced: after a reboot the index is checked and compared with the files.
- A forked child has the connection of its parent, and neither uses nor closes it. SQLite has locks
  of its own, which a child inherits as they are; so a fork waits for who is in it.
"""

from __future__ import annotations

import errno
import os
import sqlite3
import threading
import time
import weakref
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TypeVar

from warmcache._process.after_fork import begins_anew_in_child, keep_forever

from .rows import VERSION, Rows

T = TypeVar("T")

NAME = "index.db"
_PATIENCE = 5.0  # seconds to wait for others, who take milliseconds unless they are stopped
_FIRST, _LONGEST = 0.00005, 0.002  # seconds between two looks; SQLite's own would be a tenth
_FORK_PATIENCE = 1.0  # seconds that a fork waits for who is in it
_TRIES = 4


class _BrokenError(Exception):
    """The index cannot be read: it has to be made anew."""


class Index:
    """The index of one folder, as one process has it open; threads take turns.

    Args:
        path: of the folder.
        boot: of the machine, as a text.
        compare: has the rows say what the files say; called once a boot, in a transaction.
        needs: what is asked for at each write: an order of rows, a policy's or "ttl"; "sums".
        shared: let the group write to it.
    """

    def __init__(
        self,
        path: Path,
        boot: str,
        compare: Callable[[Rows], object],
        *,
        needs: Iterable[str] = (),
        shared: bool = False,
    ) -> None:
        self._path = path / NAME
        self._name = str(self._path)
        self._boot = boot
        self._compare = compare
        self._needs = [*needs]
        self._shared = shared
        self._lock = threading.RLock()
        self._held_for_fork = self._wedged = False
        self._open: list[sqlite3.Connection] = []  # one at most
        self._inode: tuple[int, int] | None = None
        self._checked = False  # since it was opened
        self._close = weakref.finalize(self, _close, self._open)
        begins_anew_in_child(self)
        _indexes.add(self)

    def before_fork(self) -> None:
        """Wait until no thread is in SQLite."""
        self._held_for_fork = self._lock.acquire(timeout=_FORK_PATIENCE)

    def after_fork_in_parent(self) -> None:
        """Let them go on."""
        if self._held_for_fork:
            self._held_for_fork = False
            self._lock.release()

    def begin_anew(self) -> None:
        """Leave the connection to the parent, in a forked child."""
        # Who is in SQLite even now has its locks, which stay locked in here.
        self._wedged = self._wedged or not self._held_for_fork
        self._held_for_fork = False
        self._lock = threading.RLock()
        keep_forever(*self._open)
        self._open.clear()

    @property
    def identity(self) -> tuple[int, int] | None:
        """Which file it is that is open; another one if it was made anew."""
        return self._inode if self._open else None

    def is_as_it_was(self, identity: tuple[int, int] | None) -> bool:
        """Whether the file there is still this one."""
        try:
            return identity is not None and identity == self._there()
        except OSError:
            return False

    def run(self, work: Callable[[Rows], T], *, look: bool = True) -> T:
        """Do ``work`` in a transaction that excludes all others, and return what it returns.

        Where the index turns out to be broken it is made anew, and the work done again.

        Args:
            work: what is done.
            look: see before whether the file has its name still. Who writes need not: SQLite
                fails where it has not.

        Raises:
            OSError: it cannot be used: it is locked for seconds, or the disk is full, or cannot be
                written.
        """
        if self._wedged:
            raise OSError(errno.EDEADLK, "this process was forked while the index was in use")
        with self._lock:
            for _ in range(_TRIES):
                try:
                    return self._run(work, look)
                except _BrokenError:
                    self._remove()
            raise OSError(errno.EIO, f"the index {self._path} cannot be made anew")

    def _run(self, work: Callable[[Rows], T], look: bool) -> T:
        database: sqlite3.Connection | None = None
        try:
            database = self._connected(look)
            _patiently(database, "begin immediate")
            rows = Rows(database, sums="sums" in self._needs)
            if not self._checked:
                self._check(database, rows)
            result = work(rows)
            _patiently(database, "commit")
            self._checked = True
        except BaseException as error:
            self._roll_back(database)
            if isinstance(error, sqlite3.Error):
                raise self._meaning(error) from error
            raise
        return result

    def _connected(self, look: bool) -> sqlite3.Connection:
        """Return the connection to the file that has the name, a new one if that is another."""
        if look and self._open and self._inode != self._there():
            self.close()
        if not self._open:
            if self._path.is_symlink():
                self._path.unlink()
            before = self._there()
            if before is None and self._shared:
                before = self._make_for_the_group()
            database = sqlite3.connect(
                self._path, timeout=0, isolation_level=None, check_same_thread=False
            )
            self._open.append(database)
            self._inode, self._checked = before, False
            _patiently(database, "pragma synchronous = off")
            _patiently(database, "pragma journal_mode = persist")
            version = _patiently(database, "pragma user_version").fetchone()[0]
            if version == 0:
                _patiently(database, "begin immediate")  # which makes the file
                _patiently(database, "commit")
            elif version != VERSION:
                raise _BrokenError
            self._inode = self._there()
            if self._inode is None or before not in (None, self._inode):
                raise _BrokenError  # it was exchanged just now
        return self._open[0]

    def _make_for_the_group(self) -> tuple[int, int] | None:
        """Make the file, whatever the umask is; SQLite gives its journal the same mode."""
        try:
            opened = os.open(self._name, os.O_CREAT | os.O_EXCL | os.O_RDWR | os.O_CLOEXEC, 0o660)
        except FileExistsError:
            return self._there()
        try:
            os.fchmod(opened, 0o660)
        finally:
            os.close(opened)
        return self._there()

    def _there(self) -> tuple[int, int] | None:
        # By its name, for to close any descriptor of it would end this process' locks of it.
        try:
            found = os.stat(self._name, follow_symlinks=False)  # noqa: PTH116
        except FileNotFoundError:
            return None
        return found.st_dev, found.st_ino

    def _check(self, database: sqlite3.Connection, rows: Rows) -> None:
        """Have it say what the files say, unless it was made to since the machine was started."""
        rows.make(self._needs)
        if rows.checked_in() != self._boot or not self._boot:
            if database.execute("pragma quick_check(1)").fetchone()[0] != "ok":
                raise _BrokenError
            self._compare(rows)
            rows.is_checked(self._boot)

    def _roll_back(self, database: sqlite3.Connection | None) -> None:
        if database is not None and database in self._open:
            try:
                if database.in_transaction:
                    database.execute("rollback")
            except sqlite3.Error:
                self.close()

    def _meaning(self, error: sqlite3.Error) -> Exception:
        """Return what an error of SQLite means: that the index is broken, or an OSError."""
        code = getattr(error, "sqlite_errorcode", None) or 0
        number = _MEANINGS.get(code & 0xFF)
        if number is None or code == _MOVED or not self.is_as_it_was(self._inode):
            return _BrokenError(str(error))
        if code & 0xFF not in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
            self.close()
        return OSError(number, f"the index {self._path} cannot be used: {error}")

    def _remove(self) -> None:
        """Remove a broken file, unless somebody has already made another."""
        inode = self._inode if self._open else None
        self.close()
        if inode is None or inode == self._there():
            for name in (self._path, self._path.with_name(f"{NAME}-journal")):
                name.unlink(missing_ok=True)

    def close(self) -> None:
        """Close it; it is opened again when it is needed."""
        with self._lock:
            _close(self._open)


def _patiently(database: sqlite3.Connection, statement: str) -> sqlite3.Cursor:
    """Execute a statement, and wait for others that have the database locked."""
    pause, ends = _FIRST, 0.0
    while True:
        try:
            return database.execute(statement)
        except sqlite3.OperationalError as error:
            ends = ends or time.monotonic() + _PATIENCE
            busy = (error.sqlite_errorcode or 0) & 0xFF == sqlite3.SQLITE_BUSY
            if not busy or time.monotonic() > ends:
                raise
        time.sleep(pause)
        pause = min(2 * pause, _LONGEST)


def _close(opened: list[sqlite3.Connection]) -> None:
    while opened:
        try:
            opened.pop().close()
        except sqlite3.Error:
            pass


_indexes: weakref.WeakSet[Index] = weakref.WeakSet()


def _before_fork() -> None:
    for each in [*_indexes]:
        each.before_fork()


def _after_fork_in_parent() -> None:
    for each in [*_indexes]:
        each.after_fork_in_parent()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_before_fork, after_in_parent=_after_fork_in_parent)

_MOVED = sqlite3.SQLITE_READONLY | 4 << 8  # the file was renamed or removed
_MEANINGS = {
    sqlite3.SQLITE_BUSY: errno.EBUSY,
    sqlite3.SQLITE_LOCKED: errno.EBUSY,
    sqlite3.SQLITE_PERM: errno.EACCES,
    sqlite3.SQLITE_AUTH: errno.EACCES,
    sqlite3.SQLITE_READONLY: errno.EROFS,
    sqlite3.SQLITE_CANTOPEN: errno.EACCES,
    sqlite3.SQLITE_IOERR: errno.EIO,
    sqlite3.SQLITE_FULL: errno.ENOSPC,
    sqlite3.SQLITE_NOMEM: errno.ENOMEM,
    sqlite3.SQLITE_INTERRUPT: errno.EINTR,
    sqlite3.SQLITE_NOLFS: errno.EFBIG,
    sqlite3.SQLITE_PROTOCOL: errno.EBUSY,
}
