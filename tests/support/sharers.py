"""What tests of shared bytes share: values of blocks that several of them have, and their cache."""

from __future__ import annotations

from typing import Any

from rigs import GiB, Rig, blocks

from warmcache import warm
from warmcache.memory import MemoryCache
from warmcache.testing import FakeBlock, FakeProbe


class Parts:
    """A value made of blocks of a device, some of which others may have as well."""

    def __init__(self, *blocks: FakeBlock, **more: Any) -> None:
        self.blocks = [*blocks]
        self.__dict__.update(more)


class Sharer(Rig):
    """A cache of such values, on a device that others may share."""

    def __init__(self, *, probe: FakeProbe | None = None, **options: Any) -> None:
        super().__init__(16, 16 * GiB, probe=probe, **{"footprint": blocks, **options})
        self.next: list[FakeBlock] = []

        @warm(cache=self.cache, size_hint=0)  # or the mean of what is warm would make room
        def load(name: str) -> Parts:
            self.loads.append(name)
            return Parts(*self.next)

        self.load = load

    def block(self, gib: float = 1) -> FakeBlock:
        return self.probe.block(int(gib * GiB))

    def warm(self, name: str, *blocks: FakeBlock) -> None:
        """Load a value of these blocks."""
        self.next = [*blocks]
        try:
            self.load.warm_up([name])
        finally:
            self.next = []

    def weights(self) -> dict[str, float]:
        """Return what each entry weighs, in GiB."""
        return {each.key[1]: each.weight / GiB for each in self.cache.entries()}

    def committed(self) -> float:
        return self.cache._store.ledger.committed / GiB

    def evict(self, name: str) -> None:
        self.load.evict(name)


def union(*caches: MemoryCache[Any, Any]) -> int:
    """Return the bytes of what is warm in ``caches``, each once."""
    found = {}
    for cache in caches:
        for entry in cache._store.live.values():
            found.update({id(block): block.nbytes for block in entry.value.blocks})
    return sum(found.values())
