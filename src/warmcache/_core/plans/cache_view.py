"""What plans and drivers need of a cache."""

from __future__ import annotations

import weakref
from collections.abc import Sequence
from typing import Any, Protocol

from warmcache._core.state.entry import Entry
from warmcache._core.state.store import Store
from warmcache._core.state.victim_order import Rank
from warmcache.errors import ClosedError

from .meter import Meter


class Ranking(Protocol):
    """What has a policy: the cache itself."""

    @property
    def name(self) -> str | None:
        """By what name users know it, if by any."""

    def rank(self, entry: Entry) -> Any:
        """Return the rank of ``entry``: of the idle entries, the lowest goes first."""


class CacheView:
    """A cache as plans and drivers see it: its store, its meter, its patience, its policy.

    One for each store, and so a new one in a forked child. It refers to the cache weakly, for
    leases and teardowns under way hold it, and would otherwise keep anybody from noticing that
    the cache itself is gone. What is left of a cache then is removed through its view.
    """

    __slots__ = ("__weakref__", "_cache", "meter", "store", "wait")

    def __init__(self, cache: Ranking, store: Store, meter: Meter | None, wait: float) -> None:
        self._cache = weakref.ref(cache)
        self.store = store
        self.meter = meter
        self.wait = wait

    @property
    def name(self) -> str:
        """What the cache is called in messages."""
        cache = self._cache()
        kind = "a cache that was collected" if cache is None else type(cache).__name__
        name = None if cache is None else cache.name
        return kind if name is None else f"{kind} {name!r}"

    @property
    def collected(self) -> bool:
        """Whether the cache itself is gone. What it has left is going."""
        return self._cache() is None

    def beside(self) -> Sequence[CacheView]:
        """Return the other open caches over the same device, in this process."""
        return () if self.meter is None else self.meter.beside(self.store)

    @property
    def rank(self) -> Rank:
        """The policy. Raises ClosedError when the cache was collected: what it has is to go."""
        cache = self._cache()
        if cache is None:
            raise ClosedError("the cache was garbage-collected")
        return cache.rank if self.store.order.renews else weightless_last(cache.rank)


class _Last:
    """The rank of what goes after everything else, whatever ranks are made of."""

    def __lt__(self, other: object) -> bool:
        return False

    def __gt__(self, other: object) -> bool:
        return True


_LAST = _Last()


def weightless_last(rank: Rank) -> Rank:
    """Return a ``rank`` that may divide by weight: what weighs nothing goes last.

    Who writes a policy need not know that a value of which nothing is seen on a device weighs 0.
    The ranks of our own that rise by themselves do not divide, and need no such call around them.
    """

    def ranked(entry: Entry) -> Any:
        try:
            return rank(entry)
        except ZeroDivisionError:
            if entry.weight:
                raise
            return _LAST

    return ranked
