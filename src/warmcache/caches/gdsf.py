"""GDSF: what was evicted raises the rank of all that follow."""

from __future__ import annotations

import math
import time
from bisect import bisect_left
from collections.abc import Callable, Hashable, Iterable
from typing import Any, TypeVar, Unpack

from warmcache import _checks as checks
from warmcache._core.state.entry import Entry
from warmcache._core.state.records import RemovalCause
from warmcache._core.state.use_clock import last_tick, tick
from warmcache._core.state.victim_order import Rank, RankOrder
from warmcache._tracebacks import one_frame

from .cache import Cache
from .known_keys import GHOSTS
from .options import CacheOptions

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


class AgingOrder(RankOrder):
    """Entries in the order of GDSF: what was evicted raises the rank of all that follow.

    The inflation L is the highest rank evicted so far, and counts for an entry as of
    its last use. That is a stamp, so the steps of L are kept by the tick at which they
    happened, and the lazy queue stays exact.
    """

    def __init__(self, *, keep_uses: bool) -> None:
        super().__init__()
        self._keep_uses = keep_uses
        self._ticks: list[float] = []  # when L rose,
        self._levels: list[float] = []  # and to what
        self._residents: dict[Entry, tuple[float, int]] = {}  # load seconds, uses before
        self._kept: dict[Hashable, int] = {}  # uses of keys that have left
        self._most = 1
        self._measured = 0.0, 0

    def rank(self, entry: Entry) -> float:
        """Return L + uses * seconds / weight."""
        if not entry.weight:
            return math.inf
        seconds, before = self._residents.get(entry) or (entry.load_seconds or 1.0, 0)
        return self.level(entry.used) + (before + entry.uses) * seconds / entry.weight

    def level(self, used: float) -> float:
        """Return L as of a use."""
        step = bisect_left(self._ticks, used)
        return self._levels[step - 1] if step else 0.0

    def add(self, entry: Entry) -> None:
        if entry not in self._residents:
            self._residents[entry] = self._cost(entry), self._kept.pop(entry.key, 0)
            self._most = max(self._most, len(self._residents))
            if entry.used == entry.loaded:  # it was stamped before its room was made
                entry.used = tick()
        super().add(entry)

    def _cost(self, entry: Entry) -> float:
        """Return the load seconds of ``entry``; where nobody knows them, the mean."""
        total, count = self._measured
        seconds = entry.load_seconds
        if seconds > 0:
            self._measured = total + seconds, count + 1
            return seconds
        return total / count if count else 1.0

    def lowest(self, rank: Rank) -> Entry | None:
        entry = super().lowest(rank)
        if entry is not None:
            level = rank(entry)
            if level < math.inf and level > (self._levels[-1] if self._levels else 0.0):
                self._ticks.append(tick())
                self._levels.append(level)
                if len(self._ticks) > 64 + 2 * len(self._residents):
                    self._compact()
            self._leave(entry, replaced=False)
        return entry

    def give_back(self, entries: Iterable[Entry]) -> None:
        for entry in entries:
            before = max(0, self._kept.pop(entry.key, 0) - entry.uses)
            self._residents[entry] = self._cost(entry), before
            super().add(entry)

    def discard(self, entry: Entry, cause: RemovalCause) -> None:
        super().discard(entry, cause)
        self._leave(entry, replaced=cause is RemovalCause.REPLACED)

    def _leave(self, entry: Entry, *, replaced: bool) -> None:
        _, before = self._residents.pop(entry, (0, None))
        if before is None or not self._keep_uses:
            return
        if getattr(entry, "cause", None) is not RemovalCause.CLOSED:
            # A successor takes over the uses of the entry that it replaces.
            self._kept[entry.key] = before + (0 if replaced else entry.uses)
            while len(self._kept) > GHOSTS * self._most:
                del self._kept[next(iter(self._kept))]

    def mend(self, live: Iterable[Entry]) -> None:
        live = list(live)
        self._residents = {each: self._residents[each] for each in live if each in self._residents}
        del self._ticks[len(self._levels) :]
        super().mend(live)

    def forget(self) -> None:
        """Forget the keys that have left, and what evicting them cost."""
        self._kept.clear()
        self._most = max(1, len(self._residents))
        if not self._residents:
            self._ticks.clear()
            self._levels.clear()

    def _compact(self) -> None:
        """Keep only the steps that make a difference to an entry, and the last."""
        now = last_tick() + 1
        steps = {bisect_left(self._ticks, entry.used) - 1 for entry in self._residents}
        steps |= {bisect_left(self._ticks, now) - 1}
        kept = sorted(step for step in steps if step >= 0)
        self._ticks = [self._ticks[step] for step in kept]
        self._levels = [self._levels[step] for step in kept]


class GDSFCache(Cache[K, V]):
    """Gives up the entry of lowest L + uses * load seconds / weight, which raises L.

    L is the rank of what was evicted last, so that what was used often long ago gives
    way to what is used now: GreedyDual-Size with Frequency (Cherkasova, *Improving WWW
    Proxies Performance with Greedy-Dual-Size-Frequency Caching Policy*, HP Laboratories
    1998). A load begins a count of uses; with ``keep_uses=True`` it goes on from before
    the eviction, for up to four times as many keys as there were entries at once: safer where
    load seconds vary from load to load.

    The load seconds of a value handed in through the mapping are taken to be the mean
    of what was measured here. What weighs nothing goes last.
    """

    @one_frame
    def __init__(
        self,
        maxsize: float | str | None,
        getsizeof: Callable[[V], float] | None = None,
        *,
        keep_uses: bool = False,
        timer: Callable[[], Any] = time.monotonic,
        **options: Unpack[CacheOptions],
    ) -> None:
        self._keep_uses = checks.flag("keep_uses", keep_uses)
        super().__init__(maxsize, getsizeof, timer=timer, **options)

    def _new_order(self) -> AgingOrder:
        return AgingOrder(keep_uses=self._keep_uses)

    def rank(self, entry: Entry) -> float:
        aging: AgingOrder = self._store.order  # type: ignore[assignment]
        return aging.rank(entry)
