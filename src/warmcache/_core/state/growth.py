"""What a device grew by while a load ran, and how much of that is another's."""

from __future__ import annotations

import sys

from .entry import Entry


class Growth:
    """One try of a load, as a meter sees it: begun before it, and weighed after it.

    Attributes:
        allocated: bytes that our allocator had handed out before; None where unknown.
        used: bytes of the device that were in use before; None where unknown.
        modules: how many modules were imported before; they take memory, too.
        leaving: what was being torn down then: nobody knows when its memory comes back.
        disturbed: whether others allocated or freed meanwhile, so that it tells nothing.
        inside: by how much what is known has grown since: by loads that this one asked
            for itself, less what was torn down.
        exhausted: whether a load that this one asked for ran out of memory for good.
    """

    __slots__ = ("allocated", "disturbed", "exhausted", "inside", "leaving", "modules", "used")

    def __init__(self, allocated: int | None, used: int | None, leaving: frozenset[Entry]) -> None:
        self.allocated = allocated
        self.used = used
        self.modules = len(sys.modules)
        self.leaving = leaving
        self.disturbed = self.exhausted = False
        self.inside: float = 0

    def left(self, entry: Entry) -> None:
        """Note that the room of ``entry`` is free again."""
        self.disturbed |= entry in self.leaving
        self.inside -= entry.weight
