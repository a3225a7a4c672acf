"""What is done to a store at once, where nobody is waited for: room, loads and stores.

A plan would come to the same, in several times as long. Each of these is called with the store's
lock held, and gives None when it takes a plan: nothing has changed then.
"""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any

from warmcache._log import debugging

from .entry import Entry, Provenance, State
from .flights import Flight
from .ledger import Claim
from .records import Newcomer, RemovalCause
from .store import Store
from .use_clock import tick
from .victim_order import Rank

_SIZE, _REPLACED, _GONE = RemovalCause.SIZE, RemovalCause.REPLACED, State.GONE


def reserve_at_once(store: Store, weight: float, flight: Flight) -> None:
    """Reserve for a load what has just been made free."""
    store.ledger.committed += weight
    flight.weight = weight
    if store.leased:
        store.lease_retired(flight)


def vanish_at_once(store: Store, key: Hashable, weight: float, rank: Rank) -> list[Entry] | None:
    """Have victims vanish until ``weight`` is free for ``key``, where nothing has a teardown.

    Returns them, to be emptied once the lock is released, for then a value may die; or None
    when it takes a plan: idle entries cannot make the room.
    """
    chosen = _chosen(store, weight, rank, None)
    if chosen is None:
        return None
    victims, _ = chosen
    if victims:
        freed, ledger = _vanish(store, victims, None, key, weight), store.ledger
        ledger.live -= freed
        ledger.idle -= freed
        ledger.committed -= freed
    return victims


def condemn_at_once(
    store: Store,
    claim: Claim,
    rank: Rank,
    old: Entry | None = None,
    flight: Flight | None = None,
) -> list[Entry] | None:
    """Condemn the victims that make room for ``claim``, and ``old``, which is to be replaced.

    Returns what is to be torn down; or None when it takes a plan: idle entries cannot make
    the room, or others make some, which is to be reckoned with.
    """
    if store.dying or store.ledger.claims:
        return None
    chosen = _chosen(store, claim.weight, rank, old)
    if chosen is None:
        return None
    doomed, passed = chosen
    if old is not None:
        claim.carried = 0 if passed else old.uses
        store.condemn(old, _REPLACED)
    newcomer = store.newcomer(claim) if doomed else None
    for victim in doomed:
        store.condemn(victim, _SIZE, newcomer)
        claim.evicted += victim.weight
    if old is not None:
        doomed.insert(0, old)
    if doomed:
        store.ledger.owe(claim, claim.weight, flight)
    return doomed


def put_at_once(store: Store, entry: Entry, rank: Rank) -> list[Entry] | None:
    """Store ``entry`` where that takes no user code and no waiting.

    That is: nothing has a teardown, nothing expires, and idle entries can make
    the room. Returns what was removed, to be emptied once the lock is released; or None
    when it takes a plan.
    """
    if store.tears_down or store.deadlines is not None or store.closed:
        return None
    ledger, weight = store.ledger, entry.weight
    old = store.live.get(entry.key)
    if old is not None and (old.leases or old.value is entry.value):
        return None
    chosen = _chosen(store, weight, rank, old)
    if chosen is None:
        return None
    removed, passed = chosen
    if old is not None:
        if not passed:  # one that came up itself starts anew
            entry.base_uses = old.uses + 1
        store.order.discard(old, replaced=True)
        removed.append(old)
    change = weight - _vanish(store, removed, old, entry.key, weight) if removed else weight
    store.live[entry.key] = entry  # the successor of ``old`` comes last
    store.order.add(entry)
    if change:
        ledger.live += change
        ledger.idle += change
        ledger.committed += change
    if store.observers.all:
        store.observers.stored(entry)
    if ledger.waiting:
        ledger.wake()
    return removed


def renew_at_once(
    store: Store, key: Hashable, value: Any, weight: float, handed_in: Provenance, now: Any
) -> tuple[Any] | None:
    """Give an idle entry another ``value`` in its place, as if that had an entry of its own.

    Returns the old value, to be dropped once the lock is released; or None if that value takes
    an entry. The rank must rise with that, or its place in the order would come too late.
    """
    entry = store.live.get(key)
    if (
        entry is None
        or entry.leases
        or entry.weight != weight
        or entry.value is value
        or entry.provenance is not handed_in
        or not store.order.renews
        or store.deadlines is not None
        or store.observers.all
        or store.tears_down
        or store.closed
    ):
        return None
    if entry.hits:
        store.counts.left(entry)
        entry.base_uses += int(entry.hits)
        entry.hits = 0.0
    entry.base_uses += 1
    store.counts.removals[_REPLACED] += 1
    entry.loaded = entry.used = entry.seen = tick()
    entry.loaded_at = entry.seen_at = now
    old, entry.value = entry.value, value
    return (old,)


def _chosen(
    store: Store, weight: float, rank: Rank, old: Entry | None
) -> tuple[list[Entry], bool] | None:
    """Return the victims that make room beside ``old``, and whether that came up itself."""
    ledger = store.ledger
    gain = 0 if old is None else old.weight
    short = ledger.committed + weight - gain - ledger.limit
    if short <= ledger.slack:
        return [], False
    if short > ledger.idle - gain or weight > ledger.limit:
        return None
    first = store.order.take(rank)  # most often it is enough
    if first is not None and first is not old and first.weight >= short - ledger.slack:
        return [first], False
    return store.victims(short, rank, old, first)


def _vanish(
    store: Store, removed: list[Entry], old: Entry | None, key: Hashable, needed: float
) -> float:
    """Have idle entries be gone that have no teardown; return what they weighed."""
    removals = store.counts.removals
    told = store.observers.all or debugging()
    newcomer = Newcomer(key, needed, store.ledger.free) if told else None
    weight: float = 0
    for gone in removed:
        gone.cause = cause = _REPLACED if gone is old else _SIZE
        gone.newcomer = None if gone is old else newcomer
        gone.state = _GONE
        del store.live[gone.key]
        if gone.provenance.hot is not None:
            store.cool(gone)
        if gone.hits:
            store.counts.left(gone)
        removals[cause] += 1
        weight += gone.weight
    return weight
