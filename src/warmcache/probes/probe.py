"""What a probe is, and what it tells."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol, runtime_checkable


@dataclass(frozen=True, slots=True)
class Sample:
    """A device's memory at one moment, in bytes; ``None`` is unknown, which is not 0.

    Attributes:
        total: what the device has, or what a container may use of it.
        free: what nobody uses.
        used: what is used, by whomever.
        reserved: what this process' own caching allocator holds and does not use just
            now. The device calls it used, but the next load of this process can have it.
    """

    total: int | None = None
    free: int | None = None
    used: int | None = None
    reserved: int | None = None

    @property
    def available(self) -> int | None:
        """Bytes that this process could still get."""
        return None if self.free is None else self.free + (self.reserved or 0)


@runtime_checkable
class Probe(Protocol):
    """What reads the memory of one device, and decides nothing.

    One probe may be asked from many threads at once.
    """

    @property
    def name(self) -> str:
        """The device, for people: ``"GPU 0 (NVIDIA H100, GPU-1234abcd)"``."""
        ...

    def sample(self) -> Sample:
        """Return the device's memory now.

        It never raises, and never makes the device's driver set a process up: what
        cannot be read is unknown.
        """
        ...

    def allocated(self) -> int | None:
        """Return the bytes that this process' allocator has handed out on the device.

        Their growth around a load is what the load has taken, if it used that
        allocator; that nothing grew says nothing. None is unknown.
        """
        ...
