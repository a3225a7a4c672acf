"""What the demo says where nobody watches a screen: a plain line now and then."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from warmcache._sizes import format_size

from ._status import Status, evictions

_LINES = 10  # over the whole run


def say(text: str = "") -> None:
    """Write a line to standard output at once."""
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


@contextmanager
def plain_view() -> Iterator[Callable[[Status], None]]:
    """Give a function that writes a line when another tenth of the run is done."""
    said = 0

    def show(status: Status) -> None:
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
