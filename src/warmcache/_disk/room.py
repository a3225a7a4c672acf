"""Whether something may be written, and what goes for it: decided in one transaction.

What is granted is written into the index as it is granted, so the sum of what is there and what is
being written is never over a limit, however many processes write. Files of victims go inside the
transaction, before their rows: whoever is granted their room finds it on the disk.

Nothing goes for what cannot have room in the end. What is being written is no victim. A predecessor
of what is written stays until that is there, unless there is no room for both.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import NamedTuple

from warmcache._sizes import format_size

from .folder import Folder
from .litter import clear, is_written, settle
from .rows import Row, Rows


class Limits(NamedTuple):
    """What a store may take: bytes of files, entries; and what it leaves on the file system."""

    maxsize: float = math.inf
    maxitems: float = math.inf
    min_free: float = 0
    ttl: float = math.inf
    policy: str = "cost"

    def some(self) -> bool:
        """Whether there is any that asks for room."""
        return bool(self.min_free) or min(self.maxsize, self.maxitems) < math.inf

    def __str__(self) -> str:
        said = []
        if self.maxsize < math.inf:
            said.append(f"maxsize={format_size(self.maxsize)}")
        if self.maxitems < math.inf:
            said.append(f"maxitems={self.maxitems:,.0f}")
        if self.min_free:
            said.append(f"min_free={format_size(self.min_free)}")
        return ", ".join(said)

    def needs(self) -> list[str]:
        """Return what is asked of the index at each write: in what order who goes, and sums."""
        if not self.some():
            return []
        return [self.policy, "sums", *(["ttl"] if self.ttl < math.inf else [])]


class Reserved(NamedTuple):
    """What was decided of a wish to write."""

    granted: bool
    replaces: bool = False  # there is something under the key, until the commit
    predecessor: str = ""  # who wrote that, where it is known
    victims: tuple[Row, ...] = ()
    joined: bool = False  # not granted, for somebody else is writing the same


class _Lack(NamedTuple):
    bytes: float
    entries: float
    free: float  # bytes of the file system

    def some(self) -> bool:
        return self.bytes > 0 or self.entries > 0 or self.free > 0

    def without(self, row: Row) -> _Lack:
        total = row.bytes + row.old
        return _Lack(self.bytes - total, self.entries - 1, self.free - total)


def reserve(rows: Rows, folder: Folder, limits: Limits, wish: Row) -> Reserved:
    """Decide whether ``wish`` may be written, make room for it, and note it.

    A second wish of the same writer for the same key corrects the first.
    """
    if not limits.some() and rows.add(wish):
        return Reserved(True)
    previous = rows.find(wish.key)
    if previous is not None and previous.writer != wish.writer and is_written(folder, previous):
        clear(folder, rows, previous.key)  # unless its writer lives
        previous = rows.find(wish.key)
        if previous is not None and is_written(folder, previous):
            return Reserved(False, joined=True)
    if previous is not None and previous.writer != wish.writer and previous.old:
        settle(folder, rows, previous)
        previous = rows.find(wish.key)
    if wish.bytes > limits.maxsize or limits.maxitems < 1:
        return Reserved(False)
    victims: tuple[Row, ...] = ()
    if limits.some() and _lack(rows, folder, limits, wish, previous).some():
        clear(folder, rows)
        previous = rows.find(wish.key)
        found = _victims(rows, folder, limits, wish, previous)
        if found is None:
            return Reserved(False)
        victims = found
        for victim in victims:
            folder.discard_entry(victim.key, victim.writer)
            if victim.old or victim.key == wish.key:
                folder.discard_payloads(victim.key, f"{victim.key}.{wish.writer}")
        rows.drop(victim.key for victim in victims if victim.key != wish.key)
    old = 0 if any(victim.key == wish.key for victim in victims) else _old(wish, previous)
    uses = 1 if previous is None else previous.uses
    rows.put(wish._replace(old=old, uses=uses))
    predecessor = previous.writer if previous is not None and old else ""
    return Reserved(True, old > 0, predecessor, victims)


def _old(wish: Row, previous: Row | None) -> int:
    """Return the bytes of what is there under the key, beside what is being written."""
    if previous is None:
        return 0
    return previous.old + (0 if previous.writer == wish.writer else previous.bytes)


def _lack(rows: Rows, folder: Folder, limits: Limits, wish: Row, previous: Row | None) -> _Lack:
    entries, nbytes = rows.sums()
    corrected = previous is not None and previous.writer == wish.writer
    nbytes += wish.bytes - (previous.bytes if corrected and previous is not None else 0)
    free = 0.0
    if limits.min_free:
        free = limits.min_free + (0 if corrected else wish.bytes) - folder.free()
    return _Lack(nbytes - limits.maxsize, entries + (previous is None) - limits.maxitems, free)


def _victims(
    rows: Rows, folder: Folder, limits: Limits, wish: Row, previous: Row | None
) -> tuple[Row, ...] | None:
    """Return who has to go, None if that would not do."""
    lack = _lack(rows, folder, limits, wish, previous)
    victims: list[Row] = []
    old = _old(wish, previous)
    if old and (lack.bytes > 0 or lack.free > 0):
        own = wish._replace(bytes=old, old=0, writer="")
        victims.append(own)
        lack = lack.without(own)._replace(entries=lack.entries)
    for row in _in_order(rows, limits, wish.used):
        if not lack.some():
            break
        if row.key != wish.key and not is_written(folder, row):
            victims.append(row)
            lack = lack.without(row)
    return None if lack.some() else tuple(victims)


def _in_order(rows: Rows, limits: Limits, now: float) -> Iterator[Row]:
    """Yield the rows, the next to go first: what has expired, and then as the policy says."""
    expired = set()
    if limits.ttl < math.inf:
        for row in rows.made_before(now - limits.ttl):
            expired.add(row.key)
            yield row
    for row in rows.in_order(limits.policy):
        if row.key not in expired:
            yield row
