"""Comparing what there is with what the index says, and with what the files say of themselves."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

from . import payload
from .commit_file import DamagedError, OtherFormatError, unpack
from .folder import Folder, RefusedError
from .index import Rows
from .litter import clear, row_of
from .locked_file import LockedFile
from .records import Header, Stored

Progress = Callable[[int, int], object]  # called with how many are done, of how many


def keys(folder: Folder) -> list[str]:
    """Return all keys, in no order of use."""
    return [
        name
        for shard in sorted(folder.list("o"))
        for name in sorted(folder.list(f"o/{shard}"))
        if "." not in name
    ]


def headers(folder: Folder) -> Iterator[Header]:
    """Yield what the commit files say, of those that are good."""
    for key in keys(folder):
        header = folder.header(key) if folder.can_have(key) else None
        if header is not None:
            yield header


def open_entry(folder: Folder, key: str) -> tuple[Stored, int] | None:
    """Return an entry and the inode of its commit file; None if there is none.

    Raises:
        FileNotFoundError: its payload is not there: it has just been replaced, or is damaged.
        DamagedError: it is not what was written; of the payload, it has another length.
        RefusedError: something of it is a link, or another user's.
        OtherFormatError: it cannot be read here.
    """
    place = folder.place(key)
    if (found := folder.read(place)) is None:
        return None
    header, data = unpack(key, found[0])
    if data is not None:
        return Stored(header, data, None), found[1]
    name = f"o/{key[:2]}/{header.payload}"
    there = folder.stat(name.rstrip("/"))
    if there is None:
        raise FileNotFoundError(name)
    folder.trust(name, there)
    path = folder.path / name
    if (payload.size_of(path) if name[-1] == "/" else there.st_size) != header.size:
        raise DamagedError("its payload has another length")
    return Stored(header, None, path), found[1]


def is_whole(stored: Stored) -> bool:
    """Whether a payload beside the commit file is what was written."""
    return stored.path is None or payload.checksum(stored.path) == stored.header.crc


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
    rows.drop(
        row.key for row in known.values() if folder.stat(f"tmp/{row.key}.{row.writer}") is None
    )
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


def find_damaged(folder: Folder, progress: Progress | None) -> list[str]:
    """Read everything there is; return the keys of entries that are not what was written."""
    damaged, all_keys, shown = [], keys(folder), 0.0
    for done, key in enumerate(all_keys):
        if progress is not None and time.monotonic() - shown > 0.1:
            shown = time.monotonic()
            progress(done, len(all_keys))
        if folder.can_have(key) and not _is_good(folder, key):
            damaged.append(key)
    if progress is not None:
        progress(len(all_keys), len(all_keys))
    return damaged


def _is_good(folder: Folder, key: str) -> bool:
    for _ in range(2):
        try:
            found = open_entry(folder, key)
            return found is None or is_whole(found[0])
        except OtherFormatError:
            return True
        except FileNotFoundError:  # look again
            continue
        except (DamagedError, RefusedError, payload.OddPayloadError):
            return False
    return False
