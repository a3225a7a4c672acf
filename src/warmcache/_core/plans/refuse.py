"""Who is in the way when there is no room, and the error that says so."""

from __future__ import annotations

import math
import time
from collections.abc import Iterable
from typing import Any

from warmcache._core.state.entry import Entry, LeaseRecord
from warmcache._core.state.flights import CHAIN
from warmcache._core.state.ledger import Claim
from warmcache._core.state.outer_leases import OuterLeases
from warmcache._core.state.standstill import for_ever, loop_here
from warmcache._core.state.store import Store
from warmcache.errors import CapacityError

from .cache_view import CacheView


def lacking_from(me: LeaseRecord, claim: Claim, store: Store) -> float:
    """Return how much ``claim`` lacks that only the asking thread or task could give back.

    That is nothing, if it is not positive.
    """
    short = claim.least - store.ledger.limit + _held_by(me, store)
    if short > 0 or not store.dying:
        return short
    dying = [entry for entries in store.dying.values() for entry in entries]
    here, behind = _loops(me, dying)
    own = behind.pop(here, 0)
    short, more = short + own, sum(behind.values())
    if short <= 0 < short + more and for_ever(here, behind):
        short += more
    return short


def stands_still(me: LeaseRecord, dying: Iterable[Entry]) -> bool:
    """Whether ``me`` would wait for ever for all of ``dying`` to be torn down."""
    here, behind = _loops(me, dying)
    return here in behind or (bool(behind) and for_ever(here, behind))


def _loops(me: LeaseRecord, dying: Iterable[Entry]) -> tuple[Any, dict[Any, float]]:
    """Return the loop that ``me`` would block, and what weighs how much on which loop's way out."""
    here = loop_here() if me.task is None else None
    behind: dict[Any, float] = {}
    for entry in dying if here is not None else ():
        loop = getattr(entry, "loop", None)
        if loop is not None:
            behind[loop] = behind.get(loop, 0) + entry.weight
    return here, behind


def _held_by(me: LeaseRecord, store: Store) -> float:
    """Return the weight that is held by the outer leases of ``me``, and by what it is inside of."""
    outer = OuterLeases(me)
    weight = sum(
        entry.weight for entry in store.leased if any(record in outer for record in entry.leases)
    )
    for link in CHAIN.get():
        if isinstance(link, Entry):
            owned = link in store.dying.get(link.key, ())
        else:
            owned = store.flights.get(link.key) is link
        weight += link.weight if owned else 0
    return weight


def refusal(cache: CacheView, claim: Claim, *, own: bool = False) -> CapacityError:
    """Return the error that says who is in the way of ``claim``; the lock is held."""
    store, ledger, now = cache.store, cache.store.ledger, time.monotonic()
    holders = [
        f"{entry.key!r} leased by thread {record.thread_name!r} (since {now - record.since:.0f} s)"
        for entry in store.leased
        for record in entry.leases
    ]
    holders += [
        f"{flight.key!r} being loaded by thread {flight.record.thread_name!r}"
        for flight in store.flights.values()
        if flight.weight
    ]
    holders += [f"{zombie.key!r} torn down, but still held outside" for zombie in store.zombies]
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
