"""A cache with a host tier against a naive model, with failures on every way.

The model knows every value that was ever made, and of each key which value a call has to give: the
very object that it gave last, unless that was torn down since. While bytes are copied, either way,
somebody may remove their key, close the cache, hand in another value or have it leave in turn, the
time may pass at which it ends, and others may wait for the same load.
"""

from __future__ import annotations

import contextlib
import gc
import weakref
from collections import Counter
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule
from parked import UNIT, Machine, Model, Rig

from warmcache import CapacityError, ClosedError, LRUCache, WarmMissError, no_load
from warmcache._core.drivers.lingering import free_what_came_back
from warmcache._core.state.entry import State
from warmcache.memory import host_parking
from warmcache.testing import FakeBlock, assert_consistent

pytestmark = [pytest.mark.oracle, pytest.mark.property]
KEYS = st.sampled_from("abcde")
BUDGET, HOST, TTL, CAP = 16, 14, 100.0, 5.0
MEANWHILE = st.sampled_from(
    ["", "", "", "evict", "clear", "close", "put", "put and relieve", "time passes"]
)
FAILURES = CapacityError, MemoryError, RuntimeError
CALL: dict[str, Any] = {
    "units": st.integers(1, 8),
    "base": st.none() | KEYS,
    "spoilt": st.booleans(),
    "keep": st.sampled_from([False, False, True]),
    "by": st.sampled_from(["load", "load", "no_load", "cache"]),
    "meanwhile": MEANWHILE,
    "joins": st.booleans(),
}


