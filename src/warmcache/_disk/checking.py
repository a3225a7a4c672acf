"""Comparing what there is with what the index says, and with what the files say of themselves."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path

from . import payload
from .commit_file import DamagedError, OtherFormatError, unpack
from .folder import Folder, RefusedError
from .litter import as_found, clear, is_written, row_of
from .locked_file import LockedFile
from .records import Damaged, Header, Stored
from .rows import Rows

_LOOKS = 10  # at what is replaced again and again while it is read
_PERIOD = 0.1  # seconds between two times that it is told how far something is

Progress = Callable[[int, int], object]  # called with how many are done, of how many


def keys(folder: Folder) -> list[str]:
    """Return all keys, in no order of use."""
    return [
        name
        for shard in sorted(folder.list("o"))
        for name in sorted(folder.list(f"o/{shard}"))
        if "." not in name
    ]


def headers(folder: Folder, progress: Progress | None = None) -> Iterator[Header]:
    """Yield what the commit files say, of those that are good."""
    for key in told(keys(folder), progress):
        header = folder.header(key) if folder.can_have(key) else None
        if header is not None:
            yield header


def told(all_keys: list[str], progress: Progress | None) -> Iterator[str]:
    """Yield keys, and tell ten times a second how many have been, of how many."""
    shown = 0.0
    for done, key in enumerate(all_keys):
        if progress is not None and time.monotonic() - shown > _PERIOD:
            shown = time.monotonic()
            progress(done, len(all_keys))
        yield key
    if progress is not None:
        progress(len(all_keys), len(all_keys))


def open_entry(folder: Folder, key: str) -> Stored | None:
    """Return an entry, None if there is none.

    Where a payload is not there, or not all of it, the commit file is looked at again: who evicts
    or replaces an entry removes that first. Something is wrong if it names the same payload still.

    Raises:
        DamagedError: it is not what was written; of the payload, it has another length.
        RefusedError: something of it is a link, or another user's.
        OtherFormatError: it cannot be read here.
    """
    missing = ""
    for _ in range(_LOOKS):
        if (found := folder.read(folder.place(key))) is None:
            return None
        header, data = unpack(key, found)
        if data is not None:
            return Stored(header, data, None)
        try:
            return Stored(header, None, _find_payload(folder, header))
        except (FileNotFoundError, DamagedError) as error:
            if header.payload == missing:
                raise DamagedError(f"its payload is not there, or not all of it: {error}") from None
            missing = header.payload
    return None


def _find_payload(folder: Folder, header: Header) -> Path:
    name = f"o/{header.key[:2]}/{header.payload}"
    there = folder.stat(name.rstrip("/"))
    if there is None:
        raise FileNotFoundError(name)
    folder.trust(name, there)
    path = folder.path / name
    if (payload.size_of(path) if name[-1] == "/" else there.st_size) != header.size:
        raise DamagedError(f"it has not {header.size} bytes")
    return path


def must_be_whole(folder: Folder, stored: Stored) -> None:
    """Read a payload beside its commit file.

    Raises:
        DamagedError: it is not what was written.
        FileNotFoundError: it was evicted or replaced meanwhile.
    """
    header = stored.header
    if stored.path is not None and payload.checksum(stored.path, header.checksum) != header.crc:
        again = open_entry(folder, header.key)
        if again is None or again.header.payload != header.payload:
            raise FileNotFoundError(header.payload)
        raise DamagedError("its payload is not what was written")


def compare(folder: Folder, rows: Rows) -> int:
    """Have the rows say what the files say, and remove what is nobody's; return how much was."""
    count, known = clear(folder, rows), rows.all()
    writing = {name for name in folder.list("tmp") if not name.endswith((".p", ".x"))}
    for shard in folder.list("o"):
        names = folder.list(f"o/{shard}")
        payloads = {name for name in names if "." in name}
        for key in names:
            header = folder.header(key) if folder.can_have(key) else None
            if header is None:
                continue
            payloads.discard(header.payload.rstrip("/"))
            before = known.pop(key, None)
            if before is None or f"{key}.{before.writer}" not in writing:
                row = row_of(folder, header, before)
                if row != before:
                    rows.put(row)
        count += sum(_is_litter(folder, shard, name) for name in payloads)
    for row in known.values():
        if not is_written(folder, row):
            as_found(folder, rows, row.key, row)  # for it may be committed by now
    return count


def _is_litter(folder: Folder, shard: str, name: str) -> bool:
    """Remove a payload that no commit file names; return whether it was one."""
    key = name.partition(".")[0]
    if not folder.can_have(key) or folder.stat(f"tmp/{name}") is not None:
        return False  # it is being written
    header = folder.header(key)  # again, for it may be committed by now
    if header is not None and header.payload.rstrip("/") == name:
        return False
    return folder.discard(f"o/{shard}/{name}")


def clear_locks(folder: Folder) -> None:
    """Remove the files of loads that have ended without removing them."""
    for name in folder.list("locks"):
        left = LockedFile(folder, f"locks/{name}")
        try:
            if left.take(make=False):
                left.remove()
        except OSError:
            pass


def find_damaged(folder: Folder, progress: Progress | None) -> list[Damaged]:
    """Read everything there is; return the entries that are not what was written."""
    found = [damage_of(folder, key) for key in told(keys(folder), progress) if folder.can_have(key)]
    return [each for each in found if each is not None]


def damage_of(folder: Folder, key: str) -> Damaged | None:
    """Read an entry; return what is wrong with it, None if it is what was written."""
    header = folder.header(key)  # first: if it is that when it is removed, this is what was read
    why = _what_is_wrong(folder, key)
    return Damaged(key, header, why) if why else None


def _what_is_wrong(folder: Folder, key: str) -> str:
    for _ in range(_LOOKS):
        try:
            if (found := open_entry(folder, key)) is not None:
                must_be_whole(folder, found)
            return ""
        except OtherFormatError:
            return ""
        except FileNotFoundError:  # it was evicted or replaced while it was read
            continue
        except (DamagedError, RefusedError, payload.OddPayloadError) as error:
            return str(error)
    return ""
