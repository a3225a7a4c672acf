"""One process as a member of its node's ledger: its account, its files, and the way inside.

A process is no member before it wants room for the first time, and works alone from the moment
on that the files fail it: a full disk, a folder that is gone, no descriptor left. Then it has its
own budget and nobody else's, which is what it had without a node. What others know of it stays as
it was, so that nobody takes its bytes for free.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TypeVar

from warmcache._log import log

from .files import NodeFiles
from .folder import UNUSABLE, open_folder
from .record import Account
from .verdict import Picture

T = TypeVar("T")

_CLOSING = 1.0  # seconds that the end of a process waits for the gate
_told: list[str] = []  # once a process


class Membership:
    """What a process says at the ledger, and how it gets inside to say it."""

    def __init__(self, folder: Path, me: Account, confirm: float) -> None:
        self.folder = folder
        self.me = me
        self.closed = False
        self._confirm = confirm
        self.files: NodeFiles | None = None
        self._guest: NodeFiles | None = None  # inside, and no member, or not yet
        self.begin_anew()
        try:
            os.close(open_folder(folder))
        except PermissionError:
            raise
        except OSError as error:
            if error.errno not in UNUSABLE:
                raise  # else it works alone, and says so once it wants room

    def begin_anew(self) -> None:
        """Be no member any more, in a forked child. It becomes one of its own when it wants room.

        What is open is closed, for every descriptor keeps the parent's record and the gate locked.
        """
        for files in (self.files, self._guest):
            if files is not None:
                files.forget()
        self.files = self._guest = None
        self.alone = False
        me = self.me
        self.me = Account(budget=me.budget, floor=me.floor, name=me.name)
        # Re-entrant, for a finalizer that the garbage collector runs inside may give bytes back.
        self._mutex = threading.RLock()
        self._is_inside = False

    @property
    def takes_part(self) -> bool:
        """Whether there is anything to say: it was granted something, or may have been."""
        return not self.closed and (self.alone or self.files is not None)

    def inside(
        self, act: Callable[[Picture], T], join: Callable[[NodeFiles], object] | None = None
    ) -> T:
        """Return what ``act`` does with an exact look, nobody else looking or writing meanwhile.

        With ``join`` it becomes a member before, if it is none, and that is called.
        """
        with self._mutex:
            if self._is_inside:  # a finalizer, in the midst of a look: it may give, not take
                if join:
                    raise RuntimeError("a finalizer cannot ask the node for room")
                return act(self._picture())
            self._is_inside = True
            try:
                return self._inside(act, join)
            finally:
                self._is_inside = False

    def _inside(self, act: Callable[[Picture], T], join: Callable[[NodeFiles], object] | None) -> T:
        files = self.files
        try:
            picture = self._picture()
            if not self.alone and not self.closed:
                try:
                    if files is None:
                        files = self._guest = NodeFiles(self.folder, self._confirm)
                    files.gate.enter()
                    if join and self._guest:
                        files.join(self.me)
                        self.files, self._guest = files, None
                        join(files)
                    picture = self._picture(*files.look())
                except (OSError, ValueError) as error:
                    self._go_alone(error)
            result = act(picture)
            if self.files is not None and not self.alone:
                self._write(self.files)
            return result
        finally:
            guest, self._guest = self._guest, None
            if guest is not None:
                guest.leave()
            elif files is not None:
                files.gate.leave()

    def _picture(self, others: Iterable[Account] = (), dead: Iterable[Account] = ()) -> Picture:
        return Picture(self.me, [*others], [*dead], time.monotonic_ns())

    def _write(self, files: NodeFiles) -> None:
        self.me.looked = time.monotonic_ns()
        try:
            files.write(self.me)
        except OSError as error:
            self._go_alone(error)

    def _go_alone(self, error: Exception) -> None:
        self.alone = True
        if not _told:
            _told.append("once")
            log().warning(
                "the ledger of this node in %s cannot be used (%s): this process goes on alone, "
                "and its budget is its own; set WARMCACHE_NODE to a folder that can be written",
                # No traceback: its frames have values, and whoever keeps the record keeps them.
                *(self.folder, str(error)),
            )

    def ping(self, numbers: Iterable[int]) -> None:
        """Have others look, outside the gate."""
        files = self.files
        if files is not None:
            files.ping(numbers)

    def leave(self) -> None:
        """Be no member any more, and leave nothing behind. Once is enough."""
        with self._mutex:
            files, self.files = self.files, None
            self.closed = True
            if files is None:
                return
            try:
                inside = files.gate.enter(_CLOSING)
            except OSError:
                inside = False
            if inside:
                files.leave()
            else:
                files.close()  # the kernel lets go of the record; whoever looks next removes it
