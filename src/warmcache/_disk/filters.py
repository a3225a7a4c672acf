"""Which entries are meant: those of a loader, those that have a tag, those that are old."""

from __future__ import annotations

from typing import NamedTuple

from .records import Header


class Filter(NamedTuple):
    """What an entry must be to be meant; all of it. Without any wish, all are.

    Args:
        loader: the name of its loader.
        tags: what it has, all of them.
        older: seconds since its load, more than which have passed.
    """

    loader: str | None = None
    tags: tuple[str, ...] = ()
    older: float | None = None

    def takes(self, header: Header, now: float) -> bool:
        """Whether an entry is meant, at a time since the epoch."""
        return (
            self.loader in (None, header.loader)
            and all(tag in header.tags for tag in self.tags)
            and (self.older is None or header.made < now - self.older)
        )


ALL = Filter()
