"""What a process has open of its node's ledger: the gate, its own record, and those of others.

A record counts as long as its owner has it locked, by ``flock``, which ends with the process and
with nothing else: so nobody has to be trusted to clean up, and no number of a process is looked at,
which may be used again or mean another one in a container.

- It is locked *before* it gets its name, and both inside the gate: nobody ever finds one unlocked
  whose owner lives. What has no name yet, or a socket without a record, is of one that died in
  between.
- One that is not locked is a dead one's. What that had committed is its *estate*: a lock can be
  free before the memory is back. Who finds it writes into it when it ends, the one case of writing
  another's record; that time passed, it is removed.
- One that lost its name while its owner lives, by whoever tidies temporary files, still counts for
  those who know it. Its owner notices at its next look.
- A forked child has all descriptors of its parent, and each keeps the parent's lock alive: it
  closes them at once.
"""

from __future__ import annotations

import contextlib
import os
import re
import socket
import time
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

from .flock import lock, try_to_lock
from .folder import open_folder
from .gate import NAME as GATE
from .gate import Gate
from .record import MOST, Account, Record

_RECORD = re.compile(r"([0-9a-f]{16})\.rec")
_SOCKET = re.compile(r"([0-9a-f]{16})\.sock")
_UNNAMED = re.compile(r"\.[0-9a-f]{16}")
_NS = 1_000_000_000


