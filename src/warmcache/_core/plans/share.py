"""Whose idle entries go where several caches share a device: the cheapest over all of them.

Each cache says itself in which order its entries go. What is next in that order is its offer, at
a *price*: what keeping it saves, in load seconds a second and a byte. Ranks are of one cache, and
on its own clock, so they do not compare; prices do. Whoever needs room takes the lowest offers, and
its own are no dearer than others'.

What others ask for is never what is leased, or was loaded less than ``min_residency`` ago where
that was said, or what would leave a cache less than its ``floor``. No lock of one cache is held
while that of another is taken: so what was offered may be gone when it is asked for, and whoever
asked looks again.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from heapq import merge

from warmcache._core.state.entry import Entry, seconds_between
from warmcache._core.state.ledger import Claim
from warmcache._core.state.records import RemovalCause
from warmcache._core.state.store import Store
from warmcache._core.state.use_times import use_times
from warmcache.errors import ClosedError

from .cache_view import CacheView
from .meter import Meter
from .remove import chosen, its_weight, make_up
from .steps import Elsewhere, Plan, TearDown

_AT_LEAST = 0.01  # seconds that an entry counts as idle, or what was just used had no price


class Shortage:
    """What a claim of some ``weight`` lacks: in its own cache's limit, and on the device."""

    __slots__ = ("device", "here", "weight")

    def __init__(self, weight: float, here: float, device: float) -> None:
        self.weight = weight
        self.here = here
        self.device = device


def price_of(entry: Entry, now: float) -> float:
    """Return what keeping ``entry`` saves: load seconds a second, a byte.

    That is what it has saved so far, over the time for which nobody has used it, as in
    GreedyDual-Size-Frequency without its clock, of which each cache has its own.
    """
    if not entry.weight:
        return math.inf  # nobody gains by it
    idle = max(now - use_times.when(entry.used), _AT_LEAST)
    return entry.load_seconds * entry.uses / idle / entry.weight


def offers(cache: CacheView, now: float, *, own: bool) -> list[tuple[float, float]]:
    """Return what ``cache`` has for a load of its ``own`` or another's: price and weight of each.

    They are in the order of its policy.
    """
    with cache.store.lock:
        entries = _askable(cache, own=own, residency=0 if own else _meter(cache).residency)
        return [(price_of(each, now), each.weight) for each in entries if each.weight]


def cheapest(cache: CacheView, shortage: Shortage) -> dict[CacheView, float] | None:
    """Return which caches, ``cache`` among them, should give how much; None: it would be in vain.

    What the limit of ``cache`` lacks, only its own entries make up.
    """
    now, slack = use_times.note(), cache.store.ledger.slack
    own = iter(offers(cache, now, own=True))
    parts: dict[CacheView, float] = {cache: 0}
    while parts[cache] < shortage.here - slack:
        _, weight = next(own, (0, math.inf))
        parts[cache] += weight
    short = shortage.device - parts[cache]
    others = [(each, iter(offers(each, now, own=False))) for each in cache.beside()]
    short = _shared_out(parts, [(cache, own), *others], short, slack)
    return parts if short <= slack and parts[cache] < math.inf else None


def cheapest_of(
    caches: Iterable[CacheView], weight: float, asker: CacheView | None = None
) -> dict[CacheView, float]:
    """Return which of the ``caches`` should give how much of ``weight``, as far as they can.

    What protects an entry from other caches does not protect it from the ``asker``, its own.
    """
    now, parts = use_times.note(), dict[CacheView, float]()
    givers = [(each, iter(offers(each, now, own=each is asker))) for each in caches]
    _shared_out(parts, givers, weight, 0)
    return parts


def _shared_out(
    parts: dict[CacheView, float],
    givers: Iterable[tuple[CacheView, Iterator[tuple[float, float]]]],
    short: float,
    slack: float,
) -> float:
    """Add to ``parts`` what of ``short`` each should give, the lowest first; return the rest."""
    offered = [_rising(giver, offers, place) for place, (giver, offers) in enumerate(givers)]
    for _, _, weight, giver in merge(*offered, key=lambda offer: offer[:2]):
        if short <= slack:
            break
        parts[giver] = parts.get(giver, 0) + weight
        short -= weight
    return short


