"""Loads under way, wishes for room, and the chain of both that a caller is inside of."""

from __future__ import annotations

from collections.abc import Hashable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from .entry import Entry, LeaseRecord
from .one_shot import OneShot


class Flight:
    """One load under way, and everybody who waits for it.

    ``blocked_on`` holds what it is waiting for: the flights that its loader has asked
    for, and a teardown of its own key. Along these edges a cycle is found.
    """

    __slots__ = (
        "blocked_on",
        "disturbed",
        "done",
        "elastic",
        "entry",
        "error",
        "exhausted",
        "inside",
        "joined",
        "key",
        "leaving",
        "loading",
        "record",
        "weight",
    )

    def __init__(self, key: Hashable, record: LeaseRecord) -> None:
        self.key = key
        self.record = record
        self.weight: float = 0  # reserved so far
        self.elastic = False  # whether that was a guess, of which loads inside may take
        # For a meter: whether it has begun to load, whether others allocate or free
        # meanwhile, what was being torn down as it began, and by how much what is known
        # has grown since: by loads that it asked for itself, less what was torn down.
        self.loading = self.disturbed = False
        self.leaving: frozenset[Entry] = frozenset()
        self.inside: float = 0
        self.exhausted = False  # whether a load that it asked for ran out of memory for good
        self.joined: list[LeaseRecord] = [record]
        self.blocked_on: list[Flight | Entry] = []
        self.done = OneShot()
        self.entry: Entry | None = None
        self.error: Exception | None = None

    def reaches(self, chain: tuple[Flight | Entry, ...]) -> bool:
        """Whether this flight waits, in the end, for anything in ``chain``."""
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
CHAIN: ContextVar[tuple[Flight | Entry, ...]] = ContextVar("warmcache_chain", default=())


@contextmanager
def as_part_of(link: Flight | Entry) -> Iterator[None]:
    """Run user code as part of ``link``, so that a request it makes can be traced."""
    if isinstance(link, Entry):
        link.blocked_on = []
    token = CHAIN.set((*CHAIN.get(), link))
    try:
        yield
    finally:
        CHAIN.reset(token)
