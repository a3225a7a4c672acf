"""What a memory cache was told about its device, checked."""

from __future__ import annotations

from typing import NamedTuple

from .device import share

_HEADROOM = 2**30  # bytes, or a twentieth of a small device


class MemorySetup(NamedTuple):
    """How a cache deals with its device; :class:`MemoryCache` says what each of these is."""

    headroom: float  # bytes
    high: float
    low: float
    poll: float
    min_residency: float
    confirm: float

    @classmethod
    def of(
        cls,
        total: int | None,
        *,
        headroom: float | str | None = None,
        high: float = 0.90,
        low: float = 0.80,
        poll: float = 1.0,
        min_residency: float = 10.0,
        confirm: float = 2.0,
    ) -> MemorySetup:
        """Return the set-up for a device of ``total`` bytes; None is unknown.

        Raises:
            ValueError: an argument is out of its range.
        """
        if not 0 < low <= high <= 1:
            raise ValueError(f"0 < low <= high <= 1 must hold, got low={low!r}, high={high!r}")
        for name, seconds in dict(poll=poll, min_residency=min_residency, confirm=confirm).items():
            if not seconds >= 0:
                raise ValueError(f"{name} must not be negative, got {seconds!r}")
        usual = _HEADROOM if total is None else min(_HEADROOM, total / 20)
        size = share("headroom", usual if headroom is None else headroom, total)
        return cls(size, high, low, poll, min_residency, confirm)
