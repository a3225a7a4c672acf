"""The order in which entries go: by rank, by chance, by deadline.

Every method runs with the cache's lock held, and with it a ``rank`` or a ``choice``,
which must be pure and must not call the cache.
"""

from __future__ import annotations

import math
import random
from collections import deque
from collections.abc import Callable, Hashable, Iterable, Sequence
from functools import partial
from heapq import heapify, heappop, heappush
from operator import attrgetter
from typing import Any, Protocol, TypeVar

from .entry import Entry
from .records import RemovalCause

Rank = Callable[[Entry], Any]
R = TypeVar("R", bound=Callable[..., Any])
_SLACK = 64  # dead records a heap may carry before it is worth sweeping
_EXACT = 2000  # entries up to which a scan looks at all of them,
_SAMPLE = 64  # and how many it looks at above
_STAMPS: dict[str, Rank] = {name: attrgetter(name) for name in ("used", "loaded")}  # no Python code


class HasRank(Protocol):
    """Who has the rank of entries: asked for it where one is needed, for that may take long."""

    @property
    def rank(self) -> Rank: ...


def rises(rank: R, stamp: Rank | None = None) -> R:
    """Decorate a policy's ``rank`` that is higher than before when an entry is stored anew."""
    # With its code: what wraps it takes over its attributes, and may do otherwise.
    vars(rank)["_rises"] = _code_of(rank), stamp
    return rank


def stamp(name: str) -> Callable[[R], R]:
    """Decorate a ``rank`` that is an entry's stamp of this ``name``: "used" or "loaded"."""
    return partial(rises, stamp=_STAMPS[name])


def _code_of(rank: Rank | None) -> Any:
    return getattr(rank, "__code__", None)


def order_by(rank: Callable[..., Any]) -> RankOrder:
    """Return the order of entries by a policy's ``rank``."""
    code, stamp = getattr(rank, "_rises", (None, None))
    renews = code is not None and code is _code_of(rank)
    return StampOrder(stamp) if renews and stamp is not None else RankOrder(renews=renews)


class Order:
    """What all orders do alike."""

    renews = False  # whether an idle entry may get a new value in its place

    def add(self, entry: Entry) -> None:
        """Have ``entry``, which is live and idle, be a victim in its turn."""
        raise NotImplementedError

    def discard(self, entry: Entry, cause: RemovalCause) -> None:
        """Note that ``entry`` has left for this ``cause``, maybe after :meth:`take` took it."""
        raise NotImplementedError

    def take(self, policy: HasRank) -> Entry | None:
        """Remove and return the idle entry that goes next; None when none is idle."""
        raise NotImplementedError

    def reweighed(self, entry: Entry) -> None:
        """Note that a live ``entry`` weighs more or less, unused: here, nothing is recorded."""

    def listing(self, entries: Iterable[Entry], rank: Rank) -> list[Entry]:
        """Return ``entries`` in the order they would go, changing nothing."""
        raise NotImplementedError

    def give_back(self, entries: Iterable[Entry]) -> None:
        """Return to the order what ``take`` took."""
        for entry in entries:
            self.add(entry)

    def limited(self, limit: float) -> None:
        """Note what entries may weigh together: here, it makes no difference."""

    def sweep(self) -> None:
        """Drop the records of what has left: here, there are none."""

    def mend(self, live: Iterable[Entry]) -> None:
        """Begin anew with what is ``live``, for some change of the order was interrupted."""
        raise NotImplementedError

    def forget(self) -> None:
        """Forget what is remembered of keys that have left: here, nothing is."""


