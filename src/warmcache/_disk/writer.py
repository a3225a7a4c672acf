"""What a write does, from the wish to the commit: room, files, and the index that knows of both."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple, TypeAlias

from .boot import boot_id
from .checksum import CRC, kind_of
from .commit_file import INLINE, pack
from .folder import Folder
from .index import Index
from .litter import as_found
from .payload import Checked, checksum, checksum_of_bytes, is_folder, share, size_of, sync
from .recency import Recency
from .records import Header
from .room import Limits, Reserved, reserve
from .rows import Row, Rows
from .writing import Writing

Payload: TypeAlias = bytes | Callable[[Path], object]


class Written(NamedTuple):
    """What became of a write; ``outcome`` is what is counted."""

    header: Header | None
    outcome: str
    nbytes: int
    evicted: int


class Writer:
    """Writes entries into one folder."""

    def __init__(
        self,
        folder: Folder,
        index: Index,
        recency: Recency,
        limits: Limits,
        *,
        clock: Callable[[], float],
        durable: bool,
    ) -> None:
        self._folder = folder
        self._index = index
        self._recency = recency
        self._limits = limits
        self._clock = clock
        self._durable = durable

    def write(self, key: str, header: Header, payload: Payload, size: int | None) -> Written:
        """Make ``payload`` the entry of a key; see :meth:`.store.DiskStore.write`."""
        if self._folder.renew():
            self._index.close()
        self._folder.place(key)
        attempt = _Attempt(self, Writing(self._folder, key))
        header = header._replace(key=key, made=header.made or self._clock(), boot=boot_id())
        try:
            attempt.writing.begin()
            if callable(payload):
                written = attempt.of_files(header, payload, size)
            else:
                written = attempt.of_bytes(header, payload)
        except BaseException:
            with suppress(OSError):  # the disk's, which would hide an interrupt
                attempt.give_up()
            raise
        if written is None:
            attempt.give_up()
        else:
            attempt.writing.end()
        return Written(written, attempt.outcome, attempt.nbytes, attempt.evicted)

    def reserve(
        self, header: Header, writer: str, nbytes: int
    ) -> tuple[Reserved, tuple[int, int] | None]:
        """Reserve room, and remove what has to go for it; return in which index, too."""
        now, made, seconds = self._clock(), header.made, header.seconds
        wish = Row(header.key, writer, nbytes, 0, made, seconds, now, 1, "")
        uses = self._recency.take()

        def work(rows: Rows) -> tuple[Reserved, tuple[int, int] | None]:
            if uses:
                rows.touch(uses)
            return reserve(rows, self._folder, self._limits, wish), self._index.identity

        return self._index.run(work, look=False)

    def commit(self, writing: Writing, data: bytes, reserved_in: tuple[int, int] | None) -> None:
        """Make it an entry, and have the index know what it cannot know from the reservation."""
        writing.commit(data, durable=self._durable)
        if writing.replaced or not self._index.is_as_it_was(reserved_in):
            self.settle(writing)

    def settle(self, writing: Writing) -> None:
        """Have the row of a write say what the files say."""

        def work(rows: Rows) -> None:
            row = rows.find(writing.key)
            if row is not None and writing.replaced:
                row = row._replace(old=0)
            if row is None or row.writer == writing.writer:
                as_found(self._folder, rows, writing.key, row)

        try:
            self._index.run(work)
        except OSError:  # it says more than there is, until room is short
            pass

    def secure(self, path: Path) -> None:
        """See to it that what was written can be read, by the group and after a loss of power."""
        if self._folder.shared:
            share(path)
        if self._durable:
            sync(path)


class _Attempt:
    """One write, and what becomes of it."""

    def __init__(self, writer: Writer, writing: Writing) -> None:
        self.writing = writing
        self.outcome = "writes"
        self.nbytes = self.evicted = 0
        self._writer = writer
        self._reserved_in: tuple[int, int] | None = None

    def of_bytes(self, header: Header, data: bytes) -> Header | None:
        """Write bytes, inside of the commit file if they are few."""
        writing, inside = self.writing, len(data) <= INLINE
        name = "" if inside else writing.name
        crc = checksum_of_bytes(data)
        header = header._replace(size=len(data), crc=crc, checksum=CRC, payload=name)
        packed = pack(header, data if inside else b"")
        if not self._has_room(header, len(packed) + (0 if inside else len(data))):
            return None
        if not inside:
            writing.put(data)
            self._writer.secure(writing.path)
        self._writer.commit(writing, packed, self._reserved_in)
        return header

    def of_files(
        self, header: Header, dump: Callable[[Path], object], size: int | None
    ) -> Header | None:
        """Have files written, for which room is made before if it is known how much."""
        writing, expected = self.writing, 0
        if size is not None:
            header = header._replace(
                size=size, crc=0xFFFFFFFF, checksum=kind_of(size), payload=writing.name
            )
            expected = len(pack(header)) + size
            if not self._has_room(header, expected):
                return None
        said = dump(writing.path)
        writing.is_put()
        path = writing.path
        folder = is_folder(path)
        name = f"{writing.name}/" if folder else writing.name
        nbytes = size_of(path)
        if not isinstance(said, Checked) or said.size != nbytes or folder:
            said = Checked(nbytes, checksum(path, CRC))
        header = header._replace(size=nbytes, crc=said.crc, checksum=said.kind, payload=name)
        packed = pack(header)
        total = len(packed) + header.size
        if total != expected and not self._has_room(header, total):
            return None
        self._writer.secure(path)
        self._writer.commit(writing, packed, self._reserved_in)
        return header

    def _has_room(self, header: Header, nbytes: int) -> bool:
        writing, self.nbytes = self.writing, nbytes
        reserved, self._reserved_in = self._writer.reserve(header, writing.writer, nbytes)
        writing.replaces = reserved.replaces
        if reserved.predecessor != writing.writer:
            writing.predecessor = reserved.predecessor
        if reserved.victims:
            self.evicted += sum(victim.key != writing.key for victim in reserved.victims)
        if not reserved.granted:
            self.outcome = "joined" if reserved.joined else "too_large"
        return reserved.granted

    def give_up(self) -> None:
        """Remove what was not committed, and its reservation after that."""
        writing = self.writing
        if not writing.forked:
            try:
                writing.end()
            finally:
                if writing.began and not writing.committed:
                    self._writer.settle(writing)