class Tiers(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        gc.freeze()  # what was there before cannot be garbage of ours: look at the rest alone
        self.machine = Machine()
        self.patch = pytest.MonkeyPatch()
        self.patch.setattr(host_parking, "HostProbe", lambda: self.machine)
        self.pool = ThreadPoolExecutor(1)
        self.begin()

    def begin(self) -> None:
        self.rig = Rig(BUDGET, HOST, ttl=TTL, confirm=0.0, teardown=self.tear_down, wait=0)
        # Nobody looks but this test.
        self.rig.cache._view.meter.linger = lambda store: None  # type: ignore[union-attr]
        measured, said = self.rig.loader(size=None), self.rig.loader(size=self.said)
        self.loaders = {name: said if name in "de" else measured for name in "abcde"}
        self.plain: LRUCache[str, Any] = LRUCache(2)  # it knows of no memory
        self.spoilt: set[Model] = set()  # whose teardown fails
        self.leases: dict[str, list[Any]] = {}
        self.held: list[Any] = []  # blocks that somebody holds
        self.left = weakref.WeakSet[FakeBlock]()  # blocks of what was torn down or parked
        self.doubled = False  # whether a block is counted in a said size, and elsewhere, too
        self.fails = Counter[str]()  # what fails, how often yet
        self.meanwhile = ""
        self.joins: str | None = None  # whom somebody else asks for as soon as it is coming back
        self.joined: Future[Any] | None = None
        self.rig.before_park, self.rig.before_unpark = self.parking, self.unparking

    # -- what is called ------------------------------------------------------------------------

    def said(self, model: Model) -> int:
        return model.units * UNIT

    def tear_down(self, model: Model) -> None:
        self.left |= {*model.blocks}
        model.close()
        if model in self.spoilt:
            raise OSError("its teardown fails")

    def parking(self, model: Model) -> None:
        assert model.blocks, "what is parked was not"
        store = self.rig.cache._store
        others = [entry.value.blocks for entry in store.alive() if entry.value is not model]
        for blocks in [*others, *self.plain.values()]:
            assert not {*model.blocks} & {*blocks}, "others have a part of it"
        self.interfere(model)
        if self.fails["park"]:
            self.fails["park"] -= 1
            raise RuntimeError("cannot park")
        self.left |= {*model.blocks}

    def unparking(self, model: Model) -> None:
        assert not model.blocks
        assert not model.torn_down
        if self.joins == model.name:
            self.joined, self.joins = self.pool.submit(self.loaders[model.name], model.name), None
            [flight] = [each for each in self.rig.cache._store.flights.values() if each.returned]
            while len(flight.joined) < 2:
                assert not self.joined.done()
        self.interfere(model)
        for what, error in (("oom", MemoryError), ("unpark", RuntimeError)):
            if self.fails[what]:
                self.fails[what] -= 1
                raise error("cannot unpark")

    def interfere(self, model: Model) -> None:
        """Do what is to happen while the bytes of ``model`` are copied."""
        load, act, self.meanwhile = self.loaders[model.name], self.meanwhile, ""
        if act == "evict":
            load.evict(model.name)
        elif act == "clear":
            load.cache_clear()
        elif act == "close":
            with contextlib.suppress(ExceptionGroup):
                self.rig.cache.close()
        elif act == "time passes":
            self.rig.now += TTL
            self.rig.cache.expire()
        elif act and not model.blocks:  # to park it must ask for no room, which waits for that
            self.put(model.name, 2)
            if act == "put and relieve":
                self.rig.cache.relieve(BUDGET * UNIT)

    # -- the model -----------------------------------------------------------------------------

    def kept(self, name: str) -> Model | None:
        """Return the value that a call has to give without a load, if there is one."""
        found = [e.value for e in self.rig.cache._store.kept() if e.key[1] == name]  # type: ignore[index]
        assert len(found) <= 1, "a key in two places"
        return found[0] if found else None

    def put(self, name: str, units: int) -> Model | None:
        model = Model(self.rig.device, name, units)
        try:
            self.rig.cache[self.loaders[name].cache_key(name)] = model
        except (*FAILURES, ClosedError):
            model.blocks = []
            return None
        self.rig.models.append(model)
        return model

    def make(self, name: str, units: int, base: str | None) -> Model:
        """Load a value, which has a block that another one has, if there is such a one."""
        model = Rig.make(self.rig, name, units)
        there = [e.value for e in self.rig.cache._store.live.values() if e.key[1] == base]  # type: ignore[index]
        if there and there[0].name != name:
            model.blocks[0] = there[0].blocks[0]
            self.doubled |= bool({name, base} & {*"de"})
        return model

    @rule(name=KEYS, **CALL)
    def call(self, name: str, **how: Any) -> None:
        self.get(name, **how)

    @precondition(lambda self: self.rig.cache._store.host.entries)
    @rule(data=st.data(), **CALL)
    def bring_back(self, data: st.DataObject, **how: Any) -> None:
        names = sorted(key[1] for key in self.rig.cache._store.host.entries)  # type: ignore[union-attr,index]
        self.get(data.draw(st.sampled_from(names)), **how)

    def get(
        self,
        name: str,
        units: int,
        base: str | None,
        spoilt: bool,
        keep: bool,
        by: str,
        meanwhile: str,
        joins: bool,
    ) -> None:
        """Ask for a key, under a lease that is ended at once unless it is to ``keep`` it."""
        self.rig.cache.expire()
        before, loads = self.kept(name), len(self.rig.loads)
        self.rig.make = lambda name, _: self.make(name, units, base)  # type: ignore[method-assign,misc]
        self.meanwhile, self.joins = meanwhile, name if joins else None
        load, model = self.loaders[name], None
        lease = self.rig.cache.lease(load.cache_key(name)) if by == "cache" else load.lease(name)
        try:
            with no_load() if by == "no_load" else contextlib.nullcontext():
                model = lease.__enter__()
        except ClosedError:
            assert meanwhile == "close"
        except (WarmMissError, KeyError):
            assert by != "load"
            assert before is None or before.torn_down, "it was there"
        except FAILURES as error:
            if before is not None and not meanwhile and "unpark" in str(error):
                assert self.kept(name) is before, "it stays parked"
        else:
            assert model.blocks, "it has its bytes"
            assert not model.torn_down
            if model is not before:
                assert before is None or (before.torn_down and meanwhile), "the very object"
                self.spoilt |= {model} if spoilt else set()
            elif not meanwhile:
                assert loads == len(self.rig.loads)
            self.leases.setdefault(name, []).append(lease)
        self.meanwhile, self.joins = "", None
        self.hear_of_who_joined(meanwhile)
        if model is not None and not keep:
            del model, before
            self.release(name)
        self.begin_again_if_closed()

    def hear_of_who_joined(self, meanwhile: str) -> None:
        """Look what became of who waited for the same load, which may load itself."""
        joined, self.joined = self.joined, None
        if joined is not None:
            try:
                assert joined.result(CAP) is not None
            except ClosedError:
                assert meanwhile == "close"
            except FAILURES:
                pass

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
        before, load = self.kept(name), self.loaders[name]
        if door == "evict":
            load.evict(name)
        elif door == "pop":
            self.rig.cache.pop(load.cache_key(name), None)
        else:
            self.rig.cache.evict(where=lambda info: info.key[1] == name)  # type: ignore[index]
        assert self.kept(name) is None
        if before is not None and name not in self.leases:
            assert 1 == before.torn_down

    @rule()
    def clear(self) -> None:
        self.rig.cache.clear()
        assert [] == self.rig.cache._store.kept()

    @rule(name=KEYS, units=st.integers(1, 4))
    def hand_in(self, name: str, units: int) -> None:
        self.rig.cache.expire()
        model = self.put(name, units)
        assert model is None or self.kept(name) is model

    @rule(name=KEYS, units=st.integers(1, 4), meanwhile=MEANWHILE)
    def set_default(self, name: str, units: int, meanwhile: str) -> None:
        self.rig.cache.expire()
        before, model = self.kept(name), Model(self.rig.device, name, units)
        self.meanwhile = meanwhile
        try:
            stored = self.rig.cache.setdefault(self.loaders[name].cache_key(name), model)
        except (*FAILURES, ClosedError):
            stored = None
        self.meanwhile = ""
        if stored is model:
            assert before is None or before.torn_down
            self.rig.models.append(model)
        else:
            assert stored is None or stored is before or meanwhile
            model.blocks = []
        self.begin_again_if_closed()

    @precondition(lambda self: self.rig.cache._store.host.entries)
    @rule(data=st.data())
    def hand_in_again(self, data: st.DataObject) -> None:
        keys = sorted(self.rig.cache._store.host.entries, key=str)  # type: ignore[union-attr]
        name = data.draw(st.sampled_from(keys))[1]
        model = self.kept(name)
        with contextlib.suppress(*FAILURES):
            self.rig.cache[self.loaders[name].cache_key(name)] = model
        assert self.kept(name) is model

    @rule(units=st.integers(0, 16), meanwhile=MEANWHILE)
    def relieve(self, units: int, meanwhile: str) -> None:
        self.meanwhile = meanwhile
        self.rig.cache.relieve(units * UNIT)
        self.meanwhile = ""
        self.begin_again_if_closed()

    # -- what may go wrong ---------------------------------------------------------------------

    @rule(what=st.sampled_from(["park", "unpark", "oom"]), times=st.integers(0, 2))
    def have_it_fail(self, what: str, times: int) -> None:
        self.fails[what] = times

    @rule(short=st.sampled_from([False, False, False, True]))
    def the_machine_is_short(self, short: bool) -> None:
        self.machine.available = 0 if short else 2**50

    @precondition(lambda self: self.rig.cache._store.live)
    @rule(data=st.data(), by_a_cache=st.booleans())
    def hold(self, data: st.DataObject, by_a_cache: bool) -> None:
        live = self.rig.cache._store.live
        blocks = live[data.draw(st.sampled_from(sorted(live, key=str)))].value.blocks[:1]
        if by_a_cache:
            self.plain[str(len(self.plain))] = blocks
        else:
            self.held += blocks

    @rule()
    def let_go(self) -> None:
        self.held.clear()
        self.plain.clear()

    @rule(seconds=st.sampled_from([1.0, 60.0]))
    def wait(self, seconds: float) -> None:
        self.rig.now += seconds

    # -- what always holds ---------------------------------------------------------------------

    @invariant()
    def nothing_is_lost_and_nothing_charged_twice(self) -> None:
        store, rig = self.rig.cache._store, self.rig
        free_what_came_back(store)
        assert_consistent(rig.cache)
        stats = rig.cache.stats()
        assert 0 == stats.loading == stats.dying
        assert stats.host is not None
        assert stats.host.bytes <= HOST * UNIT
        there = [*store.alive()]
        values = [entry.value for entry in there]
        assert len(values) == len({*map(id, values)})
        keys = [entry.key for entry in store.kept()]
        assert len(keys) == len({*keys}), "a key in two places"
        for model in rig.models:
            assert model.torn_down == (model not in values), "what exists is torn down or kept"
        assert sum(model.torn_down for model in rig.models) == len(rig.removals)
        parked = [entry.value for entry in there if entry.state is State.PARKED]
        assert not any(model.blocks for model in parked), "what is parked is not on the device"
        assert sum(model.units for model in parked) * UNIT == stats.host.bytes
        on_device = [entry for entry in there if entry.state is not State.PARKED]
        measured = {b for e in on_device if e.key[1] not in "de" for b in e.value.blocks}  # type: ignore[index]
        said = [entry.value for entry in on_device if entry.key[1] in "de"]  # type: ignore[index]
        assert len(measured) + sum(each.units for each in said) == (
            (stats.live + stats.retired) / UNIT
        )
        zombies = len({*self.left} - measured) * UNIT
        assert stats.zombies == zombies or (self.doubled and stats.zombies > zombies)

    def begin_again_if_closed(self) -> None:
        if self.rig.cache._store.closed:
            self.end()
            self.begin()

    def end(self) -> None:
        """Close the cache, and see that nothing is left."""
        for name in [*self.leases]:
            while name in self.leases:
                self.release(name)
        with contextlib.suppress(ExceptionGroup):
            self.rig.cache.close()
        self.held.clear()
        self.plain.clear()
        free_what_came_back(self.rig.cache._store)
        free_what_came_back(self.rig.cache._store)
        assert all(model.torn_down == 1 for model in self.rig.models)
        assert 0 == self.rig.device.allocated() == self.rig.cache._store.ledger.committed
        stats = self.rig.cache.stats()
        assert len(self.rig.models) == sum(stats.removals.values()) == len(self.rig.removals)
        assert 0 == stats.host.bytes  # type: ignore[union-attr]

    def teardown(self) -> None:
        try:
            self.end()
        finally:
            self.pool.shutdown()
            self.patch.undo()
            gc.unfreeze()


TestTiers = Tiers.TestCase
TestTiers.settings = settings(
    max_examples=60,
    stateful_step_count=40,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
)
