"""Results on disk, by key: the face of this folder.

A read opens a commit file, checks it, and finds the payload: no lock, no index. A write makes room,
prepares everything aside and renames. So whatever happens to who writes, who reads finds what was
there before or what is there now, and both are whole.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Literal

from warmcache import _checks as checks
from warmcache._log import log
from warmcache._sizes import format_size
from warmcache._texts import short_text_of

from . import checking
from .boot import boot_id
from .checking import Progress
from .commit_file import DamagedError, OtherFormatError
from .filters import ALL, Filter
from .folder import Folder, RefusedError
from .index import Index
from .key_lock import KeyLock
from .litter import clear
from .locked_file import need_locks
from .payload import OddPayloadError
from .recency import Recency
from .records import Counts, Damaged, Header, Listed, Report, Stored, Totals
from .removing import WHATEVER, Seen, remove
from .room import Limits
from .rows import Row, Rows
from .tally import Tally
from .writer import Writer

_MANY = 64  # entries that are removed in one transaction
_LOOKS = 3  # at what is replaced while it is read


class DiskStore:
    """Entries in the files of one folder, for any number of processes.

    Args:
        path: the folder, made for this user alone if it is not there.
        maxsize: bytes that all files of entries may take.
        maxitems: how many entries there may be.
        min_free: bytes to be left free on the file system.
        ttl: seconds after its load for which an entry is read.
        policy: who goes first where room is short: what is worth least, by load seconds, uses and
            bytes; or what was used least recently.
        durable: whether a write returns once it would survive a loss of power.
        verify: when the checksum of a payload beside its commit file is looked at: at the first
            read since the machine was started, or at each. One inside always is.
        shared: let the folder's group read and write as well.
        clock: seconds since the epoch.

    Raises:
        PermissionError: the folder is another user's, or others may write to it.
        ValueError: it is no folder; an option is out of range.
        ModuleNotFoundError: filelock is not installed.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        maxsize: float | str | None = None,
        maxitems: int | None = None,
        min_free: float | str = 0,
        ttl: float | None = None,
        policy: Literal["cost", "lru"] = "cost",
        durable: bool = False,
        verify: Literal["boot", "always"] = "boot",
        shared: bool = False,
        clock: Callable[[], float] = time.time,
    ) -> None:
        limits = Limits(
            checks.limit("maxsize", maxsize),
            checks.limit("maxitems", maxitems),
            checks.size("min_free", min_free),
            checks.limit("ttl", ttl),
            checks.one_of("policy", policy, ["cost", "lru"]),
        )
        self._always = checks.one_of("verify", verify, ["boot", "always"]) == "always"
        checks.flag("durable", durable)
        checks.flag("shared", shared)
        need_locks()
        self._limits = limits
        self._clock = clock
        self._boot = boot_id()
        self._folder = Folder(path, shared=shared)
        folder = self._folder
        self._index = Index(
            folder.path,
            self._boot,
            lambda rows: checking.compare(folder, rows),
            needs=limits.needs(),
            shared=shared,
        )
        self._recency = Recency()
        self._writer = Writer(
            folder, self._index, self._recency, limits, clock=clock, durable=durable
        )
        self._tally = Tally()
        self._whole: set[str] = set()  # payloads that were found whole since the boot
        self._clear()

    def _clear(self) -> None:
        """Remove what killed processes have left, where that can be."""
        try:
            checking.clear_locks(self._folder)
            if self._folder.list("tmp"):
                self._index.run(lambda rows: clear(self._folder, rows))
        except OSError as error:
            log().debug("what killed processes have left in %s stays: %s", self.path, error)

    @property
    def path(self) -> Path:
        """The folder."""
        return self._folder.path

    @property
    def folder(self) -> Folder:
        """The folder, open."""
        return self._folder

    @property
    def limits(self) -> Limits:
        """What all entries may take."""
        return self._limits

    # -- reading -------------------------------------------------------------------------

    def read(self, key: str) -> Stored | None:
        """Return what is stored under a key, None if that is nothing, or too old, or damaged.

        Raises:
            OSError: the disk cannot be read.
        """
        for _ in range(_LOOKS):
            try:
                return self._read(key)
            except FileNotFoundError:  # it was replaced or evicted while its payload was read
                pass
            except OtherFormatError:
                break
            except RefusedError as error:
                self._remove_bad(key, "refused", str(error))
                break
            except (DamagedError, OddPayloadError) as error:
                self._remove_bad(key, "damaged", str(error))
                break
        self._tally.add("misses")
        return None

    def header(self, key: str) -> Header | None:
        """Return what is known of what is stored under a key, None if nothing good is.

        Raises:
            OSError: the disk cannot be read.
        """
        return self._folder.header(key)

    def _read(self, key: str) -> Stored | None:
        stored = checking.open_entry(self._folder, key)
        if stored is None:
            self._tally.add("misses")
            return None
        if self._is_old(stored.header):
            self._forget({key: stored.header}, "expired")
            self._tally.add("misses")
            return None
        if stored.path is not None and self._is_unsure(stored.header):
            checking.must_be_whole(self._folder, stored)
            self._is_whole(stored.header)
        self._tally.add("hits")
        return stored

    def _is_old(self, header: Header) -> bool:
        return header.made <= self._clock() - self._limits.ttl

    def _is_unsure(self, header: Header) -> bool:
        """Whether a payload may be torn: it was renamed, and the machine stopped, or may have."""
        if self._always:
            return True
        if (header.boot == self._boot and self._boot) or header.payload in self._whole:
            return False
        row = self._try_index(lambda rows: rows.find(header.key))
        named = header.payload.rstrip("/") == (row and f"{row.key}.{row.writer}")
        return not (row is not None and named and row.boot == self._boot and self._boot)

    def _is_whole(self, header: Header) -> None:
        if not self._always:
            self._whole.add(header.payload)
            self._try_index(lambda rows: rows.found_whole(header.key, self._boot))

    def _try_index(self, work: Callable[[Rows], Row | None]) -> Row | None:
        """Ask the index where it is there; a folder that cannot be written has none."""
        try:
            return self._index.run(work)
        except OSError:
            return None

    def _remove_bad(self, key: str, kind: str, why: str) -> None:
        self._tally.add(kind)
        self._tally.say(kind, "%s in %s: %s; it is removed", key, self.path, why)
        try:
            if (found := checking.damage_of(self._folder, key)) is not None:
                self._forget({key: found.header})
        except OSError:  # it stays, and is found again
            pass

    # -- writing -------------------------------------------------------------------------

    def write(
        self,
        key: str,
        header: Header,
        payload: bytes | Callable[[Path], object],
        size: int | None = None,
    ) -> Header | None:
        """Store a payload under a key, in the place of what is there.

        Args:
            key: a digest of the call, in lower-case hex digits.
            header: what is known of the call and the load.
            payload: bytes; or what writes a file or a folder at the path that it is given, and
                may return the :class:`.payload.Checked` of a file.
            size: bytes that this will take, more or less, so that room is made before.

        Returns:
            What was stored; None if nothing was, for no room could be made, or somebody else is
            writing the same.

        Raises:
            OSError: the disk is full, or whatever else keeps it from being written; with
                ``durable``, also from being known to survive.
            ValueError: what was written is neither files nor folders.
            Exception: whatever ``payload`` raises. Nothing has changed.
        """
        written = self._writer.write(key, header, payload, size)
        if written.evicted:
            self._tally.add("evicted", written.evicted)
        self._tally.add(written.outcome)
        if written.outcome == "too_large":
            self._tally.say(
                "too_large",
                "%s is not stored in %s: it takes %s, and no room can be made for that (%s)",
                *(header.text or key, self.path, format_size(written.nbytes), self._limits),
            )
        return written.header

    # -- removing ------------------------------------------------------------------------

    def remove(self, key: str, seen: Header = WHATEVER) -> bool:
        """Remove what is stored under a key, or only what was seen there; return whether it was.

        Raises:
            OSError: it cannot be removed.
        """
        there = self._folder.stat(self._folder.place(key)) is not None
        return there and bool(self._forget({key: seen}))

    def _forget(self, seen: Seen, kind: str = "", progress: Progress | None = None) -> set[str]:
        """Remove entries that are still what was seen; return the keys of what went."""
        keys, gone = [*seen], set[str]()

        def work(rows: Rows) -> set[str]:
            return {key for key in some if remove(self._folder, rows, key, seen[key])}

        for first in range(0, len(keys), _MANY):
            went = some = {*keys[first : first + _MANY]}
            try:
                went = self._index.run(work)
            finally:
                if kind:
                    self._tally.add(kind, len(went))
            gone |= went
            if progress is not None:
                progress(min(first + _MANY, len(keys)), len(keys))
        return gone

    def evict(self, only: Filter = ALL) -> list[Header]:
        """Remove what is meant, and return what it was.

        Raises:
            OSError: it cannot be removed.
        """
        now = self._clock()
        doomed = [header for header in self.entries() if only.takes(header, now)]
        gone = self.evict_all(doomed)
        return [header for header in doomed if header.key in gone]

    def evict_all(self, doomed: Sequence[Header], progress: Progress | None = None) -> set[str]:
        """Remove what was found, and nothing that has replaced it; return the keys of what went.

        Args:
            doomed: what was found.
            progress: called with how many are removed, of how many.

        Raises:
            OSError: they cannot be removed.
        """
        return self._forget({each.key: each for each in doomed}, "evicted", progress)

    # -- what is there -------------------------------------------------------------------

    def alone(self, key: str, wait: float) -> AbstractContextManager[bool]:
        """Be alone with a key in a ``with`` block, of all threads and processes.

        It gives whether one is: False after ``wait`` seconds in vain, or where there are no locks.
        """
        return KeyLock(self._folder, key, wait)

    def used(self, key: str) -> None:
        """Note a use; it is written together with others."""
        if self._recency.note(key, self._clock()):
            self.flush()

    def flush(self) -> None:
        """Write the uses that were noted, where that can be."""
        if uses := self._recency.take():
            try:
                self._index.run(lambda rows: rows.touch(uses))
            except OSError:
                pass

    def entries(self, progress: Progress | None = None) -> Iterator[Header]:
        """Yield what is stored, by the files."""
        return checking.headers(self._folder, progress)

    def listed(self, only: Filter = ALL, progress: Progress | None = None) -> list[Listed]:
        """Return what is stored of what is meant, by the files, and what each takes."""
        now = self._clock()
        return [
            Listed(header, self._folder.bytes_of(header))
            for header in self.entries(progress)
            if only.takes(header, now)
        ]

    def find_damaged(self, progress: Progress | None = None) -> list[Damaged]:
        """Read everything, and return what is not what was written; it stays.

        Args:
            progress: called ten times a second with how many entries were read, of how many.

        Raises:
            OSError: it cannot be read.
        """
        return checking.find_damaged(self._folder, progress)

    def check(
        self, progress: Progress | None = None, found: Sequence[Damaged] | None = None
    ) -> Report:
        """Read everything, remove what is damaged or nobody's, and have the index say what is left.

        Args:
            progress: as that of :meth:`find_damaged`.
            found: what that has returned, where everything was read already.

        Raises:
            OSError: it cannot be read or removed.
        """
        damaged = self.find_damaged(progress) if found is None else found
        gone = self._forget({each.key: each.header for each in damaged}, "damaged")

        def work(rows: Rows) -> tuple[int, tuple[int, int]]:
            return checking.compare(self._folder, rows), rows.sums()

        checking.clear_locks(self._folder)
        litter, sums = self._index.run(work)
        return Report(*sums, len(gone), litter)

    def totals(self) -> Totals:
        """Return how many entries there are and what they take, by the index.

        Raises:
            OSError: there is none, and it cannot be made.
        """
        return Totals(*self._index.run(lambda rows: rows.sums()))

    @property
    def counts(self) -> Counts:
        """What this process has counted."""
        counts = self._tally.counts()
        return Counts(*(counts[kind] for kind in Counts._fields))

    def close(self) -> None:
        """Write what was noted and close the index; what is called afterwards opens it again."""
        self.flush()
        self._index.close()

    def __repr__(self) -> str:
        return f"DiskStore({short_text_of(str(self.path))})"
