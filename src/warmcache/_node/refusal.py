"""What is said of a node: how full it is, and why somebody got no room of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from warmcache._sizes import format_size


class Node(NamedTuple):
    """A device of this node, as those see it who share its budget.

    Attributes:
        processes: how many take part just now.
        committed: bytes that they have been granted, with those of the dead that may not be back.
        budget: bytes that all may have together: the least that any of them was given.
        waiting: how many callers wait for room, in all processes.
    """

    processes: int
    committed: int
    budget: int
    waiting: int


class Share(NamedTuple):
    """What one process has of a node: ``idle`` is what it offers to give back to others."""

    who: str
    pid: int
    committed: int
    idle: int

    def __str__(self) -> str:
        idle = f", {format_size(self.idle)} idle" if self.idle else ""
        return f"{self.who} has {format_size(self.committed)}{idle}"


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why there was no room for somebody in time.

    Attributes:
        needed: bytes that were asked for.
        budget: bytes that all processes may have together.
        committed: who has how much of it, the most first.
        estate: bytes of dead processes that may not be back on the device.
        asked: who was asked for idle bytes and gave none.
        waited_for: what would have had to happen.
    """

    needed: int
    budget: int
    committed: tuple[Share, ...]
    estate: int
    asked: tuple[str, ...]
    waited_for: str

    def __str__(self) -> str:
        text = f"{format_size(self.needed)} of {format_size(self.budget)} for all of this node"
        if self.committed:
            text += ": " + ", ".join(str(share) for share in self.committed)
        if self.estate:
            text += f"; {format_size(self.estate)} of dead processes may not be back yet"
        if self.asked:
            text += f"; asked in vain: {', '.join(self.asked)}"
        return f"{text}; {self.waited_for}"
