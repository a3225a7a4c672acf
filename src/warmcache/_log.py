"""The library's log: ``logging`` is imported with the first line of it, for most have none."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import logging

_DEBUG = 10  # logging.DEBUG
_logger: logging.Logger | None = None


def debugging(modules: dict[str, Any] = sys.modules) -> bool:
    """Whether anybody reads what is logged of each load and removal: where none logs, none does."""
    return "logging" in modules and (_logger or log()).isEnabledFor(_DEBUG)


def log() -> logging.Logger:
    """Return the logger of that name, ``warmcache``."""
    global _logger
    import logging

    _logger = logging.getLogger("warmcache")
    return _logger
