"""When uses were, as far as that is known: the clock of uses knows no time.

A hit leaves a tick and asks no clock, which would cost it more than all the rest. So whoever wants
to compare how long entries have been idle notes now and then which tick it is, and what was
between two notes is dated in proportion. A note is made whenever a device is looked at, and each
second where that is watched.
"""

from __future__ import annotations

import time
from bisect import bisect_left

from .use_clock import last_tick

_MOST = 256  # notes; above, every other one of the older half is forgotten
_CLOSE = 0.001  # seconds between notes worth keeping


class UseTimes:
    """Notes of which tick it was when. Threads may note at once: at worst one is lost."""

    def __init__(self) -> None:
        self._notes: list[tuple[float, float]] = [(last_tick(), time.monotonic())]

    def note(self) -> float:
        """Note which tick it is; return the time (``time.monotonic``)."""
        now, notes = time.monotonic(), self._notes
        if now - notes[-1][1] >= _CLOSE:
            if len(notes) >= _MOST:
                notes = notes[: _MOST // 2 : 2] + notes[_MOST // 2 :]
            self._notes = [*notes, (last_tick(), now)]
        return now

    def when(self, tick: float) -> float:
        """Return when ``tick`` was; what was before the first note, or after the last, was then."""
        notes = self._notes
        place = bisect_left(notes, (tick, 0.0))
        if place in (0, len(notes)):
            return notes[0 if place == 0 else -1][1]
        (before, earlier), (after, later) = notes[place - 1], notes[place]
        return earlier + (later - earlier) * (tick - before) / (after - before)


use_times = UseTimes()
