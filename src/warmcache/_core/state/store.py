"""The state of one cache: its entries, its ledger and the lock that guards both.

Nothing here runs user code (but for ``rank``, ``choice``, a ``timer`` and the hash
and equality of keys) and nothing here waits. What to do is decided in ``_planner.py``
and ``_room.py``; this file only moves entries from one state to the next and keeps the sums right.
"""

from __future__ import annotations

import gc
import threading
import weakref
from collections.abc import Callable, Hashable, Iterator
from typing import TYPE_CHECKING, Any

from warmcache._core.plans.meter import Meter
from warmcache._process.after_fork import begins_anew_in_child, keep_forever
from warmcache._process.at_exit import register_exit
from warmcache.errors import ClosedError

from .counts import Counts
from .deadlines import Deadlines
from .entry import Entry, LeaseRecord, State, seconds_between
from .flights import Flight
from .ledger import Promises
from .one_shot import OneShot
from .records import Removal, RemovalCause
from .remains import Remains
from .victim_order import Order, Rank

if TYPE_CHECKING:
    from warmcache._observe.recording import Recording

_SIZE, _REPLACED, _GONE = RemovalCause.SIZE, RemovalCause.REPLACED, State.GONE


class Store(Promises):
    """Entries and ledger of one cache. Every method wants ``lock`` held.

    With a ``meter``, the memory behind the weights is looked at, too.
    """

    def __init__(
        self,
        limit: float,
        order: Order,
        timer: Callable[[], Any],
        idle_ttl: float | None,
        timed: bool,
        reclaim: Callable[[], object] | None,
        listener: Callable[[Removal], object] | None,
        tears_down: bool,
        meter: Meter | None = None,
    ) -> None:
        super().__init__(limit)
        # Re-entrant, for a finalizer that the garbage collector happens to run in
        # here may well ask this very cache for something.
        self.lock = threading.RLock()
        self.order = order
        self.timer = timer
        self.idle_ttl = idle_ttl
        self.reclaim = reclaim
        self.listener = listener
        self.deadlines = Deadlines(self._deadline) if timed or idle_ttl is not None else None
        self.closed = False
        self.inherited = False  # by a forked child, in which nobody may end what is in here
        self.meter = meter
        # Whether anybody would notice entries that merely vanish.
        told = reclaim is not None or listener is not None
        self.tears_down = tears_down or told or meter is not None

        self.live: dict[Hashable, Entry] = {}
        self.held: set[Entry] = set()  # leased entries, live or retired
        self.dying: dict[Hashable, tuple[Entry, ...]] = {}
        self.lingering: dict[Entry, tuple[Remains, bool]] = {}  # torn down, not yet back
        self.zombies: list[Remains] = []

        self.counts = Counts()
        self.recording: Recording | None = None
        self.switches: weakref.WeakSet[Any] = weakref.WeakSet()  # of the hit paths, for it
        begins_anew_in_child(self)

    def begin_anew(self) -> None:
        """Become what a forked child has inherited: a place that nothing leaves.

        What the child was in the midst of goes on in here and ends without harm: a lease,
        a load, a teardown. Its cache has a store of its own.
        """
        if not self.inherited:
            self.inherited = True
            self.lock = threading.RLock()
            self._waiting = []
            alive = list(self.alive())
            keep_forever(
                self, [(getattr(entry, "value", None), entry.provenance.finish) for entry in alive]
            )

    # -- entries ------------------------------------------------------------------

    def check_open(self) -> None:
        if self.closed:
            raise ClosedError("the cache is closed")

    def publish(self, entry: Entry) -> None:
        """Make ``entry`` visible; the room for it must have been reserved."""
        self.live[entry.key] = entry
        self.tears_down |= (
            entry.provenance.source.teardown is not None or entry.provenance.finish is not None
        )
        if self.tears_down:
            register_exit()
        self.live_weight += entry.weight
        if entry.leases:
            self.held.add(entry)
        else:
            self.idle_weight += entry.weight
            self.order.add(entry)
        if self.deadlines is not None:
            self.deadlines.add(entry)
        if self.recording is not None:
            self.recording.stored(entry)
        if self._waiting:
            self.wake()

    def put_at_once(self, entry: Entry, rank: Rank) -> list[Entry] | None:
        """Store ``entry`` where that takes no user code and no waiting.

        That is: nothing has a teardown, nothing expires, and idle entries can make
        the room. Returns what was removed, still holding its values (they may die
        only once the lock is released), or None when it takes a plan.
        """
        if self.tears_down or self.deadlines is not None or self.closed:
            return None
        weight, slack, live = entry.weight, self.slack, self.live
        old = live.get(entry.key)
        gain: float = 0
        if old is not None:
            if old.leases or old.value is entry.value:
                return None
            gain = old.weight
        short = self.committed + weight - gain - self.limit
        removed: list[Entry] = []
        passed = False
        if short > slack:
            if short > self.idle_weight - gain or weight > self.limit:
                return None
            first = self.order.take(rank)  # most often it is enough
            if first is not None and first is not old and first.weight >= short - slack:
                removed = [first]
            else:
                removed, passed = self.victims(short, rank, old, first)
            self.counts.removals[_SIZE] += len(removed)
        if old is not None:
            if not passed:  # one that came up itself starts anew
                entry.base_uses = old.uses + 1
            self.order.discard(old, replaced=True)
            self.counts.removals[_REPLACED] += 1
            removed.append(old)
        change = weight
        for gone in removed:
            change -= gone.weight
            del live[gone.key]  # the successor of ``old`` comes last
            gone.state = _GONE
            if gone.provenance.hot is not None and (hot := gone.provenance.hot()) is not None:
                hot.pop(gone.provenance.hot_key, None)
            if gone.hits:
                self.counts.left(gone)
        live[entry.key] = entry
        self.order.add(entry)
        if change:
            self.live_weight += change
            self.idle_weight += change
            self.committed += change
        if self.recording is not None:
            self.recording.stored(entry)
        if self._waiting:
            self.wake()
        return removed

    def victims(
        self, short: float, rank: Rank, old: Entry | None = None, first: Entry | None = None
    ) -> tuple[list[Entry], bool]:
        """Take idle entries off the order, lowest rank first, until ``short`` is made up.

        As in cachetools, an entry about to be replaced may come up itself, which
        makes up nothing; its successor then starts its count of uses anew. Returns
        the others, and whether ``old`` came up. ``first`` was taken already, and is
        given back too when ``rank`` raises: then nothing was taken.
        """
        order, slack = self.order, self.slack
        taken: list[Entry] = []
        passed = False
        try:
            while short > slack and (entry := first or order.take(rank)) is not None:
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

    def condemn(self, entry: Entry, cause: RemovalCause) -> bool:
        """Take a live entry out of sight; whether it must now be torn down.

        When it is leased it is retired instead, and the last release tears it down.
        """
        del self.live[entry.key]
        hot = entry.provenance.hot() if entry.provenance.hot is not None else None
        if hot is not None and hot.get(entry.provenance.hot_key) is entry:
            hot.pop(entry.provenance.hot_key, None)
        entry.cause = cause
        self.live_weight -= entry.weight
        self.order.discard(entry, cause is RemovalCause.REPLACED)
        if self.deadlines is not None:
            self.deadlines.discard()
        if entry.leases:
            entry.state = State.RETIRED
            self.retired_weight += entry.weight
            return False
        self.idle_weight -= entry.weight
        self._start_dying(entry)
        return True

    def turn_away(self, entry: Entry, cause: RemovalCause) -> None:
        """Have a loaded entry that cannot be published torn down in its reservation."""
        entry.cause = cause
        self._start_dying(entry)

    def restamp(self, entry: Entry, new: Entry) -> None:
        """Have a leased ``entry`` count as just stored: ``new`` has the very same value."""
        entry.expires, entry.loaded = new.expires, new.loaded
        entry.base_uses += 1
        if self.recording is not None:
            self.recording.used(entry)
        if self.deadlines is not None:
            self.deadlines.renew(entry)

    def reweigh(self, entry: Entry, weight: float, reserved: float) -> None:
        """Change the weight of a leased ``entry``, using up what was ``reserved`` for it."""
        if entry.state is State.GONE:  # detached meanwhile
            self.unreserve(reserved)
            return
        self.committed += weight - entry.weight - reserved
        if entry.state is State.LIVE:
            self.live_weight += weight - entry.weight
        else:
            self.retired_weight += weight - entry.weight
        entry.weight = weight
        self.wake()

    def charge_zombie(self, remains: Remains, left: float) -> None:
        """Charge for what is still alive of a value that was torn down."""
        if remains not in self.zombies:
            self.zombies.append(remains)
            remains.charged = 0
        change = left - remains.charged
        remains.charged = left
        self.zombie_weight += change
        self.committed += change
        for flight in self._loading():
            flight.inside += change
        if not left:
            self.zombies.remove(remains)
        if change < 0:
            self.wake()

    def flush(self) -> None:
        """Give back what nobody holds any more. Without the lock: it runs user code."""
        gc.collect()
        if self.reclaim is not None:
            self.reclaim()

    def _start_dying(self, entry: Entry) -> None:
        entry.state = State.DYING
        self.dying_weight += entry.weight
        self.dying[entry.key] = (*self.dying.get(entry.key, ()), entry)

    def _stop_dying(self, entry: Entry) -> None:
        entry.state = State.GONE
        self.dying_weight -= entry.weight
        self.committed -= entry.weight
        others = tuple(other for other in self.dying.pop(entry.key) if other is not entry)
        if others:
            self.dying[entry.key] = others

    def bury(self, entry: Entry, failed: bool) -> Removal:
        """Note that ``entry`` is gone, its value dropped: its room is free."""
        self._stop_dying(entry)
        for flight in self._loading():
            # Of what was on its way out before, nobody knows when its memory came back.
            flight.disturbed |= entry in flight.leaving
            flight.inside -= entry.weight
        self.counts.left(entry)
        removal = self.removal(entry)
        self.counts.removals[removal.cause] += 1
        self.counts.teardown_failures += failed
        if self._waiting:
            self.wake()
        return removal

    def _loading(self) -> list[Flight]:
        """Return the loads whose growth is being measured."""
        return [flight for flight in self.flights.values() if flight.loading]

    def removal(self, entry: Entry) -> Removal:
        """Return what a listener is told of ``entry``."""
        return Removal(
            key=entry.key,
            cause=entry.cause,
            weight=entry.weight,
            age=seconds_between(entry.loaded_at, self.timer()),
            uses=entry.uses,
            load_seconds=entry.provenance.seconds,
            tags=entry.tags,
        )

    def release_alive(self, entry: Entry) -> None:
        """Let a live entry go without a teardown; its value is the caller's now."""
        self.condemn(entry, RemovalCause.EXPLICIT)
        if entry.state is State.DYING:
            self._stop_dying(entry)
        else:
            self.retired_weight -= entry.weight
            self.committed -= entry.weight
            self.held.discard(entry)
            entry.leases = ()
            entry.state = State.GONE
        self.counts.left(entry)
        self.wake()

    def alive(self) -> Iterator[Entry]:
        """Yield every entry whose value exists: live, retired and dying ones."""
        yield from self.live.values()
        yield from (entry for entry in self.held if entry.state is State.RETIRED)
        for dying in self.dying.values():
            yield from dying

    # -- leases -------------------------------------------------------------------

    def lease(self, entry: Entry, record: LeaseRecord) -> None:
        if not entry.leases:
            self.idle_weight -= entry.weight
            self.held.add(entry)
        entry.leases += (record,)

    def end_lease(self, entry: Entry, record: LeaseRecord, stamp: int | None = None) -> bool:
        """End one lease; whether the entry must now be torn down."""
        if record not in entry.leases:
            return False  # detached meanwhile
        others = len(entry.leases) > 1
        entry.leases = tuple(h for h in entry.leases if h is not record) if others else ()
        if stamp is not None:
            entry.used = entry.seen = stamp
            entry.seen_at = self.timer()
        if entry.leases:
            return False
        self.held.discard(entry)
        if entry.state is State.RETIRED:
            self.retired_weight -= entry.weight
            self._start_dying(entry)
            return True
        self.idle_weight += entry.weight
        self.order.add(entry)
        self.wake()
        return False

    # -- time ---------------------------------------------------------------------

    def _deadline(self, entry: Entry) -> Any:
        ends = entry.expires
        if self.idle_ttl is not None:
            idle_since = self.timer() if entry.leases else entry.seen_at
            idle_ends = idle_since + self.idle_ttl
            ends = idle_ends if ends is None or idle_ends < ends else ends
        return ends

    def ended(self, entry: Entry, now: Any) -> bool:
        """Whether ``entry`` has outlived its time."""
        ends = self._deadline(entry)
        return ends is not None and not now < ends

    def expire(self, now: Any) -> list[Entry]:
        """Condemn what has ended by ``now``; return what is to be torn down."""
        if self.deadlines is None:
            return []
        ended = self.deadlines.due(now)
        return [
            entry
            for entry in ended
            if entry.state is State.LIVE and self.condemn(entry, RemovalCause.EXPIRED)
        ]

    # -- waiting ------------------------------------------------------------------

    def check_anybody_there(self, signal: OneShot) -> None:
        """Raise ClosedError if who would make ``signal`` happen was left behind by a fork."""
        if self.inherited and not signal.happened:
            raise ClosedError("this was begun before the process was forked; ask again")
