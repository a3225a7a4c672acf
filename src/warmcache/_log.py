"""The library's log: ``logging`` is imported with the first line of it, for most have none."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import logging

_DEBUG = 10  # logging.DEBUG
_known: dict[int, bool] = {}  # the levels that are read: what the logger itself remembers


def debugging(modules: dict[str, Any] = sys.modules) -> bool:
    """Whether anybody reads what is logged of each load and removal: where none logs, none does."""
    known = _known.get(_DEBUG)  # as isEnabledFor() does; logging forgets it when a level is changed
    if known is None:
        return "logging" in modules and log().isEnabledFor(_DEBUG)
    return known


def log() -> logging.Logger:
    """Return the logger of that name, ``warmcache``."""
    global _known
    import logging

    logger = logging.getLogger("warmcache")
    usual = getattr(logger.isEnabledFor, "__func__", None) is logging.Logger.isEnabledFor
    _known = getattr(logger, "_cache", {}) if usual else {}
    return logger
