"""What is done to a store at once, where nobody is waited for: room, loads and stores.

A plan would come to the same, in several times as long. Each of these is called with the store's
lock held, and gives None when it takes a plan: nothing has changed then.
"""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any

from .entry import Entry, Provenance, State
from .flights import Flight
from .hit_counts import NO_HITS
from .landing import lease_retired
from .ledger import Claim
from .record import record_of
from .records import Newcomer, RemovalCause
from .store import Store
from .use_clock import tick
from .victim_order import HasRank

_SIZE, _REPLACED = RemovalCause.SIZE, RemovalCause.REPLACED
_LIVE, _GONE = State.LIVE, State.GONE
NOT_RENEWED = object()


def reserve_at_once(store: Store, weight: float, flight: Flight) -> None:
    """Reserve for a load what has just been made free."""
    store.ledger.committed += weight
    flight.weight = weight
    if store.leased:
        lease_retired(store, flight)


def vanish_at_once(
    store: Store,
    key: Hashable,
    weight: float,
    policy: HasRank,
    told: object,
    entry: Entry | None = None,
    old: Entry | None = None,
) -> list[Entry] | None:
    """Have victims vanish until ``weight`` is free for ``key``, and store ``entry`` in it, if any.

    That is for loads, and for what is handed in, where nothing has a teardown and nothing expires.
    ``entry`` replaces ``old``, if any is there. ``told`` is true where anybody is to be told of
    who goes, and for whom. Returns what was removed, whose values are to be dropped once the lock
    is released; or None when it takes a plan: idle entries cannot make the room, or others have
    come between.
    """
    ledger, live, counts = store.ledger, store.live, store.counts
    change: float
    if entry is None:
        change = 0
    elif not store.plain or (key in live if old is None else old.state is not _LIVE):
        return None
    else:
        change = weight
    if old is None or entry is None:
        removed = _victims(store, weight, policy)
    else:
        removed = _replaced(old, store, entry, policy)
    if removed is None:
        return None
    if told:
        newcomer = record_of(Newcomer, (key, weight, ledger.free))
        for gone in removed:
            gone.cause, gone.newcomer = _SIZE, newcomer
    if old is not None:
        old.cause, old.newcomer = _REPLACED, None
        counts.replaced += 1
        counts.evicted -= 1  # for it is among those removed, each of which is counted below
    for gone in removed:
        gone.state = _GONE
        counts.evicted += 1
        del live[gone.key]
        if gone.provenance.hot is not None:
            store.cool(gone)
        if gone.hits is not NO_HITS:
            counts.left(gone)
        change -= gone.weight
    if change:
        ledger.live += change
        ledger.idle += change
        ledger.committed += change
    if entry is not None:
        live[key] = entry  # the successor of ``old`` comes last
        store.order.add(entry)
        if told and store.observers.all:
            store.observers.stored(entry)
        if ledger.waiting:
            ledger.wake()
    return removed


def condemn_at_once(
    store: Store,
    claim: Claim,
    policy: HasRank,
    logs: bool,
    flight: Flight | None,
    old: Entry | None = None,
) -> list[Entry] | None:
    """Condemn the victims that make room for ``claim``, and ``old``, which is to be replaced.

    ``logs`` says whether anybody reads the log. Returns what is to be torn down; or None when it
    takes a plan: idle entries cannot make the room, or others make some, which is to be reckoned
    with.
    """
    ledger = store.ledger
    if store.dying or ledger.claims:
        return None
    if old is None:
        victims = doomed = _victims(store, claim.weight, policy)
    else:
        victims, passed = _victims_beside(old, store, claim.weight, policy)
        doomed = None
        if victims is not None:
            claim.carried = 0 if passed else old.uses
            store.condemn(old, _REPLACED)
            doomed = [old, *victims]
    if victims:
        live, newcomer = store.live, None
        weight: float = 0
        if logs or store.listener is not None or store.observers.all:
            newcomer = record_of(Newcomer, (claim.key, claim.weight, ledger.free_for(claim)))
        for victim in victims:  # idle, and taken off the order: nothing else has it
            victim.cause, victim.newcomer = _SIZE, newcomer
            store.begin_to_die(victim)
            del live[victim.key]
            if victim.provenance.hot is not None:
                store.cool(victim)
            weight += victim.weight
        ledger.live -= weight
        ledger.idle -= weight
        ledger.dying += weight
        claim.evicted += weight
    if doomed:
        ledger.owe(claim, claim.weight, flight)
    return doomed


def _replaced(old: Entry, store: Store, entry: Entry, policy: HasRank) -> list[Entry] | None:
    """Return what goes as ``entry`` takes the place of ``old``, and that with it."""
    if old.leases or old.value is entry.value:
        return None
    victims, passed = _victims_beside(old, store, entry.weight, policy)
    if victims is not None:
        if not passed:  # one that came up itself starts anew
            entry.base_uses = old.uses + 1.0
        store.order.discard(old, _REPLACED)
        victims.append(old)
    return victims


def renew_at_once(
    store: Store, entry: Entry, value: Any, weight: float, handed_in: Provenance, now: Any
) -> Any:
    """Give an idle ``entry`` another ``value`` in its place, as if that had an entry of its own.

    Returns the old value, to be dropped once the lock is released; or NOT_RENEWED if that value
    takes an entry. The rank must rise with that, or its place in the order would come too late.
    """
    if (
        entry.state is not _LIVE  # it has left by now
        or entry.leases
        or entry.weight != weight
        or entry.value is value
        or entry.provenance is not handed_in
        or not store.order.renews
        or not store.plain
        or store.observers.all
    ):
        return NOT_RENEWED
    if entry.hits is not NO_HITS:
        store.counts.begin_anew(entry)
    entry.base_uses += 1.0
    store.counts.replaced += 1
    entry.loaded = entry.used = tick()
    entry.loaded_at = entry.seen_at = now
    old, entry.value = entry.value, value
    return old


def _victims(store: Store, weight: float, policy: HasRank) -> list[Entry] | None:
    """Return the victims that make room for ``weight``; None where idle entries cannot."""
    ledger = store.ledger
    short = ledger.committed + weight - ledger.limit
    if short < 1 and short <= ledger.slack:  # slack is a float below 1: most often an int is asked
        return []
    if short > ledger.idle:  # as anything is that weighs more than the limit
        return None
    first = store.order.take(policy)  # most often it is enough
    if first is not None and first.weight >= short:
        return [first]
    return store.victims(short, policy, first=first)[0]


def _victims_beside(
    old: Entry, store: Store, weight: float, policy: HasRank
) -> tuple[list[Entry] | None, bool]:
    """Return the victims that make room beside what ``old`` makes, and whether that came up."""
    ledger = store.ledger
    short = ledger.committed + weight - old.weight - ledger.limit
    if short <= ledger.slack:
        return [], False
    if short > ledger.idle - old.weight:
        return None, False
    return store.victims(short, policy, old)
