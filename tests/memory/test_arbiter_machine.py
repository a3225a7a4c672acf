"""Two caches over one device against a model that only adds up: what is granted, what goes.

Whatever the order, the sum of what is alive never exceeds the device, what is leased stays, and
a load is refused only when all that may be asked for would not make its room: then nothing goes.
"""

from __future__ import annotations

from contextlib import ExitStack
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from warmcache import CapacityError, Removal, RemovalCause, warm
from warmcache.memory import MemoryCache
from warmcache.testing import FakeProbe, assert_consistent

pytestmark = [pytest.mark.oracle, pytest.mark.property]

TOTAL = 12
WHICH = st.integers(0, 1)
KEYS = st.integers(0, 5)
UNITS = st.integers(1, 6)


class Side:
    """One of the caches, as the model sees it: what is alive in there, and who leases it."""

    def __init__(self, probe: FakeProbe, budget: int, floor: int) -> None:
        self.probe, self.budget, self.floor = probe, budget, floor
        self.removed: list[Removal] = []
        self.alive: dict[int, int] = {}
        self.leases: list[tuple[int, ExitStack]] = []
        self.begin()

    def begin(self) -> None:
        self.cache: MemoryCache[Any, Any] = MemoryCache(
            self.budget,
            probe=self.probe,
            headroom=0,
            poll=0,
            wait=0,
            floor=self.floor,
            on_removal=self.hear,
        )
        probe = self.probe
        self.load = warm(
            cache=self.cache,
            size=lambda block: block.nbytes,
            size_hint=lambda key, units: units,
        )(lambda key, units: probe.block(units))

    def hear(self, removal: Removal) -> None:
        self.removed.append(removal)
        del self.alive[removal.key[1]]

    @property
    def leased(self) -> dict[int, int]:
        return {key: self.alive[key] for key, _ in self.leases}

    @property
    def idle(self) -> list[int]:
        leased = self.leased
        return [units for key, units in self.alive.items() if key not in leased]

    def asked(self) -> tuple[int, int]:
        """Return what others surely get out of here, and what they get at most."""
        spare = max(sum(self.alive.values()) - self.floor, 0)
        most = min(sum(self.idle), spare)
        return (most if most == sum(self.idle) else 0), most


class TwoCaches(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.probe = FakeProbe(TOTAL)
        self.sides = Side(self.probe, 10, 0), Side(self.probe, 8, 3)

    def teardown(self) -> None:
        for side in self.sides:
            for _, stack in side.leases:
                stack.close()
            side.cache.close()
        assert 0 == self.probe.allocated()

    @rule(which=WHICH, key=KEYS, units=UNITS, leases=st.booleans())
    def loads(self, which: int, key: int, units: int, leases: bool) -> None:
        mine, other = self.sides[which], self.sides[1 - which]
        units = mine.alive.get(key, units)
        warm_already = key in mine.alive
        for side in self.sides:
            side.removed.clear()
        here = mine.budget - sum(mine.leased.values())
        held = sum(mine.leased.values()) + sum(other.alive.values()) + self.probe.foreign
        surely, most = other.asked()
        free = TOTAL - self.probe.foreign - sum(mine.alive.values()) - sum(other.alive.values())
        short = max(units - free, units - (mine.budget - sum(mine.alive.values())))
        stack = ExitStack()
        try:
            stack.enter_context(mine.load.lease(key, units))
        except CapacityError:
            assert not warm_already
            assert units > min(here, TOTAL - held + surely)
            assert [] == mine.removed == other.removed
            return
        assert warm_already or units <= min(here, TOTAL - held + most)
        mine.alive[key] = units
        assert all(each.cause is RemovalCause.SIZE for each in mine.removed)
        assert all(each.cause is RemovalCause.PRESSURE for each in other.removed)
        gone = [each.weight for each in [*mine.removed, *other.removed]]
        assert not gone or sum(gone) - max(gone) < short
        assert not (warm_already and gone)
        mine.leases.append((key, stack))
        if not leases:
            self.releases(which, len(mine.leases) - 1)

    @rule(which=WHICH, number=st.integers(0, 5))
    def releases(self, which: int, number: int) -> None:
        side = self.sides[which]
        if number < len(side.leases):
            side.leases.pop(number)[1].close()

    @rule(which=WHICH, key=KEYS)
    def evicts(self, which: int, key: int) -> None:
        side = self.sides[which]
        if key in side.alive and key not in side.leased:
            side.load.evict(key, side.alive[key])
            assert key not in side.alive

    @rule(units=st.integers(0, 4))
    def others_take(self, units: int) -> None:
        if units <= TOTAL - (self.probe.allocated() or 0):
            self.probe.foreign = units

    @rule(which=WHICH)
    def closes_and_begins_anew(self, which: int) -> None:
        side = self.sides[which]
        for _, stack in side.leases:
            stack.close()
        side.leases.clear()
        side.cache.close()
        assert {} == side.alive
        side.begin()

    @invariant()
    def all_adds_up(self) -> None:
        alive = sum(sum(side.alive.values()) for side in self.sides)
        assert alive == self.probe.allocated() and alive + self.probe.foreign <= TOTAL
        for side in self.sides:
            assert_consistent(side.cache)
            assert side.cache.stats().live == sum(side.alive.values())


TwoCaches.TestCase.settings = settings(
    max_examples=100, stateful_step_count=30, deadline=None, suppress_health_check=[*HealthCheck]
)
TestTwoCaches = TwoCaches.TestCase
