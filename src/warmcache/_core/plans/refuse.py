"""Who is in the way when there is no room, and the error that says so."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Collection, Hashable
from typing import Any, TypeAlias

from warmcache._core.state.entry import Entry, LeaseRecord
from warmcache._core.state.flights import CHAIN
from warmcache._core.state.ledger import Claim
from warmcache._core.state.loading_threads import LoadingThread
from warmcache._core.state.outer_leases import OuterLeases
from warmcache._core.state.standstill import for_ever, standing_here
from warmcache._core.state.store import Store
from warmcache._sizes import format_weight
from warmcache._texts import Late, text_of
from warmcache.errors import CapacityError, LoadCycleError, WarmMissError

from .cache_view import CacheView

# Who holds what, in parts: the text of a key is made once no lock is held, for that runs its code.
Holder: TypeAlias = tuple["Late | str", ...]
# What makes the error of who would wait in vain; likewise.
Vain: TypeAlias = Callable[[], Exception]


def lacking_from(me: LeaseRecord, claim: Claim, cache: CacheView) -> float:
    """Return how much ``claim`` lacks that only the asking thread or task could give back.

    That is nothing, if it is not positive.
    """
    store = cache.store
    held = _held_by(me, store)
    short = claim.least - store.ledger.limit + held
    if not claim.present and (others := cache.beside()):
        held += sum(_held_by(me, each.store) for each in others)
        short = max(short, claim.least - store.ledger.attainable + held)
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
    loop ends only if that goes on, and others may come after it, in the same thread. And a thread
    that one was handed over to may never come back to us, whoever waits.
    """
    return any(
        entry.loop is not None and (me.task is None or isinstance(entry.loop, LoadingThread))
        for entries in store.dying.values()
        for entry in entries
    )


def _held_by(me: LeaseRecord, store: Store) -> float:
    """Return the weight that is held by the outer leases of ``me``, and by what it is inside of."""
    outer = OuterLeases(me)
    weight = sum(
        entry.weight
        for entry in list(store.leased)
        if any(record in outer for record in entry.leases)
    )
    for link in CHAIN.get():
        if isinstance(link, Entry):
            owned = link in store.dying.get(link.key, ())
        else:
            owned = store.flights.get(link.key) is link
        weight += link.weight if owned else 0
    return weight


def forbidden(key: Hashable) -> WarmMissError:
    """Return the error of a load where none is allowed. No lock is held: the key has a text."""
    return WarmMissError(f"{text_of(key)} is not warm, and loading is forbidden here")


def waits_for_itself(key: Hashable) -> LoadCycleError:
    """Return the error of a load that asks for its own key; likewise."""
    return LoadCycleError(f"loading {text_of(key)} waits for itself")


def refusal(
    cache: CacheView, claim: Claim, *, own: bool = False, node: str | None = None
) -> CapacityError:
    """Return the error that says who is in the way of ``claim``; the lock is held.

    If it is other processes, ``node`` is what is said of them.
    """
    store, ledger = cache.store, cache.store.ledger
    holders, remedies = _in_the_way(store)
    if not claim.present and claim.weight > ledger.available - ledger.reserved:
        for other in cache.beside():
            there, more = _in_the_way(other.store)
            there += _kept_from_others(other)
            holders += [(*holder, f", in {other.name}") for holder in there]
            remedies += more
    if node is not None:
        holders, remedies = [(node,)], []
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
    store.observers.refused(error)
    return error


def _in_the_way(store: Store) -> tuple[list[Holder], list[str]]:
    """Return who holds what, and what makes them let go. Not all of it needs the lock: it reads."""
    holders = _leases_of(list(store.leased), time.monotonic())
    remedies = ["release a lease"] if holders else []
    holders += [
        (Late(flight.key), f" being loaded by {flight.record.holder}")
        for flight in list(store.flights.values())
        if flight.weight
    ]
    for entry in [each for entries in list(store.dying.values()) for each in entries]:
        if isinstance(entry.loop, LoadingThread):
            rest = f" to be torn down by {entry.loop}, which loaded it"
            holders.append((Late(entry.key), rest))
            remedies.append(f"have {entry.loop} call any loader, or end")
    for zombie in list(store.zombies):
        rest = f" {zombie.did}, but still held outside, by {zombie.holders}"
        holders.append((Late(zombie.key), rest))
        remedies += zombie.remedies
    return holders, remedies


def _kept_from_others(cache: CacheView) -> list[Holder]:
    """Return what is idle in ``cache`` and protected from other caches."""
    meter, idle = cache.meter, cache.store.ledger.idle
    if meter is None or not idle or not (meter.floor or meter.residency):
        return []
    by = [f"floor={format_weight(meter.floor)}"] if meter.floor else []
    by += [f"min_residency={meter.residency:g}"] if meter.residency else []
    return [(f"{format_weight(idle)} idle, kept by {' and '.join(by)}",)]


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


def _leases_of(entries: Collection[Entry], now: float) -> list[Holder]:
    return [
        (Late(entry.key), f" leased by {record.holder} (since {now - record.since:.0f} s)")
        for entry in entries
        for record in entry.leases
    ]
