"""Where the bytes of a parked value are, and what brings them back."""

from __future__ import annotations

from typing import Any

from .records import RemovalCause


class ParkedBytes:
    """The bytes of a value that is parked, or is being parked.

    ``handle`` brings them back, once there is one; ``nbytes`` is what they take in the tier. They
    have ``moved`` once the device has their room back, and are ``back`` there again before
    the entry can be found. If they are not, it goes for what it was ``condemned`` for meanwhile;
    and if that is that its owner has ended, it goes all the same.
    Whether it ``shared`` is whether it was looked into, as nobody had said what it weighs.
    """

    __slots__ = ("back", "condemned", "cost", "handle", "moved", "nbytes", "shared")

    def __init__(self, nbytes: float, cost: Any) -> None:
        self.cost = cost  # what is known of its key
        self.handle: Any = None
        self.nbytes = nbytes
        self.moved = self.back = self.shared = False
        self.condemned: RemovalCause | None = None
