"""Several elements' way through the disk: what none has is loaded together, and kept one by one.

The same as :mod:`through_disk`, in the same order: look; be alone with what is missing, of all
processes; look again; load; keep.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from functools import partial

from warmcache._core.plans.steps import Produced
from warmcache.tiers.disk_tier import DiskCall, DiskTier, Found

from . import scopes
from .through_disk import ThroughDisk, forbidden, kept

Places = list[int]


def load(
    disk: ThroughDisk,
    calls: Sequence[DiskCall],
    produce: Callable[[Places], list[Produced]],
) -> list[Produced]:
    """Return what each call comes to; ``produce`` loads those at the places that it is given."""
    tier = disk.tier
    on_disk = _OnDisk(disk, tier, calls)
    on_disk.look([disk.find(tier, call) for call in calls])
    if on_disk.missing:
        with on_disk.alone():
            on_disk.look([disk.find(tier, calls[i], again=True) for i in on_disk.missing])
            if on_disk.missing:
                began = time.perf_counter()
                produced = produce(on_disk.missing)
                on_disk.keep(produced, time.perf_counter() - began)
    return on_disk.all()


async def load_async(
    disk: ThroughDisk,
    calls: Sequence[DiskCall],
    produce: Callable[[Places], Awaitable[list[Produced]]],
) -> list[Produced]:
    """Return the same on an event loop; what may block is done in a thread."""
    from warmcache._core.drivers.aside import aside

    tier = disk.tier
    on_disk = _OnDisk(disk, tier, calls)

    async def look(*, again: bool) -> None:
        def fetch() -> list[Found | None]:
            return [disk.fetched(tier, calls[i], again=again) for i in places]

        places = on_disk.missing
        fetched = await disk.aside(fetch)
        pairs = zip(places, fetched, strict=True)
        on_disk.look([await disk.good(tier, calls[i], found) for i, found in pairs])

    await look(again=False)
    if on_disk.missing:
        lock = on_disk.alone()
        leave = partial(lock.__exit__, None, None, None)
        await aside(lock.__enter__, "warmcache-disk", unclaimed=lambda _: leave())
        try:
            await look(again=True)
            if on_disk.missing:
                began = time.perf_counter()
                produced = await produce(on_disk.missing)
                keep = partial(on_disk.keep, produced, time.perf_counter() - began)
                await disk.aside(keep)
        finally:
            leave()
    return on_disk.all()


class _OnDisk:
    """What calls have come to so far, and which of them are ``missing``, by their places."""

    def __init__(self, disk: ThroughDisk, tier: DiskTier, calls: Sequence[DiskCall]) -> None:
        self._disk, self._tier, self._calls = disk, tier, calls
        self._came_to: dict[int, Produced] = {}
        self.missing = [*range(len(calls))]

    def look(self, found: list[Found | None]) -> None:
        """Note what was found of the missing. Raises WarmMissError where none may be loaded."""
        for i, each in zip(self.missing, found, strict=True):
            if each is not None:
                self._came_to[i] = self._disk.from_disk(self._tier, self._calls[i], each)
        self.missing = [i for i in self.missing if i not in self._came_to]
        if self.missing and scopes.loading_forbidden_here():
            raise forbidden(*[self._calls[i] for i in self.missing])

    def alone(self) -> AbstractContextManager[None]:
        """Be alone with what is missing, unless nothing is kept that others could wait for."""
        if self._disk.keeps_victims:
            return nullcontext()
        return self._tier._alone(*[self._calls[i].key for i in self.missing])

    def keep(self, produced: list[Produced], seconds: float) -> None:
        """Keep what was loaded in so many seconds, of which each has its share."""
        share = seconds / len(produced)
        disk, tier = self._disk, self._tier
        for i, each in zip(self.missing, produced, strict=True):
            call = self._calls[i]
            if disk.keeps_victims:
                self._came_to[i] = disk.to_be_dumped(tier, call, each, share)
            else:
                self._came_to[i] = kept(each, disk.keep(tier, call, each[0], share))

    def all(self) -> list[Produced]:
        """Return what each call has come to, in their order."""
        return [self._came_to[i] for i in range(len(self._calls))]
