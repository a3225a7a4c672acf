"""The shadow: what LRU would hold now, keys only."""

from __future__ import annotations

from .known_keys import KnownKey, KnownKeys, last_used
from .lazy_heap import LazyHeap

_STALE = 16  # stamps put right at one look, at most
_SLACK = 1 + 1e-12  # what sums may be off by when weights are fractions


class Shadow:
    """The keys that LRU would hold in the same room, in the order in which it would drop them.

    What somebody leases LRU could not drop either: it is passed over, and in line again when the
    last lease ends. A use only stamps; a stamp is put right when it comes up. Where each use is
    told at once there is none to put right, and this is LRU to the letter. Otherwise, once so many
    have come up, nothing is dropped: so no miss pays for all the hits since the last, and until who
    asks has looked again, there is more in here than LRU would hold.

    Invariant: what LRU would hold is in here, but for surplus whose use nobody has noticed yet,
    and was used since anything else that is. So LRU is credited with no load that it would not
    have made.

    Attributes:
        met: what was put right at the last look, if that did not show who is dropped next.
    """

    __slots__ = ("_line", "_serial", "limit", "met", "size")

    def __init__(self, known: KnownKeys, limit: float) -> None:
        self.limit = limit
        self.size: float = 0
        self.met: list[KnownKey] = []
        self._line = LazyHeap("turn", known.residents, known.lacking)
        self._serial = 0

    def hold(self, record: KnownKey) -> bool:
        """Have a resident, as of its last use and with its size of now; whether there is excess."""
        if record.held:
            self.size -= record.held_size
        record.held, record.held_size = True, record.size
        self.size += record.size
        self._line_up(record, record.stamps.used)
        return self.excess()

    def excess(self) -> bool:
        """Return whether LRU would have to drop something."""
        return self.size > self.limit * _SLACK

    def drop(self, record: KnownKey) -> None:
        """Have ``record`` no more."""
        record.held, record.turn = False, 0
        self.size -= record.held_size

    def next(self) -> KnownKey | None:
        """Return what LRU would drop next, out of the line already.

        None if it can drop nothing, or if that does not show at one look: then there is what was
        ``met``.
        """
        line = self._line
        met: list[tuple[float, int, KnownKey]] = []
        shows = False
        while len(met) < _STALE and (item := line.take()) is not None:
            record: KnownKey = item[2]
            stamps = record.stamps
            if stamps is None:
                used = record.left
            elif stamps.leases:
                record.turn = 0
                continue
            else:
                used = stamps.used
            if used == item[0] and not met:  # what is behind it was used since
                return record
            met.append((used, item[1], record))
            if used == item[0]:
                shows = True
                break
        least = min(met) if met and (shows or line.first() is None) else None
        for each in met:
            if each is not least:
                self._line_up(each[2], each[0])
        self.met = [] if least else [each[2] for each in met]
        return least[2] if least else None

    def in_order(self) -> list[KnownKey]:
        """Return what is in line, what would be dropped first at the front."""
        return sorted((item[2] for item in self._line), key=last_used)

    def _line_up(self, record: KnownKey, used: float) -> None:
        self._serial = record.turn = self._serial + 1
        self._line.push((used, self._serial, record))