def _rising(
    giver: CacheView, offered: Iterator[tuple[float, float]], place: int
) -> Iterator[tuple[float, int, float, CacheView]]:
    """Yield offers at prices that only rise: what comes after a dear one is had after it."""
    dearest = 0.0
    for price, weight in offered:
        dearest = max(dearest, price)
        yield dearest, place, weight, giver


def give(
    cache: CacheView,
    weight: float,
    claim: Claim | None,
    cause: RemovalCause = RemovalCause.PRESSURE,
) -> Plan[float]:
    """Remove idle entries for another cache until they make up ``weight``.

    They go for its ``claim``, if it is one of this process. Returns what they weighed: less, if too
    little can be asked for.
    """
    store = cache.store
    given, doomed = 0.0, list[Entry]()
    with store.lock:
        newcomer = None if claim is None else store.newcomer(claim)
        for entry in _askable(cache, own=False, residency=_meter(cache).residency):
            if given >= weight - store.ledger.slack:
                break
            if entry.weight and store.condemn(entry, cause, newcomer):
                given += entry.weight
                doomed.append(entry)
    yield TearDown(doomed)
    return sum(entry.weight for entry in doomed)  # less what others had of them, too


def made_up(cache: CacheView, weight: float, claim: Claim) -> Plan[float]:
    """Remove idle entries of ``cache``, then of those beside it, until they make up ``weight``.

    One goes if that is 0, for nobody knows. It is for a load that ran out of memory: what nobody
    reckoned with is made up at home first. Returns what they weighed.
    """
    freed = yield from make_up(cache, weight, RemovalCause.PRESSURE, claim)
    for each in cache.beside():
        if freed and freed >= weight:
            break
        freed += yield Elsewhere(each, give(each, max(weight - freed, 1), claim))
    return freed


def under_pressure(cache: CacheView) -> Plan[float | None]:
    """Remove the cheapest idle entry that ``cache`` or one beside it has; return its weight."""
    now = use_times.note()
    heads: list[tuple[float, int, CacheView, Entry]] = []
    for place, each in enumerate([cache, *cache.beside()]):
        with each.store.lock:
            residency = _meter(each).min_residency
            for entry in _askable(each, own=each is cache, residency=residency)[:1]:
                heads.append((price_of(entry, now), place, each, entry))
    for _, _, giver, entry in sorted(heads, key=lambda head: head[:2]):
        weights = yield Elsewhere(giver, _if_idle(giver, entry))
        if weights:
            return float(weights[0])
    return None


def _if_idle(cache: CacheView, entry: Entry) -> Plan[list[float]]:
    def still(store: Store) -> list[Entry]:
        return [] if entry.leases else [entry]

    return chosen(cache, still, RemovalCause.PRESSURE, its_weight)


def _askable(cache: CacheView, *, own: bool, residency: float) -> list[Entry]:
    """Return the idle entries that may be asked for, the next to go first; the lock is held."""
    store, meter = cache.store, _meter(cache)
    idle = [entry for entry in store.live.values() if not entry.leases]
    if residency:
        now = store.timer()
        idle = [entry for entry in idle if seconds_between(entry.loaded_at, now) >= residency]
    try:
        ordered = store.order.listing(idle, cache.rank)
    except ClosedError:  # the cache was collected: what it has is going
        return []
    if own or not meter.floor:
        return ordered
    spare, asked = store.ledger.live - meter.floor, []
    for entry in ordered:
        if entry.weight <= spare:
            spare -= entry.weight
            asked.append(entry)
    return asked


def _meter(cache: CacheView) -> Meter:
    assert cache.meter is not None, "caches that share a device have one"
    return cache.meter
