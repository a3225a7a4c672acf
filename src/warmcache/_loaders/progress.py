"""A progress bar for long work, where there is a terminal, and rich to draw it."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from typing import TypeVar

T = TypeVar("T")


def track(items: Sequence[T], text: str) -> Iterable[T]:
    """Return ``items`` to iterate over, with a progress bar if anybody can see it."""
    if not sys.stderr.isatty():
        return items
    try:
        from rich.console import Console
        from rich.progress import track as rich_track
    except ImportError:
        return items
    return rich_track(items, text, console=Console(stderr=True), transient=True)
