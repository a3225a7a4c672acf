"""The plan that makes room: for a load, or for a value that is handed in.

The invariant is the ledger's: whatever is loaded or stored was granted its weight before, out
of what is free *now*, and room is free once a teardown has returned and every reference is
dropped, and not before. So with one place, there is never a second object.

Each step decides anew from the sums under the lock. There are five cases, of which the first
three are a :class:`Case`, the fourth is handled as the third, and the fifth is a list of entries:

1. *granted*: the weight fits into what is free.
2. *coming*: it would fit beside what is being torn down already, less what that is owed to
   others. A teardown ends by itself, so this waits without a limit, and evicts nothing more.
   (One that is awaited on an event loop may wait for a synchronous call in turn: ``wait`` seconds.)
3. *blocked*: all idle entries together would not be enough: leases hold the rest, or loads of
   unknown weight that ask for this one. A lease may never end, so this waits ``wait`` seconds
   (without a limit where only such loads are in the way, for they end by themselves).
4. *in vain*: what was evicted for it has weighed enough, the budget has room, and the device
   still shows none: others hold it. Nothing more is evicted; it waits as if blocked.
5. *evict*: these must be torn down; then it looks again.

Who condemns victims is owed their room (``claim.owed``) until the claim ends, so two callers
never evict for one need, and nobody takes what another has made. What can never fit, and what
only the asking thread itself could free, is refused before anything is evicted.

Tried and rejected: reviving a victim that is asked for again while it dies (who waits for its
room is then stranded); waiting for *this* teardown or *that* lease (there is always another
way in which room can come, so who waits is woken by any change and decides again); taking
victims one at a time (with weights, the last may show that it was all in vain).
"""

from __future__ import annotations

import enum
import time

from warmcache._core.state.entry import Entry, LeaseRecord
from warmcache._core.state.flights import CHAIN, Flight
from warmcache._core.state.ledger import Claim
from warmcache._core.state.records import RemovalCause
from warmcache._core.state.standstill import go_on
from warmcache._core.state.store import Store

from .cache_view import CacheView
from .refuse import may_not_end, only_by, refusal
from .steps import Ask, Plan, Step, TearDown, Wait

LOOK = 0.25  # seconds after which to look at the device again


class Case(enum.Enum):
    """What one look at the sums finds of a claim when nothing is to be torn down for it."""

    GRANTED = "granted"
    COMING = "coming"
    BLOCKED = "blocked"


def room(
    cache: CacheView, claim: Claim, *, flight: Flight | None = None, replacing: bool = False
) -> Plan[None]:
    """Reserve room for ``claim``: by what is free, by eviction, or by waiting.

    With ``replacing``, the live entry of the same key goes first, and counts as room.
    Raises CapacityError or ClosedError.
    """
    store, meter = cache.store, cache.meter
    me = flight.record if flight is not None else LeaseRecord(time.monotonic())
    deadline: float | None = None
    try:
        while True:
            if meter is not None:
                yield Ask(lambda: meter.look(store))
            with store.lock:
                store.check_open()
                if claim.weight > store.ledger.most_for(claim):
                    raise refusal(cache, claim)
                case = decide(cache, claim, flight, replacing=replacing)
                if case is Case.GRANTED:
                    return
                if isinstance(case, Case):
                    if deadline is None:
                        deadline = time.monotonic() + cache.wait
                        store.waited(claim)
                    blocked = case is Case.BLOCKED or may_not_end(me, store)
                    timeout = _patience(cache, claim, me, deadline if blocked else None)
                    if meter is not None:  # nobody tells us what others give back
                        timeout = LOOK if timeout is None else min(timeout, LOOK)
                    step: Step = Wait(store.ledger.change(), timeout)
                else:
                    step = TearDown(case)
            yield step
            go_on()
    finally:
        go_on()
        if claim.owed:
            with store.lock:
                store.ledger.drop(claim)


