"""Random histories against a naive model: a list, sorted by a rank."""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytest
from by_plan import by_plan
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

import warmcache
from warmcache import CapacityError, RemovalCause
from warmcache.testing import assert_consistent

pytestmark = [pytest.mark.oracle, pytest.mark.property]

LIMIT = 6
KEYS = st.integers(0, 4)
WEIGHTS = st.integers(1, 4)


class Thing:
    """A value that counts its teardowns."""

    def __init__(self, weight: int, spoilt: bool) -> None:
        self.weight = weight
        self.spoilt = spoilt
        self.torn_down = 0

    def close(self) -> None:
        self.torn_down += 1
        if self.spoilt:
            raise OSError("teardown fails")


class Clock:
    """Moved by the test alone; the janitor is not told."""

    now = 0

    def __call__(self) -> int:
        return self.now


@dataclass
class Row:
    """What the model knows of an entry."""

    key: Any
    thing: Thing
    loaded: int
    used: int
    ends: float
    uses: int = 1
    leases: list[Any] = field(default_factory=list)


class Model(RuleBasedStateMachine):
    policy: str
    options: dict[str, Any] = {}
    rank: Callable[[Row], Any]
    planned = False  # whether by its plan also what would be done at once

    def __init__(self) -> None:
        super().__init__()
        self.scope = contextlib.ExitStack()
        if self.planned:
            self.scope.enter_context(by_plan())
        self.clock = Clock()
        self.cache = warmcache.policies.create(
            self.policy,
            maxsize=LIMIT,
            getsizeof=lambda thing: thing.weight,
            teardown="close",
            wait=0,
            timer=self.clock,
            **self.options,
        )
        self.ticks = 0
        self.rows: list[Row] = []
        self.retired: list[Row] = []
        self.expected = Counter[RemovalCause]()
        self.made: list[Thing] = []
        self.owned_by_us: list[Thing] = []
        self.script: Any = None
        self.loaders = {weight: self.loader(weight) for weight in range(1, 5)}

    # -- the model -----------------------------------------------------------------

    def tick(self) -> int:
        self.ticks += 1
        return self.ticks

    def row(self, key: Any) -> Row | None:
        return next((row for row in self.rows if row.key == key), None)

    def in_use(self) -> int:
        return sum(r.thing.weight for r in [*self.rows, *self.retired] if r.leases)

    def order(self) -> list[Row]:
        return sorted(self.rows, key=lambda row: (type(self).rank(row), row.loaded))

    def remove(self, row: Row, cause: RemovalCause) -> None:
        self.rows.remove(row)
        if row.leases:
            self.retired.append(row)
        else:
            assert row.thing.torn_down == 1, f"{row.key} left without a teardown"
        row.cause = cause  # type: ignore[attr-defined]
        if not row.leases:
            self.expected[cause] += 1

    def expire(self) -> None:
        for row in list(self.rows):
            if row.ends <= self.clock.now:
                self.remove(row, RemovalCause.EXPIRED)

    def victims_for(self, weight: int, replaced: Row | None = None) -> list[Row]:
        free = LIMIT - sum(r.thing.weight for r in [*self.rows, *self.retired])
        if replaced is not None and not replaced.leases:
            free += replaced.thing.weight
        victims: list[Row] = []
        for row in self.order():
            if weight <= free:
                break
            if not row.leases and row is not replaced:
                victims.append(row)
                free += row.thing.weight
        return victims

    def add(self, key: Any, thing: Thing) -> Row:
        tick = self.tick()
        ends = self.clock.now + self.options.get("ttl", float("inf"))
        row = Row(key, thing, tick, tick, ends)
        self.rows.append(row)
        return row

    # -- loading -------------------------------------------------------------------

    def loader(self, weight: int) -> Any:
        @warmcache.warm(cache=self.cache, size=weight, teardown="close")
        def load(key: int) -> Thing:
            victims, fails, spoilt = self.script
            assert all(row.thing.torn_down == 1 for row in victims), "loaded before eviction"
            assert self.cache.stats().live + weight <= LIMIT
            if fails:
                raise ConnectionError("load fails")
            self.made.append(Thing(weight, spoilt))
            return self.made[-1]

        return load

    def asked(self, weight: int, key: int, fails: bool, spoilt: bool) -> tuple[Row | None, bool]:
        """Bring the model to where the call is about to be; whether it will succeed."""
        load = self.loaders[weight]
        row = self.row(load.cache_key(key))
        if row is not None and row.ends > self.clock.now:
            self.script = None
            return row, True
        if weight > LIMIT - self.in_use():
            return None, False
        live = [r for r in self.rows if r.ends > self.clock.now]
        ended = [r for r in self.rows if r.ends <= self.clock.now]
        kept, self.rows = self.rows, live
        retired, self.retired = self.retired, self.retired + [r for r in ended if r.leases]
        victims = self.victims_for(weight)
        self.rows, self.retired = kept, retired
        self.script = [*victims, *(r for r in ended if not r.leases)], fails, spoilt
        return None, True

    def settle(self, weight: int, key: int, fails: bool) -> Row | None:
        """Bring the model to where the call has left the cache."""
        self.expire()
        for row in self.victims_for(weight):
            self.remove(row, RemovalCause.SIZE)
        return None if fails else self.add(self.loaders[weight].cache_key(key), self.made[-1])

    @rule(weight=WEIGHTS, key=KEYS, fails=st.booleans(), spoilt=st.booleans())
    def call(self, weight: int, key: int, fails: bool, spoilt: bool) -> None:
        row, fits = self.asked(weight, key, fails, spoilt)
        load = self.loaders[weight]
        if row is not None:
            assert load(key) is row.thing
            row.uses, row.used = row.uses + 1, self.tick()
        elif not fits:
            with pytest.raises(CapacityError):
                load(key)
            self.expire()
        else:
            if fails:
                with pytest.raises(ConnectionError):
                    load(key)
            else:
                assert load(key) is self.made[-1]
            loaded = self.settle(weight, key, fails)
            if loaded is not None:
                loaded.used = self.tick()

    @rule(weight=WEIGHTS, key=KEYS, spoilt=st.booleans())
    def lease(self, weight: int, key: int, spoilt: bool) -> None:
        row, fits = self.asked(weight, key, False, spoilt)
        lease = self.loaders[weight].lease(key)
        if row is None and not fits:
            with pytest.raises(CapacityError):
                lease.__enter__()
            self.expire()
            return
        thing = lease.__enter__()
        if row is None:
            row = self.settle(weight, key, False)
            assert row is not None
        else:
            self.expire()  # a lease looks at the clock, and so at all that has ended
            row.uses, row.used = row.uses + 1, self.tick()
        assert thing is row.thing
        row.leases.append(lease)

    @precondition(lambda self: any(r.leases for r in [*self.rows, *self.retired]))
    @rule(data=st.data())
    def release(self, data: st.DataObject) -> None:
        row = data.draw(st.sampled_from([r for r in [*self.rows, *self.retired] if r.leases]))
        row.leases.pop(0).__exit__(None, None, None)
        row.used = self.tick()
        if row in self.retired and not row.leases:
            self.retired.remove(row)
            self.expected[row.cause] += 1  # type: ignore[attr-defined]
            assert row.thing.torn_down == 1, "the last lease tears a retired entry down"

    # -- the mapping ---------------------------------------------------------------

    @rule(key=KEYS, weight=st.integers(1, LIMIT + 1), spoilt=st.booleans())
    def put(self, key: int, weight: int, spoilt: bool) -> None:
        thing = Thing(weight, spoilt)
        if weight > LIMIT:
            with pytest.raises(CapacityError):
                self.cache[key] = thing
            assert thing.torn_down == 0, "what was never stored is still the caller's"
            return
        if weight > LIMIT - self.in_use():
            with pytest.raises(CapacityError):
                self.cache[key] = thing
            self.expire()
            return
        self.cache[key] = thing
        self.expire()
        old, uses = self.row(key), 1
        victims = self.victims_for(weight, old)
        if old is not None:
            order = self.order()
            passed = victims and order.index(old) < order.index(victims[-1])
            # As in cachetools: an entry that came up as a victim itself starts anew.
            uses = 1 if passed and not old.leases else old.uses + 1
            self.remove(old, RemovalCause.REPLACED)
        for row in victims:
            self.remove(row, RemovalCause.SIZE)
        self.add(key, thing).uses = uses
        self.made.append(thing)

    @precondition(lambda self: self.rows)
    @rule(data=st.data(), door=st.sampled_from(["del", "pop", "evict", "detach"]))
    def take(self, data: st.DataObject, door: str) -> None:
        self.cache.expire()
        self.expire()
        if not self.rows:
            return
        row = data.draw(st.sampled_from(self.rows))
        if door == "del":
            del self.cache[row.key]
        elif door == "pop":
            assert self.cache.pop(row.key) is row.thing
        elif door == "evict":
            assert [row.key] == [removal.key for removal in self.cache.evict(key=row.key)]
        elif door == "detach":
            assert self.cache.detach(row.key) is row.thing
            assert row.thing.torn_down == 0
            self.owned_by_us.append(row.thing)
            self.rows.remove(row)
            return
        self.remove(row, RemovalCause.EXPLICIT)

    @rule(count=st.integers(0, 3))
    def evict(self, count: int) -> None:
        went = [removal.key for removal in self.cache.evict(count)]
        self.expire()
        victims = [row for row in self.order() if not row.leases][:count]
        assert [row.key for row in victims] == went
        for row in victims:
            self.remove(row, RemovalCause.EXPLICIT)

    @rule()
    def clear(self) -> None:
        self.cache.expire()
        self.expire()
        self.cache.clear()
        for row in list(self.rows):
            self.remove(row, RemovalCause.EXPLICIT)

    @rule(ticks=st.integers(1, 6))
    def time_passes(self, ticks: int) -> None:
        self.clock.now += ticks

    # -- what always holds ---------------------------------------------------------

    @invariant()
    def the_whole_order_is_the_models(self) -> None:
        ended = [row for row in self.rows if row.ends <= self.clock.now]
        rest = [row for row in self.order() if row not in ended]
        victims = self.cache.victims()
        assert {row.key for row in ended} == set(victims[: len(ended)])
        assert [row.key for row in rest] == victims[len(ended) :]

    @invariant()
    def the_ledger_is_the_sum_of_what_is_alive(self) -> None:
        assert_consistent(self.cache)
        stats = self.cache.stats()
        assert sum(row.thing.weight for row in self.rows) == stats.live
        assert sum(row.thing.weight for row in self.retired) == stats.retired
        assert 0 == stats.loading == stats.dying

    @invariant()
    def every_value_is_torn_down_at_most_once_and_every_removal_has_its_cause(self) -> None:
        assert all(thing.torn_down <= 1 for thing in self.made)
        assert +self.expected == Counter(self.cache.stats().removals)
        failures = sum(thing.spoilt and thing.torn_down for thing in self.made)
        assert failures == self.cache.stats().teardown_failures

    def teardown(self) -> None:
        with self.scope:
            self.close()

    def close(self) -> None:
        spoilt = any(row.thing.spoilt for row in self.rows if not row.leases)
        if spoilt:
            with pytest.raises(ExceptionGroup):
                self.cache.close()
        else:
            self.cache.close()
        for row in [*self.rows, *self.retired]:
            for lease in row.leases:
                lease.__exit__(None, None, None)
        for thing in self.made:
            assert thing.torn_down == (thing not in self.owned_by_us)


class LRU(Model):
    policy = "lru"
    rank = staticmethod(lambda row: row.used)


class LRUByPlan(LRU):
    planned = True


class LFU(Model):
    policy = "lfu"
    rank = staticmethod(lambda row: (row.uses, row.used))


class FIFO(Model):
    policy = "fifo"
    rank = staticmethod(lambda row: row.loaded)


class TTL(Model):
    policy = "ttl"
    options = {"ttl": 8}
    rank = staticmethod(lambda row: row.used)


SETTINGS = settings(
    max_examples=60,
    stateful_step_count=40,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
)
for _machine in (LRU, LRUByPlan, LFU, FIFO, TTL):
    _case = _machine.TestCase
    _case.settings = SETTINGS
    globals()[f"Test{_machine.__name__}"] = _case
del _machine, _case
