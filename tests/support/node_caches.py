"""Caches that share one budget of a node: some in this process, some in others that are told.

A :class:`Sharer` is one of this process; :class:`CacheProcess` has one in a process of its own.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from node_members import Process, main

from warmcache import Removal, warm
from warmcache.errors import CapacityError
from warmcache.memory import MemoryCache
from warmcache.testing import FakeProbe, ManualClock

NAME = "a device of the node"


class Sharer:
    """A cache with ``node=``, a loader of what has the size and the load time that one says."""

    def __init__(
        self, folder: str | Path, budget: int = 100, floor: int = 0, **options: Any
    ) -> None:
        self.clock = ManualClock()
        self.removals: list[Removal] = []
        self.leases: dict[str, Any] = {}
        self.probe = options.pop("probe", None) or FakeProbe(10_000, name=NAME)
        usual: dict[str, Any] = dict(node=folder, floor=floor, timer=self.clock, wait=5.0)
        self.cache: MemoryCache[Any, Any] = MemoryCache(
            budget,
            probe=self.probe,
            headroom=0,
            poll=0,
            confirm=0.1,
            on_removal=self.removals.append,
            **{**usual, **options},
        )

        self.seconds = 1.0
        self._loaders: dict[int, Any] = {}

    def loader(self, nbytes: int, **options: Any) -> Any:
        """Return a loader of what has so many bytes, which is said before, and some load time."""

        @warm(cache=self.cache, **{"size": nbytes, **options})
        def load(key: str) -> Value:
            self.clock.advance(self.seconds)
            return Value(key)

        return load

    def _loader(self, nbytes: int) -> Any:
        if nbytes not in self._loaders:
            self._loaders[nbytes] = self.loader(nbytes)
        return self._loaders[nbytes]

    def load(self, key: str, nbytes: int, seconds: float = 1.0) -> str:
        """Load, and hold nothing; return what it was refused for, or nothing."""
        self.seconds = seconds
        try:
            self._loader(nbytes)(key)
        except CapacityError as error:
            return str(error)
        return ""

    def lease(self, key: str, nbytes: int, seconds: float = 1.0) -> str:
        self.seconds = seconds
        lease = self._loader(nbytes).lease(key)
        try:
            lease.__enter__()
        except CapacityError as error:
            return str(error)
        self.leases[key] = lease
        return ""

    def release(self, key: str) -> None:
        self.leases.pop(key).__exit__(None, None, None)

    def gone(self) -> list[tuple[str, str]]:
        """Return what has left, and why."""
        return [(key_of(each.key), each.cause.name) for each in self.removals]

    def warm(self) -> list[str]:
        return sorted(key_of(entry.key) for entry in self.cache.entries())

    def put(self, key: str) -> None:
        self.cache[key] = Value(key)

    def node(self) -> tuple[int, ...]:
        assert self.cache.node is not None
        return (*self.cache.node,)

    def clear(self) -> None:
        self.cache.clear()

    def close(self) -> None:
        for key in [*self.leases]:
            self.release(key)
        self.cache.close()


class Value:
    def __init__(self, key: str) -> None:
        self.key = key


def key_of(key: Any) -> str:
    """Return the first argument of what an entry was loaded for, or what it was stored under."""
    return str(key).partition("'")[2].partition("'")[0] or str(key)


class CacheProcess(Process):
    program = __file__


if __name__ == "__main__":
    main(Sharer)
