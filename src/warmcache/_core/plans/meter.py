"""What a cache of real memory asks, besides counting."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

from warmcache._core.state.entry import Entry
from warmcache._core.state.flights import Flight
from warmcache._core.state.growth import Growth
from warmcache._core.state.ledger import Claim
from warmcache._core.state.remains import Remains
from warmcache._core.state.sharing import Share
from warmcache._core.state.store import Store

from .steps import Request


class Host(Protocol):
    """What moves the bytes of values to the host and back. Called without the cache's lock."""

    @property
    def held(self) -> float:
        """Bytes of the tier that no parked value has, and that cannot be used again yet."""
        ...

    def is_short(self, entry: Entry) -> bool:
        """Whether the machine has too little memory left for it, beside what it should keep."""
        ...

    def close(self) -> None:
        """Keep no memory for values to come."""

    def copy_out(self, entry: Entry, remains: Remains, /) -> Any:
        """Copy the bytes of ``entry``; return what brings them back. What it raises: they stay.

        ``remains`` watches them. None: they stay, for somebody has removed it meanwhile.
        """

    def copy_back(self, entry: Entry) -> float | None:
        """Bring them back; return the seconds that took. None: others have done so."""
        ...

    def is_news(self, what: str, entry: Entry) -> bool:
        """Whether nobody was told before ``what`` happens to values of that loader."""
        ...


class Meter(Protocol):
    """How a cache knows what values weigh, and whether their memory came back.

    Called without the cache's lock, by whoever loads or removes, and by the janitor.
    """

    floor: float  # of what this cache has warm, other caches never ask for so much,
    residency: float  # and not for what was loaded less than so many seconds ago,
    min_residency: float  # which under pressure are at least these

    @property
    def host(self) -> Host | None:
        """Where values go instead of away, if there is such a tier."""
        ...

    def look(self, store: Store) -> None:
        """Bring what ``store`` knows of the device up to date."""

    def beside(self, store: Store) -> Sequence[Any]:
        """Return the views of the other open caches of this process over the same device."""
        ...

    @property
    def shared(self) -> bool:
        """Whether other processes have to grant what is loaded."""
        ...

    def agree(self, cache: Any, flight: Flight, wait: float) -> str | None:
        """Have other processes grant what ``flight`` has reserved; return why they do not.

        ``cache`` is the view of the one that loads.
        """
        ...

    def true_up(self) -> float:
        """Tell other processes what is in use now; return the bytes that they do not grant."""
        ...

    def give_back_to_node(self) -> None:
        """Have other processes get what was granted and is not in use."""

    def landed(self, flight: Flight) -> None:
        """Note that the load has ended for which others had granted something."""

    def is_outdated(self, store: Store) -> bool:
        """Whether other caches have promised, freed or condemned something since :meth:`look`."""
        ...

    def may_grant(self, store: Store) -> bool:
        """Whether nobody was promised room on the device since :meth:`look`; now somebody is.

        Called with the lock of ``store`` held; it takes that of no other.
        """
        ...

    def promise(self) -> None:
        """Have others look again before they grant: a claim is owed room on the device."""

    def claim(self, store: Store, request: Request) -> Claim:
        """Return the room that a load should have before it starts."""
        ...

    def begin(self, store: Store, flight: Flight) -> Growth:
        """Return what :meth:`weigh` has to know of the time before a load.

        Until the flight ends it is that flight's ``growth``, too, so that other loads and
        teardowns can note there what they give and take.
        """
        ...

    def weigh(
        self, store: Store, request: Request, flight: Flight, entry: Entry, growth: Growth
    ) -> float:
        """Return what a loaded value weighs."""
        ...

    def charge(self, entry: Entry, weight: float) -> float:
        """Return what to charge for ``entry``, of which others may have a part; note that it is.

        It was weighed at ``weight`` before, and others may have come and gone since. Called with
        the lock of its cache held; it takes that of no other.
        """
        ...

    def give_up(self, entry: Entry) -> Sequence[Share]:
        """Have ``entry``, which is given away, share nothing; return what is to be charged anew.

        That is what others had as well, first theirs, then its own: see :func:`charge_anew`. It
        may be said again.
        """
        ...

    def came_back(self, store: Store, flight: Flight, entry: Entry, /) -> None:
        """Look into a value whose bytes are on the device again, before it is charged for them."""

    def lacked(self, error: BaseException) -> float | None:
        """Return the bytes that a load lacked, 0 if nobody knows; None: it failed otherwise.

        Infinity is more than the device has at all.
        """
        ...

    def remains(self, entry: Entry) -> Remains:
        """Return what to watch of a value that is about to be torn down."""
        ...

    def linger(self, store: Store, /) -> None:
        """Have :meth:`look` called soon and again, for something has not come back."""
