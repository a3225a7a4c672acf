"""The library's log: ``logging`` is imported with the first line of it, for most have none."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import logging


def log() -> logging.Logger:
    """Return the logger of that name, ``warmcache``."""
    import logging

    return logging.getLogger("warmcache")
