"""A payload outside of the commit file: one file, or a folder of files, in a format of its own.

It is written once, under a name that nobody else uses, and never changed: who has it mapped keeps
what it mapped, also when it is removed. Its checksum is over all of it, names included.
"""

from __future__ import annotations

import os
import stat
import zlib
from collections.abc import Iterator
from pathlib import Path

_CHUNK = 2**18  # bytes that are read at once: as many as a processor keeps at hand


class OddPayloadError(ValueError):
    """There is something in a folder that is neither a file nor a folder: a link, say."""


def size_of(path: Path) -> int:
    """Return the bytes of all files at ``path``.

    Raises:
        FileNotFoundError: there are none.
        OddPayloadError: it has what is neither a file nor a folder.
    """
    return sum(found.st_size for _, _, found in files(path))


def checksum(path: Path) -> int:
    """Return a checksum over the names and the contents of all files at ``path``."""
    crc, buffer = 0, memoryview(bytearray(_CHUNK))
    for name, file, _ in files(path):
        crc = zlib.crc32(os.fsencode(name), crc)
        with file.open("rb", buffering=0) as opened:
            while count := opened.readinto(buffer):
                crc = zlib.crc32(buffer[:count], crc)
    return crc


def checksum_of_bytes(data: bytes) -> int:
    """Return the checksum that a file with these contents has."""
    return zlib.crc32(data)


def sync(path: Path) -> None:
    """Wait until all of it is on the device."""
    folders = {path} if path.is_dir() else set()
    for _, file, _ in files(path):
        folders |= {folder for folder in file.parents if path in folder.parents}
        _sync(file)
    for folder in folders:
        _sync(folder)


def share(path: Path) -> None:
    """Let the group read it, whatever the umask was."""
    for _, file, _ in files(path):
        file.chmod(0o660)
        for folder in file.parents:
            if path in (folder, *folder.parents):
                folder.chmod(0o770)


def files(path: Path) -> Iterator[tuple[str, Path, os.stat_result]]:
    """Yield the files by name: the name within the payload, where it is, what it is.

    Raises:
        FileNotFoundError: there are none, or one is removed meanwhile.
        OddPayloadError: it has what is neither a file nor a folder.
    """
    found = path.lstat()
    if not stat.S_ISDIR(found.st_mode):
        if not stat.S_ISREG(found.st_mode):
            raise OddPayloadError(f"{path.name} is neither a file nor a folder")
        yield "", path, found
        return
    for name in sorted(os.listdir(path)):  # noqa: PTH208
        for inner, file, of_file in files(path / name):
            yield f"{name}/{inner}" if inner else name, file, of_file


def _sync(path: Path) -> None:
    opened = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(opened)
    finally:
        os.close(opened)
