"""A store whose change was interrupted, made consistent again. Wants the lock held.

A change that is interrupted has said first what it means: an entry its ``state``, a lease that it
is ``over``. And what moves is in its new place before it leaves the old. So all that there is can
be found, and each thing is put where it says that it belongs; then the sums are counted anew.
"""

from __future__ import annotations

import threading
from collections.abc import Container, Iterable

from .entry import Entry, Provenance, State, new_entry
from .flights import Flight
from .landing import end_batch
from .records import RemovalCause
from .sharing import restore
from .store import Store


def make_consistent(store: Store, outer: Container[object]) -> list[Entry]:
    """Put right what was interrupted; return what this thread still has to tear down.

    ``outer`` are the teardowns that this thread is in the midst of.
    """
    for flight in list(store.flights.values()):
        flight.joined = [record for record in flight.joined if not record.over]
        if flight.left_behind:
            _end(store, flight)
    for batch in {*store.batches.values()}:
        if batch.left_behind:
            end_batch(store, batch)
    parked = [] if store.host is None else [*store.host.entries.values()]
    for entry in {*store.live.values(), *store.leased, *parked}:
        _place(store, entry)
    for key, entries in store.dying.copy().items():
        store.dying[key] = tuple(entry for entry in entries if entry.state is State.DYING)
        if not store.dying[key]:
            del store.dying[key]
    store.leased = {entry for entry in {*store.live.values(), *store.leased} if entry.leases}
    store.order.mend(store.live.values())
    if store.deadlines is not None:
        store.deadlines.mend(store.live.values())
    elif any(entry.expires is not None for entry in store.live.values()):
        store.keep_deadlines()
    restore(store)
    _recount(store)
    me = threading.get_ident()
    return [
        entry
        for entries in store.dying.values()
        for entry in entries
        if entry.doomed_by == me and entry not in outer and entry not in store.lingering
    ]


def _end(store: Store, flight: Flight) -> None:
    """End a load that nobody ends any more; what it has brought is torn down, or was published."""
    if store.flights.get(flight.key) is flight:
        del store.flights[flight.key]
    loaded = flight.loaded
    if loaded is None and flight.box:
        value, finish, loop = flight.box.pop(0)[:3]  # and what a tier has
        provenance = Provenance(flight.source, 0.0, finish, loop)
        loaded = new_entry(flight.key, value, flight.weight, provenance, flight.began)
    if loaded is not None and store.live.get(loaded.key) is loaded:
        flight.entry = loaded
    elif loaded is not None and loaded.state is State.LIVE:
        _begin_to_die(store, loaded)
    returned = flight.returned
    if returned is not None and returned.state is State.PARKED and returned.parked is not None:
        if returned.parked.back:  # on its device, and charged to nobody
            _begin_to_die(store, returned)
        elif returned.parked.condemned is not None:
            store.condemn(returned, returned.parked.condemned)
    if flight.lease is not None:
        flight.lease.over = True
    flight.weight, flight.ended = 0, True
    if flight.done is not None:
        flight.done.happen()


def _begin_to_die(store: Store, entry: Entry) -> None:
    parked = entry.parked
    cause = None if parked is None else parked.condemned
    entry.cause, entry.newcomer, entry.leases = cause or RemovalCause.CLOSED, None, ()
    store.begin_to_die(entry)
    entry.parked = None


def _place(store: Store, entry: Entry) -> None:
    """Have an entry be where its state says, and no lease on it that is over."""
    entry.leases = tuple([record for record in entry.leases if not record.over])
    parked = {} if store.host is None else store.host.entries
    if entry.state is State.LIVE:
        if parked.get(entry.key) is entry:  # it came back, and was about to be published
            store.live[entry.key] = entry
            del parked[entry.key]
        entry.parked = None
        return
    if entry.state is State.PARKED:
        if entry.parked is not None:
            entry.parked.moved = True
        return
    if parked.get(entry.key) is entry:
        del parked[entry.key]
    if store.live.get(entry.key) is entry:
        del store.live[entry.key]
    store.cool(entry)
    unseen = entry not in store.dying.get(entry.key, ())
    if (entry.state is State.RETIRED and not entry.leases) or (
        entry.state is State.DYING and unseen
    ):
        store.begin_to_die(entry)


def _recount(store: Store) -> None:
    live = store.live.values()
    store.ledger.recount(
        idle=_weight(entry for entry in live if not entry.leases),
        leased=_weight(entry for entry in live if entry.leases),
        retired=_weight(entry for entry in store.leased if entry.state is State.RETIRED),
        dying=sum(_weight(entries) for entries in store.dying.values()),
        reserved=sum(flight.weight for flight in store.flights.values()),
        zombies=sum(zombie.charged for zombie in store.zombies),
    )
    if store.host is not None:
        everywhere = [entry.parked for entry in {*store.alive()}]
        store.host.used = sum(each.nbytes for each in everywhere if each is not None)


def _weight(entries: Iterable[Entry]) -> float:
    return sum(entry.charged for entry in entries)
