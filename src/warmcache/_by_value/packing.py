"""How a thing becomes bytes that any pickler can carry: cloudpickle makes them."""

from __future__ import annotations

from typing import Any


def packed(thing: Any) -> bytes:
    """Return ``thing`` as cloudpickle takes it: functions and their globals by value."""
    try:
        import cloudpickle  # pyright: ignore[reportMissingImports]
    except ImportError as error:
        raise ImportError(
            "to ship a function by value takes cloudpickle: pip install cloudpickle; "
            "or define it in a module that the other process can import"
        ) from error
    data: bytes = cloudpickle.dumps(thing)
    return data
