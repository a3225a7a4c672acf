"""The library's log: ``logging`` is imported with the first line of it, for most have none."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import logging

DEBUG = 10  # logging.DEBUG
# Which levels are read: what the logger itself remembers, until a level is changed. What every load
# and insertion asks looks in here first, for a call takes a twentieth of an insertion.
known: dict[int, bool] = {}


def debugging(modules: dict[str, Any] = sys.modules) -> bool:
    """Whether anybody reads what is logged of each load and removal: where none logs, none does."""
    read = known.get(DEBUG)  # as isEnabledFor() does
    if read is None:
        return "logging" in modules and log().isEnabledFor(DEBUG)
    return read


def log() -> logging.Logger:
    """Return the logger of that name, ``warmcache``."""
    global known
    import logging

    logger = logging.getLogger("warmcache")
    usual = getattr(logger.isEnabledFor, "__func__", None) is logging.Logger.isEnabledFor
    known = getattr(logger, "_cache", {}) if usual else {}
    return logger
