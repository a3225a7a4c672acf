"""Who is told what happens in a cache."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import Protocol

from warmcache.errors import CapacityError

from .entry import Entry
from .flights import Flight
from .ledger import Claim
from .records import Removal


class Observer(Protocol):
    """Is told of uses, stores, removals, waits and refusals; decides nothing.

    Called by whoever does these things, and, but for :meth:`removed` and :meth:`closed`, maybe
    with the cache's lock held: it must be quick, must not raise, wait or ask the cache.
    """

    @property
    def hit(self) -> Callable[[Hashable], object] | None:
        """What generated hit paths call with the key of each hit; None: they need not.

        It has to be C code that takes no lock, or every hit pays for it.
        """

    def used(self, key: Hashable) -> None:
        """Note a use of a warm entry off the hit path. By its key, for it may leave meanwhile."""

    def stored(self, entry: Entry) -> None:
        """Note that ``entry`` was loaded for all who lease it, or was handed in."""

    def removed(self, removal: Removal) -> None:
        """Note that an entry has left and its room is free; not of one that was detached."""

    def waited(self, what: Claim | Flight) -> None:
        """Note that a caller waits: for room, or for another's load."""

    def refused(self, error: CapacityError) -> None:
        """Note that there is no room, and who is in the way."""

    def closed(self) -> None:
        """Note that the cache was closed: what is still leased leaves later."""
