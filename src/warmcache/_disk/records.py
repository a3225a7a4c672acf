"""What the store on disk says of itself: entries, counts, sums, what a check has found."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

NOTHING: Mapping[str, Any] = MappingProxyType({})


class Header(NamedTuple):
    """What a commit file says of its entry.

    The writer gives what it knows of the call and the load; the store fills in ``key``, ``size``,
    ``crc``, ``checksum``, ``boot`` and ``payload``, and ``made`` where that is 0.
    """

    key: str = ""
    text: str = ""  # the call, for people
    loader: str = ""
    version: str = ""
    code: str = ""
    codec: str = ""
    size: int = 0  # bytes of the payload
    crc: int = 0  # the checksum of the payload
    made: float = 0.0  # when it was loaded, as time.time() has it
    seconds: float = 0.0  # that the load took
    tags: tuple[str, ...] = ()
    boot: str = ""  # of the machine, when it was written
    payload: str = ""  # a file's name, a folder's with a "/" behind; "" where it is inside
    signature: str = ""
    checksum: str = ""  # of which kind it is
    more: Mapping[str, Any] = NOTHING  # fields of later versions


class Stored(NamedTuple):
    """What was found under a key: its payload is in ``data``, or at ``path``."""

    header: Header
    data: bytes | None
    path: Path | None


class Listed(NamedTuple):
    """An entry that is there, and the bytes of all its files."""

    header: Header
    bytes: int


class Damaged(NamedTuple):
    """An entry that is not what was written."""

    key: str
    header: Header | None  # where the file says it
    why: str


class Counts(NamedTuple):
    """How often what has happened, in this process."""

    hits: int = 0
    misses: int = 0
    writes: int = 0
    damaged: int = 0  # files that were not what they should be, removed
    refused: int = 0  # links, and what is another user's
    expired: int = 0
    evicted: int = 0
    too_large: int = 0  # not written, for no room could be made
    joined: int = 0  # not written, for somebody else was writing the same


class Totals(NamedTuple):
    """What is there, by the index: entries, and the bytes of all their files."""

    entries: int
    bytes: int


class Report(NamedTuple):
    """What a check has found: entries that are good, and what it removed."""

    entries: int
    bytes: int
    damaged: int  # entries
    litter: int  # files and folders that were nobody's
