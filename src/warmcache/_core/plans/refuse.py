"""Who is in the way when there is no room, and the error that says so."""

from __future__ import annotations

import math
import time
from collections.abc import Collection, Hashable
from typing import Any

from warmcache._core.state.entry import Entry, LeaseRecord
from warmcache._core.state.flights import CHAIN
from warmcache._core.state.ledger import Claim
from warmcache._core.state.outer_leases import OuterLeases
from warmcache._core.state.standstill import for_ever, standing_here
from warmcache._core.state.store import Store
from warmcache._texts import text_of
from warmcache.errors import CapacityError

from .cache_view import CacheView


def lacking_from(me: LeaseRecord, claim: Claim, store: Store) -> float:
    """Return how much ``claim`` lacks that only the asking thread or task could give back.

    That is nothing, if it is not positive.
    """
    short = claim.least - store.ledger.limit + _held_by(me, store)
    if short > 0 or not store.dying or me.task is not None:
        return short
    standing, inside = standing_here(), CHAIN.get()
    behind: dict[Any, float] = {}  # what weighs how much on which loop's way out
    for entries in store.dying.values():
        for entry in entries:
            if entry.loop is not None and entry not in inside:
                behind[entry.loop] = behind.get(entry.loop, 0) + entry.weight
    short += sum(behind.pop(each, 0) for each in standing)
    more = sum(behind.values())
    return short + more if short <= 0 < short + more and for_ever(standing, behind) else short


def in_vain(me: LeaseRecord, others: Collection[Any]) -> bool:
    """Whether ``me`` would wait for ever for all of these loops and flights to get on."""
    if me.task is not None:
        return False
    standing = standing_here()
    return any(each in others for each in standing) or for_ever(standing, others)


def may_not_end(me: LeaseRecord, store: Store) -> bool:
    """Whether a teardown may wait for ``me`` in turn, in ways that nobody sees.

    Teardowns end by themselves, and are waited for without limit. But one that is awaited on a
    loop ends only if that goes on, and others may come after it, in the same thread.
    """
    return me.task is None and any(
        entry.loop is not None for entries in store.dying.values() for entry in entries
    )


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
    holders = _leases_of(store.leased, now)
    holders += [
        f"{text_of(flight.key)} being loaded by {flight.record.holder}"
        for flight in store.flights.values()
        if flight.weight
    ]
    remedies = ["release a lease"] if any(entry.leases for entry in store.leased) else []
    for zombie in store.zombies:
        holders.append(
            f"{text_of(zombie.key)} torn down, but still held outside, by {zombie.holders}"
        )
        remedies += zombie.remedies
    error = CapacityError(
        claim.key,
        needed=claim.weight,
        free=ledger.free_for(claim),
        leased=ledger.committed - ledger.idle,
        limit=ledger.limit,
        available=ledger.available,
        attainable=math.inf if claim.present else ledger.attainable,
        holders=holders,
        remedies=tuple(dict.fromkeys(remedies)),
        own=own,
        option="maxsize" if cache.meter is None else "budget",
    )
    for observer in store.observers:
        observer.refused(error)
    return error


def refused_by_predecessor(
    cache: CacheView, key: Hashable, held: Collection[Entry], *, own: bool
) -> CapacityError:
    """Return the error that says that a loader's predecessor still has these leased elsewhere.

    The lock of where they are is held; nothing of ``cache`` is free as long as they are there.
    """
    limit = cache.store.ledger.limit
    return CapacityError(
        key,
        needed=min(1, limit),
        free=0,
        leased=sum(entry.weight for entry in held),
        limit=limit,
        holders=_leases_of(held, time.monotonic()),
        own=own,
        defined_anew=True,
    )


def _leases_of(entries: Collection[Entry], now: float) -> list[str]:
    return [
        f"{text_of(entry.key)} leased by {record.holder} (since {now - record.since:.0f} s)"
        for entry in entries
        for record in entry.leases
    ]