class NodeFiles:
    """The ledger's files, as one process sees them.

    All but :meth:`ping`, :meth:`listen` and the ends is called inside the gate.
    """

    def __init__(self, folder: Path, confirm: float) -> None:
        self.number = 0  # of one's own record; none yet
        self._confirm = int(confirm * _NS)
        self._others: dict[int, Record] = {}
        self._own: Record | None = None
        self._socket: socket.socket | None = None
        self._sender: socket.socket | None = None
        self._folder = open_folder(folder)
        self.gate = Gate(self._folder, folder)
        # A socket's address has some hundred bytes, a path may have four thousand.
        here = Path(f"/proc/self/fd/{self._folder}")
        self._way = here if here.exists() else folder
        # Who tidies temporary files passes over a folder that somebody has locked.
        with contextlib.suppress(OSError):
            try_to_lock(self._folder, shared=True)

    # -- one's own -----------------------------------------------------------------------

    def join(self, account: Account) -> None:
        """Make a record of one's own, locked, and then give it its name."""
        number = 0
        while not 0 < number < MOST:
            number = int.from_bytes(os.urandom(8), "big")
        name, hidden = f"{number:016x}", f".{number:016x}"
        flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        # Known at once, for another thread may fork: the child has to close it, too.
        record = self._own = Record(os.open(hidden, flags, 0o600, dir_fd=self._folder))
        account.number, account.pid = number, os.getpid()
        try:
            lock(record.descriptor)
            record.fill()
            record.write(account)
            self._bind(f"{name}.sock")
            at = self._folder
            os.rename(hidden, f"{name}.rec", src_dir_fd=at, dst_dir_fd=at)
        except BaseException:
            account.number, self._own = 0, None
            self._close_sockets()
            os.close(record.descriptor)
            for left in (hidden, f"{name}.sock"):
                with contextlib.suppress(OSError):  # which would hide an interrupt
                    self._unlink(left)
            raise
        self.number = number

    def _bind(self, name: str) -> None:
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._sender = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._sender.setblocking(False)
        self._socket.bind(str(self._way / name))
        os.chmod(name, 0o600, dir_fd=self._folder)

    def write(self, account: Account) -> None:
        """Say ``account`` to all others."""
        if self._own is not None:
            self._own.write(account)

    # -- of others -----------------------------------------------------------------------

    def look(self) -> tuple[list[Account], list[Account]]:
        """Return what the living have, and what the dead have left. Removes what is nobody's.

        Raises:
            FileNotFoundError: one's own files are gone, or the folder is.
        """
        names = {*os.listdir(self._folder)}  # noqa: PTH208
        numbers = {int(match[1], 16) for each in names if (match := _RECORD.fullmatch(each))}
        if self.number and not {f"{self.number:016x}.rec", f"{self.number:016x}.sock"} <= names:
            raise FileNotFoundError("its files were removed while they were in use")
        for name in names:
            of = _SOCKET.fullmatch(name)
            if _UNNAMED.fullmatch(name) or (of and int(of[1], 16) not in numbers):
                self._unlink(name)
        numbers.discard(self.number)
        living: list[Account] = []
        estates: list[Account] = []
        for number in (*numbers, *(self._others.keys() - numbers)):
            self._look_at(number, living, estates)
        return living, estates

    def _look_at(self, number: int, living: list[Account], estates: list[Account]) -> None:
        record = self._others.get(number) or self._open(number)
        if record is None:
            return
        account = record.read()
        if not account.readable:
            account.number = number
        # Shared, for others may be finding out the same, and a child may have inherited it.
        if not try_to_lock(record.descriptor, shared=True):
            if not account.gone:
                living.append(account)
        elif not self._left(record, estates):
            self._drop(number)

    def _open(self, number: int) -> Record | None:
        flags = os.O_RDWR | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
        try:
            descriptor = os.open(f"{number:016x}.rec", flags, dir_fd=self._folder)
        except (FileNotFoundError, IsADirectoryError):
            return None
        record = self._others[number] = Record(descriptor)
        return record

    def _left(self, record: Record, estates: list[Account]) -> bool:
        """Whether a dead one's bytes count still."""
        account, now = record.account, time.monotonic_ns()
        if account.gone or (account.readable and not account.committed):
            return False
        # It was written later than now if the clock has begun anew: the machine was restarted.
        if not account.ended or account.looked > now:
            known = account if account.readable else replace(account, committed=MOST, pid=0)
            ends = now + self._confirm
            account = replace(known, looked=now, ended=ends, quotes=(), waits=(), pledges=())
            record.write(account)
        if account.ended <= now:
            return False
        estates.append(account)
        return True

    def _drop(self, number: int) -> None:
        os.close(self._others.pop(number).descriptor)
        for kind in ("rec", "sock"):
            self._unlink(f"{number:016x}.{kind}")

    def _unlink(self, name: str) -> None:
        with contextlib.suppress(FileNotFoundError, IsADirectoryError):
            os.unlink(name, dir_fd=self._folder)

    # -- news ----------------------------------------------------------------------------

    def ping(self, numbers: Iterable[int]) -> None:
        """Have others look. One may be lost: who waits looks again by itself, and pings again."""
        for number in numbers:
            if self._sender is not None:
                with contextlib.suppress(OSError):  # it is dead, or has enough to read
                    self._sender.sendto(b"look", str(self._way / f"{number:016x}.sock"))

    def listen(self, timeout: float | None) -> bool:
        """Wait for a ping, for as long as ``timeout`` says; False once the socket is closed."""
        listening = self._socket
        if listening is None:
            return False
        try:
            listening.settimeout(timeout)
            open_still = listening.recv(4)
            listening.setblocking(False)
            while open_still:  # one look serves all that came
                open_still = listening.recv(4)
        except (BlockingIOError, TimeoutError):
            pass
        except OSError:
            return False
        return listening is self._socket

    # -- the end -------------------------------------------------------------------------

    def leave(self) -> None:
        """Remove one's own files, and the gate's where nobody else is left; then close all."""
        own, name = self._own, f"{self.number:016x}"
        with contextlib.suppress(OSError):  # what cannot be removed is a dead one's from now on
            if own is not None:
                own.write(replace(own.account, committed=0, gone=True))
                self._unlink(f"{name}.rec")
                self._unlink(f"{name}.sock")
                self.ping(each for each, known in self._others.items() if known.read().waits)
            if self.gate.inside and {GATE} == {*os.listdir(self._folder)}:  # noqa: PTH208
                self.gate.remove()
        self.close()

    def close(self) -> None:
        """Close everything, and with it let go of the record and the gate."""
        if self._socket is not None:
            with contextlib.suppress(OSError):
                self._socket.shutdown(socket.SHUT_RD)  # or who listens would not notice
        self.forget()

    def forget(self) -> None:
        """Close one's own descriptors, and touch nothing that a parent has as well."""
        self._close_sockets()
        self.gate.close()
        own, self._own, self.number = self._own, None, 0
        others, self._others = self._others, {}
        folder, self._folder = self._folder, -1
        for descriptor in (
            *(each.descriptor for each in (own, *others.values()) if each is not None),
            folder,
        ):
            with contextlib.suppress(OSError):
                os.close(descriptor)

    def _close_sockets(self) -> None:
        for each in (self._socket, self._sender):
            if each is not None:
                each.close()
        self._socket = self._sender = None
