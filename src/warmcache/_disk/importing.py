"""Entries of an archive into a store, as if an enemy had written it.

It is read twice: first all of it is looked at, and where anything is not as it should be nothing is
written; then each entry is written as any other is. What an entry says is believed as far as it can
be checked; whether the value is right cannot. A pickle stays one that somebody else has signed.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import IO, NamedTuple

from warmcache._sizes import format_size

from .archive import Archived, RefusedArchiveError, entries, uncompressed
from .checking import Progress
from .records import Header
from .store import DiskStore


class Imported(NamedTuple):
    """What was written, and how many entries were not."""

    entries: int
    bytes: int
    known: int  # there already, loaded as late or later
    no_room: int  # or somebody else is writing the same


def import_archive(
    store: DiskStore,
    archive: Path,
    takes: Callable[[Header], bool],
    now: float,
    progress: Progress | None = None,
) -> Imported:
    """Write the entries that are meant into a store; room is made as for any other.

    Args:
        store: where to.
        archive: which archive.
        takes: whether an entry is meant.
        now: seconds since the epoch, after which nothing was loaded.
        progress: called with how many bytes were read, of how many; there are twice those of the
            archive.

    Raises:
        RefusedArchiveError: it is none, or something in it is not as it should be, or it has more
            than there could be room for. Nothing is written.
        OSError: it cannot be read, or what is in it not written.
    """
    with archive.open("rb") as raw:
        found = raw.seek(0, 2)
        reading = _Reading(store, raw, takes, now, lambda at: _tell(progress, at, 2 * found))
        reading.look()
        return reading.write(found)


def _tell(progress: Progress | None, done: int, total: int) -> None:
    if progress is not None:
        progress(done, total)


class _Reading:
    """One archive, and the store that it goes to."""

    def __init__(
        self,
        store: DiskStore,
        raw: IO[bytes],
        takes: Callable[[Header], bool],
        now: float,
        tell: Callable[[int], None],
    ) -> None:
        self._store = store
        self._raw = raw
        self._takes = takes
        self._now = now
        self._tell = tell

    def look(self) -> None:
        """See to it that all of it is as it should be, and could have room."""
        count = nbytes = 0
        with uncompressed(self._raw) as file:
            for entry in entries(file):
                if self._takes(entry.header) and not self._is_known(entry.header):
                    count, nbytes = count + 1, nbytes + entry.bytes
                self._tell(self._raw.tell())
        limits, free = self._store.limits, self._store.folder.free()
        wanted = f"there are {count:,} entries of {format_size(nbytes)} to import"
        if nbytes > limits.maxsize or nbytes > free:
            most = f"at most {format_size(min(limits.maxsize, free))} have room"
            raise RefusedArchiveError(f"{wanted}, and {most}")
        if count > limits.maxitems:
            raise RefusedArchiveError(f"{wanted}, and at most {limits.maxitems:,} may be")

    def write(self, begin: int) -> Imported:
        """Write what is meant and not known; ``begin`` bytes were read before."""
        count = nbytes = known = no_room = 0
        with uncompressed(self._raw) as file:
            for entry in entries(file):
                if self._takes(entry.header):
                    if self._is_known(entry.header):
                        known += 1
                    elif self._write(entry):
                        count, nbytes = count + 1, nbytes + entry.bytes
                    else:
                        no_room += 1
                self._tell(begin + self._raw.tell())
        return Imported(count, nbytes, known, no_room)

    def _is_known(self, header: Header) -> bool:
        """Whether there is one already that was loaded as late, or later."""
        there = self._store.folder.header(header.key)
        return there is not None and there.made >= min(header.made, self._now)

    def _write(self, entry: Archived) -> bool:
        header = entry.header
        header = header._replace(made=float(min(header.made, self._now)))
        data = entry.data if entry.data is not None else entry.copy
        return self._store.write(header.key, header, data, header.size) is not None
