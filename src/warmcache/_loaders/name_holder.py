"""What a loader knows of the name that it may share with others."""

from __future__ import annotations

from typing import Protocol

from warmcache._core.plans.cache_view import CacheView
from warmcache._core.state.entry import Source


class Replaced(Protocol):
    """A loader whose name another has taken over."""

    def warm(self) -> list[tuple[CacheView, Source]]:
        """Return in which caches there may be something of it, and as whose."""
        ...


class NameHolder(Protocol):
    """What holds a name for a loader that shares it with others.

    A loader asks it at each miss that it is not ``in_peace``: somebody else has the name, or there
    is something left of who had it. What there is warm of a loader whose name another takes over,
    is torn down before that one loads.
    """

    in_peace: bool

    def take_over_name(self) -> tuple[Replaced, ...]:
        """Have the name; return whose it was, as long as not all of theirs is torn down."""
        ...

    def torn_down(self, replaced: tuple[Replaced, ...]) -> None:
        """Note that what there was of these is torn down."""
        ...

    def has_name(self) -> bool:
        """Whether no other has taken it over."""
        ...

    def inherit(self) -> None:
        """Have what is warm of the predecessor, if that means the same."""
        ...
