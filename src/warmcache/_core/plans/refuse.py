"""Who is in the way when there is no room, and the error that says so."""

from __future__ import annotations

import math
import sys
import time

from warmcache._core.state.entry import Entry, LeaseRecord
from warmcache._core.state.flights import CHAIN
from warmcache._core.state.ledger import Claim
from warmcache._core.state.store import Store
from warmcache._texts import text_of
from warmcache.errors import CapacityError

from .cache_view import CacheView


def withheld_by(me: LeaseRecord, store: Store) -> float:
    """Return the weight that only the asking thread or task could give back."""
    chain = CHAIN.get()
    weight = sum(
        entry.weight for entry in store.leased if any(_same(record, me) for record in entry.leases)
    )
    for link in chain:
        if isinstance(link, Entry):
            owned = link in store.dying.get(link.key, ())
        else:
            owned = store.flights.get(link.key) is link
        weight += link.weight if owned else 0
    return weight + _stuck_behind(me, store)


def _stuck_behind(me: LeaseRecord, store: Store) -> float:
    """Weight whose asynchronous teardown waits for the loop that ``me`` would block."""
    asyncio = sys.modules.get("asyncio")  # who has not imported it runs no loop
    if me.task is not None or not store.dying or asyncio is None:
        return 0
    try:
        loop = asyncio.get_running_loop()
    except RuntimeError:
        return 0
    dying = [entry for entries in store.dying.values() for entry in entries]
    return sum(entry.weight for entry in dying if entry.provenance.loop is loop)


def refusal(cache: CacheView, claim: Claim, *, own: bool = False) -> CapacityError:
    """Return the error that says who is in the way of ``claim``; the lock is held."""
    store, ledger, now = cache.store, cache.store.ledger, time.monotonic()
    holders = [
        f"{text_of(entry.key)} leased by thread {record.thread_name!r} "
        f"(since {now - record.since:.0f} s)"
        for entry in store.leased
        for record in entry.leases
    ]
    holders += [
        f"{text_of(flight.key)} being loaded by thread {flight.record.thread_name!r}"
        for flight in store.flights.values()
        if flight.weight
    ]
    holders += [
        f"{text_of(zombie.key)} torn down, but still held outside" for zombie in store.zombies
    ]
    error = CapacityError(
        claim.key,
        needed=claim.weight,
        free=ledger.free_for(claim),
        leased=ledger.committed - ledger.idle,
        limit=ledger.limit,
        available=ledger.available,
        attainable=math.inf if claim.present else ledger.attainable,
        holders=holders,
        own=own,
        option="maxsize" if cache.meter is None else "budget",
    )
    for observer in store.observers:
        observer.refused(error)
    return error


def _same(record: LeaseRecord, me: LeaseRecord) -> bool:
    # A synchronous caller blocks its whole thread, any task of it included.
    return record.thread == me.thread and (me.task is None or record.task is me.task)
