"""The order of entries under ``cost``: by what they save, on a leash."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

from warmcache._core.state.entry import Entry
from warmcache._core.state.records import RemovalCause
from warmcache._core.state.use_clock import last_tick
from warmcache._core.state.victim_order import HasRank, Order, Rank, ScanOrder

from .known_keys import KnownKey
from .leashed_choice import LeashedChoice


def rank_in(choice: LeashedChoice, entry: Entry) -> float:
    """Return the load seconds that a byte of ``entry`` saves, as of the last look."""
    if not entry.weight:
        return math.inf
    record = choice.known.residents.get(entry)
    if record is None:  # leased since it was loaded
        return (entry.load_seconds or choice.worth.seconds.mean) / entry.weight
    return choice.worth.saved(record) / entry.weight


class CostOrder(Order):
    """Entries as a :class:`LeashedChoice` would have them go.

    An entry is known from its first release on. Later, a lease costs it its place as soon as
    somebody comes upon it, and the last release gives it back.
    """

    def __init__(self) -> None:
        self.choice = LeashedChoice(last_tick)

    def limited(self, limit: float) -> None:
        self.choice.limited(limit)

    def add(self, entry: Entry) -> None:
        if entry in self.choice.known.residents:
            self.choice.released(entry, entry.weight)
        else:
            entry.queued = True
            self.choice.arrived(entry.key, entry, entry.weight, entry.provenance.seconds)

    def take(self, policy: HasRank) -> Entry | None:
        record = self.choice.victim()
        if record is None:
            return None
        entry: Entry = record.stamps
        entry.queued = False
        self.choice.evicted(record)
        return entry

    def give_back(self, entries: Iterable[Entry]) -> None:
        for entry in entries:
            entry.queued = True
            self.choice.called_off(entry.key, entry, entry.weight)

    def discard(self, entry: Entry, cause: RemovalCause) -> None:
        entry.queued = False
        forget_or_keep(self.choice, entry, replaced=cause is RemovalCause.REPLACED)

    def reweighed(self, entry: Entry) -> None:
        reweigh(self.choice, entry)

    def listing(self, entries: Iterable[Entry], rank: Rank) -> list[Entry]:
        wanted = {*entries}
        known = [r.stamps for r in self.choice.forecast() if r.stamps in wanted]
        return known + sorted(wanted.difference(known), key=lambda entry: (rank(entry), entry))

    def mend(self, live: Iterable[Entry]) -> None:
        self.choice.begin_anew([(entry.key, entry, entry.weight) for entry in live])
        for entry in self.choice.known.residents:
            entry.queued = True

    def forget(self) -> None:
        """Forget the keys that have left."""
        self.choice.forget()


class OwnRankOrder(ScanOrder):
    """Entries by a rank that a subclass gives, who can ask for that of ``cost`` all the same."""

    def __init__(self) -> None:
        super().__init__()
        self.choice = LeashedChoice(last_tick)

    def arrived(self, entry: Entry) -> None:
        self.choice.arrived(entry.key, entry, entry.weight, entry.load_seconds)

    def returned(self, entry: Entry) -> None:
        self.choice.called_off(entry.key, entry, entry.weight)

    def left(self, entry: Entry, *, replaced: bool) -> None:
        forget_or_keep(self.choice, entry, replaced=replaced)

    def reweighed(self, entry: Entry) -> None:
        reweigh(self.choice, entry)

    def look(self, entries: Sequence[Entry]) -> None:
        if len(entries) == len(self._entries):
            self.choice.look()

    def mend(self, live: Iterable[Entry]) -> None:
        live = list(live)
        self.choice.begin_anew([(entry.key, entry, entry.weight) for entry in live])
        super().mend(live)

    def forget(self) -> None:
        """Forget the keys that have left."""
        self.choice.forget()


def reweigh(choice: LeashedChoice, entry: Entry) -> None:
    """Have ``choice`` note what ``entry`` weighs by now, if that is known to it."""
    if entry in choice.known.residents:
        choice.released(entry, entry.weight)


def forget_or_keep(choice: LeashedChoice, entry: Entry, *, replaced: bool) -> None:
    """Have ``choice`` note that ``entry`` has left, by its cause."""
    record: KnownKey | None = choice.known.residents.get(entry)
    cause = getattr(entry, "cause", None)
    if record is None:
        ghost = choice.known.ghost(entry.key) if replaced else None
        if ghost is not None:  # it came up as a victim itself
            ghost.replaced = True
    elif cause is RemovalCause.PRESSURE:
        choice.pressed_out(record)
    else:
        choice.removed(record, replaced=replaced)
        if cause is RemovalCause.CLOSED:
            choice.known.gone.pop(entry.key, None)
