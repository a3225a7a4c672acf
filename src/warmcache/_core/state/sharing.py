"""What an entry is charged with of bytes that others have, too, and how its charge changes.

Who has which bytes is found by the side of memory, under a lock of its own that is taken inside of
a cache's and takes no other. Here is only the core's part: a :class:`Share` says what its entry is
to weigh, and :func:`charge_anew` has entry, ledger and order follow. That can be done again and
again, in any order and by any thread, for it goes by what the share says at that time. So a charge
moves from one cache to another with no two locks held: the heir's entry is charged before that of
who leaves is charged less. What both are charged with in between makes the room look smaller, never
larger.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from .entry import Entry
    from .flights import Flight
    from .store import Store


class Share(Protocol):
    """What one entry has of a memory, beside others."""

    @property
    def store(self) -> Store | None:
        """That of its entry; None once it is collected."""

    @property
    def weight(self) -> float | None:
        """What its entry is to weigh; None as long as it is charged with nothing."""

    def reweigh(self, weight: float) -> None:
        """Have its entry weigh ``weight`` from now on, which was weighed anew."""


def share_of(entry: Entry) -> Share | None:
    """Return what ``entry`` has beside others, if it was looked into."""
    return getattr(entry, "share", None)


def charge_anew(shares: Sequence[Share]) -> None:
    """Have the entries of ``shares`` weigh what they are to, the cache of the last one last.

    A lock is taken for each cache, and none of another may be held.
    """
    by_store: dict[Store, list[Share]] = {}
    for share in reversed(shares):
        store = share.store
        if store is not None:
            by_store.setdefault(store, []).append(share)
    for store, those in reversed(by_store.items()):
        with store.lock:
            for share in those:
                _charge_anew(store, share)


def restore(store: Store) -> None:
    """Have all entries weigh what their shares say, after an interrupt; the sums come later."""
    for entry, flight in _all(store):
        share = share_of(entry)
        if share is not None and share.weight is not None:
            entry.weight = share.weight
            if flight is not None:
                flight.weight = entry.weight


def _charge_anew(store: Store, share: Share) -> None:
    found = next((pair for pair in _all(store) if share_of(pair[0]) is share), None)
    weight = share.weight
    if found is None or weight is None or weight == found[0].weight:
        return
    entry, flight = found
    change, entry.weight = weight - entry.weight, weight
    ledger = store.ledger
    if flight is not None:
        flight.weight += change
        ledger.unreserve(-change)
        return
    ledger.recharge_entry(change, entry.state, idle=not entry.leases)
    if store.live.get(entry.key) is entry:
        store.order.reweighed(entry)


def _all(store: Store) -> Iterable[tuple[Entry, Flight | None]]:
    """Yield what exists, with the load that has brought it as long as that is under way."""
    for entry in store.alive():
        yield entry, None
    for flight in store.flights.values():
        if flight.loaded is not None:
            yield flight.loaded, flight
