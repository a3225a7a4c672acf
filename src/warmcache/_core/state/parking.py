"""The way of an entry to the host tier and back, each step of it with the store's lock held.

On its way there it is DYING: it is out of sight, its room stays charged, and a load of its key
waits. It is PARKED once its bytes are copied and its room on the device is free; and LIVE again
once a load has had its bytes back, into room that it had reserved. So a key is never in two
places, and never in none. Whoever removes it on its way there says so (``entry.parks``), and who is
copying it sees that it is torn down.
"""

from __future__ import annotations

from typing import Any

from .entry import Entry, State
from .flights import Flight
from .host_ledger import HostLedger
from .landing import end_flight
from .parked_bytes import ParkedBytes
from .records import RemovalCause
from .sharing import share_of
from .store import Store
from .use_clock import tick


def make_host_room(store: Store, entry: Entry, text: str, held: float) -> list[Entry] | None:
    """Take room in the host tier for a dying ``entry``, if it pays to park it.

    Returns what is condemned for it, and to be torn down first. None: it is to be torn down
    itself. The ``text`` is its key's. What is ``held`` are bytes of the tier that nothing has any
    more which is parked, and that cannot be used again yet.
    """
    host = store.host
    if host is None or store.closed or not entry.parks or entry.parked is not None:
        return None
    if entry.key in host.entries:  # which comes back, and would replace it
        return None
    parked = host.expected(entry, text)
    if not host.pays(parked):
        host.not_worth += 1
        return None
    gone = _made_up(store, host, entry, parked, parked.nbytes + held)
    if gone is None:
        return None
    host.begin(entry, parked)
    return [each for each in gone if store.condemn(each, RemovalCause.SIZE)]


def come_to_host(store: Store, entry: Entry, handle: Any) -> list[Entry] | None:
    """Note that the bytes of ``entry`` are copied; return what is to go if they are too many.

    None: that is ``entry``, or somebody has removed it meanwhile.
    """
    host = store.host
    assert host is not None
    host.came(entry, handle)
    gone = None
    if entry.parks and entry.parked is not None:
        gone = _made_up(store, host, entry, entry.parked, 0)
    if gone is None:
        entry.parks = False
        return None
    return [each for each in gone if store.condemn(each, RemovalCause.SIZE)]


def _made_up(
    store: Store, host: HostLedger, entry: Entry, parked: ParkedBytes, more: float
) -> list[Entry] | None:
    """Return what is to go for the bytes of ``entry``, so many ``more`` than are counted as used.

    What goes already is not asked for again. None: they do not fit, or what would go saves more.
    """
    going = [each for dying in store.dying.values() for each in dying if not each.parks]
    freed = sum(each.parked.nbytes for each in going if each.parked is not None)
    short = host.used - freed + more - host.budget
    if short <= 0:
        return []
    fits = parked.nbytes <= host.budget
    gone = host.cheapest(short, entry, parked, {*store.flights}) if fits else None
    if gone is None:
        host.full += 1
    return gone


def find_too_large(store: Store, entry: Entry, nbytes: float) -> None:
    """Note that the bytes of ``entry`` take ``nbytes``, which are not free: it is torn down."""
    assert store.host is not None
    assert entry.parked is not None
    entry.parked.cost.nbytes = nbytes
    store.host.full += 1
    forget(store.host, entry)


def stay(store: Store, entry: Entry, what: str) -> None:
    """Note that ``entry`` could not be parked, for ``what``: it is to be torn down."""
    assert store.host is not None
    store.host.failures[what] += 1
    forget(store.host, entry)


def forget(host: HostLedger, entry: Entry) -> None:
    """Have ``entry`` be torn down, and no room taken for it: its bytes have not come."""
    host.went(entry)
    entry.parks, entry.parked = False, None


def settle_on_host(store: Store, entry: Entry) -> None:
    """Have a dying ``entry`` be parked: its bytes are copied, and its room here is free."""
    parked, host = entry.parked, store.host
    assert parked is not None
    assert host is not None
    host.parks += 1
    host.entries[entry.key] = entry
    entry.state = State.PARKED
    store.leave_the_dying(entry)
    parked.shared = share_of(entry) is not None
    entry.remains = entry.share = None
    parked.moved = True
    store.ledger.free_dying(entry.weight)


def come_live(store: Store, entry: Entry, flight: Flight) -> None:
    """Make what was parked live again, leased to all who wait for it, and end its flight."""
    assert store.host is not None
    store.host.unparks += 1
    store.host.went(entry)
    entry.parked, entry.state = None, State.LIVE
    entry.leases = tuple(flight.joined)
    entry.base_uses += len(entry.leases)
    entry.loaded = entry.used = entry.placed = tick()
    store.order.sweep()  # or a record that it had would count again
    store.publish(entry)
    flight.entry, flight.weight = entry, 0
    end_flight(store, flight)
