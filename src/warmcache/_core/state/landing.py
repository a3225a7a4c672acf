"""The end of a load: its value is published or turned away, its room given back, who waits woken.

Until then it may hold what was retired of its key, so that none is torn down beside its loader.
Every function wants the store's lock held.
"""

from __future__ import annotations

import time

from .entry import Entry, LeaseRecord, LoadLease, State
from .flights import BatchFlight, Flight
from .records import RemovalCause
from .store import Store


def land(store: Store, entry: Entry, flight: Flight, done: LeaseRecord | None = None) -> None:
    """Make a loaded entry visible, leased to all who wait for it, and end its flight.

    Who is ``done`` has the value already, and needs no lease.
    """
    joined, counts = flight.joined, store.counts
    if done is None or len(joined) > 1:
        entry.leases = tuple([record for record in joined if record is not done])
        entry.base_uses = len(joined)
    counts.loads += 1
    counts.load_seconds += entry.provenance.seconds if flight.paid is None else flight.paid
    store.publish(entry)
    flight.entry, flight.weight = entry, 0
    end_flight(store, flight)


def turned_away(store: Store, entry: Entry, flight: Flight, cause: RemovalCause) -> list[Entry]:
    """Return what was loaded, to be torn down, unless an interrupt came when it was published."""
    if store.live.get(entry.key) is entry:
        flight.entry, flight.weight = entry, 0
        return []
    entry.weight, flight.weight = flight.weight, 0
    store.turn_away(entry, cause)
    return [entry]


def end_flight(store: Store, flight: Flight) -> None:
    """Have a load be over, whatever became of it: give its room back, wake who waits for it."""
    if flight.weight:
        store.ledger.unreserve(flight.weight)
        flight.weight = 0
    if flight.done is not None:
        flight.done.happen()
    if store.flights.get(flight.key) is flight:
        del store.flights[flight.key]
    flight.ended = True


def end_in_vain(store: Store, flight: Flight) -> list[Entry]:
    """End a load that has failed; return what it would have had back and somebody has removed."""
    end_flight(store, flight)
    entry = flight.returned
    if entry is None or entry.state is not State.PARKED or entry.parked is None:
        return []
    cause = entry.parked.condemned
    return [entry] if cause is not None and store.condemn(entry, cause) else []


def end_batch(store: Store, flight: BatchFlight) -> None:
    """Have a load of several be over and stored, as far as it is, and wake who waits for it."""
    flight.end()
    flight.stored.happen()
    for key in flight.keys:  # after that, or an interrupt would leave who waits to nobody
        if store.batches.get(key) is flight:
            del store.batches[key]


# -- what is retired of its key ------------------------------------------------------------------


def lease_retired(store: Store, flight: Flight) -> None:
    """Have what is retired of a load's key outlive its loader, whoever ends the last lease."""
    retired = [
        entry for entry in store.leased if entry.state is State.RETIRED and entry.key == flight.key
    ]
    if retired:
        flight.lease = flight.lease or LoadLease(time.monotonic())
        for entry in retired:
            if flight.lease not in entry.leases:
                store.lease(entry, flight.lease)


def end_lease_of(store: Store, flight: Flight) -> list[Entry]:
    """Return what must be torn down, as only a load's hold on it was left."""
    if flight.lease is None:
        return []
    flight.lease.over = True
    doomed = [entry for entry in list(store.leased) if store.end_lease(entry, flight.lease)]
    flight.lease = None
    return doomed


def elastic_weight(store: Store) -> float:
    """Return what loads hold that may come back as they end: guesses, and what is retired."""
    weight: float = 0
    for flight in store.flights.values():
        if flight.basis.elastic:
            weight += flight.weight
        if flight.lease is not None:
            weight += sum(e.weight for e in store.leased if e.leases == (flight.lease,))
    return weight
