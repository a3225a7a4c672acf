"""What parks a value, and what is parked: the two sides that the host tier knows."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol, TypeAlias

# What somebody says of a loader: the value to anything, and that to the very value.
Pair: TypeAlias = tuple[Callable[[Any], Any], Callable[[Any], Any]]


class CannotPark(Exception):  # noqa: N818 - a refusal, and no fault of anybody's
    """A value cannot be parked; it is as it was, and the text says why."""


class HostIsFullError(CannotPark):
    """It takes ``nbytes`` of host memory, and so many are not free."""

    def __init__(self, text: str, nbytes: int) -> None:
        super().__init__(text)
        self.nbytes = nbytes


class Parked(Protocol):
    """The bytes of a value that is parked. The value itself is whoever parked it's."""

    @property
    def nbytes(self) -> int:
        """The bytes that they take in host memory."""
        ...

    @property
    def seconds(self) -> float:
        """The seconds that parking took."""
        ...

    def unpark(self) -> Any:
        """Bring the bytes back, and return the very value. What this raises leaves it parked."""

    def drop(self) -> None:
        """Forget the bytes: the value is gone."""


class Parker(Protocol):
    """Parks the values of one loader."""

    def park(self, value: Any, weight: float) -> Parked:
        """Move the bytes of ``value``, about ``weight`` of them, to host memory.

        Raises:
            CannotPark: they stay where they are.
        """
        ...
