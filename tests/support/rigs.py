"""What tests of memory caches share: a device, a cache of its memory, models to load."""

from __future__ import annotations

import weakref
from typing import Any

from warmcache import warm
from warmcache.memory import MemoryCache
from warmcache.memory.footprint import Footprint
from warmcache.testing import FakeProbe, ManualClock

GiB = 2**30


class Model:
    """Holds memory of a fake device for as long as it lives."""

    def __init__(self, probe: FakeProbe, nbytes: int) -> None:
        self.blocks = [probe.block(nbytes)]


def blocks(model: Model) -> Footprint:
    """Return what ``model`` holds, seen block by block."""
    parts = [(weakref.ref(block), block.nbytes) for block in model.blocks]
    return Footprint(sum(nbytes for _, nbytes in parts), tuple(parts), ())


class Rig:
    """A device, a cache of its memory, and loaders of models of given sizes."""

    def __init__(
        self,
        total: float = 16,
        budget: Any = 12 * GiB,
        foreign: float = 0,
        *,
        probe: FakeProbe | None = None,
        **options: Any,
    ) -> None:
        self.probe = probe or FakeProbe(int(total * GiB), foreign=int(foreign * GiB))
        settings: dict[str, Any] = dict(headroom=0, poll=0, wait=0.05, confirm=0.05)
        self.cache: MemoryCache[Any, Any] = MemoryCache(
            budget, probe=self.probe, **{**settings, **options}
        )
        self.sizes: dict[Any, float] = {}
        self.loads: list[Any] = []

    def loader(self, **options: Any) -> Any:
        @warm(cache=self.cache, **options)
        def load(name: Any, gib: float = 1) -> Model:
            self.loads.append(name)
            return Model(self.probe, int(gib * GiB))

        return load

    def state(self, name: str) -> str:
        return {entry.key: entry.state for entry in self.cache.entries()}[name]

    def gib(self, figure: str) -> float:
        return float(getattr(self.cache.stats(), figure)) / GiB


def ask(load: Any, names: str, gib: float) -> None:
    """Load one after the other, and hold none of them."""
    for name in names:
        load(name, gib)


def strangers(
    total: float = 16, *, first: dict[str, Any] | None = None, **second: Any
) -> tuple[Rig, Rig]:
    """Return two caches over one device, each with a budget of all of it."""
    one = Rig(total, total * GiB, **(first or {}))
    return one, Rig(total, total * GiB, probe=one.probe, **second)


def seen(model: Model) -> int:
    return model.blocks[0].nbytes


def meter_of(rig: Rig) -> Any:
    return rig.cache._view.meter


def slow(rig: Rig, clock: ManualClock, gib: float, **seconds: float) -> Any:
    """Return a loader whose loads take as many ``seconds``, by the clock of its cache."""

    @warm(cache=rig.cache, size=f"{gib}GiB")
    def load(name: str) -> Model:
        clock.advance(seconds[name])
        return Model(rig.probe, int(gib * GiB))

    return load
