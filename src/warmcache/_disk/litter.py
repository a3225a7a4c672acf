"""What a killed process leaves: found by locks that nobody has any more.

A file in ``tmp`` is locked by its writer as long as that lives. The commit of an entry is that this
file gets another name; so who has removed it knows that this entry will never be committed, and
that the payload, wherever it has got to, is nobody's. The row of the key then says again what the
files say.
"""

from __future__ import annotations

from .folder import Folder
from .locked_file import LockedFile
from .records import Header
from .rows import Row, Rows


def clear(folder: Folder, rows: Rows, key: str = "") -> int:
    """Remove what dead writers have left, of one key or of all; return how many things."""
    count = 0
    for name in folder.list("tmp"):
        if not key or name.startswith(f"{key}."):
            count += _clear(folder, rows, name)
    if not key:
        for row in rows.replaced():
            settle(folder, rows, row)
    return count


def _clear(folder: Folder, rows: Rows, name: str) -> int:
    stem = name.removesuffix(".p")
    if stem != name and folder.stat(f"tmp/{stem}") is not None:
        return 0  # it goes with its commit file
    if stem == name and not name.endswith(".x"):
        return _clear_written(folder, rows, name)
    return folder.discard(f"tmp/{name}")


def _clear_written(folder: Folder, rows: Rows, name: str) -> int:
    """Remove a commit file in the making and its payload, unless the writer lives."""
    if name in folder.writing:
        return 0
    left = LockedFile(folder, f"tmp/{name}")
    try:
        if not left.take(make=False):
            return 0
    except OSError:  # there are no locks here, so nobody knows
        return 0
    try:
        if not folder.discard(f"tmp/{name}"):
            return 0  # it was committed just now
    finally:
        left.close()
    key, _, writer = name.partition(".")
    count = 1 + folder.discard(f"tmp/{name}.p")
    if folder.can_have(key):
        count += folder.discard(f"o/{key[:2]}/{name}")
        row = rows.find(key)
        if row is not None and row.writer == writer:
            as_found(folder, rows, key, row)
    return count


def is_written(folder: Folder, row: Row) -> bool:
    """Whether an entry is being written, or was when its writer died."""
    return bool(row.writer) and folder.stat(f"tmp/{row.key}.{row.writer}") is not None


def as_found(folder: Folder, rows: Rows, key: str, row: Row | None) -> None:
    """Have the row of a key say what its files say, and see to it that it has no others."""
    header = folder.header(key)
    if row is not None and row.old:
        folder.discard_payloads(key, "" if header is None else header.payload.rstrip("/"))
    elif row is not None and (header is None or writer_of(header) != row.writer):
        # Who removed the predecessor may have removed this commit file, and not its payload.
        folder.discard_payload(key, row.writer)
    if header is None:
        rows.drop([key])
    else:
        rows.put(row_of(folder, header, row))


def row_of(folder: Folder, header: Header, before: Row | None = None) -> Row:
    """Return the row of an entry that is there, with what is known of its uses."""
    writer = writer_of(header)
    same = before is not None and before.writer == writer
    return Row(
        header.key,
        writer,
        folder.bytes_of(header) or 1,
        0,
        header.made,
        header.seconds,
        header.made if before is None else before.used,
        1 if before is None else before.uses,
        before.boot if before is not None and same else "",
    )


def writer_of(header: Header) -> str:
    """Return who wrote the payload of an entry; nothing is known of who wrote one inside."""
    return header.payload.rstrip("/").partition(".")[2]


def settle(folder: Folder, rows: Rows, row: Row) -> None:
    """Remove the predecessor of an entry that its writer could not, or has died before."""
    if not is_written(folder, row) and folder.can_have(row.key):
        as_found(folder, rows, row.key, row)
