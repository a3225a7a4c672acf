"""What parks values, and what a parked one is."""

from __future__ import annotations

from typing import Any, Protocol


class Parked(Protocol):
    """A value whose bytes lie in host memory; it is kept, and cannot be used meanwhile.

    Attributes:
        nbytes: of host memory that it takes.
        seconds: that parking took.
    """

    nbytes: int
    seconds: float

    def unpark(self) -> Any:
        """Return the very value, its bytes back on the device.

        What goes wrong is raised, and leaves it parked and whole.
        """

    def drop(self) -> None:
        """Give the host memory back: the value is on the device again, or torn down."""


class Parker(Protocol):
    """Parks values of one loader or cache."""

    def park(self, value: Any, weight: float) -> Parked:
        """Move the bytes of a value to host memory.

        Args:
            value: what nobody uses meanwhile.
            weight: of it, in bytes on its device.

        Raises:
            CannotPark: it is as it was.
        """
