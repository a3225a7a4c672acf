"""How a cache, and what a loader has in one, are shown to people: never by their values.

A cache is ``Any`` here, for it is what shows itself so.
"""

from __future__ import annotations

import math
from typing import Any

from warmcache._sizes import MIB, format_number, format_size, format_weight, two_digits
from warmcache._tables import as_html
from warmcache._texts import short_text_of

_ROWS = 100  # of a table that somebody reads
_HEAD = ("call", "state", "weight", "uses", "idle, s", "load, s", "leases")


def filled(cache: Any, warm: int, weight: float) -> str:
    """Return how much is warm, of what limit: ``3 warm, 86.7 MiB of 1.0 GiB``."""
    limit = cache.maxsize
    if cache._store.closed:
        return "closed"
    if cache._unit_weight and weight == warm:  # else loaders say what their values weigh
        return f"{warm:,} warm" + (f" of {format_number(limit)}" if limit < math.inf else "")
    weights = format_weight if MIB <= limit < math.inf or weight >= MIB else format_number
    size = format_size if cache._of_memory else weights
    return f"{warm:,} warm, {size(weight)}" + (f" of {size(limit)}" if limit < math.inf else "")


def as_text(cache: Any) -> str:
    """Return the ``repr`` of a cache."""
    warm, weight = len(cache._live), cache._store.ledger.live  # no lock: it is shown anywhere
    name = "" if cache._name is None else f"{cache._name!r}, "
    return f"{type(cache).__name__}({name}{filled(cache, warm, weight)})"


def as_table(cache: Any) -> str:
    """Return a table of a cache's entries as HTML; it says which of them came from disk, if any."""
    size = format_size if cache._of_memory else format_weight
    entries = cache.entries()
    with_source = any(entry.source == "disk" for entry in entries)
    head = (*_HEAD, "source") if with_source else _HEAD
    rows = [
        (
            short_text_of(entry.key),
            entry.state,
            size(entry.weight),
            f"{entry.uses:,}",
            two_digits(max(entry.idle, 0)),
            two_digits(max(entry.load_seconds, 0)),
            f"{entry.leases:,}",
            *([entry.source or ""] if with_source else []),
        )
        for entry in entries[:_ROWS]
    ]
    more = [f"and {len(entries) - _ROWS:,} more"] if len(entries) > _ROWS else []
    return as_html(repr(cache), *([[head, *rows]] if rows else []), *more)
