"""What a byte of each record saves, as of now."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from math import log2

from .known_keys import KnownKey
from .lazy_heap import Item
from .load_seconds import LoadSeconds
from .own_time import OwnTime
from .use_counts import HALF_LIVES, Decay

_DRIFT = 1 / HALF_LIVES[-1]
_TINY = 1e-300  # what the uses of an age ago are worth


class Worth:
    """Counts uses and seconds, and ranks records by what they save.

    Between two looks at a record its uses are taken to be evenly spread up to the last. Whoever
    asks what something is worth has it :meth:`show` the time before.
    """

    __slots__ = ("_clock", "_decay", "_drift", "_time", "now", "seconds")

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._time = OwnTime(clock())
        self._decay = Decay()
        self.now = 0.0  # in uses of the cache
        self._drift = 0.0  # what the slowest half-life has taken off since the start, in log2
        self.seconds = LoadSeconds()

    def show(self) -> None:
        """Let it be now."""
        clock = self._clock  # called from here, CPython 3.11 finds it faster
        self.now = now = self._time.show(clock())
        self._decay.show(now)
        self._drift = now * _DRIFT

    def round_ended(self) -> None:
        """Note that each resident was looked at since this was last called."""
        self._time.round_ended()

    # -- what it is told ---------------------------------------------------------------

    def arrived(self, record: KnownKey, seconds: float) -> None:
        """Note a load in ``seconds``, 0 for unknown; or the store of what replaces another."""
        stamps = record.stamps
        if seconds > 0:
            self.seconds.learn(record, seconds)
        # Of the uses that it takes over from what it replaces, only the last is new.
        record.folded = stamps.base_uses - 1.0 if record.replaced else 0.0
        record.since, record.replaced = stamps.loaded, False
        self.fold(record)

    def fold(self, record: KnownKey) -> bool:
        """Count the uses of a resident since the last look; whether there were any."""
        stamps = record.stamps
        new = stamps.hits.number + stamps.base_uses - record.folded
        if new <= 0:
            return False
        self._time.count(new)
        self.show()
        self._add(record, new)
        return True

    def fold_all(self, records: Iterable[KnownKey]) -> list[KnownKey]:
        """Count the uses of all residents; return those that had any."""
        used = [(record, new) for record in records if (new := record.unnoticed)]
        self._time.count(sum(new for _, new in used))
        self.show()
        self.round_ended()
        for record, new in used:
            self._add(record, new)
        return [record for record, _ in used]

    def _add(self, record: KnownKey, new: float) -> None:
        time, used = self._time, record.stamps.used
        last = min(time.at(used), self.now)
        span = max(0.0, last - time.at(record.since)) if new > 1 else 0.0
        self._decay.add(record, new, last, span)
        record.folded += new
        record.since = used

    # -- what it says ------------------------------------------------------------------

    def expect(self, record: KnownKey) -> None:
        """Have ``record`` know what its next load may take, by what is known now."""
        size = record.size
        record.expected = expected = self.seconds.expected(record)
        record.at_most = expected if expected > record.seconds else record.seconds
        record.price = expected / size if size else math.inf

    def saved(self, record: KnownKey) -> float:
        """Return the load seconds that ``record`` saves with each use of the cache."""
        return self._uses(record) * record.expected

    def rank(self, record: KnownKey) -> float:
        """Return what a byte of ``record`` saves."""
        return self._uses(record) * record.price

    def _uses(self, record: KnownKey) -> float:
        """Return how many uses of ``record`` are to be expected of one of the cache, in a way."""
        decay = self._decay
        if record.block != decay.block:
            decay.bring_up(record)
        w, x, y, z = decay.weights
        return (
            w * record.in_32 + x * record.in_256 + y * record.in_2048 + z * record.in_16384
        ) or _TINY

    def place(self, record: KnownKey) -> float:
        """Return by what to file ``record``: two that only the slowest decays keep their order."""
        return log2(self._uses(record) * record.price or _TINY) + self._drift

    def ranked(self, items: Iterable[Item]) -> list[Item]:
        """Return ``items`` by the rank of now, lowest last; of equals, what was loaded first."""
        return sorted(items, key=self._order, reverse=True)

    def is_lower(self, record: KnownKey, other: KnownKey) -> bool:
        """Return whether ``record`` is of lower rank now than ``other``, or was loaded before."""
        rank, of_other = self._uses(record) * record.price, self._uses(other) * other.price
        return rank < of_other or (rank == of_other and record.stamps.loaded < other.stamps.loaded)

    def _order(self, item: Item) -> tuple[float, float]:
        record = item[2]
        return self._uses(record) * record.price, record.stamps.loaded
