"""Two caches of a process, and another member of their node: all of them within one budget."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, initialize, invariant, rule
from node_caches import Sharer
from node_members import Member, until

from warmcache import CapacityError, warm
from warmcache.testing import FakeProbe, assert_consistent

pytestmark = pytest.mark.property
BUDGET = 100
SIZES = st.integers(1, 60)
WHICH = st.sampled_from([0, 1])


class Node(RuleBasedStateMachine):
    """Weights are said, so nothing is ever in use that was not granted before."""

    leased: Bundle[tuple[int, str]] = Bundle("leased")

    @initialize()
    def begin(self) -> None:
        self.folder = Path(tempfile.mkdtemp())
        probe = FakeProbe(10_000, name="device")
        options: dict[str, Any] = dict(probe=probe, wait=0.02)
        self.sharers = [Sharer(self.folder, **options), Sharer(self.folder, **options)]
        self.outside = Member(self.folder / "device")
        self.held = self.count = 0

    def key(self) -> str:
        self.count += 1
        return str(self.count)

    @rule(which=WHICH, nbytes=SIZES, seconds=st.sampled_from([0.001, 1.0, 1000.0]))
    def load(self, which: int, nbytes: int, seconds: float) -> None:
        self.sharers[which].load(self.key(), nbytes, seconds)

    @rule(target=leased, which=WHICH, nbytes=SIZES)
    def lease(self, which: int, nbytes: int) -> tuple[int, str]:
        key = self.key()
        self.sharers[which].lease(key, nbytes)
        return which, key

    @rule(lease=leased)
    def release(self, lease: tuple[int, str]) -> None:
        which, key = lease
        if key in self.sharers[which].leases:
            self.sharers[which].release(key)

    @rule(which=WHICH, nbytes=SIZES)
    def fail(self, which: int, nbytes: int) -> None:
        @warm(cache=self.sharers[which].cache, size=nbytes)
        def load() -> None:
            raise OSError

        with pytest.raises((OSError, CapacityError)):
            load()

    @rule(which=WHICH)
    def clear(self, which: int) -> None:
        self.sharers[which].clear()

    @rule(nbytes=SIZES, idle=st.booleans())
    def grow_outside(self, nbytes: int, idle: bool) -> None:
        if idle:
            self.outside.load(nbytes, 1.0, 0.02)
        elif "granted" == self.outside.lease(nbytes, 0.02):
            self.held += nbytes

    @rule()
    def shrink_outside(self) -> None:
        held, self.held = self.held, 0
        self.outside.shrink(held)

    @invariant()
    def all_are_within_the_budget(self) -> None:
        outside = sum(nbytes for _, nbytes in self.outside.entries) + self.held
        inside = sum(sharer.cache._store.ledger.committed for sharer in self.sharers)
        assert inside + outside <= BUDGET
        for sharer in self.sharers:
            assert_consistent(sharer.cache)

    @invariant()
    def what_is_granted_is_in_use(self) -> None:
        def exact() -> bool:
            inside = sum(sharer.cache._store.ledger.committed for sharer in self.sharers)
            outside = sum(nbytes for _, nbytes in self.outside.entries) + self.held
            return bool(inside + outside == self.outside.status()[1])

        until(exact)

    def teardown(self) -> None:
        if not hasattr(self, "sharers"):
            return
        for sharer in self.sharers:
            sharer.close()
        self.outside.close()
        assert [] == [*(self.folder / "device").iterdir()]
        shutil.rmtree(self.folder)


Node.TestCase.settings = settings(
    max_examples=20,
    stateful_step_count=20,
    suppress_health_check=[HealthCheck.too_slow],
    deadline=None,
)
TestNode = Node.TestCase
