"""Removing an entry, files and row, inside a transaction: the one that is there, or the one seen.

Who lists entries, or finds one too old or damaged, removes it later; by then another process may
have loaded it anew. So what is removed for what it was is looked at again.
"""

from __future__ import annotations

from collections.abc import Mapping

from .folder import Folder
from .litter import is_written
from .records import Header
from .rows import Rows

Seen = Mapping[str, Header | None]  # by key, what its commit file said; None: nothing good
WHATEVER = Header()  # seen, if it does not matter what is there


def remove(folder: Folder, rows: Rows, key: str, seen: Header | None) -> bool:
    """Remove an entry, unless it is another than was seen; return whether it was not."""
    if seen is not WHATEVER and folder.header(key) != seen:
        return False
    row = rows.find(key)
    written = row is not None and is_written(folder, row)
    folder.discard_entry(key, "" if row is None or written else row.writer)
    if row is not None and row.old:  # its writer has died, or is about to remove it
        folder.discard_payloads(key, f"{key}.{row.writer}" if written else "")
    if row is not None and written:
        rows.put(row._replace(old=0))
    else:
        rows.drop([key])
    return True
