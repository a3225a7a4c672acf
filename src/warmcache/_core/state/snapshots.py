"""What a store looks like now, as the records that users get. Wants the lock held."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .entry import Entry, seconds_between
from .flights import Flight
from .records import EntryInfo, HostStats, Stats
from .store import Store

if TYPE_CHECKING:
    from .host_ledger import HostLedger


def entries_of(store: Store) -> list[EntryInfo]:
    """Return what there is of every entry: live, parked, retired under a lease, dying, loading."""
    loading = (_info_of_load(store, flight) for flight in store.flights.values())
    return [*(info_of(store, entry) for entry in store.alive()), *loading]


def _info_of_load(store: Store, flight: Flight) -> EntryInfo:
    return EntryInfo(
        key=flight.key,
        weight=flight.weight,
        uses=0,
        age=seconds_between(flight.began, store.timer()),
        idle=0.0,
        load_seconds=0.0,
        leases=len(flight.joined),
        state="loading",
        tags=flight.source.tags,
    )


def info_of(store: Store, entry: Entry) -> EntryInfo:
    """Return what there is of one entry; a use that left only a stamp is dated now."""
    now = store.timer()
    dated = max(entry.loaded, getattr(entry, "seen", entry.loaded))
    if dated < entry.used and not store.dates_hits_of(entry):  # a stamp may come late
        entry.seen, entry.seen_at = entry.used, now
    parked = entry.parked if entry.parked is not None and entry.parked.moved else None
    return EntryInfo(
        key=entry.key,
        weight=entry.weight if parked is None else parked.nbytes,
        uses=entry.uses,
        age=seconds_between(entry.loaded_at, now),
        idle=0.0 if entry.leases else seconds_between(entry.seen_at, now),
        load_seconds=entry.provenance.seconds,
        leases=len(entry.leases),
        state=entry.state.value,
        tags=entry.tags,
        weighed_by=entry.provenance.weighed_by,
        ends_in=store.ends_in(entry, now),
        source=entry.provenance.given_by,
    )


def stats_of(store: Store) -> Stats:
    """Return the counts of a store, and its ledger."""
    counts, ledger, alive = store.counts, store.ledger, list(store.alive())
    saved = sum(entry.hits.number * entry.provenance.seconds for entry in alive)
    return Stats(
        hits=counts.past_hits + int(sum(entry.hits.number for entry in alive)),
        misses=counts.misses,
        joined=counts.joined,
        loads=counts.loads,
        load_failures=counts.load_failures,
        load_seconds=counts.load_seconds,
        saved_seconds=counts.past_saved + saved,
        removals=counts.by_cause(),
        teardown_failures=counts.teardown_failures,
        waits=counts.waits,
        live=ledger.live,
        loading=ledger.reserved,
        retired=ledger.retired,
        dying=ledger.dying,
        zombies=ledger.zombies,
        host=None if store.host is None else _of_host(store.host),
    )


def _of_host(host: HostLedger) -> HostStats:
    return HostStats(
        parks=host.parks,
        unparks=host.unparks,
        not_worth=host.not_worth,
        full=host.full,
        failures=dict(host.failures),
        entries=len(host.entries),
        bytes=host.used,
        budget=host.budget,
    )
