"""What is in an archive of entries, read as if an enemy had written it.

A name must be that of an entry, a size what the entry says, a checksum that of the bytes; and the
files of an entry follow each other as ``exporting.py`` writes them. Whatever is anything else, such
as a link, ``../`` or a device, makes the whole archive one that is refused.

The headers of the tar are parsed by ``tarfile``, block by block, and nothing else of that is used:
it follows links and sparse files, and reads as much into memory as a header says.
"""

from __future__ import annotations

import gzip
import os
import re
import tarfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, NamedTuple

from warmcache._private_files import private
from warmcache._texts import short_text_of

from .checksum import BLOCK, Step, step
from .commit_file import MOST, DamagedError, OtherFormatError, unpack
from .payload import Checked
from .records import Header

_OF_TAR = tarfile.BLOCKSIZE
_LONG = 2**16  # bytes of a header that tells a name
_NAME = re.compile(r"o/([0-9a-f]{2})/(\1[0-9a-f]{2,126})")
_EMPTY = re.compile(_NAME.pattern + r"\.[0-9a-f]{16}/.")  # a folder within a payload
_KINDS = {
    tarfile.DIRTYPE: "a folder",
    tarfile.SYMTYPE: "a symbolic link",
    tarfile.LNKTYPE: "a link",
    tarfile.CHRTYPE: "a device",
    tarfile.BLKTYPE: "a device",
    tarfile.FIFOTYPE: "a pipe",
    tarfile.GNUTYPE_SPARSE: "a sparse file",
}


class RefusedArchiveError(ValueError):
    """It is no archive of entries, or something in it is not as it should be."""


class Member(NamedTuple):
    """A file in an archive."""

    name: str
    size: int


