"""The host tier of one cache: what is parked there, what it takes, and what parking it saves.

A value that is parked is alive: it has its entry, its teardown, its time to live. Only its bytes
are elsewhere, and its device's ledger has nothing of it. Here is what those bytes take of the
tier's budget, which keys are not worth parking, and who goes when the tier is full: whatever
parking saves least of. That is what a load takes less what getting it back takes, in seconds a
second and a byte, as for entries on a device.

Every method wants the store's lock held.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable
from typing import Any

from warmcache._texts import text_of

from .entry import Entry
from .parked_bytes import ParkedBytes
from .use_times import use_times

_AT_LEAST = 0.01  # seconds that an entry counts as idle, or what was just used had no price
_TOO_OFTEN = 2  # times running that getting a key back was hardly quicker than a load
_KNOWN = 10_000  # keys of which it is known what getting them back takes


class _Cost:
    """What getting one key back takes: seconds, in how many bytes; how often it was slow."""

    __slots__ = ("nbytes", "seconds", "slow")

    def __init__(self, nbytes: float) -> None:
        self.nbytes = nbytes
        self.seconds: float | None = None
        self.slow = 0


class HostLedger:
    """What is parked of one cache, by key, and the sum of it.

    Invariant: ``used`` is what the parked bytes of all entries take, of those too that are on
    their way there or back; ``entries`` has those that are PARKED.
    """

    def __init__(self, budget: float, below: float) -> None:
        self.budget = budget
        self.below = below
        self.entries: dict[Hashable, Entry] = {}
        self.used: float = 0
        self.parks = 0
        self.unparks = 0
        self.not_worth = 0  # for getting it back takes about as long as a load
        self.full = 0  # for all that is there saves more
        self.failures: Counter[str] = Counter()
        self._costs: dict[str, _Cost] = {}  # by texts, which keep no argument of a call alive

    # -- whether -----------------------------------------------------------------------

    def pays(self, entry: Entry) -> bool:
        """Whether getting ``entry`` back is quicker than a load, as far as that is known."""
        cost = self._cost_of(entry)
        return cost is None or cost.slow < _TOO_OFTEN

    def expected(self, entry: Entry) -> float:
        """Return the bytes that ``entry`` will take in the tier."""
        cost = self._cost_of(entry)
        return entry.weight if cost is None else cost.nbytes

    def price_of(self, entry: Entry, now: float) -> float:
        """Return what having ``entry`` parked saves: load seconds a second, a byte."""
        cost = self._cost_of(entry)
        back = (cost and cost.seconds) or 0.0
        nbytes = self.expected(entry) if entry.parked is None else entry.parked.nbytes
        idle = max(now - use_times.when(entry.used), _AT_LEAST)
        return max(entry.load_seconds - back, 0.0) * entry.uses / idle / max(nbytes, 1)

    def cheapest(self, short: float, entry: Entry, kept: set[Hashable]) -> list[Entry] | None:
        """Return what is to go so that ``short`` bytes are free for ``entry``.

        What is ``kept`` is about to be got back. None: what would go saves more.
        """
        now = use_times.note()
        price, chosen = self.price_of(entry, now), []
        offers = [(self.price_of(e, now), e.used, e) for e in self.entries.values()]
        for offer, _, victim in sorted(offers, key=lambda each: each[:2]):
            if short <= 0 or offer > price:
                break
            if victim.key not in kept and victim.parked is not None:
                chosen.append(victim)
                short -= victim.parked.nbytes
        return chosen if short <= 0 else None

    # -- what is there -----------------------------------------------------------------

    def begin(self, entry: Entry, nbytes: float) -> None:
        """Take room for the bytes of ``entry``, which are about to come."""
        text = text_of(entry.key)
        cost = self._costs.pop(text, None) or _Cost(nbytes)
        self._costs[text] = cost  # as the last
        if len(self._costs) > _KNOWN:
            del self._costs[next(iter(self._costs))]
        entry.parked = ParkedBytes(nbytes, cost)
        self.used += nbytes

    def came(self, entry: Entry, handle: Any) -> None:
        """Note that the bytes are here."""
        parked = entry.parked
        assert parked is not None
        parked.handle = handle
        self.used += handle.nbytes - parked.nbytes
        parked.nbytes = parked.cost.nbytes = handle.nbytes
        self.parks += 1

    def went(self, entry: Entry) -> None:
        """Note that the bytes of ``entry`` are not here any more, wherever they are."""
        if entry.parked is not None:
            self.used -= entry.parked.nbytes
            if self.entries.get(entry.key) is entry:
                del self.entries[entry.key]

    def came_back(self, entry: Entry, seconds: float) -> None:
        """Note that it took so many ``seconds`` to have the bytes of ``entry`` back."""
        parked = entry.parked
        assert parked is not None
        cost = parked.cost
        cost.seconds = seconds
        slow = 0 < entry.load_seconds * self.below <= seconds
        cost.slow = cost.slow + 1 if slow else 0

    def _cost_of(self, entry: Entry) -> _Cost | None:
        if entry.parked is not None:
            return entry.parked.cost  # type: ignore[no-any-return]
        return self._costs.get(text_of(entry.key))
