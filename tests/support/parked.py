"""Values of a fake device that can be parked in a fake host."""

from __future__ import annotations

import weakref
from collections.abc import Callable
from typing import Any

from warmcache import MemoryCache, RemovalCause, warm
from warmcache._process.fork_safe_lock import ForkSafeLock
from warmcache.memory.footprint import Footprint
from warmcache.probes.probe import Sample
from warmcache.testing import FakeProbe

UNIT = 2**20


class Model:
    """A value whose bytes are on the device, or parked."""

    def __init__(self, device: FakeProbe, name: str, units: int) -> None:
        self.name = name
        self.device = device
        self.units = units
        self.blocks: list[Any] = [device.block(UNIT) for _ in range(units)]
        self.torn_down = 0

    def close(self) -> None:
        self.torn_down += 1
        self.blocks = []


class OnHost:
    """The bytes of a model in host memory."""

    def __init__(self, model: Model, units: int) -> None:
        self.model = model
        self.nbytes = units * UNIT


class Rig:
    """A cache with a host tier, and what happened."""

    def __init__(self, budget: int = 16, host: Any = 32, **options: Any) -> None:
        self.device = FakeProbe(1000 * UNIT)
        self.loads: list[str] = []
        self.parks: list[str] = []
        self.unparks: list[str] = []
        self.models: list[Model] = []
        self.removals: list[Any] = []
        self.seconds: dict[str, float] = {}  # that a load takes, and that unparking does
        self.now = 0.0
        self.units_there = 0  # units that are taken on the host, if not as many as on the device
        self.before_park: Callable[[Model], object] = lambda model: None
        self.before_unpark: Callable[[Model], object] = lambda model: None
        self.guard = ForkSafeLock()
        if isinstance(host, int):
            host = host * UNIT
        self.cache: MemoryCache[Any, Model] = MemoryCache(
            budget * UNIT,
            probe=self.device,
            footprint=seen,
            host=host,
            **{
                "headroom": 0,
                "poll": 0,
                "teardown": "close",
                "wait": 0,
                "confirm": 0.05,
                "on_removal": self.removals.append,
                "order": "lru",
                "timer": lambda: self.now,
                **options,
            },
        )

    def make(self, name: str, units: int = 12) -> Model:
        with self.guard.lock:
            self.loads.append(name)
        self.now += self.seconds.get("load", 0.0)
        self.models.append(model := Model(self.device, name, units))
        return model

    def park(self, model: Model) -> OnHost | None:
        self.before_park(model)
        self.parks.append(model.name)
        model.blocks = []
        return OnHost(model, self.units_there or model.units)

    def unpark(self, there: OnHost) -> Model:
        model = there.model
        self.before_unpark(model)
        self.unparks.append(model.name)
        self.now += self.seconds.get("unpark", 0.0)
        model.blocks = [self.device.block(UNIT) for _ in range(model.units)]
        return model

    def loader(self, **options: Any) -> Any:
        @warm(**{"cache": self.cache, "park": (self.park, self.unpark), **options})
        def load(name: str, units: int = 12) -> Model:
            return self.make(name, units)

        return load

    def async_loader(self, **options: Any) -> Any:
        @warm(**{"cache": self.cache, "park": (self.park, self.unpark), **options})
        async def load(name: str, units: int = 12) -> Model:
            return self.make(name, units)

        return load

    @property
    def states(self) -> dict[str, str]:
        """The state of each entry, by the first argument of its call."""
        return {str(each.key[1]): each.state for each in self.cache.entries()}  # type: ignore[index]

    @property
    def causes(self) -> list[RemovalCause]:
        return [removal.cause for removal in self.removals]

    def torn_down(self) -> list[str]:
        return [model.name for model in self.models for _ in range(model.torn_down)]


def parked(rig: Rig, **options: Any) -> Any:
    """Return a loader of which "a" is parked and "b" warm."""
    load = rig.loader(**options)
    load("a"), load("b")
    assert {"a": "parked", "b": "live"} == rig.states
    return load


def seen(model: Any) -> Footprint:
    parts = tuple((weakref.ref(block), block.nbytes) for block in getattr(model, "blocks", ()))
    return Footprint(sum(nbytes for _, nbytes in parts), parts, ())


class Machine:
    """The machine's memory, as a host tier sees it."""

    available: int | None = 2**50

    def sample(self) -> Sample:
        return Sample(2**50, self.available, None, None)
