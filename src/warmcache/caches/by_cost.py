"""The cache that weighs what a load costs against the room that its value takes.

What is worth keeping is what would be asked for soon, takes long to load and is small.
"""

from __future__ import annotations

from collections.abc import Hashable
from typing import TypeVar

from warmcache._core.state.entry import Entry
from warmcache._core.state.victim_order import Order

from .cache import Cache
from .cost_order import CostOrder, OwnRankOrder, rank_in

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


class CostCache(Cache[K, V]):
    """Gives up the entry whose room saves the fewest load seconds, as far as its leash allows.

    The rank is the load seconds that a byte of an entry saves with each use of the
    cache, judged by how often the entry was used of late::

        rank = load seconds / weight * sum over h of (ln 2 / h) ** 0.85 * uses decayed by h

    where a use counts half after ``h`` further uses of this cache, and h is 32, 256,
    2048 and 16384: what is asked for in bursts, by the hour and all the time each
    shows in one of them. Keys are remembered for a while after they were evicted, up
    to four times as many as there were entries at once, so that what comes back is no stranger.

    The leash: what LRU would have kept may go only while what was paid, with what has to
    be loaded again of that, is at most 1.01 times what LRU would have paid. So on no trace
    this pays much more than LRU does, and a cache that has loaded little yet evicts as LRU.
    (It is a combination of two online algorithms, as in Fiat et al., *Competitive paging
    algorithms*, 1991, and Blum and Burch, *On-line learning and the metrical task system
    problem*, 2000.)

    Load seconds are the mean of those measured of a key, drawn towards the mean of all by as
    much as loads of one key differ; of values handed in through the mapping they are taken
    to be the mean of all that was measured here. What weighs nothing goes last.

    A subclass with a :meth:`rank` of its own is on no leash: it is scanned like any policy
    that ``drifts``, and may ask for ``super().rank(entry)``; with ``drifts = False``, its ranks
    may only rise.
    """

    drifts = True

    def _new_order(self) -> Order:
        if type(self).rank is CostCache.rank:
            return CostOrder()
        return OwnRankOrder() if self.drifts else super()._new_order()

    def rank(self, entry: Entry) -> float:
        """Return the rank, as of when somebody last needed a victim or asked who is next."""
        order = self._store.order
        if isinstance(order, CostOrder | OwnRankOrder):
            return rank_in(order.choice, entry)
        return entry.uses * (entry.load_seconds or 1.0) / entry.weight if entry.weight else 1e300
