"""Requests for models that do not all fit the device, with and without room on the host.

The device and the host are simulated, and so is the clock, which goes on by what a load or a return
was drawn to take; the cache is the real one.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass
from itertools import accumulate
from typing import Any

from warmcache import warm
from warmcache.memory import MemoryCache
from warmcache.testing import FakeProbe

MODELS, REQUESTS, ZIPF = 20, 4000, 1.1
DEVICE = 0.4  # of the bytes of all models
HOSTS = (0.0, 0.25, 0.5, 1.0)  # likewise
UNIT = 2**20  # which stands for a GiB
MOST = 20  # units of the heaviest model
BACK = 0.12  # seconds a unit that a return takes; a load takes 0.5 to 1.5


@dataclass(frozen=True)
class Work:
    """The models (units, seconds of a load), and which is asked for, one after the other."""

    models: list[tuple[int, float]]
    requests: list[int]


@dataclass(frozen=True)
class Paid:
    """What all requests cost: loads, returns from the host, the seconds of both."""

    loads: int
    load_seconds: float
    unparks: int
    unpark_seconds: float


def drawn(seed: int, requests: int = REQUESTS) -> Work:
    """Draw the work; the same for the same seed."""
    draw = random.Random(seed)
    models = []
    for _ in range(MODELS):
        units = round(MOST ** draw.random())
        models.append((units, units * draw.uniform(0.5, 1.5)))
    ranked = draw.sample(range(MODELS), MODELS)
    shares = [*accumulate((rank + 1) ** -ZIPF for rank in range(MODELS))]
    return Work(models, draw.choices(ranked, cum_weights=shares, k=requests))


class Model:
    """A value that is nothing but bytes of the device, or of the host."""

    def __init__(self, device: FakeProbe, nbytes: int) -> None:
        self.nbytes = nbytes
        self.device = device
        self.block: Any = device.block(nbytes)


class Soak:
    """The loaders of all models, over one cache; ``host`` is its share of the bytes of all."""

    def __init__(self, work: Work, host: float) -> None:
        total = sum(units for units, _ in work.models) * UNIT
        self.now = 0.0
        self.loads: list[float] = []
        self.unparks: list[float] = []
        self._parks = bool(host)
        options: dict[str, Any] = {"host": int(host * total)} if host else {}
        self.device = FakeProbe(2 * total)
        self.cache: MemoryCache[Any, Model] = MemoryCache(
            int(DEVICE * total),
            probe=self.device,
            headroom=0,
            poll=0,
            timer=lambda: self.now,
            **options,
        )
        self.loaders = [self._loader(units, seconds) for units, seconds in work.models]

    def _loader(self, units: int, seconds: float) -> Callable[[int], Model]:
        def unpark(model: Model) -> Model:
            self._took(units * BACK, self.unparks)
            model.block = self.device.block(model.nbytes)
            return model

        options: dict[str, Any] = {"park": (park, unpark)} if self._parks else {}

        @warm(cache=self.cache, size=units * UNIT, **options)
        def load(model: int) -> Model:
            self._took(seconds, self.loads)
            return Model(self.device, units * UNIT)

        return load

    def _took(self, seconds: float, where: list[float]) -> None:
        self.now += seconds
        where.append(seconds)


def park(model: Model) -> Model:
    model.block = None
    return model


def served(work: Work, host: float) -> Paid:
    """Answer all requests, with a host tier of that share of all bytes; 0: with none."""
    soak = Soak(work, host)
    for model in work.requests:
        soak.loaders[model](model)
    loads, unparks = soak.loads, soak.unparks
    soak.cache.close()
    return Paid(len(loads), sum(loads), len(unparks), sum(unparks))
