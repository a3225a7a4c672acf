"""The one clock of uses of the process.

Every use stamps its entry with the next tick, which is all that recency needs. The clock is a
bare closure cell, so that generated hit paths can share and advance it without a call. It counts
in floats: they are exact up to 2 ** 53, and Python has them from a free list, where it asks for the
memory of each int anew. That is a tenth of a hit.

Without the GIL, ``clock + 1`` would lose ticks, and go back: a thread that is held up between the
two writes what was long ago. There the clock and each entry's hits are what Python counts
atomically, and the cell has the function that does. No tick is given twice then and none is
lost. What is left is the moment between a tick and its stamp: a thread that is held up there may
put an older stamp over a newer one, and so at any moment as many hits as there are threads may
count for the order as if they had come that much earlier.
"""

from __future__ import annotations

import types
from collections.abc import Callable
from itertools import count

from warmcache._process.gil import FREE_THREADED


def counted(counter: count[int]) -> int:
    """Return what ``counter`` will give next, and leave it there."""
    return int(repr(counter).partition("(")[2][:-1])


tick: Callable[[], float]

if FREE_THREADED:

    class _Ticks(count):  # type: ignore[type-arg]
        """In another process, that of this one: picklers take it along with a hit path."""

        def __reduce__(self) -> str:
            return "_ticks"

    _ticks = _Ticks(1)
    tick = _ticks.__next__
    USE_CLOCK = types.CellType(tick)

    def last_tick() -> float:
        """Return the time of the clock of uses."""
        return counted(_ticks) - 1

else:

    def _clock() -> tuple[Callable[[], float], types.CellType]:
        now = 0.0

        def tick() -> float:
            """Advance the clock of uses and return its new time."""
            nonlocal now
            now += 1.0
            return now

        assert tick.__closure__ is not None
        return tick, tick.__closure__[0]

    tick, USE_CLOCK = _clock()

    def last_tick() -> float:
        """Return the time of the clock of uses."""
        return USE_CLOCK.cell_contents  # type: ignore[no-any-return]
