"""The plan that makes room: for a load, or for a value that is handed in.

The invariant is the ledger's: whatever is loaded or stored was granted its weight before, out
of what is free *now*, and room is free once a teardown has returned and every reference is
dropped, and not before. So with one place, there is never a second object.

Each step decides anew from the sums under the lock. There are six cases, of which the first
three are a :class:`Case`, the fourth is handled as the third, the fifth is a list of entries, and
the last a :class:`Shortage`:

1. *granted*: the weight fits into what is free.
2. *coming*: it would fit beside what is being torn down already, less what that is owed to
   others. A teardown ends by itself, so this waits without a limit, and evicts nothing more.
   (One that is awaited on an event loop may wait for a synchronous call in turn: ``wait`` seconds.)
3. *blocked*: all idle entries together would not be enough: leases hold the rest, or loads of
   guessed weight. A lease may never end, so this waits ``wait`` seconds (without a limit where
   only loads are in the way, for they end by themselves). What a load holds that waits for this
   claim, for it was retired of the load's key, goes now: beside the loader, for there is no other
   way on.
4. *in vain*: what was evicted for it has weighed enough, the budget has room, and the device
   still shows none: others hold it. Nothing more is evicted; it waits as if blocked.
5. *evict*: these must be torn down; then it looks again.
6. *shortage*: the device lacks what idle entries of other caches could make up, too: the cheapest
   of all are asked for (``share.py``). What its own limit lacks, the cache makes up itself, first.

Where a device is asked, a grant holds only if nobody else was promised any of it since the look
(``OUTDATED``, and it looks again).

Who condemns victims is owed their room (``claim.owed``) until the claim ends, so two callers
never evict for one need, and nobody takes what another has made. What can never fit, and what
only the asking thread itself could free, is refused before anything is evicted.

In a cache of memory weights may be guesses, and a guess must not cost what a load needs: loads
inside of one take their room from it (``_borrow``), from what was merely expected too where they
would be refused (``_lend``), and what has nothing to do with the load, the weight of others,
evicts nothing while the device has the room (``_enough``).

Tried and rejected: reviving a victim that is asked for again while it dies (who waits for its
room is then stranded); waiting for *this* teardown or *that* lease (there is always another
way in which room can come, so who waits is woken by any change and decides again); taking
victims one at a time (with weights, the last may show that it was all in vain); evicting for any
guess (the load then asked for its victim, and was refused, or had it loaded once more).
"""

from __future__ import annotations

import enum
import time
from collections.abc import Callable
from threading import get_ident

from warmcache._core.state.entry import Entry, LeaseRecord
from warmcache._core.state.flights import CHAIN, Basis, Flight, leads_to
from warmcache._core.state.landing import elastic_weight, end_lease_of
from warmcache._core.state.ledger import Claim
from warmcache._core.state.records import RemovalCause
from warmcache._core.state.standstill import go_on
from warmcache._core.state.store import Store

from .cache_view import CacheView
from .refuse import lacking_from, may_not_end, refusal
from .share import Shortage, cheapest, give
from .steps import Ask, Elsewhere, Flush, Plan, Step, TearDown, Wait

LOOK = 0.25  # seconds after which to look at the device again


class Case(enum.Enum):
    """What one look at the sums finds of a claim when nothing is to be torn down for it."""

    GRANTED = "granted"
    OUTDATED = "outdated"  # others were promised room on the device since it was looked at
    COMING = "coming"
    BLOCKED = "blocked"


def room(
    cache: CacheView,
    claim: Claim,
    *,
    flight: Flight | None = None,
    replacing: bool = False,
    granted: Callable[[], object] | None = None,
) -> Plan[None]:
    """Reserve room for ``claim``: by what is free, by eviction, or by waiting.

    With ``replacing``, the live entry of the same key goes first, and counts as room.
    What has no flight is ``granted`` under the same lock: it uses its room at once, and
    nobody sees any that is reserved for nothing. Raises CapacityError or ClosedError.
    """
    store, meter = cache.store, cache.meter
    me = flight.record if flight is not None else LeaseRecord(time.monotonic())
    deadline: float | None = None
    flushed, asks = False, True
    try:
        while True:
            if meter is not None:
                yield Ask(lambda: meter.look(store))
            with store.lock:
                store.check_open()
                if claim.least > store.ledger.most_for(claim):
                    raise refusal(cache, claim)
                step: Step | None = None
                case: Case | Shortage | list[Entry] = Case.OUTDATED
                if store.zombies and not flushed and claim.weight > store.ledger.free_for(claim):
                    step, flushed = Flush(), True  # what is garbage goes before what is warm
                else:
                    case = decide(cache, claim, flight, replacing=replacing, asks=asks)
                if case is Case.GRANTED:
                    if granted is not None:
                        granted()
                    return
                elif case in (Case.COMING, Case.BLOCKED):
                    if deadline is None:
                        deadline = time.monotonic() + cache.wait
                        store.waited(claim)
                    own = lacking_from(me, claim, cache)
                    if own > 0 and meter is not None and _lend(store, own):
                        continue
                    blocked = case is Case.BLOCKED or may_not_end(me, store)
                    step = _wait(cache, claim, deadline if blocked else None, own)
            if isinstance(step, Wait):
                yield from _waited(cache, step)
                asks = True
            elif isinstance(case, Shortage):
                asks = yield from _made_by_all(cache, claim, flight, case)
            elif isinstance(case, list):
                victims = [each for each in case if each.cause is RemovalCause.SIZE]
                condemned = sum([each.weight for each in victims])
                yield TearDown(case)
                # What others had of it, too, is charged to them now.
                claim.evicted -= condemned - sum([each.weight for each in victims])
            elif step is not None:
                yield step
            go_on()
    finally:
        go_on()
        if claim.owed:
            with store.lock:
                store.ledger.drop(claim)


