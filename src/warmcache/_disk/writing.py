"""One write: everything is prepared in ``tmp``, and one rename makes it an entry.

In this order: a file in ``tmp`` that is locked as long as the writer lives; room for it; the
payload, in ``tmp`` too, unless it is inside; the payload gets its name, which has the writer's in
it, so nobody else has it; **the commit file gets its name**; what was there before goes. Where it
ends before the commit, by an error or by a fork, nothing has changed for anybody who reads.
"""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

from .folder import Folder
from .locked_file import LockedFile
from .records import Header

_FLAGS = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | getattr(os, "O_NOFOLLOW", 0)


class ForkedError(OSError):
    """This is a forked child, and the write is its parent's."""


class Writing:
    """An entry that is being written, under a writer's name that nobody else has."""

    def __init__(self, folder: Folder, key: str) -> None:
        self.key = key
        self.replaces = False  # something that is there until the commit
        self.predecessor = ""  # who wrote that, where it is known
        self.replaced = False  # it, and nothing of it is left
        self._folder = folder
        self._shard = f"o/{key[:2]}"
        self._has_payload = False  # beside the commit file
        self.began = self.committed = False
        self._name()

    def _name(self) -> None:
        self.writer = os.urandom(8).hex()
        self.name = f"{self.key}.{self.writer}"
        self._file = LockedFile(self._folder, f"tmp/{self.name}")
        self._aside = f"tmp/{self.name}.p"

    def begin(self) -> None:
        """Make the file that says that the writer lives."""
        self._folder.writing.add(self.name)
        try:
            while not self._file.make():
                # Who clears away came first, and may remove whatever gets this name.
                self._folder.writing.discard(self.name)
                self._name()
                self._folder.writing.add(self.name)
            self.began = True
        except BaseException:  # it may have been interrupted with the file made
            with suppress(OSError):
                self._folder.discard(self._file.name)
            raise

    @property
    def forked(self) -> bool:
        """Whether this is a forked child, and the write its parent's."""
        return self.began and self._file.descriptor < 0

    def _see_that_it_is_ours(self) -> None:
        if self.forked:
            raise ForkedError("this process was forked while it wrote; its parent goes on")

    @property
    def path(self) -> Path:
        """Where the payload is to be written."""
        return self._folder.path / self._aside

    def put(self, data: bytes) -> None:
        """Write a payload that is known."""
        self._has_payload = True
        opened = self._folder.open(self._aside, _FLAGS)
        try:
            _write(opened, data)
        finally:
            os.close(opened)

    def is_put(self) -> None:
        """Take over what was written to :attr:`path`.

        Raises:
            ForkedError: what has written it has forked, and this is the child.
        """
        self._see_that_it_is_ours()
        self._has_payload = True

    def commit(self, data: bytes, *, durable: bool) -> None:
        """Make it an entry, whose commit file has these contents.

        Raises:
            OSError: it could not be, and is not; or this is a forked child.
        """
        self._see_that_it_is_ours()
        _write(self._file.descriptor, data)
        if durable:
            os.fsync(self._file.descriptor)
        if self._has_payload:
            self._move(self._aside, f"{self._shard}/{self.name}")
        before = self._folder.header(self.key) if self.replaces else None
        self._move(self._file.name, f"{self._shard}/{self.key}")
        self.committed = True
        if durable:
            self._folder.sync(self._shard, "o")
        if self.replaces:
            self.replaced = self._discard_predecessor(before)

    def _discard_predecessor(self, before: Header | None) -> bool:
        """Remove the payload of what was there; the index knows that it may be, if that fails."""
        names = {f"{self.key}.{self.predecessor}"} if self.predecessor else set()
        if before is not None and before.payload:
            names.add(before.payload.rstrip("/"))
        try:
            for name in names:
                self._folder.discard(f"{self._shard}/{name}")
        except OSError:
            return False
        return True

    def _move(self, name: str, to: str) -> None:
        try:
            self._folder.rename(name, to)
        except FileNotFoundError:  # the first of its kind; or what is to be moved is gone
            self._folder.make_shard(self.key)
            self._folder.rename(name, to)

    def end(self) -> None:
        """Remove what was not committed, unless it is a parent's, and let go."""
        self._folder.writing.discard(self.name)
        if self.forked:
            return
        try:
            # Where it has not this name any more, it was committed, and then interrupted.
            if self.began and not self.committed and self._folder.discard(self._file.name):
                self._folder.discard(self._aside)
                if self._has_payload:
                    self._folder.discard(f"{self._shard}/{self.name}")
        finally:
            self._file.close()


def _write(opened: int, data: bytes) -> None:
    """Write all of it: one call may write less, as on a disk that is nearly full."""
    written = os.write(opened, data)
    if written < len(data):
        rest = memoryview(data)[written:]
        while rest:
            rest = rest[os.write(opened, rest) :]
