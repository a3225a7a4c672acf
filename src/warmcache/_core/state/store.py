"""The state of one cache: its entries, its ledger and the lock that guards both.

Nothing here runs user code (but for ``rank``, ``choice``, a ``timer`` and the hash
and equality of keys) and nothing here waits. What to do is decided by plans; here entries
only move from one state to the next, and the sums stay right.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Hashable, Iterator
from threading import get_ident
from typing import TYPE_CHECKING, Any

from warmcache._log import debugging
from warmcache._process.after_fork import begins_anew_in_child, keep_forever
from warmcache._process.at_exit import register_exit
from warmcache._process.gil import FREE_THREADED
from warmcache._process.own_threads import note_threads
from warmcache.errors import ClosedError

from .counts import Counts
from .deadlines import Deadlines
from .entry import Entry, LeaseRecord, State, seconds_between
from .flights import BatchFlight, Flight
from .hit_counts import NO_HITS, provide_next
from .hot_paths import SCOPES, HotEntries
from .ledger import Claim, Ledger
from .observers import Observers
from .one_shot import OneShot
from .record import record_of
from .records import Load, Newcomer, Removal, RemovalCause
from .remains import Remains
from .use_clock import tick
from .victim_order import HasRank, Order

if TYPE_CHECKING:
    from .host_ledger import HostLedger

_SIZE, _REPLACED = RemovalCause.SIZE, RemovalCause.REPLACED
_LIVE, _RETIRED, _DYING, _GONE = State.LIVE, State.RETIRED, State.DYING, State.GONE
_PARKED = State.PARKED
# Why a value leaves its device that may be wanted again as it is.
_PARKS = {RemovalCause.SIZE, RemovalCause.PRESSURE, RemovalCause.NODE}


class Store:
    """Entries and ledger of one cache. Every method wants ``lock`` held, unless it says so.

    Invariants: ``live`` has the entries that can be found, ``leased`` those that somebody leases
    (LIVE or RETIRED), ``dying`` those being torn down, by key; ``lingering`` the part of these
    whose memory is not back yet; ``flights`` the loads under way. What all of them weigh together
    is ``ledger.committed``. What is parked is the ``host``'s, if there is such a tier, and weighs
    nothing here. ``batches`` has what is loaded together with others, until it is stored, by key.
    """

    def __init__(
        self,
        limit: float,
        order: Order,
        timer: Callable[[], Any],
        idle_ttl: Any,
        *,
        timed: bool,
        reclaim: Callable[[], object] | None,
        listener: Callable[[Removal], object] | None,
        load_listener: Callable[[Load], object] | None = None,
        tears_down: bool,
        host: HostLedger | None = None,
    ) -> None:
        # Re-entrant, for a finalizer that the garbage collector happens to run in
        # here may well ask this very cache for something.
        self.lock = threading.RLock()
        self.ledger = Ledger(limit)
        self.host = host
        self.order = order
        order.limited(limit)
        self.timer = timer
        self.idle_ttl = idle_ttl
        self.reclaim = reclaim
        self.listener = listener
        self.load_listener = load_listener
        self.deadlines = Deadlines(self._deadline) if timed or idle_ttl is not None else None
        self.closed = False
        self.last_loop: Any = None  # that something was loaded on
        self.has_orphans = False  # a loop was closed that something here may be bound to
        self.why_closed = ""  # which cache this is, who closed it, and what to do instead
        self.inherited = False  # by a forked child, in which nobody may end what is in here
        self.measures = False  # whether any load was ever measured: then it may be now
        # Whether anybody would notice entries that merely vanish.
        self.tears_down = tears_down or reclaim is not None or listener is not None
        # Whether entries merely vanish, and for room alone: nothing has a teardown, nothing ends.
        self.plain = not self.tears_down and self.deadlines is None

        self.live: dict[Hashable, Entry] = {}
        self.leased: set[Entry] = set()
        self.dying: dict[Hashable, tuple[Entry, ...]] = {}
        self.lingering: dict[Entry, Remains] = {}
        self.zombies: list[Remains] = []
        self.flights: dict[Hashable, Flight] = {}
        self.batches: dict[Hashable, BatchFlight] = {}

        self.counts = Counts()
        self.observers = Observers()
        begins_anew_in_child(self)

    def begin_anew(self) -> None:
        """Become what a forked child has inherited: a place that nothing leaves.

        What the child was in the midst of goes on in here and ends without harm: a lease,
        a load, a teardown. Its cache has a store of its own. Needs no lock: there is one thread.
        """
        if not self.inherited:
            self.inherited = True
            self.lock = threading.RLock()
            self.ledger.forget_who_waits()
            alive = [
                (getattr(each, "value", None), each.provenance.finish) for each in self.alive()
            ]
            keep_forever(self, alive)

    def check_open(self) -> None:
        if self.closed:
            raise ClosedError(self.why_closed or "the cache is closed")

    def close(self, why: str) -> None:
        """Refuse whatever comes after, and say ``why``; the first to say so is right."""
        if not self.closed:
            self.closed, self.why_closed, self.plain = True, why, False
        self.ledger.wake()

    def check_anybody_there(self, signal: OneShot) -> None:
        """Raise ClosedError if who would make ``signal`` happen was left behind by a fork.

        Needs no lock.
        """
        if self.inherited and not signal.happened:
            raise ClosedError("this was begun before the process was forked; ask again")

    # -- uses ----------------------------------------------------------------------

    def used(self, entry: Entry, key: Hashable) -> None:
        """Count one use of a warm entry. Needs no lock: a hit path does the same without."""
        if FREE_THREADED:
            entry.hit()
        else:
            try:
                entry.hits = entry.hits.next
            except AttributeError:
                self._count_on(entry)
        entry.used = tick()
        if self.observers.all:
            self.observers.used(key)

    def _count_on(self, entry: Entry) -> None:
        """Count a hit for which there is no count yet, or none before the entry's begin anew."""
        with self.lock:
            if entry.state is _GONE:
                return  # its hits are among the past ones already
            if not provide_next(entry.hits):
                self.counts.begin_anew(entry)
            entry.hits = entry.hits.next

    def heat(self, entry: Entry) -> None:
        """Put a live entry on its loader's hit path."""
        provenance = entry.provenance
        ref = provenance.hot
        hot = None if ref is None else ref()
        if hot is not None and entry.state is _LIVE and not self.inherited:
            hot.put(provenance.hot_key, entry)
            if SCOPES or self.has_orphans:  # it came just now, and may have emptied it before
                hot.drop(provenance.hot_key, entry)

    def heat_for(self, entry: Entry, hot: HotEntries, hot_key: Any) -> None:
        """Put a loaded live entry on the hit path of who asks, be it another than before."""
        provenance = entry.provenance
        if provenance.hot is None or provenance.hot() is not hot:
            self.cool(entry)
            provenance.found_by(hot, hot_key)
        self.heat(entry)

    def cool(self, entry: Entry) -> None:
        """Take an entry off its hit path: the next call takes the slow one. Needs no lock."""
        provenance = entry.provenance
        ref = provenance.hot
        hot = None if ref is None else ref()
        if hot is not None:
            hot.drop(provenance.hot_key, entry)

    def waited(self, what: Claim | Flight) -> None:
        """Count that a caller waits: for room, or for another's load."""
        self.counts.waits += 1
        self.observers.waited(what)

    # -- arriving ------------------------------------------------------------------

    def publish(self, entry: Entry) -> None:
        """Make ``entry`` visible; the room for it must have been reserved.

        A timer that raises does so before anything has changed.
        """
        assert self.host is None or self.is_free(entry.key), "its key would be in two places"
        deadlines, ends = self.deadlines, None
        if deadlines is not None:
            ends = self._deadline(entry)
        self.live[entry.key] = entry
        provenance, ledger, weight = entry.provenance, self.ledger, entry.weight
        if self.tears_down or (
            provenance.source.teardown is not None
            or provenance.finish is not None
            or provenance.dump is not None
        ):
            self.tears_down, self.plain = True, False
            register_exit()
            note_threads(entry.loaded)
        ledger.live += weight
        if entry.leases:
            self.leased.add(entry)
        else:
            ledger.idle += weight
            self.order.add(entry)
        if deadlines is not None:
            deadlines.add(entry, ends)
        elif entry.expires is not None:
            self.keep_deadlines()
        if ledger.waiting:
            ledger.wake()
        if self.observers.all:
            self.observers.stored(entry)
        if provenance.hot is not None:
            self.heat(entry)

    def entry_with(self, key: Hashable, value: Any) -> Entry | None:
        """Return the entry of ``key``, live or retired, that has this very value."""
        live = self.live.get(key)
        if live is not None and live.value is value:
            return live
        for entry in self.leased:
            if entry.state is _RETIRED and entry.value is value and entry.key == key:
                return entry
        return None

    def revive(self, entry: Entry) -> None:
        """Make a retired entry visible again: its very value was handed in once more."""
        assert self.host is None or self.is_free(entry.key), "its key would be in two places"
        deadlines = self.deadlines
        ends = None if deadlines is None else self._deadline(entry)
        entry.state = _LIVE
        self.live[entry.key] = entry
        self.order.sweep()  # or the record that it had would count again
        if deadlines is not None:
            deadlines.add(entry, ends)
        self.ledger.revive(entry.weight)

    def restamp(self, entry: Entry, new: Entry) -> None:
        """Have a leased ``entry`` count as just stored: ``new`` has the very same value."""
        entry.loaded = new.loaded
        entry.base_uses += 1
        self.observers.used(entry.key)

    def reweigh(self, entry: Entry, weight: float, reserved: float) -> None:
        """Change the weight of a leased ``entry``, using up what was ``reserved`` for it."""
        if entry.state is _GONE:  # detached meanwhile
            self.ledger.unreserve(reserved)
            return
        change, entry.weight = weight - entry.weight, weight
        share = getattr(entry, "share", None)
        if share is not None:
            share.reweigh(weight)
        self.ledger.reweigh(change, reserved=reserved, live=entry.state is _LIVE)

    # -- leaving -------------------------------------------------------------------

    def victims(
        self, short: float, policy: HasRank, old: Entry | None = None, first: Entry | None = None
    ) -> tuple[list[Entry], bool]:
        """Take idle entries off the order, lowest rank first, until ``short`` is made up.

        As in cachetools, an entry about to be replaced may come up itself, which
        makes up nothing; its successor then starts its count of uses anew. Returns
        the others, and whether ``old`` came up. ``first`` was taken already, and is
        given back too when a rank raises: then nothing was taken.
        """
        order, slack = self.order, self.ledger.slack
        taken: list[Entry] = []
        passed = False
        try:
            while short > slack and (entry := first or order.take(policy)) is not None:
                first = None
                if entry is old:
                    passed = True
                else:
                    taken.append(entry)
                    short -= entry.weight
        except BaseException:
            order.give_back([*taken, old] if passed and old is not None else taken)
            raise
        return taken, passed

    def newcomer(self, claim: Claim) -> Newcomer | None:
        """Return for what victims have to go that make room for ``claim``, if anybody is told."""
        if self.listener is None and not self.observers.all and not debugging():
            return None
        return Newcomer(claim.key, claim.weight, self.ledger.free_for(claim))

    def condemn(self, entry: Entry, cause: RemovalCause, newcomer: Newcomer | None = None) -> bool:
        """Take a live entry out of sight; whether it must now be torn down.

        When it is leased it is retired instead, and the last release tears it down.
        """
        if entry.state is not _LIVE:
            return self._condemn_below(entry, cause, newcomer)
        entry.cause, entry.newcomer = cause, newcomer
        ledger, weight = self.ledger, entry.weight
        if entry.leases:
            entry.state = _RETIRED
            self._take_out(entry)
            ledger.live -= weight
            ledger.retired += weight
            return False
        self.begin_to_die(entry)
        if self.host is not None:
            entry.parks = cause in _PARKS
        self._take_out(entry)
        ledger.live -= weight
        ledger.idle -= weight
        ledger.dying += weight
        return True

    def turn_away(self, entry: Entry, cause: RemovalCause) -> None:
        """Have a loaded entry that cannot be published torn down in its reservation."""
        entry.cause, entry.newcomer, entry.leases = cause, None, ()
        self.begin_to_die(entry)
        if self.host is not None:  # it may have come from there
            self.host.went(entry)
            entry.parked = None
        self.ledger.turn_away(entry.weight)

    def detach(self, entry: Entry) -> None:
        """Let a live entry go without a teardown; its value is the caller's now.

        The caller empties it, unless it is leased: then somebody may just be about to read it.
        """
        leased = bool(entry.leases)
        entry.cause, entry.newcomer, entry.state = RemovalCause.EXPLICIT, None, _GONE
        self._take_out(entry)
        self.ledger.detach(entry.weight, leased=leased)
        self.leased.discard(entry)
        entry.leases = ()
        self.counts.left(entry)
        if leased:  # and so it may not be reachable from here
            self.order.sweep()
            if self.deadlines is not None:
                self.deadlines.sweep()

    def _take_out(self, entry: Entry) -> None:
        del self.live[entry.key]
        if entry.provenance.hot is not None:
            self.cool(entry)
        if entry.queued or entry.leases or entry.cause is _REPLACED:
            self.order.discard(entry, entry.cause)  # else it has taken it
        if self.deadlines is not None:
            self.deadlines.discard()

    def begin_to_die(self, entry: Entry) -> None:
        """Have ``entry`` found among the dying; what it leaves, it leaves after this."""
        entry.doomed_by = get_ident()  # first, for there an interrupt may come
        entry.state = _DYING
        entry.called = entry.parks = False
        entry.loop, entry.blocked_on = None, []
        dying, key = self.dying, entry.key
        dying[key] = (*dying[key], entry) if key in dying else (entry,)

    def awaited_on(self, entry: Entry, loop: Any) -> None:
        """Note where the teardown of ``entry`` is awaited: who blocks that loop must not wait."""
        entry.loop = loop
        self.ledger.wake()

    def gone(self, entry: Entry) -> bool:
        """Note that ``entry`` is gone, its value dropped: its room is free; whether that is new."""
        if entry.state is _GONE:
            return False
        entry.state = _GONE
        charged = entry.weight if entry.parked is None else entry.charged
        self.leave_the_dying(entry)
        if self.host is not None:
            self.host.went(entry)
        counts = self.counts
        if entry.hits is not NO_HITS:
            counts.left(entry)
        if entry.cause is _SIZE:
            counts.evicted += 1
        else:
            counts.removals[entry.cause] += 1
        ledger = self.ledger
        ledger.dying -= charged
        ledger.committed -= charged
        if ledger.waiting:
            ledger.wake()
        return True

    def leave_the_dying(self, entry: Entry) -> None:
        """Have ``entry`` be found there no more, and loads that are measured know of it."""
        dying, key = self.dying, entry.key
        others = dying[key]
        if len(others) > 1:
            dying[key] = tuple([other for other in others if other is not entry])
        else:
            del dying[key]
        if self.measures and entry.charged:
            for flight in self.flights.values():
                if flight.growth is not None:
                    flight.growth.left(entry)

    def charge_zombie(self, remains: Remains, left: float) -> None:
        """Charge for what is still alive of a value that was torn down."""
        if remains not in self.zombies:
            self.zombies.append(remains)
            remains.charged = 0
        change, remains.charged = left - remains.charged, left
        for flight in self.flights.values():
            if flight.growth is not None:
                flight.growth.inside += change
        if not left:
            self.zombies.remove(remains)
        self.ledger.charge_zombie(change)

    def removal(self, entry: Entry) -> Removal:
        """Return what is told of ``entry``. Needs no lock once that is gone."""
        provenance = entry.provenance
        values = (
            entry.key,
            entry.cause,
            entry.weight,
            seconds_between(entry.loaded_at, self.timer()),
            entry.uses,
            provenance.seconds,
            provenance.source.tags,
            entry.newcomer,
            "host" if entry.parked is not None and entry.parked.moved else None,
        )
        return record_of(Removal, values)

    def alive(self) -> Iterator[Entry]:
        """Yield every entry whose value exists: live, parked, retired and dying ones."""
        yield from self.live.values()
        if self.host is not None:
            yield from self.host.entries.values()
        yield from (entry for entry in self.leased if entry.state is _RETIRED)
        for dying in self.dying.values():
            yield from dying

    # -- the host tier -------------------------------------------------------------

    def below(self, key: Hashable) -> list[Entry]:
        """Return what there is of ``key`` in the host tier, or on its way there."""
        if self.host is None:
            return []
        parked = self.host.entries.get(key)
        found = [entry for entry in self.dying.get(key, ()) if entry.parks]
        return found if parked is None else [*found, parked]

    def all_below(self) -> list[Entry]:
        """Return what there is in the host tier, and on its way there."""
        if self.host is None:
            return []
        dying = [entry for entries in self.dying.values() for entry in entries if entry.parks]
        return [*dying, *self.host.entries.values()]

    def kept(self) -> list[Entry]:
        """Return what stays unless it is removed: what is live, and what is below."""
        return [*self.live.values(), *self.all_below()]

    def is_free(self, key: Hashable) -> bool:
        """Whether nothing of ``key`` is live, or below and stays there."""
        return key not in self.live and all(map(self.is_coming_back, self.below(key)))

    def displace(self, key: Hashable) -> list[Entry]:
        """Condemn what there is of ``key``, for another is about to take its place.

        Returns what is to be torn down. What comes back from below stays: that replaces others.
        """
        live = self.live.get(key)
        there = self.below(key) if live is None else [live, *self.below(key)]
        return [entry for entry in there if self.condemn(entry, _REPLACED)]

    def is_coming_back(self, entry: Entry) -> bool:
        """Whether a load under way has ``entry`` back from where it is parked."""
        flight = self.flights.get(entry.key)
        return flight is not None and flight.returned is entry

    def _condemn_below(self, entry: Entry, cause: RemovalCause, newcomer: Newcomer | None) -> bool:
        """Condemn what is parked, or on its way there; whether it must now be torn down."""
        if entry.state is _PARKED:
            assert self.host is not None
            assert entry.parked is not None
            if self.is_coming_back(entry):  # it arrives, or goes once that has failed
                if entry.parked.condemned is None or cause is RemovalCause.CLOSED:
                    entry.parked.condemned = cause
                return False
            entry.cause, entry.newcomer = cause, newcomer
            self.begin_to_die(entry)
            del self.host.entries[entry.key]
            return True
        entry.cause, entry.newcomer, entry.parks = cause, newcomer, False
        if entry not in self.lingering:
            return False  # it is being copied, and whoever does that tears it down
        entry.doomed_by = get_ident()
        del self.lingering[entry]
        return True

    # -- leases --------------------------------------------------------------------

    def lease(self, entry: Entry, record: LeaseRecord) -> None:
        """Have ``record`` hold ``entry``."""
        if entry.leases:
            entry.leases += (record,)
        else:
            self.ledger.idle -= entry.weight
            self.leased.add(entry)
            entry.leases = (record,)

    def end_lease(self, entry: Entry, record: LeaseRecord) -> bool:
        """End one lease, which was a use until now; whether the entry must be torn down."""
        leases = entry.leases
        if record not in leases:
            return False  # detached meanwhile
        entry.used = entry.seen = tick()
        entry.seen_at = self.timer()
        if len(leases) > 1:
            entry.leases = tuple([each for each in leases if each is not record])
            return False
        entry.leases = ()
        if entry.state is _RETIRED:
            self.begin_to_die(entry)
            self.leased.discard(entry)
            self.ledger.last_lease_ended(entry.weight)
            return True
        self.leased.discard(entry)
        self.ledger.idle += entry.weight
        self.order.add(entry)
        if self.ledger.waiting:
            self.ledger.wake()
        return False

    # -- time ----------------------------------------------------------------------

    def _deadline(self, entry: Entry) -> Any:
        ends = entry.expires
        if self.idle_ttl is not None:
            idle_since = self.timer() if entry.leases else entry.seen_at
            idle_ends = idle_since + self.idle_ttl
            ends = idle_ends if ends is None or idle_ends < ends else ends
        return ends

    def keep_deadlines(self) -> None:
        """Look at the time from now on: of what is live, something ends by a loader's ``ttl``."""
        self.deadlines, self.plain = Deadlines(self._deadline), False
        self.deadlines.mend(self.live.values())

    def dates_hits_of(self, entry: Entry) -> bool:
        """Whether each hit of ``entry`` looks at the time, for it may have ended."""
        return self.idle_ttl is not None or entry.expires is not None

    def ends_in(self, entry: Entry, now: Any) -> float | None:
        """Return the seconds until ``entry`` ends, if nobody uses it; None for never."""
        ends = self._deadline(entry)
        return None if ends is None else max(0.0, seconds_between(now, ends))

    def ended(self, entry: Entry, now: Any) -> bool:
        """Whether ``entry`` has outlived its time. Needs no lock: it only looks."""
        ends = self._deadline(entry)
        return ends is not None and not now < ends

    def due(self, now: Any) -> list[Entry]:
        """Return what has ended by ``now``, for the caller to condemn."""
        if self.deadlines is None:
            return []
        below = [entry for entry in self.all_below() if self.ended(entry, now)]
        return [*self.deadlines.due(now), *below]

    def earliest_end(self) -> Any:
        """Return a time before which nothing ends; None when nothing ever will."""
        if self.deadlines is None:
            return None
        below = [self._deadline(entry) for entry in self.all_below()]
        ends = [end for end in (self.deadlines.earliest(), *below) if end is not None]
        return min(ends, default=None)

    def expire(self, now: Any) -> list[Entry]:
        """Condemn what has ended by ``now``; return what is to be torn down."""
        return [
            entry
            for entry in self.due(now)
            if entry.kept and self.condemn(entry, RemovalCause.EXPIRED)
        ]

    # -- event loops that are closed -------------------------------------------------

    def loop_closed(self) -> None:
        """Take off the hit paths what is bound to a loop that is closed.

        It is called where a loop is closed, whoever has the lock, and takes none.
        """
        self.has_orphans = True
        for entry in self.live.copy().values():
            if entry.provenance.is_orphan:
                self.cool(entry)

    def condemn_orphans(self) -> list[Entry]:
        """Condemn what is bound to closed loops; return what is to be torn down."""
        self.has_orphans = False
        return [
            entry
            for entry in self.kept()
            if entry.provenance.is_orphan and self.condemn(entry, RemovalCause.INVALID)
        ]
