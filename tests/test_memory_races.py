"""Memory caches under threads and tasks: races forced by events, and what lingers."""

from __future__ import annotations

import threading
import weakref
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import pytest

from warmcache import warm
from warmcache._footprint import Footprint
from warmcache.memory import MemoryCache
from warmcache.testing import FakeProbe, assert_consistent

CAP = 5.0
GiB = 2**30
NEVER = float("inf")


class Model:
    """Holds memory of a fake device for as long as it lives."""

    def __init__(self, probe: FakeProbe, gib: float) -> None:
        self.blocks = [probe.block(int(gib * GiB))]


def seen(model: Model) -> Footprint:
    """Return what ``model`` holds, block by block."""
    parts = tuple((weakref.ref(block), block.nbytes) for block in model.blocks)
    return Footprint(sum(nbytes for _, nbytes in parts), parts, ())


class Rig:
    """A device of 16 GiB, a cache of its memory, and loaders of models."""

    def __init__(self, budget: float = 8, *, total: float = 16, **options: Any) -> None:
        self.probe = FakeProbe(int(total * GiB))
        settings: dict[str, Any] = dict(headroom=0, poll=0, wait=CAP, confirm=CAP)
        self.cache: MemoryCache[Any, Any] = MemoryCache(
            int(budget * GiB), probe=self.probe, **{**settings, **options}
        )
        self.loads: list[Any] = []

    def loader(self, **options: Any) -> Any:
        @warm(cache=self.cache, **options)
        def load(name: Any, gib: float = 3) -> Model:
            self.loads.append(name)
            return Model(self.probe, gib)

        return load

    def gib(self, figure: str) -> float:
        return float(getattr(self.cache.stats(), figure)) / GiB


@pytest.fixture
def start() -> Iterator[Callable[..., Future[Any]]]:
    with ThreadPoolExecutor(8) as pool:
        yield pool.submit


def until(claim: Callable[[], object]) -> None:
    """Return once ``claim`` holds, which other threads bring about."""
    pause = threading.Event()
    for _ in range(5_000):
        if claim():
            return
        pause.wait(0.001)
    raise AssertionError("it never came to that")


# -- what comes back, and when -------------------------------------------------------


def test_two_values_handed_in_are_watched_apart_while_both_are_torn_down(start: Any) -> None:
    tearing_down, go_on = threading.Event(), threading.Event()

    def tear_down(model: Model) -> None:
        if model is slow:
            tearing_down.set()
            assert go_on.wait(CAP)

    rig = Rig(footprint=seen, teardown=tear_down)
    rig.cache["slow"] = slow = Model(rig.probe, 3)
    rig.cache["quick"] = quick = Model(rig.probe, 2)
    slowly = start(rig.cache.evict, key="slow")
    assert tearing_down.wait(CAP)
    rig.cache.evict(key="quick")
    go_on.set()
    slowly.result(CAP)
    assert 5 == rig.gib("dying"), "both are still held by this test"
    del quick
    rig.cache.expire_now()
    assert 3 == rig.gib("dying")
    assert_consistent(rig.cache)