class Members:
    """The files of an archive, one after the other; ``now`` is the one that can be read."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self._left = self._padding = 0
        self.now: Member | None = None
        self.advance()

    def advance(self) -> None:
        """Go on to the next, past what was not read of this one.

        Raises:
            RefusedArchiveError: it is none that can be in an archive of entries.
        """
        for _ in self.chunks():
            pass
        said: dict[str, str] = {}
        while True:
            info = self._header()
            if info is None:
                self.now = None
                self._must_end()
                return
            if info.type != tarfile.XHDTYPE:
                break
            if not 0 <= info.size <= _LONG:
                raise RefusedArchiveError(f"a header says that it has {info.size:,} bytes")
            said = dict(_records(self._exactly(-(-info.size // _OF_TAR) * _OF_TAR)[: info.size]))
        name = said.get("path", info.name)
        size = _number_of(said["size"]) if "size" in said else info.size
        if info.type == tarfile.DIRTYPE and _EMPTY.match(name) and not size:
            name = f"{name.rstrip('/')}/"
        elif info.type not in (tarfile.REGTYPE, tarfile.AREGTYPE):
            what = _KINDS.get(info.type, f"of type {info.type!r}")
            raise refused(name, f"is {what}")
        if size < 0:
            raise refused(name, f"says that it has {size:,} bytes")
        self._left, self._padding = size, -size % _OF_TAR
        self.now = Member(name, size)

    def chunks(self) -> Iterator[bytes]:
        """Yield what was not read yet of this one."""
        while self._left:
            chunk = self._file.read(min(BLOCK, self._left))
            if not chunk:
                raise RefusedArchiveError("it is cut off")
            self._left -= len(chunk)
            yield chunk
        self._exactly(self._padding)
        self._padding = 0

    def _header(self) -> tarfile.TarInfo | None:
        block = self._exactly(_OF_TAR)
        if block == bytes(_OF_TAR):
            return None
        try:
            return tarfile.TarInfo.frombuf(block, "utf-8", "surrogateescape")
        except (tarfile.HeaderError, ValueError) as error:
            raise RefusedArchiveError(f"it is no archive: {error}") from None

    def _must_end(self) -> None:
        """Refuse a second archive behind this one; a tar is filled up by zeros alone."""
        while chunk := self._file.read(BLOCK):
            if any(chunk):
                raise RefusedArchiveError("there is more behind its end, such as another archive")

    def _exactly(self, size: int) -> bytes:
        data = self._file.read(size)
        if len(data) < size:
            raise RefusedArchiveError("it is cut off, or no archive")
        return data


def _records(data: bytes) -> Iterator[tuple[str, str]]:
    """Yield what a header of POSIX tells: lines of ``<length> <name>=<value>``."""
    while data:
        length = _number_of(data.partition(b" ")[0].decode("ascii", "replace"))
        line, data = data[:length], data[length:]
        name, equals, value = line.partition(b" ")[2].partition(b"=")
        if len(line) != length or not (equals and value.endswith(b"\n")):
            raise RefusedArchiveError("a header is not whole")
        yield name.decode("utf-8", "replace"), value[:-1].decode("utf-8", "surrogateescape")


def _number_of(text: str) -> int:
    if not re.fullmatch(r"[0-9]{1,18}", text):
        raise RefusedArchiveError(f"{text[:20]!r} in a header is no number")
    return int(text)


class Archived:
    """An entry in an archive: ``data`` is its payload, None if that lies behind it."""

    def __init__(self, members: Members, header: Header, data: bytes | None, nbytes: int) -> None:
        self.header = header
        self.data = data
        self.bytes = nbytes  # of all its files
        self._members = members
        self._behind = data is None

    def copy(self, path: Path | None = None) -> Checked:
        """Read the payload that lies behind, and write it to a path.

        Raises:
            RefusedArchiveError: it is not what the entry says.
            OSError: it cannot be written.
        """
        self._behind = False
        header, crc, left = self.header, 0, self.header.size
        add = step(header.checksum)
        place = f"o/{header.key[:2]}/{header.payload}"
        if path is not None and place[-1] == "/":
            path.mkdir(0o700)
        before: tuple[str, ...] | None = None
        while (now := self._members.now) is not None and _belongs(now.name, place):
            left -= now.size
            if left < 0:
                raise refused(now.name, f"is more than the {header.size:,} bytes of its entry")
            inner = now.name[len(place) :]
            parts = _parts(now.name, inner, before) if inner else ()
            crc = zlib.crc32(os.fsencode(inner), crc)
            to = path and path.joinpath(*parts)
            if not inner.endswith("/"):
                crc = self._copy(to, crc, add)
            elif to is not None:
                to.mkdir(0o700, parents=True)
            self._members.advance()
            before = parts
            if not inner:
                break
        if left or crc != header.crc:
            raise refused(place, "is not all there, or not what was written")
        return Checked(header.size, crc, header.checksum)

    def _copy(self, path: Path | None, crc: int, add: Step) -> int:
        if path is None:
            for chunk in self._members.chunks():
                crc = add(chunk, crc)
            return crc
        path.parent.mkdir(0o700, parents=True, exist_ok=True)
        with open(path, "xb", opener=private) as file:
            for chunk in self._members.chunks():
                crc = add(chunk, crc)
                file.write(chunk)
        return crc

    def skip(self) -> None:
        """Read what lies behind, unless it was read."""
        if self._behind:
            self.copy()


def _belongs(name: str, place: str) -> bool:
    return name == place if place[-1] != "/" else name.startswith(place)


def _parts(name: str, inner: str, before: tuple[str, ...] | None) -> tuple[str, ...]:
    """Return the folders and the name of a file within a payload, which come in their order."""
    parts = tuple(inner.removesuffix("/").split("/"))
    if any(part in ("", ".", "..") or "\0" in part for part in parts):
        raise refused(name, "leaves its entry")
    if os.sep != "/" and any(os.sep in part or ":" in part for part in parts):
        raise refused(name, "leaves its entry")
    if before is not None and (parts <= before or parts[: len(before)] == before):
        raise refused(name, "is there twice, or not where it should be")
    return parts


def entries(file: IO[bytes]) -> Iterator[Archived]:
    """Yield the entries of an open archive.

    Raises:
        RefusedArchiveError: it is none, or something in it is not as it should be.
    """
    members = Members(file)
    while (now := members.now) is not None:
        match = _NAME.fullmatch(now.name)
        if match is None:
            raise refused(now.name, "is no name of an entry")
        if now.size > MOST:
            raise refused(now.name, f"has {now.size:,} bytes, more than any commit file")
        data = b"".join(members.chunks())
        try:
            header, inside = unpack(match[2], data)
        except DamagedError as error:
            raise refused(now.name, f"is damaged: {error}") from None
        except OtherFormatError as error:
            raise refused(now.name, f"is of format {error}, another version's") from None
        beside = header.size if inside is None else 0
        entry = Archived(members, header, inside, now.size + beside)
        members.advance()
        yield entry
        entry.skip()


def refused(name: str, why: str) -> RefusedArchiveError:
    """Return the error about something in an archive."""
    return RefusedArchiveError(f"{short_text_of(name)} {why}")


@contextmanager
def uncompressed(raw: IO[bytes]) -> Iterator[IO[bytes]]:
    """Give what is in an archive, compressed or not.

    Raises:
        RefusedArchiveError: it cannot be read.
    """
    raw.seek(0)
    is_packed = raw.read(2) == b"\x1f\x8b"
    raw.seek(0)
    try:
        if not is_packed:
            yield raw
        else:
            with gzip.GzipFile(fileobj=raw, mode="rb") as file:
                yield file  # type: ignore[misc]  # which is one to read from
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise RefusedArchiveError(f"it is not whole: {error}") from None
