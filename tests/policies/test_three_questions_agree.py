"""Every policy, under every limit, with every life: who goes first, how much, how long.

What a naive model says of each is a list of rows, sorted by a rank.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any

import pytest

import warmcache
from warmcache import Cache, CapacityError, MemoryCache, warm
from warmcache.testing import FakeProbe, assert_consistent

pytestmark = pytest.mark.oracle

TTL, LONGER = 25, 40  # seconds; a load takes one
STEPS = 120


class HeaviestCache(Cache[Any, Any]):
    """Gives up the heaviest entry, of equals the least recently used."""

    def rank(self, entry: Any) -> Any:
        return -entry.weight, entry.used


class CheapestFirst(Cache[Any, Any]):
    """Gives up the entry whose next load would cost least per byte."""

    def rank(self, entry: Any) -> Any:
        return entry.load_seconds / entry.weight


class Drifting(Cache[Any, Any]):
    """Gives up the most recently used: its rank falls with a use, and so it has all looked at."""

    drifts = True

    def rank(self, entry: Any) -> Any:
        return -entry.used


class Favourites(Cache[Any, Any]):
    """Has an option and a state of its own, and a method that changes it."""

    def __init__(self, maxsize: float, *, favourite: Any, **options: Any) -> None:
        super().__init__(maxsize, **options)
        self.room = int(maxsize)
        self.favourites = {favourite}

    def rank(self, entry: Any) -> Any:
        return entry.key[1] in self.favourites, entry.used


@dataclass
class Row:
    """What the model knows of an entry."""

    key: int
    serial: int
    weight: int
    loaded: int
    used: int
    ends: float
    level: float = 0.0  # what GDSF had evicted as of its last use
    uses: int = 1
    leases: list[Any] = field(default_factory=list)


@dataclass
class Policy:
    """A policy as the options of ``@warm`` name it, and its rank, said again naively."""

    policy: Any
    rank: Callable[[Model, Row], Any]
    options: dict[str, Any] = field(default_factory=dict)
    leases: bool = True


POLICIES = {
    "lru": Policy("lru", lambda model, row: row.used),
    "lfu": Policy("lfu", lambda model, row: (row.uses, row.used)),
    "fifo": Policy("fifo", lambda model, row: row.loaded),
    "rr": Policy("rr", lambda model, row: row.key, {"choice": lambda keys: min(keys, key=_number)}),
    # With loads that take the same, its leash of a few loads allows nothing but LRU.
    "cost": Policy("cost", lambda model, row: row.used, leases=False),
    "gdsf": Policy("gdsf", lambda model, row: row.level + row.uses / row.weight),
    "ttl": Policy("ttl", lambda model, row: row.used, {"ttl": LONGER}),
    "tlru": Policy(
        "tlru", lambda model, row: row.used, {"ttu": lambda key, value, now: now + LONGER}
    ),
    "a class": Policy(HeaviestCache, lambda model, row: (-row.weight, row.used)),
    "that divides": Policy(CheapestFirst, lambda model, row: 1 / row.weight),
    "that drifts": Policy(Drifting, lambda model, row: -row.used),
    "with a state": Policy(
        Favourites, lambda model, row: (row.key in (2, 3), row.used), {"favourite": 2}
    ),
}
LIMITS: dict[str, dict[str, Any]] = {
    "maxsize": {"maxsize": 3},
    "weights": {"maxsize": 6},
    "a probe": {"budget": 6, "headroom": 0, "poll": 0, "confirm": 0},
    "cpu": {"budget": 6, "device": "cpu", "headroom": 0, "poll": 0, "confirm": 0},
}
LIVES = ["for ever", "ttl of the cache", "ttl of the loader"]


def _number(key: Any) -> int:
    return int(key[1])


class Clock:
    """Moved by the test alone."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


class Thing:
    """A value that the test does not hold, for what is held outside is still there."""

    def __init__(self, serial: int, gone: Counter[int]) -> None:
        self.serial = serial
        self._gone = gone

    def close(self) -> None:
        self._gone[self.serial] += 1


