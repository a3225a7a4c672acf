"""Loads under way, and the chain of loads and teardowns that a caller is inside of."""

from __future__ import annotations

import enum
from collections.abc import Hashable
from contextvars import ContextVar
from typing import Any

from .entry import Entry, LeaseRecord, Source
from .growth import Growth
from .one_shot import OneShot


class Basis(enum.Enum):
    """What the weight of a reservation rests on, the surest first."""

    SAID = "said"
    EXPECTED = "expected"  # what loads of this key have taken, or a hint
    ALIKE = "alike"  # the mean of what is warm of this loader
    OTHERS = "others"  # the mean of what is warm of others: nothing is known of this loader
    UNKNOWN = "unknown"

    @property
    def elastic(self) -> bool:
        """Whether it is a guess, of which loads inside may take."""
        return self in _GUESSES

    @property
    def blind(self) -> bool:
        """Whether it is a guess that has nothing to do with what is loaded."""
        return self in _BLIND


_GUESSES = {Basis.ALIKE, Basis.OTHERS, Basis.UNKNOWN}
_BLIND = {Basis.OTHERS, Basis.UNKNOWN}


class Flight:
    """One load under way, and everybody who waits for it.

    ``blocked_on`` holds what it is waiting for: the flights that its loader has asked
    for, and a teardown of its own key. Along these edges a cycle is found.

    Invariant (the store's lock guards it): a flight is among the store's until it has
    ``ended``, so nobody can join later (one that was interrupted while it ended may be there
    longer), and whoever joins finds ``done``, which is made for the first who waits.
    """

    __slots__ = (
        "basis",
        "began",
        "begun",
        "blocked_on",
        "done",
        "ended",
        "entry",
        "error",
        "growth",
        "joined",
        "key",
        "loaded",
        "record",
        "source",
        "weight",
    )

    def __init__(self, key: Hashable, record: LeaseRecord, source: Source, now: Any) -> None:
        self.key = key
        self.record = record
        self.source = source
        self.began = now  # by the store's timer
        self.weight: float = 0  # reserved so far
        self.basis = Basis.SAID  # of that weight
        self.growth: Growth | None = None  # what a meter knows of the try under way
        self.joined: list[LeaseRecord] = [record]
        self.blocked_on: list[Flight | Entry] = []
        self.done: OneShot | None = None
        self.begun = False  # whether its plan is being carried out, which ends it
        self.ended = False
        self.loaded: Entry | None = None  # as soon as there is one,
        self.entry: Entry | None = None  # and once it was published
        self.error: Exception | None = None

    def wait(self) -> OneShot:
        """Return what happens when it ends, for a caller that waits for it."""
        if self.done is None:
            self.done = OneShot()
        return self.done

    def reaches(self, chain: tuple[Flight | Entry, ...]) -> bool:
        """Whether this flight waits, in the end, for anything in ``chain``."""
        if not chain:
            return False
        seen: set[int] = set()
        pending: list[Flight | Entry] = [self]
        while pending:
            link = pending.pop()
            if any(link is other for other in chain):
                return True
            if id(link) not in seen:
                seen.add(id(link))
                pending.extend(getattr(link, "blocked_on", ()))
        return False


# The loads and teardowns that this thread or task is inside of, outermost first. Who runs user code
# as part of one sets it, and sets it back in a ``finally`` of his own: what is left in here after
# an interrupt would be taken for under way for ever.
CHAIN: ContextVar[tuple[Flight | Entry, ...]] = ContextVar("warmcache_chain", default=())
