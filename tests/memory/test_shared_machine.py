"""Two caches of one device whose values have blocks in common, against a naive model.

The model knows which values are cached, or torn down and held outside. Whatever happens, what all
of that is charged with is the bytes of the union of the blocks, and an heir weighs what it has and
nobody had before it.
"""

from __future__ import annotations

import gc
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule
from rigs import blocks
from sharers import Parts

from warmcache import CapacityError, warm
from warmcache._core.drivers.lingering import free_what_came_back
from warmcache.memory import MemoryCache
from warmcache.testing import FakeBlock, FakeProbe, assert_consistent

pytestmark = [pytest.mark.oracle, pytest.mark.property]

UNIT = 2**26
WHICH, KEYS = st.integers(0, 1), st.integers(0, 3)
POOL = 5


class Shared(RuleBasedStateMachine):
    @initialize(order=st.sampled_from(["lru", "cost", "gdsf"]))
    def begin(self, order: str) -> None:
        gc.freeze()
        self.probe = FakeProbe(1000 * UNIT)
        self.pool: list[FakeBlock | None] = [None] * POOL
        self.caches: list[MemoryCache[Any, Parts]] = []
        self.loaders: list[Any] = []
        self.leases: list[tuple[Any, Parts]] = []
        self.kept: list[Parts] = []
        self.wanted: tuple[int, ...] = ()
        self.came: list[Any] = []  # the shares of entries, in the order in which they came
        for _ in range(2):
            cache: MemoryCache[Any, Parts] = MemoryCache(
                12 * UNIT,
                probe=self.probe,
                footprint=blocks,
                order=order,
                headroom=0,
                wait=0,
                confirm=0,
                poll=3600,
            )
            cache._view.meter.linger = lambda store: None  # type: ignore[union-attr]
            self.caches.append(cache)
            self.loaders.append(warm(cache=cache, size_hint=0)(self.make))

    def make(self, key: int) -> Parts:
        found = [self.block(number) for number in self.wanted]
        return Parts(*found, self.probe.block(UNIT))

    def block(self, number: int) -> FakeBlock:
        """Return a block of the pool: that which some value has, or a new one."""
        for value in self.values():
            for block in value.blocks:
                if getattr(block, "number", None) == number:
                    return block
        made: Any = self.probe.block((number + 1) * UNIT)
        made.number = number
        return made  # type: ignore[no-any-return]

    def values(self) -> list[Parts]:
        """Return all values that are alive, each once."""
        cached = [entry.value for cache in self.caches for entry in cache._store.alive()]
        found = {id(each): each for each in [*cached, *self.kept, *[v for _, v in self.leases]]}
        return list(found.values())

    def room(self) -> bool:
        return sum(number + 1 for number in self.wanted) + 1 <= 12

    @rule(which=WHICH, key=KEYS, wanted=st.sets(st.integers(0, POOL - 1), max_size=2))
    def load(self, which: int, key: int, wanted: set[int]) -> None:
        self.wanted = tuple(wanted)
        if self.room():
            with suppress(CapacityError):  # leases may hold all
                self.loaders[which].warm_up([key])

    @rule(which=WHICH, key=KEYS, wanted=st.sets(st.integers(0, POOL - 1), max_size=2))
    def hand_in(self, which: int, key: int, wanted: set[int]) -> None:
        self.wanted = tuple(wanted)
        if self.room():
            with suppress(CapacityError):
                self.caches[which][f"in {key}"] = self.make(key)

    @rule(which=WHICH, key=KEYS, keeps=st.booleans())
    def evict(self, which: int, key: int, keeps: bool) -> None:
        entry = self.caches[which]._store.live.get(self.loaders[which].cache_key(key))
        if entry is not None and keeps:
            self.kept.append(entry.value)
        del entry
        self.loaders[which].evict(key)

    @rule(which=WHICH, key=KEYS)
    def lease(self, which: int, key: int) -> None:
        if self.loaders[which].contains(key):
            lease = self.loaders[which].lease(key)
            self.leases.append((lease, lease.__enter__()))

    @rule(number=st.integers(0, 9))
    def release(self, number: int) -> None:
        if self.leases:
            lease, value = self.leases.pop(number % len(self.leases))
            del value
            lease.__exit__(None, None, None)

    @rule(which=WHICH, key=KEYS)
    def detach(self, which: int, key: int) -> None:
        entry = self.caches[which]._store.live.get(self.loaders[which].cache_key(key))
        if entry is not None and not entry.leases:
            self.caches[which].detach(entry.key)

    @rule(which=WHICH, units=st.integers(0, 6))
    def relieve(self, which: int, units: int) -> None:
        self.caches[which].relieve(units * UNIT)

    @rule(number=st.integers(0, 9))
    def drop(self, number: int) -> None:
        if self.kept:
            del self.kept[number % len(self.kept)]

    @invariant()
    def what_all_weigh_is_the_bytes_of_the_union(self) -> None:
        if not hasattr(self, "caches"):
            return
        for cache in self.caches:
            free_what_came_back(cache._store)
            free_what_came_back(cache._store)
            assert_consistent(cache)
        entries = [entry for cache in self.caches for entry in cache._store.alive()]
        charged: set[int] = set()
        nbytes = 0
        self.came += [each.share for each in entries if each.share not in self.came]
        for entry in sorted(entries, key=lambda entry: self.came.index(entry.share)):
            own = {id(block): block.nbytes for block in entry.value.blocks}
            own = {at: size for at, size in own.items() if at not in charged}
            assert sum(own.values()) == entry.weight
            charged |= {*own}
            nbytes += sum(own.values())
        zombies = {
            id(block): block.nbytes
            for value in self.kept
            for block in value.blocks
            if id(block) not in charged
        }
        committed = sum(cache._store.ledger.committed for cache in self.caches)
        assert nbytes + sum(zombies.values()) == committed

    def teardown(self) -> None:
        if hasattr(self, "caches"):
            try:
                while self.leases:
                    self.release(0)
                for cache in self.caches:
                    cache.close()
                self.kept.clear()
                for cache in self.caches:
                    cache.expire_now()
                assert 0 == sum(cache._store.ledger.committed for cache in self.caches)
                assert 0 == self.probe.allocated()
            finally:
                gc.unfreeze()


TestShared = Shared.TestCase
TestShared.settings = settings(
    max_examples=60,
    stateful_step_count=40,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
)
