"""How a thing becomes bytes that any pickler can carry: cloudpickle makes them."""

from __future__ import annotations

from typing import Any

from warmcache._extras import brought_by


def packed(thing: Any) -> bytes:
    """Return ``thing`` as cloudpickle takes it: functions and their globals by value."""
    what = "to send by value what the other process cannot import"
    with brought_by("byvalue", "cloudpickle", what=what):
        import cloudpickle  # pyright: ignore[reportMissingImports]
    data: bytes = cloudpickle.dumps(thing)
    return data