class RankOrder(Order):
    """Idle entries by rank, lowest first, as a lazy queue.

    A rank only ever rises, and only when its entry is used. So a record may lag
    behind its entry: when one comes up, it is compared with today's rank and, if
    stale, put back. Hits therefore move nothing, and choosing a victim costs
    O(log n) amortised. Records that come in rising order, as those of new entries
    mostly do, are kept in a plain run; only the others need the heap.

    Invariant: every idle live entry is ``queued``, and is exactly once in ``_run``
    (under ``entry.recorded``), in ``_heap`` (under the rank beside it) or, where a ``rank`` has to
    be asked and until somebody needs a victim, in ``_unranked``; what is recorded is at most its
    rank.
    Leased entries lose their place when they come up and get it back at the last
    release, so pins at the head never hold up the rest.
    """

    def __init__(self, *, renews: bool = False) -> None:
        self.renews = renews
        self._unranked: deque[Entry] = deque()
        self._run: deque[Entry] = deque()
        self._heap: list[tuple[Any, Entry]] = []
        self._newest: Any = -math.inf  # what the last of the run was recorded under
        self._dead = 0

    def add(self, entry: Entry) -> None:
        if not entry.queued:
            entry.queued = True
            self._unranked.append(entry)

    def discard(self, entry: Entry, cause: RemovalCause) -> None:
        """Note that ``entry`` has left by another door than :meth:`take`."""
        if entry.queued:
            entry.queued = False
            self._dead += 1
            records = len(self._unranked) + len(self._run) + len(self._heap)
            if self._dead > _SLACK + records // 2:
                self.sweep()

    def reweighed(self, entry: Entry) -> None:
        """Have a live ``entry`` that weighs more or less found anew: its rank may have fallen."""
        if entry.queued:
            entry.queued = False
            self.sweep()
            if not entry.leases:
                self.add(entry)

    def take(self, policy: HasRank) -> Entry | None:
        return self.lowest(policy.rank)

    def lowest(self, rank: Rank) -> Entry | None:
        """Remove and return the idle entry of lowest rank; None when none is idle.

        When ``rank`` raises, the order is unchanged.
        """
        unranked, run, heap = self._unranked, self._run, self._heap
        while unranked:
            entry = unranked[0]
            if not entry.queued:
                self._dead -= 1
            elif run and run[-1].recorded < (today := rank(entry)):  # as _push, without a call
                entry.recorded = today
                run.append(entry)
            else:
                self._push(rank(entry), entry)
            unranked.popleft()
        while run or heap:
            in_order = not heap or (run and (run[0].recorded, run[0]) < heap[0])
            entry = run[0] if in_order else heap[0][1]
            recorded = entry.recorded if in_order else heap[0][0]
            wanted = entry.queued and not entry.leases
            today = rank(entry) if wanted else recorded
            if in_order:
                run.popleft()
            else:
                heappop(heap)
            if wanted:
                if not recorded < today:
                    entry.queued = False
                    return entry
                self._push(today, entry)
            elif entry.queued:  # leased: back in the order at its release
                entry.queued = False
            else:
                self._dead -= 1
        return None

    def _push(self, today: Any, entry: Entry) -> None:
        run = self._run
        if not run or run[-1].recorded < today:
            self._newest = entry.recorded = today
            run.append(entry)
        else:
            heappush(self._heap, (today, entry))

    def listing(self, entries: Iterable[Entry], rank: Rank) -> list[Entry]:
        """Return ``entries`` in the order they would go, changing nothing."""
        return sorted(entries, key=lambda entry: (rank(entry), entry))

    def mend(self, live: Iterable[Entry]) -> None:
        self._unranked, self._run, self._heap, self._dead = deque(), deque(), [], 0
        for entry in live:
            entry.queued = False
            if not entry.leases:
                self.add(entry)

    def sweep(self) -> None:
        self._unranked = deque(entry for entry in self._unranked if entry.queued)
        self._run = deque(entry for entry in self._run if entry.queued)
        self._heap = [record for record in self._heap if record[1].queued]
        heapify(self._heap)
        self._dead = 0


class StampOrder(RankOrder):
    """Idle entries by one of their stamps: no ``rank`` is asked, so each has its place at once.

    Invariant: nothing in ``_run`` is recorded above ``_newest``.
    """

    def __init__(self, stamp: Rank) -> None:
        super().__init__(renews=True)
        self._stamp, self._by_use = stamp, stamp is _STAMPS["used"]

    def add(self, entry: Entry) -> None:
        if not entry.queued:
            entry.queued = True
            today = entry.used if self._by_use else entry.loaded
            if self._newest < today:  # as _push, without a call
                self._newest = entry.recorded = today
                self._run.append(entry)
            else:
                self._push(today, entry)

    def take(self, policy: HasRank) -> Entry | None:
        if not self._heap:  # what is most common: as in lowest(), at the front of the run
            run = self._run
            try:
                entry = run.popleft()
            except IndexError:
                return None
            if entry.queued and not entry.leases:
                today = entry.used if self._by_use else entry.loaded
                if not entry.recorded < today:
                    entry.queued = False
                    return entry
            run.appendleft(entry)
        return self.lowest(self._stamp)

    def mend(self, live: Iterable[Entry]) -> None:
        self._newest = -math.inf
        super().mend(live)


