"""What to do about a device that runs full: pure decisions, one a look."""

from __future__ import annotations

import enum
import math

_SAMPLES = 2  # in a row above the high mark, before anything is done
_HELPED = 0.25  # of an evicted weight has to come back, or the pressure is not ours
_SOON = 0.1  # seconds
_LONGEST = 60.0  # seconds between rounds that do not help


class Act(enum.Enum):
    """What to do after a look."""

    REST = "rest"
    FLUSH = "flush"  # have the allocator give back what it keeps in reserve
    EVICT = "evict"  # tear one idle victim down


class Watermarks:
    """Watermarks: above ``high`` a round begins, at ``low`` it ends.

    A round first flushes the allocator, then evicts one victim at a time, with a new
    look after each, and time for the driver to show what came back. When an eviction
    gives nothing back within ``patience`` seconds the memory is held by somebody else,
    of whom no eviction gets any: the round ends, and the next one waits, each time
    longer, up to a minute. Not safe from several threads.

    Args:
        high: the fraction in use above which to act.
        low: the fraction in use at which to stop.
        poll: seconds between looks.
        patience: seconds that a driver may take to show what came back.
    """

    def __init__(self, high: float, low: float, poll: float, patience: float) -> None:
        self.high = high
        self.low = low
        self.poll = poll
        self.patience = patience
        self.foreign = False  # whether the last round ended for want of help
        self._above = 0
        self._flushed: tuple[float, float] | None = None  # used before, when
        self._evicting = False
        self._evicted: tuple[float, float, float] | None = None  # weight, used before, when
        self._pause = poll
        self._quiet_until = -math.inf

    def look(self, now: float, total: int, used: int, reserve: int | None = None) -> Act:
        """Decide after a sample taken at ``now`` (seconds).

        ``total`` bytes are there and ``used`` of them are gone, ``reserve`` of these to
        our own allocator, which does not use them; None is unknown.
        """
        fraction = used / total
        if self._evicted is not None:
            weight, before, when = self._evicted
            if before - used < max(_HELPED * weight, 1) and fraction > self.low:
                if now - when >= self.patience:
                    self._give_up(now)
                return Act.REST
            self._evicted = None
        if fraction <= (self.low if self._evicting else self.high):
            self._end()
            if fraction <= self.high:
                self.foreign, self._pause, self._quiet_until = False, self.poll, -math.inf
            return Act.REST
        self._above += 1
        if self._above < _SAMPLES or now < self._quiet_until:
            return Act.REST
        if self._flushed is None:
            self._flushed = used, now if reserve != 0 else -math.inf
            return Act.FLUSH
        before, when = self._flushed
        if used >= before and now - when < self.patience:
            return Act.REST
        self._evicting = True
        return Act.EVICT

    def evicted(self, now: float, weight: float, used: int) -> None:
        """Note that ``weight`` was torn down by ``now``; before, ``used`` bytes were in use."""
        self._evicted = weight, used, now

    def nothing_idle(self, now: float) -> None:
        """Note that there was no victim: the round ends, and the next one waits."""
        self._rest(now)

    def next_look(self) -> float:
        """Return the seconds until the next sample is wanted."""
        return self.poll if self._flushed is None else min(_SOON, self.poll)

    def _end(self) -> None:
        self._above, self._evicting = 0, False
        self._flushed = self._evicted = None

    def _give_up(self, now: float) -> None:
        self.foreign = True
        self._rest(now)

    def _rest(self, now: float) -> None:
        self._end()
        self._pause = min(2 * self._pause, _LONGEST)
        self._quiet_until = now + self._pause
