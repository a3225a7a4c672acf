"""What a byte of each record saves, as of now."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from math import log2

from .known_keys import KnownKey
from .load_seconds import LoadSeconds
from .own_time import OwnTime
from .use_counts import HALF_LIVES, Decay

_TINY = 1e-300  # what the uses of an age ago are worth


class Worth:
    """Counts uses and seconds, and ranks records by what they save.

    Between two looks at a record its uses are taken to be evenly spread up to the last. Whoever
    asks what something is worth has it :meth:`show` the time before.
    """

    __slots__ = ("_clock", "_decay", "_drift", "_seconds", "_time")

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._time = OwnTime(clock())
        self._decay = Decay()
        self._drift = 0.0  # what the slowest half-life has taken off since the start, in log2
        self._seconds = LoadSeconds()

    def show(self) -> None:
        """Let it be now."""
        decay = self._decay
        decay.show(self._time.show(self._clock()))
        self._drift = decay.now / HALF_LIVES[-1]

    def round_ended(self) -> None:
        """Note that each resident was looked at since this was last called."""
        self._time.round_ended()

    # -- what it is told ---------------------------------------------------------------

    def arrived(self, record: KnownKey, seconds: float) -> None:
        """Note a load in ``seconds``, 0 for unknown; or the store of what replaces another."""
        stamps = record.stamps
        if seconds > 0:
            self._seconds.learn(record, seconds)
        record.expected = self._seconds.expected(record)
        # Of the uses that it takes over from what it replaces, only the last is new.
        record.folded = stamps.base_uses - 1.0 if record.replaced else 0.0
        record.since, record.replaced = stamps.loaded, False
        self.fold(record)

    def fold(self, record: KnownKey) -> bool:
        """Count the uses of a resident since the last look; whether there were any."""
        stamps = record.stamps
        new = stamps.hits + stamps.base_uses - record.folded
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
        decay, time, used = self._decay, self._time, record.stamps.used
        last = min(time.at(used), decay.now)
        span = max(0.0, last - time.at(record.since)) if new > 1 else 0.0
        if record.block != decay.block:
            record.block = decay.brought_up(record.counts, record.block)
        decay.add(record.counts, new, last, span)
        record.folded += new
        record.since = used

    # -- what it says ------------------------------------------------------------------

    @property
    def mean(self) -> float:
        """What a load takes of which nothing is known."""
        return self._seconds.mean

    def expect(self, record: KnownKey) -> None:
        """Have ``record`` know what its next load may take, by what is known now."""
        record.expected = self._seconds.expected(record)

    def saved(self, record: KnownKey) -> float:
        """Return the load seconds that ``record`` saves with each use of the cache."""
        decay = self._decay
        if record.block != decay.block:
            record.block = decay.brought_up(record.counts, record.block)
        a, b, c, d = record.counts
        w, x, y, z = decay.weights
        return (w * a + x * b + y * c + z * d) * record.expected

    def rank(self, record: KnownKey) -> float:
        """Return what a byte of ``record`` saves."""
        return self.saved(record) / record.size if record.size else math.inf

    def place(self, record: KnownKey) -> float:
        """Return by what to file ``record``: two that only the slowest decays keep their order."""
        size, decay = record.size, self._decay
        if not size:
            return math.inf
        if record.block != decay.block:
            record.block = decay.brought_up(record.counts, record.block)
        a, b, c, d = record.counts
        w, x, y, z = decay.weights
        rank = (w * a + x * b + y * c + z * d) * record.expected / size
        return log2(rank or _TINY) + self._drift

    def lowest(self, records: list[KnownKey]) -> KnownKey:
        """Return who is of lowest rank now; of equals, who was loaded first."""
        decay = self._decay
        block, (w, x, y, z) = decay.block, decay.weights
        lowest, rank = records[0], math.inf
        for record in records:
            if record.block != block:  # as rank(), without the calls
                record.block = decay.brought_up(record.counts, record.block)
            a, b, c, d = record.counts
            today = (w * a + x * b + y * c + z * d) * record.expected
            size = record.size
            today = today / size if size else math.inf
            if today > rank:
                continue
            if today < rank or record.stamps.loaded < lowest.stamps.loaded:
                lowest, rank = record, today
        return lowest
