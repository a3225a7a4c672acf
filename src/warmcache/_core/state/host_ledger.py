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

from .entry import Entry
from .parked_bytes import ParkedBytes
from .use_times import use_times

_AT_LEAST = 0.01  # seconds that an entry counts as idle, or what was just used had no price
_TOO_OFTEN = 2  # times running that getting a key back was hardly quicker than a load
_KNOWN = 10_000  # keys of which it is known what getting them back takes


class _Cost:
    """What getting one key back takes: seconds, in how many bytes; how often it was slow."""

    __slots__ = ("nbytes", "seconds", "slow", "text")

    def __init__(self, text: str, nbytes: float) -> None:
        self.text = text  # of the key
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

    def expected(self, entry: Entry, text: str) -> ParkedBytes:
        """Return what the bytes of ``entry`` will take here, and what is known of its key.

        The ``text`` of that is made where no lock is held: it may be anybody's ``__repr__``.
        """
        cost = self._costs.get(text) or _Cost(text, entry.weight)
        return ParkedBytes(cost.nbytes, cost)

    def pays(self, parked: ParkedBytes) -> bool:
        """Whether getting them back is quicker than a load, as far as that is known."""
        return parked.cost.slow < _TOO_OFTEN  # type: ignore[no-any-return]

    def cheapest(
        self, short: float, entry: Entry, parked: ParkedBytes, kept: set[Hashable]
    ) -> list[Entry] | None:
        """Return what is to go so that ``short`` bytes are free for those of ``entry``.

        What is ``kept`` is about to be got back. None: what would go saves more.
        """
        now = use_times.note()
        price, chosen = price_of(entry, parked, now), []
        there = [(each, each.parked) for each in self.entries.values()]
        offers = [(price_of(e, at, now), e.used, e) for e, at in there if at is not None]
        for offer, _, victim in sorted(offers, key=lambda each: each[:2]):
            if short <= 0 or offer > price:
                break
            if victim.key not in kept and victim.parked is not None:
                chosen.append(victim)
                short -= victim.parked.nbytes
        return chosen if short <= 0 else None

    # -- what is there -----------------------------------------------------------------

    def begin(self, entry: Entry, parked: ParkedBytes) -> None:
        """Take room for the bytes of ``entry``, which are about to come."""
        cost = parked.cost
        self._costs.pop(cost.text, None)
        self._costs[cost.text] = cost  # as the last
        if len(self._costs) > _KNOWN:
            del self._costs[next(iter(self._costs))]
        entry.parked = parked
        self.used += parked.nbytes

    def came(self, entry: Entry, handle: Any) -> None:
        """Note that the bytes are here."""
        parked = entry.parked
        assert parked is not None
        parked.handle = handle
        self.used += handle.nbytes - parked.nbytes
        parked.nbytes = parked.cost.nbytes = handle.nbytes

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


def price_of(entry: Entry, parked: ParkedBytes, now: float) -> float:
    """Return what having ``entry`` parked saves: load seconds a second, a byte."""
    idle = max(now - use_times.when(entry.used), _AT_LEAST)
    saved = max(entry.load_seconds - (parked.cost.seconds or 0.0), 0.0)
    return saved * entry.uses / idle / max(parked.nbytes, 1)
