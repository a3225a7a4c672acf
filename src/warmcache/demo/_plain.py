"""What the demo says where nobody watches a screen: a plain line now and then."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

from warmcache._sizes import format_size

from ._status import Standing, Status, evictions

S = TypeVar("S", Status, Standing)
_LINES = 10  # over the whole run


def say(text: str = "") -> None:
    """Write a line to standard output at once."""
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


@contextmanager
def plain_view(line: Callable[[S], str]) -> Iterator[Callable[[S], None]]:
    """Give a function that writes a ``line`` when another tenth of the run is done."""
    said = 0

    def show(status: S) -> None:
        nonlocal said
        tenth = _LINES * status.done // status.options.requests
        if tenth > said:
            said = tenth
            say(line(status))

    yield show


def line(status: Status) -> str:
    """Return the status as one line."""
    warm = sum(entry.state == "live" for _, entry in status.entries)
    stats = status.stats
    return (
        f"{status.seconds:6.1f} s  {status.done} of {status.options.requests} requests  "
        f"{warm} of {len(status.specs)} warm  "
        f"{format_size(status.committed)} of {format_size(status.options.budget)}  "
        f"{stats.hits} hits  {stats.loads} loads  evicted: {evictions(stats)}"
    )


def line_of_workers(standing: Standing) -> str:
    """Return how the workers stand as one line."""
    parts = " + ".join(map(format_size, standing.parts))
    return (
        f"{standing.seconds:6.1f} s  {standing.way}: {standing.done} of "
        f"{standing.options.requests} requests  {parts} of {format_size(standing.options.budget)}"
    )