def decide(
    cache: CacheView,
    claim: Claim,
    flight: Flight | None,
    *,
    replacing: bool,
    asks: bool = True,
) -> Case | Shortage | list[Entry]:
    """Take one step towards room, with the lock held; ``asks``: so that other caches give some."""
    store, ledger = cache.store, cache.store.ledger
    ended = store.expire(store.timer()) if store.deadlines is not None else None
    if ended:
        return ended
    if replacing and (below := store.below(claim.key)):
        removed = RemovalCause.REPLACED
        if doomed := [entry for entry in below if store.condemn(entry, removed)]:
            return doomed
    old = store.live.get(claim.key) if replacing else None
    if cache.meter is not None:  # nobody else guesses
        _borrow(store, claim, flight)
    free, slack = ledger.free_for(claim), ledger.slack
    weight = _enough(store, claim, flight) if claim.basis.blind else claim.weight
    if old is None and weight <= free + slack and not _spoken_for(store, claim, weight, free):
        if cache.meter is not None and not claim.present and not cache.meter.may_grant(store):
            return Case.OUTDATED
        claim.weight = max(weight, free) if claim.basis is Basis.UNKNOWN else weight
        ledger.reserve(claim, flight)
        return Case.GRANTED
    # What the caller is tearing down waits for it, and so does the claim that is to have that room.
    own = _own_dying(store) if store.dying else 0
    demand = max(ledger.owed - own, 0) + (0 if claim.owed else weight)
    coming = ledger.dying - own
    here = demand - (ledger.limit - ledger.committed) - coming
    device = demand - free - coming - ledger.elsewhere.coming
    if old is None and max(here, device) <= slack:
        return Case.COMING
    others = ledger.elsewhere.idle if asks and old is None and not claim.present else 0
    short = max(here, device - others)
    if short > ledger.idle + slack:
        for other in _waiting_for(store, flight):
            if doomed := end_lease_of(store, other):
                return doomed
        # Loads that end by themselves may be all that is in the way.
        more = short > ledger.idle + elastic_weight(store) + slack
        return Case.BLOCKED if more else Case.COMING
    ours = ledger.committed + demand - coming  # if it were granted: is it within what there is?
    within = ours <= ledger.limit and ours + ledger.elsewhere.committed <= ledger.attainable
    if old is None and 0 < claim.evicted >= weight and within:
        return Case.BLOCKED  # in vain
    if others and device > max(here, 0) + slack:
        return Shortage(weight, here, device)
    return _evict(cache, claim, flight, old, weight=weight, short=max(here, device))


def _owe(cache: CacheView, claim: Claim, weight: float, flight: Flight | None) -> None:
    cache.store.ledger.owe(claim, weight, flight)
    if cache.meter is not None:
        cache.meter.promise()


def _made_by_all(
    cache: CacheView, claim: Claim, flight: Flight | None, shortage: Shortage
) -> Plan[bool]:
    """Make up a ``shortage`` out of all caches on the device; whether they can."""
    store, doomed = cache.store, []
    parts = cheapest(cache, shortage)
    if parts is None:
        return False
    with store.lock:
        own = parts.pop(cache, 0)
        if own:
            victims, _ = store.victims(own, cache)
            newcomer = store.newcomer(claim)
            doomed = [each for each in victims if store.condemn(each, RemovalCause.SIZE, newcomer)]
        _owe(cache, claim, shortage.weight, flight)
    yield TearDown(doomed)
    claim.evicted += sum([each.weight for each in doomed])
    for giver, part in parts.items():
        claim.evicted += yield Elsewhere(giver, give(giver, part, claim))
    return True


def _waited(cache: CacheView, step: Wait) -> Plan[None]:
    """Wait for a change of this cache, or of another that shares its device."""
    store, meter, signal = cache.store, cache.meter, step.signal
    stores = [store, *[each.store for each in cache.beside()]]
    for each in stores[1:]:
        with each.lock:
            each.ledger.waiting[signal] = None
    # They tell from now on. What they have done since the last look, their sums tell.
    if meter is not None and meter.is_outdated(store):
        signal.happen()
    yield step
    for each in stores:
        with each.lock:
            each.ledger.forget(signal)