def decide(
    cache: CacheView, claim: Claim, flight: Flight | None, *, replacing: bool
) -> Case | list[Entry]:
    """Take one step towards room, with the lock held."""
    store, ledger = cache.store, cache.store.ledger
    ended = store.expire(store.timer()) if store.deadlines is not None else None
    if ended:
        return ended
    old = store.live.get(claim.key) if replacing else None
    if cache.meter is not None:  # nobody else guesses
        _borrow(store, claim, flight)
    free, slack = ledger.free_for(claim), ledger.slack
    weight = _least(store, claim) if claim.alone else claim.weight
    if old is None and weight <= free + slack:
        if claim.alone:
            claim.weight = max(weight, free)
        ledger.reserve(claim, flight)
        return Case.GRANTED
    demand = ledger.owed + (0 if claim.owed else weight)
    short = demand - free - (ledger.dying - _own_dying(store))
    if old is None and short <= slack:
        return Case.COMING
    if short > ledger.idle + slack:
        elastic = store.elastic_weight  # loads that end by themselves may be all that is in the way
        return Case.BLOCKED if short > ledger.idle + elastic + slack else Case.COMING
    within_budget = demand - ledger.dying <= ledger.limit - ledger.committed
    if old is None and 0 < claim.evicted >= weight and within_budget:
        return Case.BLOCKED  # in vain
    return _evict(cache, claim, flight, old, weight=weight, short=short)


def _evict(
    cache: CacheView,
    claim: Claim,
    flight: Flight | None,
    old: Entry | None,
    *,
    weight: float,
    short: float,
) -> Case | list[Entry]:
    """Condemn ``old``, which is to be replaced, and as many victims as it takes beside it."""
    store = cache.store
    gain = old.weight if old is not None and not old.leases else 0
    victims, passed = store.victims(short - gain, cache.rank, old)
    claim.carried = 0 if old is None or passed else old.uses
    doomed = []
    if old is not None and store.condemn(old, RemovalCause.REPLACED):
        doomed.append(old)
    doomed += [entry for entry in victims if store.condemn(entry, RemovalCause.SIZE)]
    claim.evicted += sum([entry.weight for entry in victims])
    store.ledger.owe(claim, weight)
    if old is not None and not doomed:  # it was leased and is only retired: look again
        return decide(cache, claim, flight, replacing=True)
    return doomed


def _own_dying(store: Store) -> float:
    """Return the weight of what the caller itself is tearing down: it waits for the caller."""
    return sum(link.weight for link in CHAIN.get() if link in store.dying.get(link.key, ()))


def _least(store: Store, claim: Claim) -> float:
    """Return the room to make for a load of which nobody knows how much it takes."""
    ledger = store.ledger
    possible = ledger.free + ledger.idle + ledger.dying
    return min(claim.weight, max(possible, claim.weight / 4))


def _borrow(store: Store, claim: Claim, flight: Flight | None) -> None:
    """Take room from the loads that wait for this one, where theirs was a guess.

    That is those which it is part of, and others that have joined it: they end only
    after it, so it would wait for their room for ever.
    """
    ledger, outer = store.ledger, CHAIN.get()
    for other in list(store.flights.values()):
        if other is flight or not other.elastic:
            continue
        if other in outer or (flight is not None and other.reaches((flight,))):
            part = min(other.weight, claim.weight - ledger.free_for(claim))
            if part > 0:
                other.weight -= part
                ledger.unreserve(part)


def _patience(
    cache: CacheView, claim: Claim, me: LeaseRecord, deadline: float | None
) -> float | None:
    """Return how long to wait for room; refuse where that is pointless.

    Without a ``deadline``, what is waited for ends by itself.
    """
    now = time.monotonic()
    own = only_by(me, claim, cache.store)
    if own or (deadline is not None and now >= deadline):
        raise refusal(cache, claim, own=own)
    return None if deadline is None else deadline - now
