"""The shadow: what LRU would hold now, keys only."""

from __future__ import annotations

from .known_keys import KnownKey, last_used
from .lazy_heap import Item, LazyHeap

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

    def __init__(self, limit: float) -> None:
        self.limit = limit
        self.size: float = 0
        self.met: list[KnownKey] = []
        self._line = LazyHeap(_in_line)
        self._serial = 0

    @property
    def excess(self) -> bool:
        """Whether LRU would have to drop something."""
        return self.size > self.limit * _SLACK

    def hold(self, record: KnownKey, living: int) -> None:
        """Have ``record``, as of its last use and with its size of now."""
        if record.held:
            self.size -= record.held_size
        record.held, record.held_size = True, record.size
        self.size += record.size
        self._line_up(record, living)

    def drop(self, record: KnownKey) -> None:
        """Have ``record`` no more."""
        record.held, record.turn = False, 0
        self.size -= record.held_size

    def next(self, living: int) -> KnownKey | None:
        """Return what LRU would drop next, out of the line already.

        None if it can drop nothing, or if that does not show at one look: then there is what was
        ``met``.
        """
        line = self._line
        met: list[KnownKey] = []
        shows = False
        while len(met) < _STALE and (item := line.first()) is not None:
            record: KnownKey = item[2]
            line.pop()
            if item[1] != record.turn:
                continue
            if record.stamps is not None and record.stamps.leases:
                record.turn = 0
                continue
            met.append(record)
            if record.last_used == item[0]:  # what is behind it was used since
                shows = True
                break
        least = None
        if met and (shows or line.first() is None):
            least = met[0] if len(met) == 1 else min(met, key=last_used)
        for record in met:
            if record is not least:
                self._line_up(record, living)
        self.met = met if least is None else []
        return least

    def in_order(self) -> list[KnownKey]:
        """Return what is in line, what would be dropped first at the front."""
        return sorted((item[2] for item in self._line if _in_line(item)), key=last_used)

    def _line_up(self, record: KnownKey, living: int) -> None:
        self._serial += 1
        record.turn = self._serial
        self._line.push((record.last_used, self._serial, record), living)


def _in_line(item: Item) -> bool:
    return bool(item[1] == item[2].turn)