class ScanOrder(Order):
    """Entries by a rank that drifts: it may fall, though nobody uses the entry.

    So nothing is recorded. Who needs a victim looks at all idle entries, or, where
    there are more than 2,000, at a sample of 64: the lowest rank of these belongs to
    one of the lowest 5 % of all, nearly always (0.95 ** 64 is 4 %). Leased entries
    keep their place and are passed over.

    What a policy must know beyond the rank, it learns by overriding :meth:`arrived`,
    :meth:`left`, :meth:`returned` and :meth:`look`.
    """

    def __init__(self) -> None:
        self._entries: list[Entry] = []
        self._places: dict[Entry, int] = {}
        self._random = random.Random(0)  # its own, so that a replay gives the same twice

    def arrived(self, entry: Entry) -> None:
        """Note that ``entry`` can be a victim from now on."""

    def left(self, entry: Entry, *, replaced: bool) -> None:
        """Note that ``entry`` has left, for a successor if ``replaced``."""

    def returned(self, entry: Entry) -> None:
        """Note that ``entry`` never left: its eviction was called off."""

    def look(self, entries: Sequence[Entry]) -> None:
        """Prepare for ``entries`` to be ranked."""

    def add(self, entry: Entry) -> None:
        if not entry.queued:
            self._place(entry)
            self.arrived(entry)

    def discard(self, entry: Entry, cause: RemovalCause) -> None:
        """Note that ``entry`` has left by another door than :meth:`take`."""
        if entry.queued:
            self._remove(entry)
            self.left(entry, replaced=cause is RemovalCause.REPLACED)

    def take(self, policy: HasRank) -> Entry | None:
        """Remove and return an idle entry of lowest rank; None when none is idle."""
        entries, rank = self._entries, policy.rank
        if len(entries) > _EXACT:
            entries = self._random.sample(entries, _SAMPLE)
            if all(entry.leases for entry in entries):  # pins must not stop the rest
                entries = self._entries
        self.look(entries)
        lowest, first = None, None
        for entry in entries:
            if not entry.leases:
                today = rank(entry)
                if first is None or today < lowest or (today == lowest and entry < first):
                    lowest, first = today, entry
        if first is not None:
            self._remove(first)
            self.left(first, replaced=False)
        return first

    def give_back(self, entries: Iterable[Entry]) -> None:
        """Return to the order what :meth:`take` took."""
        for entry in entries:
            self._place(entry)
            self.returned(entry)

    def listing(self, entries: Iterable[Entry], rank: Rank) -> list[Entry]:
        """Return ``entries`` in the order they would go, changing nothing."""
        self.look(self._entries)
        return sorted(entries, key=lambda entry: (rank(entry), entry))

    def mend(self, live: Iterable[Entry]) -> None:
        self._entries, self._places = [], {}
        for entry in live:
            entry.queued = False
            if not entry.leases:
                self.add(entry)

    def _place(self, entry: Entry) -> None:
        entry.queued = True
        self._places[entry] = len(self._entries)
        self._entries.append(entry)

    def _remove(self, entry: Entry) -> None:
        entry.queued = False
        place, last = self._places.pop(entry), self._entries.pop()
        if last is not entry:
            self._entries[place] = last
            self._places[last] = place


class ChoiceOrder(Order):
    """Entries in the order that a ``choice`` function gives, as cachetools' RRCache.

    The keys are kept in the same sequence as cachetools 8 keeps them, so that the
    same choices pick the same victims. There, a new value takes the place of the one that it
    replaces; so the place is kept until it comes, or until somebody looks for a victim.
    """

    def __init__(self, choice: Callable[[Sequence[Any]], Any]) -> None:
        self.choice = choice
        self._keys: list[Hashable] = []
        self._index: dict[Hashable, int] = {}
        self._entries: dict[Hashable, Entry] = {}
        self._kept: set[Hashable] = set()  # keys whose place waits for a successor

    def add(self, entry: Entry) -> None:
        self._kept.discard(entry.key)
        if entry.key not in self._index:
            self._index[entry.key] = len(self._keys)
            self._keys.append(entry.key)
        self._entries[entry.key] = entry
        entry.queued = True

    def discard(self, entry: Entry, cause: RemovalCause) -> None:
        """Forget ``entry``; one that is replaced leaves its place to its successor."""
        entry.queued = False
        if self._entries.get(entry.key) is not entry:
            return
        del self._entries[entry.key]
        if cause is RemovalCause.REPLACED:
            self._kept.add(entry.key)
        else:
            self._give_up_place(entry.key)

    def _give_up_place(self, key: Hashable) -> None:
        index, last = self._index.pop(key), self._keys.pop()
        if index < len(self._keys):
            self._keys[index] = last
            self._index[last] = index

    def take(self, policy: HasRank) -> Entry | None:
        """Remove and return an idle entry of ``choice``'s choosing; None if none is."""
        while self._kept:
            self._give_up_place(self._kept.pop())
        if not self._keys:
            return None
        entry = self._entries[self.choice(self._keys)]
        if entry.leases:
            idle = [key for key in self._keys if not self._entries[key].leases]
            if not idle:
                return None
            entry = self._entries[self.choice(idle)]
        self.discard(entry, RemovalCause.SIZE)
        return entry

    def mend(self, live: Iterable[Entry]) -> None:
        self._keys, self._index, self._entries, self._kept = [], {}, {}, set()
        for entry in live:
            self.add(entry)

    def listing(self, entries: Iterable[Entry], rank: Rank) -> list[Entry]:
        """Return ``entries`` in one order that ``choice`` gives, changing nothing."""
        left = {entry.key: entry for entry in entries}
        order = []
        while left:
            order.append(left.pop(self.choice(list(left))))
        return order
