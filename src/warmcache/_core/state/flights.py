"""Loads under way, and the chain of loads and teardowns that a caller is inside of."""

from __future__ import annotations

from collections.abc import Hashable
from contextvars import Token
from typing import Any

from .by_call import ByCall
from .entry import Entry, LeaseRecord
from .growth import Growth
from .one_shot import OneShot


class Flight:
    """One load under way, and everybody who waits for it.

    ``blocked_on`` holds what it is waiting for: the flights that its loader has asked
    for, and a teardown of its own key. Along these edges a cycle is found.

    Invariant (the store's lock guards it): a flight is among the store's until it has
    ``ended``, so nobody can join later, and whoever joins finds ``done``, which is made for
    the first who waits.
    """

    __slots__ = (
        "blocked_on",
        "done",
        "elastic",
        "ended",
        "entry",
        "error",
        "growth",
        "joined",
        "key",
        "record",
        "weight",
    )

    def __init__(self, key: Hashable, record: LeaseRecord) -> None:
        self.key = key
        self.record = record
        self.weight: float = 0  # reserved so far
        self.elastic = False  # whether that was a guess, of which loads inside may take
        self.growth: Growth | None = None  # what a meter knows of the try under way
        self.joined: list[LeaseRecord] = [record]
        self.blocked_on: list[Flight | Entry] = []
        self.done: OneShot | None = None
        self.ended = False
        self.entry: Entry | None = None
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


# The loads and teardowns that this thread or task is inside of, outermost first.
CHAIN: ByCall[tuple[Flight | Entry, ...]] = ByCall("warmcache_chain", ())


class as_part_of:  # noqa: N801  # used as a function, in a with statement
    """Run user code as part of a load or a teardown, so that a request it makes can be traced."""

    __slots__ = ("_link", "_token")

    _token: Token[Any]

    def __init__(self, link: Flight | Entry) -> None:
        self._link = link

    def __enter__(self) -> None:
        link = self._link
        if isinstance(link, Entry):
            link.blocked_on = []
        self._token = CHAIN.set((*CHAIN.get(), link))

    def __exit__(self, *exc: Any) -> None:
        CHAIN.reset(self._token)
