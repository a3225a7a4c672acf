"""Memory caches against a naive model: a list of every value that was ever made.

The model knows which values are alive, for it holds weak references, who leases them
and who was torn down; what a cache may charge follows from that alone. Which victim
goes is the policies' affair and tested with them.
"""

from __future__ import annotations

import gc
import weakref
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from warmcache import CapacityError, RemovalCause, warm
from warmcache._core.drivers.lingering import free_what_came_back
from warmcache.memory import MemoryCache
from warmcache.memory.footprint import Footprint
from warmcache.testing import FakeProbe, assert_consistent

pytestmark = [pytest.mark.oracle, pytest.mark.property]

UNIT = 2**26
TOTAL, BUDGET = 12, 8
KEYS = st.integers(0, 4)
UNITS = st.integers(1, 4)
PRESSURE = RemovalCause.PRESSURE


class Thing:
    """A value that takes memory of a fake device."""

    def __init__(self, probe: FakeProbe, units: int) -> None:
        self.blocks = [probe.block(UNIT) for _ in range(units)]


def seen(thing: Thing) -> Footprint:
    parts = tuple((weakref.ref(block), block.nbytes) for block in thing.blocks)
    return Footprint(sum(nbytes for _, nbytes in parts), parts, ())


@dataclass(eq=False)
class Row:
    """What the model knows of a value, without holding it."""

    ref: weakref.ref[Thing]
    units: int
    weight: float = 0  # what it is charged with while it is cached
    beyond: float = 0  # what of it was not reserved
    spoilt: bool = False
    torn_down: int = 0
    ours: bool = False  # whether it never entered, or was taken out alive
    leases: list[Any] = field(default_factory=list)


@dataclass
class Script:
    """What the loader is to do."""

    units: int
    mishap: str
    spoilt: bool
    tries: int = 0
    reserved: float = 0
    row: Row | None = None


