"""What is known of keys: of residents, and of some that have left."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable
from typing import Any

GHOSTS = 4  # remembered keys that have left, for each resident


class KnownKey:
    """What is known of one key, resident or ghost; never its value. See :func:`new_key`.

    ``in_32`` to ``in_16384`` are its uses decayed by these half-lives, as of ``block``;
    ``folded`` of its resident's uses are in them, those up to the tick ``since``. ``seconds`` is
    the mean of its ``loads``, 0 for unknown; ``expected`` what the next may take, ``at_most`` if
    nothing of what it took was chance, and ``price`` what that is for a byte of it.
    ``held`` says whether the shadow holds it, with ``held_size``; ``owed`` is what it adds to the
    debt. ``place`` and ``turn`` are the serial numbers of its items in a ranking, where it was
    ``filed``, and in the shadow's line; 0: it has none.
    """

    at_most: float
    block: int
    expected: float
    filed: float
    folded: float
    held: bool
    held_size: float
    in_32: float
    in_256: float
    in_2048: float
    in_16384: float
    in_turn: bool
    key: Hashable
    left: float  # the tick of its last use, once it has left
    loads: int
    owed: float
    place: int
    price: float
    replaced: bool
    seconds: float
    since: float
    size: float
    stamps: Any  # of the resident; None once it has left
    turn: int

    __slots__ = (
        "at_most",
        "block",
        "expected",
        "filed",
        "folded",
        "held",
        "held_size",
        "in_32",
        "in_256",
        "in_2048",
        "in_16384",
        "in_turn",
        "key",
        "left",
        "loads",
        "owed",
        "place",
        "price",
        "replaced",
        "seconds",
        "since",
        "size",
        "stamps",
        "turn",
    )

    @property
    def last_used(self) -> float:
        """The tick of its last use."""
        stamps = self.stamps
        return self.left if stamps is None else float(stamps.used)

    @property
    def unnoticed(self) -> float:
        """How often it was used since its uses were last counted."""
        stamps = self.stamps
        return max(0.0, float(stamps.hits.number + stamps.base_uses - self.folded))


def new_key(key: Hashable) -> KnownKey:
    """Return what is known of a new ``key``; no ``__init__``, for to have one called is dear."""
    record = KnownKey()
    record.key = key
    record.in_32 = record.in_256 = record.in_2048 = record.in_16384 = 0.0
    record.block = record.loads = 0
    record.place = record.turn = 0
    record.seconds = record.expected = record.at_most = record.price = record.owed = 0.0
    record.filed = record.folded = record.since = 0.0
    record.size = record.held_size = record.left = 0
    record.held = record.replaced = record.in_turn = False
    record.stamps = None
    return record


def last_used(record: KnownKey) -> float:
    """Return the tick of its last use: the least recently used have the lowest."""
    return record.last_used


class KnownKeys:
    """The records of residents, and of at most four times as many keys that have left.

    Ghosts are of two kinds: the shadow holds what is ``lacking``, and we do not; it does not hold
    what is ``gone``. Of the latter the longest gone are forgotten. The former are what the debt is
    of, so none of them may be forgotten; :meth:`have_room_for_debt` says whether one more may come.
    """

    __slots__ = ("_most", "gone", "lacking", "residents")

    def __init__(self) -> None:
        self.residents: dict[Any, KnownKey] = {}
        self.lacking: dict[Hashable, KnownKey] = {}
        self.gone: OrderedDict[Hashable, KnownKey] = OrderedDict()
        self._most = 1  # residents there were at once

    def have_room_for_debt(self) -> bool:
        """Return whether one more of what the shadow holds may leave."""
        return len(self.lacking) < GHOSTS * self._most

    def arrive(self, key: Hashable, stamps: Any) -> KnownKey:
        """Return the record of what is resident from now on."""
        record = self.lacking.pop(key, None) or self.gone.pop(key, None) or new_key(key)
        record.stamps = stamps
        self.residents[stamps] = record
        if self._most < len(self.residents):
            self._most = len(self.residents)
        return record

    def leave(self, record: KnownKey) -> None:
        """Remember what is a ghost from now on."""
        stamps = record.stamps
        record.left, record.stamps, record.place = stamps.used, None, 0
        (self.lacking if record.held else self.gone)[record.key] = record
        self.residents.pop(stamps, None)
        self._trim()

    def ghost(self, key: Hashable) -> KnownKey | None:
        """Return the record of a key that has left, if it is remembered."""
        return self.lacking.get(key) or self.gone.get(key)

    def drop(self, record: KnownKey) -> None:
        """Note that the shadow no longer holds a ghost."""
        if self.lacking.get(record.key) is record:
            self.gone[record.key] = record
            del self.lacking[record.key]
            self._trim()

    def _trim(self) -> None:
        most = GHOSTS * self._most - len(self.lacking)
        while self.gone and len(self.gone) > most:
            self.gone.popitem(last=False)

    def forget(self) -> None:
        """Forget the keys that have left."""
        self.lacking.clear()
        self.gone.clear()
        self._most = max(1, len(self.residents))