class Model:
    """The cache, and the list that says what it must do."""

    def __init__(self, policy: Policy, limit: str, life: str) -> None:
        self.policy, self.clock = policy, Clock()
        self.most = 3 if limit == "maxsize" else 6
        self.counts = limit == "maxsize"
        self.ttl = policy.options.get("ttl", LONGER if "ttu" in policy.options else float("inf"))
        self.rows: list[Row] = []
        self.retired: list[Row] = []
        self.gone: Counter[int] = Counter()
        self.dead: list[int] = []  # what must be torn down by now
        self.ticks = self.made = 0
        self.level = 0.0
        options = {"wait": 0, "timer": self.clock, **LIMITS[limit], **policy.options}
        own: dict[str, Any] = {}
        if limit == "a probe":
            options["probe"] = FakeProbe(1000)
        if life != "for ever":
            self.ttl = min(self.ttl, TTL)
        if life == "ttl of the cache":
            options["ttl"] = TTL
        elif life == "ttl of the loader":
            own["ttl"] = TTL
        self.cache: Any = warmcache.policies.create(policy.policy, **options)
        if hasattr(self.cache, "favourites"):
            self.cache.favourites.add(3)
            assert self.cache.room == self.most
        self.loaders = {weight: self._loader(weight, own) for weight in (1, 2, 3)}

    def _loader(self, weight: int, own: dict[str, Any]) -> Any:
        size = {} if self.counts else {"size": weight}

        @warm(cache=self.cache, teardown="close", **size, **own)
        def load(key: int) -> Thing:
            assert Counter(self.dead) == self.gone, "room is made before the load"
            self.made += 1
            self.clock.now += 1
            return Thing(self.made, self.gone)

        return load

    def loader(self, key: int) -> Any:
        return self.loaders[1 if self.counts else 1 + key % 3]

    # -- the model ---------------------------------------------------------------------

    def order(self) -> list[Row]:
        return sorted(self.rows, key=lambda row: (self.policy.rank(self, row), row.loaded))

    def tick(self) -> int:
        self.ticks += 1
        return self.ticks

    def use(self, row: Row) -> None:
        row.used, row.level = self.tick(), self.level

    def remove(self, row: Row) -> None:
        self.rows.remove(row)
        if row.leases:
            self.retired.append(row)
        else:
            self.dead.append(row.serial)

    def expire(self) -> None:
        for row in list(self.rows):
            if row.ends <= self.clock.now:
                self.remove(row)

    def make_room(self, weight: int) -> bool:
        taken = [row.weight for row in [*self.rows, *self.retired] if row.leases]
        if sum(taken) + weight > self.most:
            return False
        while sum(row.weight for row in [*self.rows, *self.retired]) + weight > self.most:
            row = next(row for row in self.order() if not row.leases)
            if self.policy.policy == "gdsf":
                self.level = max(self.level, self.policy.rank(self, row))
            self.remove(row)
        return True

    def ask(self, key: int) -> bool:
        """Have the model do what a call does; whether it is refused."""
        row = next((row for row in self.rows if row.key == key), None)
        if row is not None:
            row.uses += 1
            return False
        weight = 1 if self.counts else 1 + key % 3
        if not self.make_room(weight):
            return True
        ends = self.clock.now + 1 + self.ttl
        self.rows.append(Row(key, self.made + 1, weight, self.tick(), self.tick(), ends))
        return False

    # -- both --------------------------------------------------------------------------

    def call(self, key: int) -> None:
        refused = self.ask(key)
        if refused:
            with pytest.raises(CapacityError):
                self.loader(key)(key)
            return
        self.loader(key)(key)
        self.use(self.row(key))

    def lease(self, key: int) -> None:
        if self.ask(key):
            with pytest.raises(CapacityError):
                self.loader(key).lease(key).__enter__()
            return
        lease = self.loader(key).lease(key)
        lease.__enter__()
        self.use(self.row(key))
        self.row(key).leases.append(lease)

    def release(self) -> None:
        for row in [*self.rows, *self.retired]:
            if row.leases:
                row.leases.pop().__exit__(None, None, None)
                self.use(row)
                if row in self.retired and not row.leases:
                    self.retired.remove(row)
                    self.dead.append(row.serial)
                return

    def time_passes(self, seconds: int) -> None:
        self.clock.now += seconds
        self.expire()
        self.cache.expire()

    def row(self, key: int) -> Row:
        return next(row for row in self.rows if row.key == key)

    def compare(self) -> None:
        # What the last load took, or its own time, may just have ended others.
        self.time_passes(0)
        assert [row.key for row in self.order()] == [key[1] for key in self.cache.victims()]
        assert Counter(self.dead) == self.gone, "each is torn down, and once"
        assert sum(row.weight for row in self.rows) == self.cache.stats().live <= self.most
        lives = {entry.key[1]: entry for entry in self.cache.entries() if entry.state == "live"}
        for row in self.rows:
            left = lives[row.key].ends_in
            assert (None if row.ends == float("inf") else row.ends - self.clock.now) == left
        assert_consistent(self.cache)


@pytest.mark.parametrize("life", LIVES)
@pytest.mark.parametrize("limit", LIMITS)
@pytest.mark.parametrize("policy", POLICIES)
def test_victims_go_in_the_order_of_the_policy_and_on_time(
    policy: str, limit: str, life: str
) -> None:
    draw = random.Random(f"{policy} {limit} {life}")
    model = Model(POLICIES[policy], limit, life)
    with ExitStack() as scope:
        scope.callback(model.cache.close)
        for _ in range(STEPS):
            step, key = draw.random(), min(int(draw.expovariate(0.4)), 6)
            if step < 0.75:
                model.call(key)
            elif step < 0.85:
                model.time_passes(draw.randrange(TTL // 3))
            elif any(row.leases for row in [*model.rows, *model.retired]):
                model.release()
            elif model.policy.leases:
                model.lease(key)
            model.compare()
        assert model.made > 20 and len(model.dead) > 10, "something has to happen"
        while any(row.leases for row in [*model.rows, *model.retired]):
            model.release()
    assert [1] * model.made == [model.gone[serial] for serial in range(1, model.made + 1)]


@pytest.mark.parametrize("limit", LIMITS)
@pytest.mark.parametrize("policy", POLICIES)
def test_a_cache_is_one_of_its_policy_and_of_what_limits_it(policy: str, limit: str) -> None:
    cache = Model(POLICIES[policy], limit, "for ever").cache
    said = POLICIES[policy].policy
    kind = warmcache.policies.get(said) if isinstance(said, str) else said

    assert isinstance(cache, kind) and cache.policy is kind
    assert isinstance(cache, MemoryCache) == ("budget" in LIMITS[limit])
    assert cache.maxsize == LIMITS[limit].get("maxsize", LIMITS[limit].get("budget"))
