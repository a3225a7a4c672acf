"""This process as a member of a node: what its caches of one device have together.

Each cache has a ledger of its own, which knows nothing of other processes. Here is what the node
has granted to all of them, and how much of that is in use. Three things are done, and never with a
lock of a cache held:

- A load that has its room in its cache *agrees* with the node before it begins. It takes what was
  granted and is not in use any more, and asks for the rest. What its own cache has idle may go for
  it, whatever protects that from others.
- What is not in use any more is *given back*: whenever something was removed, and each second.
- What is in use and was not granted, an *excess*, is asked for as soon as it is known, and each
  second. It comes of values that turned out to weigh more, and of those that were handed in: these
  exist, whoever counts them.

In use is what the caches have committed, but for what loads have reserved that have not agreed yet.
Each cache's sums are read under its own lock, and none of ours is held meanwhile. Between that look
and what it is for a load may agree, or what it has seen in use be given back, which would be an
excess then; so changes of what was granted are counted, and one that was made meanwhile means that
the look is too old, and is done again.

What is granted is counted here too, for several threads are at the ledger of the node at once, and
what one has decided another is not to decide again before it is done. An interrupt may leave that
count wrong: it is taken over from there whenever nobody is at it.

On an event loop nobody waits for the gate of the node. What is to be told from there the janitor
tells, and that loads have ended is told with what comes next.
"""

from __future__ import annotations

import math
import sys
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from warmcache._core.drivers.threads import run
from warmcache._core.plans import share
from warmcache._core.plans.cache_view import CacheView
from warmcache._core.plans.remove import make_up
from warmcache._core.state.flights import Flight
from warmcache._core.state.ledger import Claim
from warmcache._core.state.records import RemovalCause
from warmcache._core.state.use_times import use_times
from warmcache._log import log
from warmcache._node.ledger import NodeLedger
from warmcache._node.refusal import Node, Refusal
from warmcache._process.after_fork import begins_anew_in_child
from warmcache._process.fork_safe_lock import ForkSafeLock
from warmcache._process.janitor import janitor
from warmcache._sizes import format_size
from warmcache.errors import ClosedError
from warmcache.probes.probe import Probe

PATIENCE = 1.0  # seconds that a value which exists already waits for others to make its room
_AT_A_LOOK = 0.1  # likewise, each second, when nobody waits for it


