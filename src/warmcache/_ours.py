"""What is this package's own, by the name of its module."""

from __future__ import annotations

_PACKAGE = __name__.partition(".")[0]
_OF_USERS = {"demo", "testing"}  # what these define is loaded and called as users' own is


def is_ours(module: object) -> bool:
    """Whether what is of this ``module`` is ours, and does not stand for users' code."""
    package, _, path = module.partition(".") if isinstance(module, str) else ("", "", "")
    return package == _PACKAGE and path.partition(".")[0] not in _OF_USERS
