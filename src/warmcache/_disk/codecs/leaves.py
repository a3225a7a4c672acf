"""Types whose values have no parts: how each is written in JSON, by a tag, and read.

Reading a tag calls what stands here, and nothing else: a file names no class, and nothing is
imported for it. So members of an Enum and dataclasses are not among these, though they could be
written: only their class can make them again, and the one way to find that in another process is
a name that the file says. A ``ZoneInfo`` is not either: what it means is another file's business,
and looking for it imports a package that its name says.
"""

from __future__ import annotations

import base64
from collections.abc import Callable
from datetime import date, datetime, time, timedelta, timezone
from decimal import Decimal
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Any
from uuid import UUID, SafeUUID

Leaf = tuple[str, Callable[[Any], Any], Callable[[Any], Any]]


class Foreign(Exception):  # noqa: N818  # no error, but an answer
    """A value has a part of a type that cannot be kept."""


def _zone(zone: object) -> list[Any] | None:
    if zone is None:
        return None
    if type(zone) is not timezone:
        raise Foreign(f"{type(zone).__module__}.{type(zone).__qualname__}")
    delta, *name = zone.__getinitargs__()  # type: ignore[attr-defined]  # only this tells a name from none
    return [*_delta(delta), *name]


def _zone_of(parts: list[Any] | None) -> timezone | None:
    return parts and timezone(timedelta(*parts[:3]), *parts[3:])  # type: ignore[return-value]


def _delta(it: timedelta) -> list[int]:
    return [it.days, it.seconds, it.microseconds]


def _clock(it: datetime | time) -> list[Any]:
    return [it.hour, it.minute, it.second, it.microsecond, it.fold, _zone(it.tzinfo)]


def _clock_of(hour: int, minute: int, second: int, micro: int, fold: int, zone: Any) -> Any:
    return time(hour, minute, second, micro, _zone_of(zone), fold=fold)


def _datetime_of(year: int, month: int, day: int, *clock: Any) -> datetime:
    return datetime.combine(date(year, month, day), _clock_of(*clock))


def _bytes(it: bytes | bytearray) -> str:
    return base64.b64encode(it).decode()


def _bytes_of(text: str) -> bytes:
    return base64.b64decode(text, validate=True)


def _range_of(parts: list[str]) -> range:
    return range(*(int(each, 16) for each in parts))


def _uuid_of(parts: list[Any]) -> UUID:
    return UUID(parts[0], is_safe=SafeUUID(parts[1]))


# By the exact type: the tag, what stands in JSON, and what makes the value of that.
LEAVES: dict[type, Leaf] = {
    int: ("int", hex, lambda text: int(text, 16)),  # large ones: decimals would take for ever
    bytes: ("bytes", _bytes, _bytes_of),
    complex: ("complex", lambda it: [it.real, it.imag], lambda parts: complex(*parts)),
    range: ("range", lambda it: [*map(hex, (it.start, it.stop, it.step))], _range_of),
    Decimal: ("Decimal", str, Decimal),
    UUID: ("UUID", lambda it: [it.hex, it.is_safe.value], _uuid_of),
    timedelta: ("timedelta", _delta, lambda parts: timedelta(*parts)),
    timezone: ("timezone", _zone, _zone_of),
    time: ("time", _clock, lambda parts: _clock_of(*parts)),
    date: ("date", lambda it: [it.year, it.month, it.day], lambda parts: date(*parts)),
    datetime: (
        "datetime",
        lambda it: [it.year, it.month, it.day, *_clock(it)],
        lambda parts: _datetime_of(*parts),
    ),
    type(Path()): ("Path", str, Path),
    PurePosixPath: ("PurePosixPath", str, PurePosixPath),
    PureWindowsPath: ("PureWindowsPath", str, PureWindowsPath),
}