class NodeMember:
    """What the caches of this process have together of one device of the node."""

    hit = None  # it is an observer of their stores, and wants no hits told

    def __init__(self, folder: Path, probe: Probe, confirm: float) -> None:
        self._folder, self._probe, self._confirm = folder, probe, confirm
        self._mutex = ForkSafeLock()
        self._members: list[CacheView] = []
        self._warned = False
        self._left = False  # whether the ledger is closed, for all caches are
        self._ledger = self._new_ledger()
        self._forget()
        begins_anew_in_child(self)

    def _new_ledger(self) -> NodeLedger:
        # The listening thread holds the ledger, and must not hold the caches through it.
        here: weakref.ref[NodeMember] = weakref.ref(self)
        probe = self._probe
        ledger = NodeLedger(
            self._folder,
            budget=0,
            quotes=partial(_quotes, here),
            reclaim=partial(_reclaim, here),
            available=lambda: probe.sample().available,
            confirm=self._confirm,
        )
        weakref.finalize(self, ledger.close)  # at the end of the process, too
        return ledger

    def begin_anew(self) -> None:
        """Have been granted nothing, in a forked child. Its caches join again."""
        self._ledger.begin_anew()  # before they do, whichever was made first
        self._forget()

    def _forget(self) -> None:
        self._budget = 0  # that was said
        self._granted = self._owing = self._at_it = self._changes = 0
        self._asking: dict[Flight, int] = {}  # what each has at hand meanwhile
        self._agreed: dict[Flight, int] = {}  # what each was granted that is in flight now
        self._landed: list[int] = []

    def join(self, cache: CacheView) -> None:
        """Have ``cache`` be one of those. Its budget is what it says that all may have."""
        if cache.store.closed:  # before a fork
            return
        with self._mutex.lock:
            self._members = [*self._open(), cache]
            if self._left:
                self._left, self._ledger = False, self._new_ledger()
                self._forget()
            budgets = {each.store.ledger.limit for each in self._members}
            warns, self._warned = len(budgets) > 1 and not self._warned, len(budgets) > 1
        if warns:
            log().warning(
                "caches of this process have different budgets for %s: %s; the least of them "
                "counts for all",
                *(self._folder, ", ".join(format_size(each) for each in sorted(budgets))),
            )
        self._say_budget()
        with cache.store.lock:
            cache.store.observers.add(self)

    def _say_budget(self) -> None:
        """Say the least budget of the caches, if another was said."""
        with self._mutex.lock:
            limits = [each.store.ledger.limit for each in self._open()]
            budget = int(min(limits, default=self._budget))
            if budget == self._budget:
                return
            self._budget = budget
        self._ledger.set_budget(budget)

    def _open(self) -> list[CacheView]:
        """Return who has or may get something."""
        return [
            each
            for each in self._members
            if not each.store.inherited
            and (each.store.ledger.committed or not (each.store.closed or each.collected))
        ]

    # -- what the plans ask --------------------------------------------------------------

    def agree(self, cache: CacheView, flight: Flight, wait: float) -> Refusal | None:
        """Have granted what ``flight`` has reserved, in ``wait`` seconds; else return why not.

        It may end meanwhile, as its task is cancelled: then nothing is wanted any more.
        """
        wanted = math.ceil(flight.weight)
        with self._looked() as spare:
            at_hand = min(max(spare, 0), wanted)
            rest = wanted - at_hand
            if not rest:
                self._note_agreed(flight, 0)
                return None
            self._asking[flight] = at_hand
            self._at_it += 1
        claim = Claim(flight.key, flight.weight)
        try:
            refused = self._ledger.grow(
                rest,
                wait,
                quotes=partial(self.quotes, cache),
                reclaim=partial(self.reclaim, asker=cache, claim=claim),
                wanted=lambda: flight in self._asking,
            )
        except BaseException:
            with self._mutex.lock:
                self._at_it -= 1
            self._asking.pop(flight, None)
            raise
        with self._mutex.lock:
            self._at_it -= 1
            if refused is None:
                self._granted += rest
                self._note_agreed(flight, rest)
            # In this order, for it may land meanwhile, and then nobody else would.
            if self._asking.pop(flight, None) is None:
                self.landed(flight)
        return refused

    def _note_agreed(self, flight: Flight, granted: int) -> None:
        self._agreed[flight] = granted
        self._changes += 1

    def landed(self, flight: Flight) -> None:
        """Note that the load of ``flight`` has ended, whatever became of it. Takes no lock."""
        self._asking.pop(flight, None)
        rest = self._agreed.pop(flight, 0)
        if rest:
            self._landed.append(rest)

    def give_back(self) -> None:
        """Have the node get what was granted and is not in use."""
        with self._looked() as spare:
            if spare <= 0:
                return
            self._granted -= spare
            self._changes += 1
            self._at_it += 1
        try:
            self._ledger.shrink(spare)
        finally:
            with self._mutex.lock:
                self._at_it -= 1

    def true_up(self, wait: float) -> int:
        """Give back what is not in use, ask for what was not granted; return that, if in vain.

        What is being torn down is not asked for: it comes back.
        """
        self.give_back()
        dying = sum(each.store.ledger.dying for each in self._open())
        with self._looked() as spare:
            excess = -spare - math.floor(dying) - self._owing
            if excess <= 0:
                return 0
            self._owing += excess
            self._at_it += 1
        refused: object = True
        try:
            refused = self._ledger.grow(excess, wait)
        except ClosedError:  # the last cache was closed
            return 0
        finally:
            with self._mutex.lock:
                self._owing -= excess
                self._at_it -= 1
                if refused is None:
                    self._granted += excess
                    self._changes += 1
                    self._landed.append(excess)
        return 0 if refused is None else excess

    @contextmanager
    def _looked(self) -> Iterator[int]:
        """Give what was granted and is not in use, with the lock held; an excess is less than 0."""
        while True:
            changes = self._changes
            used = math.ceil(sum(self._used(each) for each in self._open()))
            with self._mutex.lock:
                if changes != self._changes:
                    continue
                if not self._at_it:
                    self._granted = self._ledger.committed
                yield self._granted - used - sum(list(self._asking.values()))
                return

    def _used(self, cache: CacheView) -> float:
        with cache.store.lock:
            flights = cache.store.flights.values()
            reserved = sum(each.weight for each in flights if each not in self._agreed)
            return cache.store.ledger.committed - reserved

    # -- what others of the node see -----------------------------------------------------

    def others_have(self) -> int:
        """Return the bytes that other processes of the node have been granted."""
        try:
            return max(self._ledger.status().committed - self._ledger.committed, 0)
        except ClosedError:
            return 0

    def status(self) -> Node:
        """Return how full the node is, as all see it who share its budget."""
        return self._ledger.status()

    def look(self) -> None:
        """Say what is in use and what is idle now."""
        self.true_up(_AT_A_LOOK)
        self._leave_if_left()
        landed = 0
        while self._landed:
            landed += self._landed.pop()
        if landed:
            self._ledger.landed(landed)
        self._ledger.publish()

    def quotes(self, asker: CacheView | None = None) -> list[tuple[float, float]]:
        """Return what is idle and may be asked for by ``asker``, or others: bytes and prices."""
        now = use_times.note()
        offered = [share.offers(each, now, own=each is asker) for each in self._open()]
        return [(weight, price) for each in offered for price, weight in each]

    def reclaim(
        self, nbytes: float, asker: CacheView | None = None, claim: Claim | None = None
    ) -> float:
        """Have the cheapest go of what is idle, until it makes up ``nbytes``; return what went."""
        given = 0.0
        for giver, part in share.cheapest_of(self._open(), nbytes, asker).items():
            if giver is asker:
                given += run(make_up(giver, part, RemovalCause.NODE, claim), giver)
            else:
                given += run(share.give(giver, part, None, RemovalCause.NODE), giver)
        self.give_back()
        return given

    # -- what the caches tell ------------------------------------------------------------

    def removed(self, removal: object) -> None:
        self._tell(self._leave_if_left)

    def closed(self) -> None:
        self._tell(self._leave_if_left)

    def _leave_if_left(self) -> None:
        """Give back; leave the node once all caches that had joined are gone, with all they had."""
        self.give_back()
        with self._mutex.lock:
            leaves = not (self._left or self._open())
            self._left, ledger = self._left or leaves, self._ledger
        if leaves:
            ledger.close()
        else:
            self._say_budget()

    def used(self, key: object) -> None:
        """Note nothing: what is used is as idle as before."""

    def stored(self, entry: object) -> None:
        """Note nothing: its load has agreed, or what handed it in asks for its room."""

    def waited(self, what: object) -> None:
        """Note nothing: that is about room in one cache."""

    def refused(self, error: object) -> None:
        """Note nothing."""

    def _tell(self, what: Callable[[], object]) -> None:
        """Do ``what`` now, or have it done soon where an event loop would wait for it."""
        asyncio = sys.modules.get("asyncio")
        if asyncio is None or asyncio._get_running_loop() is None:
            what()
        else:
            janitor.defer(what)


def _quotes(here: weakref.ref[NodeMember]) -> list[tuple[float, float]]:
    member = here()
    return [] if member is None else member.quotes()


def _reclaim(here: weakref.ref[NodeMember], nbytes: int) -> float:
    member = here()
    return 0 if member is None else member.reclaim(nbytes)
