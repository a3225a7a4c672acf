"""What an extra brings, and what to install where it is missing."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager


def how_to_install(extra: str) -> str:
    """Return the command that installs an extra, as shells take it."""
    return f'pip install "warmcache[{extra}]"'


@contextmanager
def brought_by(extra: str, *packages: str, what: str) -> Iterator[None]:
    """Have the import of one of ``packages`` that is not there say which extra brings it.

    What else is missing, for one of them cannot be imported itself, is raised as it is.
    """
    try:
        yield
    except ModuleNotFoundError as error:
        missing = (error.name or "").partition(".")[0]
        if missing not in packages:
            raise
        raise ModuleNotFoundError(
            f"{what} needs {missing}, which is not installed: {how_to_install(extra)}",
            name=error.name,
        ) from None
