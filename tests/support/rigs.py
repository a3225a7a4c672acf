"""What tests of memory caches share: a device, a cache of its memory, models to load."""

from __future__ import annotations

import weakref
from typing import Any

from warmcache import warm
from warmcache.memory import MemoryCache
from warmcache.memory.footprint import Footprint
from warmcache.testing import FakeProbe

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
        self, total: float = 16, budget: Any = 12 * GiB, foreign: float = 0, **options: Any
    ) -> None:
        self.probe = FakeProbe(int(total * GiB), foreign=int(foreign * GiB))
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
