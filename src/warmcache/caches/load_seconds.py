"""What the next load of a key may take, as far as its loads so far can tell."""

from __future__ import annotations

import math

from .known_keys import KnownKey

_SAME = 1e-12  # how little the logarithms of seconds vary where they do not


class LoadSeconds:
    """Expects of the next load what the last ones of its key took, drawn towards what all take.

    A policy keeps what was dear, and so what was dear by chance: each use of it would credit LRU
    with a dear load (a winner's curse). How much of the spread of all loads is chance is told by
    keys that were loaded twice; what is not, is how far one load tells of the next, in logarithms.
    The mean of some tells more (Spearman and Brown, 1910). Where keys take the same each time
    nothing is drawn anywhere. To draw estimates towards their mean is James and Stein's (1961).
    """

    __slots__ = ("_chance", "_count", "_logs", "_pairs", "_squares", "mean")

    def __init__(self) -> None:
        self.mean = 1.0  # of all loads; of those of which nothing is known
        self._count = 0  # loads,
        self._logs = self._squares = 0.0  # the sums of their logarithms, and of the squares
        self._pairs = 0  # keys loaded twice,
        self._chance = 0.0  # and the sum of how the logarithms of both differ, squared

    def learn(self, record: KnownKey, seconds: float) -> None:
        """Note a load in ``seconds``, more than 0."""
        log = math.log(seconds)
        if record.loads == 1:
            self._pairs += 1
            self._chance += (log - math.log(record.seconds)) ** 2
        record.loads += 1
        record.seconds += (seconds - record.seconds) / record.loads
        self._count += 1
        self._logs += log
        self._squares += log * log
        self.mean += (seconds - self.mean) / self._count

    def expected(self, record: KnownKey) -> float:
        """Return what the next load of ``record`` may take."""
        if not record.loads:
            return self.mean
        if self._chance <= _SAME:
            return record.seconds
        middle = self._logs / self._count
        spread = self._squares / self._count - middle * middle
        chance = self._chance / (2 * self._pairs)
        tells = max(0.0, 1 - chance / spread) if spread > _SAME else 0.0
        tells *= record.loads / (1 + (record.loads - 1) * tells)
        return math.exp(middle + tells * (math.log(record.seconds) - middle))