class Model(RuleBasedStateMachine):
    footprint: Any = None

    def __init__(self) -> None:
        super().__init__()
        gc.freeze()  # what was there before cannot be garbage of ours: look at the rest alone
        self.probe = FakeProbe(TOTAL * UNIT)
        self.now = 0
        self.rows: list[Row] = []
        self.kept: list[Thing] = []  # held outside, whatever becomes of them
        self.leased: dict[Row, list[Any]] = {}
        self.removed: Counter[RemovalCause] = Counter()
        look = dict(footprint=self.footprint) if self.footprint is not None else {}
        self.cache: MemoryCache[Any, Thing] = MemoryCache(
            BUDGET * UNIT,
            probe=self.probe,
            teardown=self.tear_down,
            on_removal=lambda removal: self.removed.update([removal.cause]),
            headroom=0,
            wait=0,
            confirm=0,  # what has not come back at the next look is given up
            poll=3600,  # nobody looks but this test
            min_residency=0,
            timer=lambda: self.now,
            **look,
        )
        self.cache._view.meter.linger = lambda store: None  # type: ignore[union-attr]
        self.script = Script(0, "", False)
        self.loaders = {
            "sized": [self.loader(size=units * UNIT) for units in range(5)],
            "weighed": [self.loader(size=lambda thing: len(thing.blocks) * UNIT)] * 5,
            "hinted": [self.loader(size_hint=units * UNIT) for units in range(5)],
            "unknown": [self.loader()] * 5,
        }

    # -- what the cache calls ------------------------------------------------------

    def row(self, thing: Thing) -> Row:
        return next(row for row in self.rows if row.ref() is thing)

    def tear_down(self, thing: Thing) -> None:
        row = self.row(thing)
        assert not row.leases, "a leased value is never torn down"
        row.torn_down += 1
        if row.spoilt:
            raise OSError("teardown fails")

    def loader(self, **options: Any) -> Any:
        @warm(cache=self.cache, **options)
        def load(key: int) -> Thing:
            return self.make()

        return load

    def make(self) -> Thing:
        """Load as the script says, once it is sure that there is room."""
        script, store = self.script, self.cache._store
        script.tries += 1
        self.now += 1
        reserved = self.cache.stats().loading
        assert store.ledger.committed <= store.ledger.limit + self.overdrawn() + store.ledger.slack
        if script.mishap == "fails":
            raise ConnectionError("load fails")
        if script.mishap == "lacks" and script.tries == 1:
            half = self.probe.block(0)
            raise MemoryError(f"tried to allocate {UNIT} bytes beside {half}")
        thing = Thing(self.probe, script.units)
        script.reserved = reserved
        script.row = Row(weakref.ref(thing), script.units, beyond=script.units * UNIT - reserved)
        script.row.spoilt = script.spoilt
        self.rows.append(script.row)
        return thing

    # -- the model -----------------------------------------------------------------

    def overdrawn(self) -> float:
        """Return what values that are alive took beyond what was reserved for them."""
        alive = (row for row in self.rows if row.ref() is not None and not row.ours)
        return sum(max(row.beyond, 0) for row in alive)

    def resident(self) -> list[Row]:
        store = self.cache._store
        return [self.row(entry.value) for entry in store.live.values()]

    def arrived(self, kind: str, declared: int) -> None:
        """Check what a value that was just loaded is charged with."""
        row = self.script.row
        if row is None or row.torn_down:
            return
        entry = next(e for e in self.cache._store.alive() if e.value is row.ref())
        row.weight = entry.weight
        way = entry.provenance.weighed_by
        if kind in ("sized", "weighed"):
            assert (declared if kind == "sized" else row.units) * UNIT == entry.weight
            row.beyond = min(row.beyond, entry.weight)  # a size is believed
        elif self.footprint is not None:
            assert ("footprint", row.units * UNIT) == (way, entry.weight)
        elif not self.probe.unknown:
            assert ("allocator", row.units * UNIT) == (way, entry.weight)
        else:
            assert "guess" == way and entry.weight > 0
            # It is charged with the guess, whatever it took; what goes for that may be held.
            row.beyond = max(row.beyond, entry.weight - self.script.reserved)

    @rule(
        kind=st.sampled_from(["sized", "weighed", "hinted", "unknown"]),
        key=KEYS,
        declared=UNITS,
        lie=st.sampled_from([0, 0, 0, 1, 2, 5, -1]),
        mishap=st.sampled_from(["", "", "", "fails", "lacks"]),
        spoilt=st.booleans(),
        then=st.sampled_from(["", "keep", "lease"]),
    )
    def load(
        self, kind: str, key: int, declared: int, lie: int, mishap: str, spoilt: bool, then: str
    ) -> None:
        self.script = Script(max(declared + lie, 1), mishap, spoilt)
        load = self.loaders[kind][declared]
        warm_already, removed = load.contains(key), self.removed.copy()
        lease = load.lease(key)
        try:
            thing = lease.__enter__()
        except ConnectionError:
            assert mishap == "fails" and 1 == self.script.tries
            return
        except MemoryError:
            assert self.script.tries <= 3, "twice again at most"
            return
        except CapacityError as error:
            if error.needed > BUDGET * UNIT and not self.script.tries:
                assert removed == self.removed, "nothing goes for what can never fit"
            if self.script.row is not None:
                assert 1 == self.script.row.torn_down, "too large, and told so"
            return
        row = self.row(thing)
        if warm_already:
            assert 0 == self.script.tries
        else:
            assert row is self.script.row
            self.arrived(kind, declared)
        if then == "keep":
            self.kept.append(thing)
        del thing
        row.leases.append(lease)
        if then != "lease":
            self.end_lease(row)

    def end_lease(self, row: Row) -> None:
        row.leases.pop().__exit__(None, None, None)

    @precondition(lambda self: any(row.leases for row in self.rows))
    @rule(data=st.data())
    def release(self, data: st.DataObject) -> None:
        self.end_lease(data.draw(st.sampled_from([row for row in self.rows if row.leases])))

    @rule(key=KEYS, units=st.integers(1, 9), spoilt=st.booleans())
    def hand_in(self, key: int, units: int, spoilt: bool) -> None:
        try:
            thing = Thing(self.probe, units)
        except MemoryError:
            return
        row = Row(weakref.ref(thing), units, spoilt=spoilt, ours=True)
        self.rows.append(row)
        try:
            self.cache[key] = thing
        except CapacityError:
            assert 0 == row.torn_down, "what was never stored is still the caller's"
            return
        row.ours, row.weight = False, self.cache._store.live[key].weight
        if self.footprint is not None:
            assert units * UNIT == row.weight

    @precondition(lambda self: self.cache._store.live)
    @rule(data=st.data(), door=st.sampled_from(["del", "pop", "evict", "detach"]))
    def take(self, data: st.DataObject, door: str) -> None:
        key = data.draw(st.sampled_from(list(self.cache._store.live)))
        row = self.row(self.cache._store.live[key].value)
        if door == "del":
            del self.cache[key]
        elif door == "pop":
            self.cache.pop(key)
        elif door == "evict":
            self.cache.evict(key=key)
        else:
            row.ours = True
            thing = self.cache.detach(key)
            assert 0 == row.torn_down and thing is not None
            for lease in row.leases:
                lease.__exit__(None, None, None)
            row.leases.clear()
            return
        assert row.torn_down == (not row.leases)

    @rule(units=st.integers(0, 6))
    def relieve(self, units: int) -> None:
        idle = sum(row.weight for row in self.resident() if not row.leases)
        count = sum(not row.leases for row in self.resident())
        removed = self.removed[PRESSURE]
        freed = self.cache.relieve(units * UNIT)
        assert freed >= min(units * UNIT, idle)
        self.cache.expire_now()
        assert self.removed[PRESSURE] > removed or not count

    @rule(count=st.integers(0, 3))
    def evict(self, count: int) -> None:
        idle = sum(not row.leases for row in self.resident())
        assert min(count, idle) == len(self.cache.evict(count))

    @precondition(lambda self: self.kept)
    @rule(data=st.data())
    def drop(self, data: st.DataObject) -> None:
        del self.kept[data.draw(st.integers(0, len(self.kept) - 1))]

    # -- the device ----------------------------------------------------------------

    @rule(units=st.integers(0, 8))
    def others_use(self, units: int) -> None:
        self.probe.foreign = units * UNIT

    @rule(samples=st.sampled_from([0, 0, 2, float("inf")]))
    def the_device_lags(self, samples: float) -> None:
        self.probe.lag = samples
        self.probe.settle()

    @rule(unknown=st.booleans())
    def the_device_is_unknown(self, unknown: bool) -> None:
        self.probe.unknown = unknown

    @rule(looks=st.integers(1, 8))
    def watch(self, looks: int) -> None:
        before, leased = self.removed[PRESSURE], [row for row in self.resident() if row.leases]
        sample = self.probe.sample()
        known = sample.total is not None and sample.available is not None
        full = known and sample.available < 0.2 * sample.total  # a round may go on
        for _ in range(looks):
            self.cache.expire_now()
        if not full:
            assert before == self.removed[PRESSURE], "one that is unknown evicts nothing, too"
        assert all(not row.torn_down for row in leased)

    # -- what always holds ---------------------------------------------------------

    @invariant()
    def what_is_charged_is_what_is_alive(self) -> None:
        free_what_came_back(self.cache._store)
        assert_consistent(self.cache)
        stats, store = self.cache.stats(), self.cache._store
        live = self.resident()
        zombies = [row for row in self.rows if row.torn_down and row.ref() is not None]
        retired = [row for row in self.rows if row.leases and row not in live and not row.ours]
        assert 0 == stats.loading == stats.dying
        assert sum(row.weight for row in live) == stats.live
        assert sum(row.weight for row in retired) == stats.retired
        assert sum(row.weight for row in zombies) == stats.zombies
        assert store.ledger.committed <= store.ledger.limit + self.overdrawn() + store.ledger.slack
        assert len(self.removed) == 0 or self.removed == Counter(stats.removals)

    @invariant()
    def every_value_is_torn_down_at_most_once(self) -> None:
        free_what_came_back(self.cache._store)
        for row in self.rows:
            assert row.torn_down <= (not row.ours)
            assert (
                row.torn_down
                or row.leases
                or row.ref() is None
                or row in self.resident()
                or (row.ours)
            ), "what is alive is cached, leased, held outside or ours"
        assert sum(r.spoilt and r.torn_down for r in self.rows) == (
            self.cache.stats().teardown_failures
        )

    def teardown(self) -> None:
        try:
            self.end()
        finally:
            gc.unfreeze()

    def end(self) -> None:
        for row in self.rows:
            while row.leases:
                self.end_lease(row)
        with suppress(ExceptionGroup):
            self.cache.close()
        self.kept.clear()
        self.probe.settle()
        for _ in range(2):
            assert self.cache.expire_now() is None
        assert 0 == self.cache._store.ledger.committed
        assert all(row.torn_down == (not row.ours) for row in self.rows)
        self.probe.unknown = False
        assert 0 == self.probe.allocated(), "nothing of it is left"


class Seen(Model):
    """Values that can be looked into."""

    footprint = staticmethod(seen)


class Opaque(Model):
    """Values of which only growth is known."""


SETTINGS = settings(
    max_examples=60,
    stateful_step_count=40,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
)
for _machine in (Seen, Opaque):
    _case = _machine.TestCase
    _case.settings = SETTINGS
    globals()[f"Test{_machine.__name__}"] = _case
del _machine, _case