def _spoken_for(store: Store, claim: Claim, weight: float, free: float) -> bool:
    """Whether others have made the free room, and have not come to take it yet.

    They may be hearing just now that a victim is gone; what is dying still is room to come. Whoever
    is inside of that does not wait for them, for they wait for it. Neither does who waits for more
    than is free take it from anybody.
    """
    ledger = store.ledger
    if claim.owed or not ledger.claims:
        return False
    free += ledger.slack
    inside, me = CHAIN.get(), get_ident()
    ready = sum(
        other.owed
        for other in ledger.claims
        if other.owed <= free
        and (other.flight not in inside if other.flight is not None else other.thread != me)
    )
    return ready > 0 and ready + weight > free + ledger.dying - _own_dying(store)


def _evict(
    cache: CacheView,
    claim: Claim,
    flight: Flight | None,
    old: Entry | None,
    *,
    weight: float,
    short: float,
) -> Case | Shortage | list[Entry]:
    """Condemn ``old``, which is to be replaced, and as many victims as it takes beside it."""
    store = cache.store
    gain = old.weight if old is not None and not old.leases else 0
    newcomer = store.newcomer(claim)
    victims, passed = store.victims(short - gain, cache, old)
    claim.carried = 0 if old is None or passed else old.uses
    doomed = []
    if old is not None and store.condemn(old, RemovalCause.REPLACED):
        doomed.append(old)
    doomed += [entry for entry in victims if store.condemn(entry, RemovalCause.SIZE, newcomer)]
    claim.evicted += sum([entry.weight for entry in victims])
    _owe(cache, claim, weight, flight)
    if old is not None and not doomed:  # it was leased and is only retired: look again
        return decide(cache, claim, flight, replacing=True)
    return doomed


def _own_dying(store: Store) -> float:
    """Return the weight of what the caller itself is tearing down."""
    own = [link for link in CHAIN.get() if link in store.dying.get(link.key, ())]
    return sum(link.charged for link in own if isinstance(link, Entry))


def _enough(store: Store, claim: Claim, flight: Flight | None) -> float:
    """Return with how much room a load may begin of which nothing is known.

    What others weigh says little of it. So where the device has the room, the budget is not
    made to have it, too: idle entries stay, which this load may be about to ask for, as long
    as they could make up what it turns out to take, and no other load begins in such a way.
    """
    ledger = store.ledger
    free = ledger.free
    weight = min(claim.weight, max(free + ledger.idle + ledger.dying, claim.least))
    outer = set(_waiting_for(store, flight))
    spares = (
        claim.basis is Basis.OTHERS
        and claim.weight <= ledger.available - ledger.reserved
        and weight <= free + ledger.idle
        and not any(
            other.basis.blind and other is not flight and other not in outer
            for other in store.flights.values()
        )
    )
    return max(min(weight, free), 0) if spares else weight


def _waiting_for(store: Store, flight: Flight | None) -> list[Flight]:
    """Return the loads that end only after this one: those it is part of, or that joined it."""
    outer = CHAIN.get()
    return [
        other
        for other in store.flights.values()
        if other is not flight
        and (other in outer or (flight is not None and leads_to(other, (flight,))))
    ]


def _borrow(store: Store, claim: Claim, flight: Flight | None) -> None:
    """Take room from the loads that wait for this one, where theirs was a guess.

    They end only after it, so it would wait for their room for ever.
    """
    ledger = store.ledger
    for other in _waiting_for(store, flight):
        part = min(other.weight, claim.weight - ledger.free_for(claim))
        if part > 0 and other.basis.elastic:
            other.weight -= part
            ledger.unreserve(part)


def _lend(store: Store, lacking: float) -> bool:
    """Have the loads that this one is part of give up what is ``lacking``; whether they can.

    What is expected of them is not sure, and nobody else could ever give as much. A size that
    was said is sure.
    """
    outer = CHAIN.get()
    lenders = [
        flight
        for flight in store.flights.values()
        if flight in outer and flight.basis is not Basis.SAID
    ]
    if sum(flight.weight for flight in lenders) < lacking:
        return False
    for flight in lenders:
        part = min(flight.weight, lacking)
        flight.weight -= part
        lacking -= part
        store.ledger.unreserve(part)
    return True


def _wait(cache: CacheView, claim: Claim, deadline: float | None, own: float) -> Wait:
    """Wait for room; refuse where that is pointless.

    Without a ``deadline``, what is waited for ends by itself.
    """
    now = time.monotonic()
    if own > 0 or (deadline is not None and now >= deadline):
        raise refusal(cache, claim, own=own > 0)
    timeout = None if deadline is None else deadline - now
    if cache.meter is not None:  # nobody tells us what others give back
        timeout = LOOK if timeout is None else min(timeout, LOOK)
    return Wait(cache.store.ledger.change(), timeout)
