"""An archive of entries, written while others write to the folder.

It is a tar that any tar lists. Of each entry it has the commit file, and behind that its payload,
a file or the files of a folder in the order of their names, called as they are in the folder. An
entry is put in only once all of it was read and seen to be whole, so there is never a part of one;
what is replaced or evicted meanwhile is there as it was, or as it is now, or not at all.
"""

from __future__ import annotations

import io
import os
import tarfile
import tempfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, NamedTuple

from warmcache._private_files import not_followed, private

from . import payload
from .checking import Progress, keys, open_entry, told
from .checksum import BLOCK, Step, step
from .commit_file import DamagedError, OtherFormatError, pack
from .folder import Folder, RefusedError
from .records import Header, Stored

_LOOKS = 10  # at what is replaced again and again while it is read
_YEAR_2242 = 2**33  # seconds: what a tar of the old kind can say of a time
COMPRESSIONS = {".tar": "", ".tar.gz": "gz", ".tgz": "gz"}


class Exported(NamedTuple):
    """What is in an archive, and how many entries could not be put there."""

    entries: int
    bytes: int
    left_out: int  # damaged, or of another version


class _Copy(NamedTuple):
    """A payload beside its commit file, out of reach of who evicts it: its files in a row."""

    file: IO[bytes]
    names: list[tuple[str, int]]  # with their bytes; "" for a payload that is one file
    crc: int


def compression_of(archive: Path) -> str:
    """Return how an archive of that name is compressed.

    Raises:
        ValueError: it is called like no archive.
    """
    for end, compression in COMPRESSIONS.items():
        if archive.name.endswith(end) and archive.name != end:
            return compression
    raise ValueError(f"{archive} must end in {', '.join(COMPRESSIONS)}")


def export(
    folder: Folder,
    archive: Path,
    takes: Callable[[Header], bool],
    progress: Progress | None = None,
) -> Exported:
    """Write the entries that are meant to an archive, in the place of what has that name.

    Only this user may read it. It has its name once it is whole.

    Raises:
        ValueError: it is called like no archive.
        OSError: it cannot be written, or the folder cannot be read.
    """
    mode = compression_of(archive)
    entries = nbytes = left_out = 0
    aside = archive.with_name(f".{archive.name}.{os.urandom(4).hex()}")
    try:
        with open(aside, "xb", opener=private) as file, _packed(file, mode) as tar:
            writing = _Writing(folder, tar, archive.parent)
            for key in told(keys(folder), progress):
                try:
                    size = writing.put(key, takes) if folder.can_have(key) else 0
                except (DamagedError, RefusedError, OtherFormatError, payload.OddPayloadError):
                    left_out += 1
                    continue
                entries += size > 0
                nbytes += size
            tar.write(bytes(2 * tarfile.BLOCKSIZE))  # its end
        aside.replace(archive)
    finally:
        aside.unlink(missing_ok=True)
    return Exported(entries, nbytes, left_out)


@contextmanager
def _packed(file: IO[bytes], compression: str) -> Iterator[IO[bytes]]:
    """Give what a tar is to be written to."""
    if not compression:
        yield file
        return
    import gzip

    with gzip.GzipFile(filename="", fileobj=file, mode="wb", compresslevel=6, mtime=0) as packed:
        yield packed  # type: ignore[misc]  # which is one to write to


class _Writing:
    """An archive that is being written; what has to be copied before lies in ``spools``."""

    def __init__(self, folder: Folder, tar: IO[bytes], spools: Path) -> None:
        self._folder = folder
        self._tar = tar
        self._spools = spools

    def put(self, key: str, takes: Callable[[Header], bool]) -> int:
        """Put an entry into the archive; return the bytes of its files, 0 if it is not there.

        Raises:
            DamagedError, RefusedError, OtherFormatError, OddPayloadError: it cannot be read.
        """
        before: str | None = None
        for _ in range(_LOOKS):
            stored = open_entry(self._folder, key)
            if stored is None or not takes(stored.header):
                return 0
            if stored.path is None:
                return self._add(stored, None)
            try:
                add = step(stored.header.checksum)
                with _copied(stored.path, self._spools, add) as copy:
                    found = sum(size for _, size in copy.names), copy.crc
                    if found == (stored.header.size, stored.header.crc):
                        return self._add(stored, copy)
            except FileNotFoundError:  # it was evicted or replaced while it was read
                pass
            if stored.header.payload == before:
                raise DamagedError("its payload is not what was written")
            before = stored.header.payload
        return 0

    def _add(self, stored: Stored, copy: _Copy | None) -> int:
        header = stored.header
        commit = pack(header, stored.data or b"")
        place = f"o/{header.key[:2]}"
        self._add_file(header, f"{place}/{header.key}", len(commit), io.BytesIO(commit))
        if copy is None:
            return len(commit)
        for name, size in copy.names:
            self._add_file(header, f"{place}/{header.payload}{name}", size, copy.file)
        return len(commit) + header.size

    def _add_file(self, header: Header, name: str, size: int, file: IO[bytes]) -> None:
        info = tarfile.TarInfo(name)
        info.size, info.mode = size, 0o600
        if name.endswith("/"):
            info.type, info.mode = tarfile.DIRTYPE, 0o700
        info.mtime = int(header.made) if 0 <= header.made < _YEAR_2242 else 0
        self._tar.write(info.tobuf(tarfile.PAX_FORMAT, "utf-8", "surrogateescape"))
        while size:
            chunk = file.read(min(size, BLOCK))
            assert chunk, "it was seen to have so much"
            self._tar.write(chunk)
            size -= len(chunk)
        self._tar.write(bytes(-info.size % tarfile.BLOCKSIZE))


@contextmanager
def _copied(path: Path, spools: Path, add: Step) -> Iterator[_Copy]:
    """Give a payload that stays as it is: a file is open; those of a folder are copied."""
    found, crc = payload.files(path), 0
    if not payload.is_folder(path):
        with open(path, "rb", opener=not_followed) as file:
            crc = _copy(file, None, 0, add)
            size = file.tell()
            file.seek(0)
            yield _Copy(file, [("", size)], crc)
        return
    names = []
    with tempfile.TemporaryFile(dir=spools) as spool:
        for name, each, _ in found:
            crc, begin = zlib.crc32(os.fsencode(name), crc), spool.tell()
            if not name.endswith("/"):
                with open(each, "rb", opener=not_followed) as file:
                    crc = _copy(file, spool, crc, add)
            names.append((name, spool.tell() - begin))
        spool.seek(0)
        yield _Copy(spool, names, crc)


def _copy(file: IO[bytes], to: IO[bytes] | None, crc: int, add: Step) -> int:
    """Read a file, and copy it; return the checksum so far."""
    while chunk := file.read(BLOCK):
        crc = add(chunk, crc)
        if to is not None:
            to.write(chunk)
    return crc
