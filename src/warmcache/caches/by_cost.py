"""The cache that weighs what a load costs against the room that its value takes.

What is worth keeping is what would be asked for soon, takes long to load and is small.
"""

from __future__ import annotations

import math
from collections.abc import Hashable
from typing import TypeVar

from warmcache._core.state.entry import Entry

from .cache import Cache
from .use_history import HistoryOrder

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


class CostCache(Cache[K, V]):
    """Gives up the entry whose room saves the fewest load seconds.

    The rank is the load seconds that a byte of an entry saves with each use of the
    cache, judged by how often the entry was used of late::

        rank = load seconds / weight * sum over h of (ln 2 / h) * uses decayed by h

    where a use counts half after ``h`` further uses of this cache, and h is 32, 256,
    2048 and 16384: what is asked for in bursts, by the hour and all the time each
    shows in one of them. Keys are remembered for a while after they were evicted, up
    to four times as many as there were entries at once, so that what comes back is no stranger.

    Load seconds are those measured, the last load of a key counting as much as all
    before it; of values handed in through the mapping they are taken to be the mean of
    what was measured here. What weighs nothing goes last.

    A rank falls as time goes on, so a victim is found by looking at all entries, or, of
    more than 2,000, at 64 of them.
    """

    drifts = True

    def _new_order(self) -> HistoryOrder:
        return HistoryOrder()

    def rank(self, entry: Entry) -> float:
        if not entry.weight:
            return math.inf
        history: HistoryOrder = self._store.order  # type: ignore[assignment]
        return history.saved(entry) / entry.weight
