"""What a memory cache was told about its device, checked."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, NamedTuple

from warmcache import _checks as checks

from .device import share

if TYPE_CHECKING:
    from warmcache.tiers.host_tier import HostTier

_HEADROOM = 2**30  # bytes, or a twentieth of a small device
_RESIDENCY = 10.0  # seconds


class MemorySetup(NamedTuple):
    """How a cache deals with its device; :class:`MemoryCache` says what each of these is."""

    headroom: Any  # bytes, once it is known of which device
    high: float
    low: float
    poll: float
    min_residency: float
    confirm: float
    floor: Any = 0  # bytes, likewise
    residency: float = 0  # as far as other caches have to respect it
    node: Any = None  # a folder, or True
    host: HostTier | None = None

    @classmethod
    def of(
        cls,
        *,
        headroom: float | str | None = None,
        high: float = 0.90,
        low: float = 0.80,
        poll: float = 1.0,
        min_residency: float | None = None,
        confirm: float = 2.0,
        floor: float | str | None = None,
        node: bool | str | os.PathLike[str] | None = None,
        host: HostTier | float | str | None = None,
    ) -> MemorySetup:
        """Return the set-up that the options of a cache mean, whatever its device.

        Raises:
            TypeError: an option is of the wrong kind.
            ValueError: it is out of its range.
        """
        if checks.fraction("low", low) > checks.fraction("high", high):
            raise ValueError(f"0 < low <= high <= 1 must hold, got low={low!r}, high={high!r}")
        residency = checks.optional(checks.seconds, "min_residency", min_residency)
        return cls(
            headroom=checks.optional(checks.share, "headroom", headroom),
            high=high,
            low=low,
            poll=checks.seconds("poll", poll),
            min_residency=_RESIDENCY if residency is None else residency,
            confirm=checks.seconds("confirm", confirm),
            floor=checks.optional(checks.share, "floor", floor),
            residency=residency or 0,
            node=node if isinstance(node, bool) else checks.optional(checks.path, "node", node),
            host=checks.optional(_host_tier, "host", host),
        )

    def on(self, total: int | None) -> MemorySetup:
        """Return the set-up for a device of ``total`` bytes; None is unknown.

        Raises:
            ValueError: the headroom or the floor is a fraction of what is not known.
        """
        usual = _HEADROOM if total is None else min(_HEADROOM, total / 20)
        headroom = usual if self.headroom is None else self.headroom
        return self._replace(
            headroom=share("headroom", headroom, total),
            floor=0 if self.floor is None else share("floor", self.floor, total),
        )


def _host_tier(option: str, said: Any) -> HostTier:
    from warmcache.tiers.host_tier import as_host_tier  # which takes the disk along

    return as_host_tier(option, said)
