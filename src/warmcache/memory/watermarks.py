"""What to do about a device that runs full: pure decisions, one a look.

A *round* begins above the high mark and ends at the low one. Its invariant: nothing more is
done while what was done last may still show. Drivers tell late, and who evicts again before
they have told pays twice for one shortage. What a look decides, in this order:

1. An entry was evicted, and less than a quarter of it has come back: wait for it. After
   ``patience`` seconds the memory is somebody else's: the round is over.
2. The mark is reached that ends the round, or none has begun: rest. If earlier rounds did
   not help, that is forgotten.
3. It is the first look above the mark, or too soon after a round that did not help: rest.
4. Nothing was done in this round: flush the allocator, which may be all there is to it.
5. The flush does not show yet: wait, if the allocator had something to give.
6. Evict one entry.

What it does not do, and why:

- *One mark.* Memory that goes up and down around it would cost an entry each time.
- *Act at the first look.* The peak of a load that is just ending is no pressure.
- *Evict at once what makes up the difference.* Weights and what a device shows differ: one
  at a time, with a look after each, takes no more than it has to.
- *Evict as long as the device is full.* When others fill it the whole cache would go, and
  for nothing. So rounds that do not help cost one entry each and come ever more rarely.
- *Take any fall for help.* Others let go meanwhile, and an entry may weigh nothing: hence a
  quarter of the weight, and a byte at least.
- *Marks of the budget.* It is the device that must not run full, whoever fills it.
"""

from __future__ import annotations

import enum
import math

_SAMPLES = 2  # in a row above the high mark, before anything is done
_HELPED = 0.25  # of an evicted weight has to come back, or it is not ours that fills the device
_SOON = 0.1  # seconds
_LONGEST = 60.0  # seconds between rounds that do not help


class Act(enum.Enum):
    """What to do after a look."""

    REST = "rest"
    FLUSH = "flush"  # have the allocator give back what it keeps in reserve
    EVICT = "evict"  # tear one idle victim down


class Watermarks:
    """How full a device may be: above ``high`` a round begins, at ``low`` it ends.

    Not safe from several threads.

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
                    self.foreign = True
                    self.nothing_idle(now)
                return Act.REST
            self._evicted = None
        if fraction <= (self.low if self._evicting else self.high):
            self._end()
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

    def next_look(self) -> float:
        """Return the seconds until the next sample is wanted."""
        return self.poll if self._flushed is None else min(_SOON, self.poll)

    def _end(self) -> None:
        self._above, self._evicting = 0, False
        self._flushed = self._evicted = None

    def nothing_idle(self, now: float) -> None:
        """Note that there was no victim: the round ends, and the next one waits."""
        self._end()
        self._pause = min(2 * self._pause, _LONGEST)
        self._quiet_until = now + self._pause
