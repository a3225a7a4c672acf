"""Traces of requests: what was asked for when, how large it is, what a load of it takes.

A trace is a CSV file, gzipped where its name ends in ``.gz``, with the columns ``t_s``
(seconds) and ``key``, and ``size_bytes`` and ``load_s`` (seconds) either beside them
or, once for each key, in ``NAME_objects.csv`` next to it. Further columns may follow.
"""

from __future__ import annotations

import csv
import gzip
import math
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import IO

from warmcache._observe.recording import COLUMNS
from warmcache._sizes import format_size
from warmcache.errors import WarmcacheError

_MOST = 2**80  # bytes or seconds


class TraceError(WarmcacheError, ValueError):
    """A file is no trace; the message says where and why, in one line."""


@dataclass(frozen=True)
class Trace:
    """Requests in time order, and per key its size and its load in seconds.

    Sizes are bytes, or each is 1: see ``counts``.
    """

    name: str
    times: list[float]
    keys: list[str]
    sizes: dict[str, float]
    seconds: dict[str, float]

    @cached_property
    def footprint(self) -> float:
        """The sizes of all keys together."""
        return sum(self.sizes.values())

    @cached_property
    def counts(self) -> bool:
        """Whether it is of a cache that counts entries: each weighs one."""
        return all(size == 1 for size in self.sizes.values())

    def in_words(self, weight: float) -> str:
        """Return a weight for people, so that it may be typed, too."""
        return f"{weight:,.0f}" if self.counts else format_size(weight)

    def __len__(self) -> int:
        return len(self.keys)


def read_trace(path: str | Path) -> Trace:
    """Return the trace in ``path``.

    Where rows of one key differ, its size is the largest and its load the mean of
    them; a row may leave both blank.

    Raises:
        TraceError: it is not there, or not a trace.
    """
    path = Path(path)
    objects = _objects_beside(path)
    known = _Objects()
    requests: list[tuple[float, str]] = []
    with _rows(path, COLUMNS[:2] if objects else COLUMNS) as rows:
        for where, row in rows:
            requests.append((_number(row, "t_s", where), row["key"]))
            if not objects:
                known.learn(row, where)
    if not requests:
        raise TraceError(f"{path}: there are no requests in it")
    if objects:
        with _rows(objects, COLUMNS[1:]) as rows:
            for where, row in rows:
                if row["key"] in known.sizes:
                    raise TraceError(f"{where}: key {row['key']!r} is there a second time")
                known.learn(row, where)
    requests.sort(key=lambda request: request[0])  # stable, and most often in order already
    times, keys = [time for time, _ in requests], [key for _, key in requests]
    sizes: dict[str, float] = {}
    seconds: dict[str, float] = {}
    for key in dict.fromkeys(keys):
        if key not in known.sizes:
            raise TraceError(f"{objects or path}: nothing says the size of key {key!r}")
        sizes[key] = known.sizes[key]
        seconds[key] = known.mean_seconds(key)
    return Trace(_name(path), times, keys, sizes, seconds)


class _Objects:
    """What rows say of their keys."""

    def __init__(self) -> None:
        self.sizes: dict[str, float] = {}
        self._seconds: dict[str, tuple[float, int]] = {}

    def learn(self, row: dict[str, str], where: str) -> None:
        if not row["size_bytes"] and not row["load_s"]:
            return
        key, size = row["key"], _number(row, "size_bytes", where, least=0)
        self.sizes[key] = max(size, self.sizes.get(key, 0))
        total, count = self._seconds.get(key, (0.0, 0))
        self._seconds[key] = total + _number(row, "load_s", where, least=0), count + 1

    def mean_seconds(self, key: str) -> float:
        total, count = self._seconds[key]
        return total / count


def _name(path: Path) -> str:
    return path.name.removesuffix(".gz").removesuffix(".csv")


def _objects_beside(path: Path) -> Path | None:
    for suffix in ("_objects.csv", "_objects.csv.gz"):
        beside = path.with_name(_name(path) + suffix)
        if beside.is_file() and beside != path:
            return beside
    return None


@contextmanager
def _rows(path: Path, columns: tuple[str, ...]) -> Iterator[Iterator[tuple[str, dict[str, str]]]]:
    """Open a CSV file; yield ``(where, row)`` of those columns, once known to be there."""
    try:
        with _opened(path) as file:
            reader = csv.reader(file, strict=True)
            head = [name.strip() for name in next(reader, [])]
            missing = [name for name in columns if name not in head]
            if missing:
                raise TraceError(_lacks(path, missing, head))
            yield _picked(path, reader, {name: head.index(name) for name in columns})
    except TraceError:
        raise
    except OSError as error:
        raise TraceError(f"{path}: {error.strerror or error}") from None
    except (UnicodeDecodeError, csv.Error, EOFError, zlib.error) as error:
        raise TraceError(f"{path}: not a CSV file: {error}") from None


def _lacks(path: Path, missing: list[str], head: list[str]) -> str:
    what = f"column{'s' if len(missing) > 1 else ''} {', '.join(missing)}"
    there = ", ".join(head)[:200] or "nothing"
    beside = ""
    if not {"t_s", "key"} & {*missing}:
        beside = f", and there is no {_name(path)}_objects.csv beside it"
    return f"{path}: {what} missing (there is: {there}){beside}"


def _picked(
    path: Path, reader: Iterator[list[str]], places: dict[str, int]
) -> Iterator[tuple[str, dict[str, str]]]:
    width = max(places.values()) + 1
    for number, row in enumerate(reader, 2):
        if not row:
            continue
        where = f"{path}, row {number}"
        if len(row) < width:
            raise TraceError(f"{where}: {len(row)} fields where {width} are needed")
        yield where, {name: row[place] for name, place in places.items()}


def _opened(path: Path) -> IO[str]:
    if path.suffix == ".gz":
        return gzip.open(path, "rt", encoding="utf-8-sig", newline="")
    return path.open(encoding="utf-8-sig", newline="")


def _number(row: dict[str, str], column: str, where: str, least: float = -math.inf) -> float:
    text = row[column]
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not math.isfinite(number):
        raise TraceError(f"{where}: {column} is {text!r}, not a number")
    if abs(number) > _MOST:
        raise TraceError(f"{where}: {column} is {text}, which is too large to add up")
    if number < least:
        raise TraceError(f"{where}: {column} is {text}, and must not be negative")
    return number
