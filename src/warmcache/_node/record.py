"""What one process tells the others of its node, and how that lies in a file.

A record has two halves of 2 KiB, written in turn; the newer of those whose checksum is right
counts. So a process that is killed as it writes leaves what it had said before. That is never too
little: bytes are written before they are taken, and taken back only after they are free.

It is read and written with ``pread`` and ``pwrite``, a copy of some hundred bytes. A mapping would
save a microsecond, and costs three things: a full disk, or a file cut short, ends the process
(SIGBUS) where a call returns an error; it keeps a descriptor of its own, and by that the lock, in a
forked child until it is unmapped too; and it can be seen half written.
"""

from __future__ import annotations

import os
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, NamedTuple

SIZE = 4096
QUOTES = 8  # the last one stands for all that are dearer, so that the sum is right
MOST = 2**63 - 1  # bytes; also what no limit is written as
_HALF = SIZE // 2
_WAITS = _PLEDGES = 32
_MAGIC = b"wcN1"  # another one where a record means something else
_HEAD = struct.Struct("<4sIQI")  # the magic, bytes of the body, how often written; their checksum
_BODY = struct.Struct("<11Q64s4B")
_QUOTE, _WAIT, _PLEDGE = struct.Struct("<Qd"), struct.Struct("<QQ?"), struct.Struct("<QQQ")


class Quote(NamedTuple):
    """Idle bytes and their price: load seconds saved a second, for each byte."""

    nbytes: int
    price: float


class Wait(NamedTuple):
    """Who waits: for how many bytes, and since when (nanoseconds of the node's clock).

    ``hopeful`` is one for whom the loads that are under way may land in time.
    """

    nbytes: int
    since: int
    hopeful: bool = False


class Pledge(NamedTuple):
    """What one process was asked for: a stretch of the bytes that it ever answers for.

    An owner counts the bytes that it has given, and those that it has refused. A second one to ask
    takes the stretch behind the first one's, so no byte is counted on twice; and each stretch is
    done with as the owner's count moves over it, though only its asker writes it.
    """

    owner: int
    start: int
    end: int

    def outstanding(self, answered: int) -> int:
        """Return the bytes that are still to come, by the owner's count."""
        return max(0, self.end - max(self.start, answered))


@dataclass(slots=True)
class Account:
    """What a process has and wants. Times are nanoseconds of ``time.monotonic``, the node's."""

    number: int = 0
    pid: int = 0
    budget: int = MOST
    floor: int = 0
    committed: int = 0
    in_flight: int = 0  # of these, granted to loads that have not ended
    answered: int = 0  # bytes that it has ever given or refused
    refused: int = 0  # of these, refused
    looked: int = 0  # when it last looked: who waits does so all the time
    said: int = 0  # when it last found out what is idle
    ended: int = 0  # when what a dead one has left is back at the latest
    gone: bool = False  # it has left and owes nothing, whoever still has its lock
    name: str = ""
    quotes: tuple[Quote, ...] = ()
    waits: tuple[Wait, ...] = ()  # the oldest first
    pledges: tuple[Pledge, ...] = ()
    readable: bool = field(default=True, compare=False)

    @property
    def given(self) -> int:
        """The bytes that it has ever given back."""
        return self.answered - self.refused

    def __str__(self) -> str:
        return f"{self.name!r} (process {self.pid})" if self.name else f"process {self.pid}"


def pack(account: Account, sequence: int) -> bytes:
    """Return an account as half a record."""
    a = account
    waits, pledges, quotes = a.waits[:_WAITS], a.pledges[:_PLEDGES], a.quotes[:QUOTES]
    numbers = (a.number, a.pid, a.budget, a.floor, a.committed, a.in_flight)
    times = (a.answered, a.refused, a.looked, a.said, a.ended)
    name = a.name.encode("utf-8", "replace")[:64]
    counts = (len(quotes), len(waits), len(pledges), a.gone)
    body = b"".join(
        (
            _BODY.pack(*numbers, *times, name, *counts),
            *(_QUOTE.pack(*quote) for quote in quotes),
            *(_WAIT.pack(*wait) for wait in waits),
            *(_PLEDGE.pack(*pledge) for pledge in pledges),
        )
    )
    return _HEAD.pack(_MAGIC, len(body), sequence, _checksum(body, sequence)) + body


def _checksum(body: bytes, sequence: int) -> int:
    return zlib.crc32(body, sequence & 0xFFFFFFFF)


def unpack(record: bytes) -> tuple[Account, int] | None:
    """Return the newer account of a record and its number of writing; None if it has none."""
    found = [half for at in (0, _HALF) if (half := _half(record[at : at + _HALF]))]
    if not found:
        return None
    sequence, body = max(found)
    try:
        return _account(body), sequence
    except struct.error:  # it means something else
        return None


def _half(half: bytes) -> tuple[int, bytes] | None:
    if len(half) < _HEAD.size:
        return None
    magic, length, sequence, checksum = _HEAD.unpack_from(half)
    body = half[_HEAD.size : _HEAD.size + length]
    right = magic == _MAGIC and len(body) == length and checksum == _checksum(body, sequence)
    return (sequence, body) if right else None


def _account(body: bytes) -> Account:
    *numbers, name, quotes, waits, pledges, gone = _BODY.unpack_from(body)
    account = Account(*numbers)
    account.name = name.rstrip(b"\0").decode("utf-8", "replace")
    account.gone = bool(gone)
    at = _BODY.size

    def take(form: struct.Struct, count: int) -> Iterator[tuple[Any, ...]]:
        nonlocal at
        taken = body[at : at + count * form.size]
        at += len(taken)
        return form.iter_unpack(taken)

    account.quotes = tuple(Quote(*each) for each in take(_QUOTE, quotes))
    account.waits = tuple(Wait(*each) for each in take(_WAIT, waits))
    account.pledges = tuple(Pledge(*each) for each in take(_PLEDGE, pledges))
    return account


class Record:
    """A record's file, open: one's own, or another's. Touched under the gate alone."""

    __slots__ = ("_data", "_sequence", "account", "descriptor")

    def __init__(self, descriptor: int) -> None:
        self.descriptor = descriptor
        self.account = Account(readable=False)
        self._data = b""
        self._sequence = 0

    def read(self) -> Account:
        """Return what it says now; what cannot be read says so, and is nothing that counts as 0."""
        data = os.pread(self.descriptor, SIZE, 0)
        if data != self._data:
            self._data = data
            found = unpack(data)
            if found is None:
                # Of its numbers none is known: whoever reads takes it for all that there is.
                self.account = Account(readable=False)
            else:
                self.account, self._sequence = found
        return self.account

    def write(self, account: Account) -> None:
        """Say ``account`` from now on."""
        self._sequence += 1
        half = pack(account, self._sequence)
        if os.pwrite(self.descriptor, half, self._sequence % 2 * _HALF) != len(half):
            raise OSError(
                "the record of a node's ledger was cut short"
            )  # which both halves survive
        self.account = account

    def fill(self) -> None:
        """Have the file as large as it will ever be, so that no later write wants room."""
        if os.pwrite(self.descriptor, bytes(SIZE), 0) != SIZE:
            raise OSError("the record was cut short")
