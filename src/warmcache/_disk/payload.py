"""A payload outside of the commit file: one file, or a folder of files, in a format of its own.

It is written once, under a name that nobody else uses, and never changed: who has it mapped keeps
what it mapped, also when it is removed. Its checksum is over all of it, names included.
"""

from __future__ import annotations

import os
import stat
import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

from .checksum import BLOCK, CRC, blocks, kind_of, step


class Checked(NamedTuple):
    """What is known of a file by who has just written it, so that it need not be read again."""

    size: int
    crc: int
    kind: str = CRC  # of checksum


class OddPayloadError(ValueError):
    """There is something in a folder that is neither a file nor a folder: a link, say."""


def size_of(path: Path) -> int:
    """Return the bytes of all files at ``path``.

    Raises:
        FileNotFoundError: there are none.
        OddPayloadError: it has what is neither a file nor a folder.
    """
    return sum(size for _, _, size in files(path))


def checksum(path: Path, kind: str) -> int:
    """Return a checksum over the names and the contents of all files at ``path``."""
    crc, add, buffer = 0, step(kind), memoryview(bytearray(BLOCK))
    for name, file, _ in files(path):
        crc = zlib.crc32(os.fsencode(name), crc)
        if name.endswith("/"):
            continue
        with file.open("rb") as opened:
            while count := opened.readinto(buffer):
                crc = add(buffer[:count], crc)
    return crc


def write(path: Path, parts: Iterable[Any]) -> Checked:
    """Make a file of buffers of bytes, which nobody changes meanwhile."""
    data = [memoryview(part).cast("B") for part in parts]
    size = sum(map(len, data))
    crc, kind = 0, kind_of(size)
    add = step(kind)
    with path.open("xb") as file:
        for block in blocks(data):
            crc = add(block, crc)
            file.write(block)
    return Checked(size, crc, kind)


def checksum_of_bytes(data: bytes) -> int:
    """Return the checksum that a file with these contents has."""
    return zlib.crc32(data)


def sync(path: Path) -> None:
    """Wait until all of it is on the device."""
    folders = {path} if is_folder(path) else set()
    for _, file, _ in files(path):
        folders |= {folder for folder in file.parents if path in folder.parents}
        _sync(file)
    for folder in folders:
        _sync(folder)


def share(path: Path) -> None:
    """Let the group read it, whatever the umask was."""
    for name, file, _ in files(path):
        file.chmod(0o770 if name.endswith("/") else 0o660)
        for folder in file.parents:
            if path in (folder, *folder.parents):
                folder.chmod(0o770)


def is_folder(path: Path) -> bool:
    """Whether it is a folder; raise what prevents that from being known.

    Which ``Path.is_dir`` does not do since Python 3.14: it says that it is none.
    """
    return stat.S_ISDIR(path.stat().st_mode)


def files(path: Path) -> Iterator[tuple[str, Path, int]]:
    """Yield the files by name: the name within the payload, where it is, its bytes.

    A folder in which there is nothing is one, too; its name ends in "/".

    Raises:
        FileNotFoundError: there are none, or one is removed meanwhile.
        OddPayloadError: it has what is neither a file nor a folder.
    """
    found = path.lstat()
    if not stat.S_ISDIR(found.st_mode):
        if not stat.S_ISREG(found.st_mode):
            raise OddPayloadError(f"{path.name} is neither a file nor a folder")
        yield "", path, found.st_size
        return
    for name in sorted(os.listdir(path)):  # noqa: PTH208
        is_empty = True
        for inner, file, size in files(path / name):
            is_empty = False
            yield f"{name}/{inner}" if inner else name, file, size
        if is_empty:
            yield f"{name}/", path / name, 0


def _sync(path: Path) -> None:
    opened = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(opened)
    finally:
        os.close(opened)
