"""Entries of an archive into a store, as if an enemy had written it.

It is read twice: first all of it is looked at, and where anything is not as it should be nothing is
written; then each entry is written as any other is. What an entry says is believed as far as it can
be checked; whether the value is right cannot. A pickle stays one that somebody else has signed.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import IO, NamedTuple

from warmcache._sizes import format_size

from .archive import Archived, RefusedArchiveError, entries, uncompressed
from .checking import Progress
from .records import Header
from .room import Limits
from .store import DiskStore

_PATIENCE = 10.0  # seconds to wait in the end for those who write the same
_PAUSE = 0.02  # seconds between two looks


class Imported(NamedTuple):
    """What was written, and how many entries were not."""

    entries: int
    bytes: int
    known: int  # there already, loaded as late or later
    no_room: int  # or somebody else was writing the same, and it is not there


class Room(NamedTuple):
    """What an archive meets: limits, bytes that it can have on the disk, what is there by key."""

    limits: Limits
    free: float
    header: Callable[[str], Header | None]

    @classmethod
    def of(cls, store: DiskStore) -> Room:
        """Return that of a store: to leave some of the disk free, others go, as for any write."""
        limits, free = store.limits, store.folder.free()
        others = store.totals().bytes if limits.min_free else 0
        return cls(limits, free + others - limits.min_free, store.folder.header)

    @classmethod
    def of_none(cls, path: Path, limits: Limits) -> Room:
        """Return that of a store that is to be made."""
        there = next(each for each in (path, *path.absolute().parents) if each.exists())
        free = shutil.disk_usage(there).free
        return cls(limits, free - limits.min_free, lambda key: None)


class Import:
    """An archive that is open, to be looked at, and then to be written.

    Args:
        raw: the archive.
        takes: whether an entry is meant.
        now: seconds since the epoch, after which nothing was loaded.
        progress: called with how many bytes were read, of how many; there are twice those of the
            archive.
    """

    def __init__(
        self,
        raw: IO[bytes],
        takes: Callable[[Header], bool],
        now: float,
        progress: Progress | None = None,
    ) -> None:
        self._raw = raw
        self._takes = takes
        self._now = now
        self._progress = progress
        self._bytes = raw.seek(0, 2)

    def look(self, room: Room) -> None:
        """See to it that all of it is as it should be, and could have room.

        Raises:
            RefusedArchiveError: it is not, or could not.
            OSError: it cannot be read.
        """
        count = nbytes = 0
        with uncompressed(self._raw) as file:
            for entry in entries(file):
                if self._takes(entry.header) and not self._is_known(room.header, entry.header):
                    count, nbytes = count + 1, nbytes + entry.bytes
                self._tell(self._raw.tell())
        limits, most = room.limits, max(0, min(room.limits.maxsize, room.free))
        wanted = f"there are {count:,} entries of {format_size(nbytes)} to import"
        if nbytes > most:
            raise RefusedArchiveError(f"{wanted}, and at most {format_size(most)} have room")
        if count > limits.maxitems:
            raise RefusedArchiveError(f"{wanted}, and at most {limits.maxitems:,} may be")

    def write(self, store: DiskStore) -> Imported:
        """Write what is meant and not known; room is made as for any other.

        Raises:
            RefusedArchiveError: it has changed since it was looked at.
            OSError: it cannot be read, or what is in it not written.
        """
        count = nbytes = known = 0
        left: list[Header] = []
        with uncompressed(self._raw) as file:
            for entry in entries(file):
                if self._takes(entry.header):
                    if self._is_known(store.folder.header, entry.header):
                        known += 1
                    elif self._write(store, entry):
                        count, nbytes = count + 1, nbytes + entry.bytes
                    else:
                        left.append(entry.header)
                self._tell(self._bytes + self._raw.tell())
        ends = time.monotonic() + _PATIENCE
        by_others = sum(self._comes(store, header, ends) for header in left)
        return Imported(count, nbytes, known + by_others, len(left) - by_others)

    def _comes(self, store: DiskStore, header: Header, ends: float) -> bool:
        """Whether who is writing the same, such as another import, has it written until then."""
        while True:
            names = store.folder.list("tmp")  # first: what is not written any more may be there
            if self._is_known(store.folder.header, header):
                return True
            written = any(name.startswith(f"{header.key}.") for name in names)
            if not written or time.monotonic() > ends:
                return False
            time.sleep(_PAUSE)

    def _is_known(self, there: Callable[[str], Header | None], header: Header) -> bool:
        """Whether there is one already that was loaded as late, or later."""
        found = there(header.key)
        return found is not None and found.made >= min(header.made, self._now)

    def _write(self, store: DiskStore, entry: Archived) -> bool:
        header = entry.header
        header = header._replace(made=float(min(header.made, self._now)))
        data = entry.data if entry.data is not None else entry.copy
        return store.write(header.key, header, data, header.size) is not None

    def _tell(self, done: int) -> None:
        if self._progress is not None:
            self._progress(done, 2 * self._bytes)
