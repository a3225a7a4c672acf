"""A cache with a host tier against a naive model, with failures on every way.

The model knows every value that was ever made, and of each key which value a call has to give: the
very object that it gave last, unless that was torn down since.
"""

from __future__ import annotations

import contextlib
import gc
from collections import Counter
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule
from parked import UNIT, Machine, Model, Rig

from warmcache import CapacityError
from warmcache._core.drivers.lingering import free_what_came_back
from warmcache.memory import host_parking
from warmcache.testing import assert_consistent

pytestmark = [pytest.mark.oracle, pytest.mark.property]
KEYS = st.sampled_from("abcde")
BUDGET, HOST = 16, 20


class Tiers(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        gc.freeze()  # what was there before cannot be garbage of ours: look at the rest alone
        self.machine = Machine()
        self.patch = pytest.MonkeyPatch()
        self.patch.setattr(host_parking, "HostProbe", lambda: self.machine)
        self.rig = Rig(BUDGET, HOST, ttl=100.0, confirm=0.0, teardown=self.tear_down, wait=0)
        # Nobody looks but this test.
        self.rig.cache._view.meter.linger = lambda store: None  # type: ignore[union-attr]
        self.load = self.rig.loader(size=None)
        self.spoilt: set[Model] = set()  # whose teardown fails
        self.leases: dict[str, list[Any]] = {}
        self.held: list[Any] = []  # blocks that somebody holds
        self.fails = Counter[str]()  # what fails, how often yet
        self.rig.before_park, self.rig.before_unpark = self.parking, self.unparking

    # -- what is called ------------------------------------------------------------------------

    def tear_down(self, model: Model) -> None:
        model.close()
        if model in self.spoilt:
            raise OSError("its teardown fails")

    def parking(self, model: Model) -> None:
        assert model.blocks, "what is parked was not"
        if self.fails["park"]:
            self.fails["park"] -= 1
            raise RuntimeError("cannot park")

    def unparking(self, model: Model) -> None:
        assert not model.blocks
        assert not model.torn_down
        for what, error in (("oom", MemoryError), ("unpark", RuntimeError)):
            if self.fails[what]:
                self.fails[what] -= 1
                raise error("cannot unpark")

    # -- the model -----------------------------------------------------------------------------

    def kept(self, name: str) -> Model | None:
        """Return the value that a call has to give without a load, if there is one."""
        store = self.rig.cache._store
        for entry in store.kept():
            if entry.key[1] == name:  # type: ignore[index]
                return entry.value  # type: ignore[no-any-return]
        return None

    @rule(name=KEYS, units=st.integers(1, 12), spoilt=st.booleans(), lease=st.booleans())
    def call(self, name: str, units: int, spoilt: bool, lease: bool) -> None:
        self.rig.cache.expire()
        before, loads = self.kept(name), len(self.rig.loads)
        entered = self.load.lease(name)
        self.rig.make = lambda name, _: Rig.make(self.rig, name, units)  # type: ignore
        try:
            model = entered.__enter__()
        except (CapacityError, MemoryError, RuntimeError) as error:
            if before is not None and "unpark" in str(error):
                assert self.kept(name) is before, "it stays parked"
            return
        assert model.blocks, "it has its bytes"
        assert not model.torn_down
        if before is not None:
            assert model is before, "the very object"
            assert loads == len(self.rig.loads)
        elif spoilt:
            self.spoilt.add(model)
        self.leases.setdefault(name, []).append(entered)
        if not lease:
            self.release(name)

    def release(self, name: str) -> None:
        lease = self.leases[name].pop()
        if not self.leases[name]:
            del self.leases[name]
        lease.__exit__(None, None, None)

    @precondition(lambda self: self.leases)
    @rule(data=st.data())
    def end_a_lease(self, data: st.DataObject) -> None:
        self.release(data.draw(st.sampled_from(sorted(self.leases))))

    @rule(name=KEYS, door=st.sampled_from(["evict", "pop", "where"]))
    def remove(self, name: str, door: str) -> None:
        self.rig.cache.expire()
        before = self.kept(name)
        if door == "evict":
            self.load.evict(name)
        elif door == "pop":
            self.rig.cache.pop(self.load.cache_key(name), None)
        else:
            self.rig.cache.evict(where=lambda info: info.key[1] == name)  # type: ignore[index]
        assert self.kept(name) is None
        if before is not None and name not in self.leases:
            assert 1 == before.torn_down

    @rule()
    def clear(self) -> None:
        self.load.cache_clear()
        assert not self.rig.cache._store.live
        assert not self.rig.cache._store.all_below()

    @rule(name=KEYS, units=st.integers(1, 4))
    def hand_in(self, name: str, units: int) -> None:
        self.rig.cache.expire()
        model = Model(self.rig.device, name, units)
        try:
            self.rig.cache[self.load.cache_key(name)] = model
        except CapacityError:
            model.blocks = []
            return
        self.rig.models.append(model)
        assert self.kept(name) is model

    @precondition(lambda self: self.rig.cache._store.host.entries)
    @rule(data=st.data())
    def hand_in_again(self, data: st.DataObject) -> None:
        keys = sorted(self.rig.cache._store.host.entries, key=str)  # type: ignore[union-attr]
        name = data.draw(st.sampled_from(keys))[1]
        model = self.kept(name)
        try:
            self.rig.cache[self.load.cache_key(name)] = model
        except (CapacityError, MemoryError, RuntimeError):
            pass
        assert self.kept(name) is model

    @rule(units=st.integers(0, 16))
    def relieve(self, units: int) -> None:
        self.rig.cache.relieve(units * UNIT)

    # -- what may go wrong ---------------------------------------------------------------------

    @rule(what=st.sampled_from(["park", "unpark", "oom"]), times=st.integers(0, 3))
    def have_it_fail(self, what: str, times: int) -> None:
        self.fails[what] = times

    @rule(short=st.booleans())
    def the_machine_is_short(self, short: bool) -> None:
        self.machine.available = 0 if short else 2**50

    @precondition(lambda self: self.rig.cache._store.live)
    @rule(data=st.data())
    def hold(self, data: st.DataObject) -> None:
        keys = sorted(self.rig.cache._store.live, key=str)
        model = self.rig.cache._store.live[data.draw(st.sampled_from(keys))].value
        self.held += model.blocks[:1]

    @rule()
    def let_go(self) -> None:
        self.held.clear()

    @rule(seconds=st.sampled_from([1.0, 60.0]))
    def wait(self, seconds: float) -> None:
        self.rig.now += seconds

    # -- what always holds ---------------------------------------------------------------------

    @invariant()
    def nothing_is_lost_and_nothing_charged_twice(self) -> None:
        store = self.rig.cache._store
        free_what_came_back(store)
        assert_consistent(self.rig.cache)
        stats = self.rig.cache.stats()
        assert 0 == stats.loading == stats.dying
        assert stats.host is not None
        assert stats.host.bytes <= HOST * UNIT
        there = [entry.value for entry in store.alive()]
        assert len(there) == len({*map(id, there)})
        for model in self.rig.models:
            assert model.torn_down <= 1
            assert bool(model.torn_down) == all(model is not each for each in there), (
                "what exists is torn down or kept"
            )
        parked = [entry.value for entry in store.host.entries.values()]  # type: ignore[union-attr]
        assert not any(model.blocks for model in parked), "what is parked is not on the device"
        assert sum(model.units for model in parked) * UNIT == stats.host.bytes
        alive = sum(len(model.blocks) for model in there)
        unheld = [b for b in self.held if not any(b in m.blocks for m in there)]
        held = len({*map(id, unheld)})
        assert (alive + held) * UNIT == self.rig.device.allocated()
        assert alive * UNIT == stats.live + stats.retired
        assert held * UNIT == stats.zombies

    def teardown(self) -> None:
        try:
            for name in [*self.leases]:
                while name in self.leases:
                    self.release(name)
            with contextlib.suppress(ExceptionGroup):
                self.rig.cache.close()
            self.held.clear()
            free_what_came_back(self.rig.cache._store)
            free_what_came_back(self.rig.cache._store)
            assert all(model.torn_down == 1 for model in self.rig.models)
            assert 0 == self.rig.device.allocated() == self.rig.cache._store.ledger.committed
            stats = self.rig.cache.stats()
            assert len(self.rig.models) == sum(stats.removals.values()) == len(self.rig.removals)
            assert 0 == stats.host.bytes  # type: ignore[union-attr]
        finally:
            self.patch.undo()
            gc.unfreeze()


TestTiers = Tiers.TestCase
TestTiers.settings = settings(
    max_examples=60,
    stateful_step_count=40,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
)
