"""Two caches that are told the same agree, though one takes its plan for everything."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import Any

import pytest
from by_plan import by_plan
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

import warmcache
from warmcache import CapacityError, warm
from warmcache.testing import assert_consistent

LIMIT = 6
NAMES = st.sampled_from("abcdefg")
WEIGHTS = st.integers(0, 4)
pytestmark = pytest.mark.property


class Thing:
    def __init__(self, name: str, weight: int, fails: bool = False) -> None:
        self.name, self.weight, self.fails = name, weight, fails

    def __repr__(self) -> str:
        return f"{self.name}:{self.weight}"


class Twin:
    """One of two caches that are told the same, and what came of it."""

    def __init__(self, kind: type[Any], *, tears_down: bool, listens: bool) -> None:
        self.log: list[str] = []
        options: dict[str, Any] = {}
        if tears_down:
            options["teardown"] = self.tear_down
        if listens:
            options["on_removal"] = lambda removal: self.log.append(
                f"gone {removal.key} {removal.cause.value} {removal.weight} {removal.uses} "
                f"for {removal.wanted_by}"
            )
            options["on_load"] = lambda load: self.log.append(f"loaded {load.call} {load.weight}")
        self.cache = kind(LIMIT, lambda thing: thing.weight, wait=0, timer=lambda: 0.0, **options)
        self.leases: list[Any] = []
        self.inner: tuple[str, int] | None = None
        self.loaders = {weight: self.loader(weight) for weight in range(5)}

    def tear_down(self, thing: Thing) -> None:
        self.log.append(f"close {thing}")
        if thing.fails:  # which is logged
            raise OSError(thing.name)

    def loader(self, weight: int) -> Any:
        @warm(cache=self.cache, size=weight)
        def load(name: str) -> Thing:
            self.log.append(f"load {name}:{weight}")
            inner, self.inner = self.inner, None
            if inner is not None:
                self.loaders[inner[1]](inner[0])
            if name == "g":
                raise ValueError(name)
            return Thing(name, weight, fails=name == "f")

        return load

    def told(self, act: Callable[[Any], object]) -> None:
        try:
            self.log.append(f"-> {act(self)}")
        except CapacityError as error:  # who holds what comes in no order
            self.log.append(f"-> refused {error.needed} of {error.free}, own: {error.own}")
        except (ValueError, KeyError, warmcache.WarmcacheError, ExceptionGroup) as error:
            self.log.append(f"-> {type(error).__name__} {error}")

    def seen(self) -> Any:
        cache = self.cache
        return (
            self.log,
            sorted((str(info.key), info.weight, info.uses) for info in cache.entries()),
            [str(info.key) for info in cache.entries() if not info.leases],
            cache.stats(),
        )


class Twins(RuleBasedStateMachine):
    @initialize(
        kind=st.sampled_from(
            [warmcache.LRUCache, warmcache.LFUCache, warmcache.FIFOCache, warmcache.GDSFCache]
        ),
        tears_down=st.booleans(),
        listens=st.booleans(),
    )
    def begin(self, kind: type[Any], tears_down: bool, listens: bool) -> None:
        self.at_once = Twin(kind, tears_down=tears_down, listens=listens)
        self.planned = Twin(kind, tears_down=tears_down, listens=listens)

    def both(self, act: Callable[[Any], object]) -> None:
        self.at_once.told(act)
        with by_plan():
            self.planned.told(act)

    @rule(name=NAMES, weight=WEIGHTS)
    def load(self, name: str, weight: int) -> None:
        self.both(lambda twin: twin.loaders[weight](name))

    @rule(name=NAMES, weight=WEIGHTS, inner=NAMES, other=WEIGHTS)
    def load_what_loads(self, name: str, weight: int, inner: str, other: int) -> None:
        def act(twin: Twin) -> object:
            twin.inner = inner, other
            try:
                return twin.loaders[weight](name)
            finally:
                twin.inner = None

        self.both(act)

    @rule(name=NAMES, weight=WEIGHTS)
    def take_a_lease(self, name: str, weight: int) -> None:
        def act(twin: Twin) -> object:
            stack = contextlib.ExitStack()
            value = stack.enter_context(twin.loaders[weight].lease(name))
            twin.leases.append(stack)
            return value

        self.both(act)

    @rule()
    def end_a_lease(self) -> None:
        self.both(lambda twin: twin.leases.pop(0).close() if twin.leases else None)

    @rule(name=NAMES, weight=WEIGHTS)
    def store(self, name: str, weight: int) -> None:
        self.both(lambda twin: twin.cache.__setitem__(name, Thing(name, weight, name == "f")))

    @rule(name=NAMES)
    def store_again(self, name: str) -> None:
        self.both(lambda twin: twin.cache.__setitem__(name, twin.cache[name]))

    @rule(name=NAMES, weight=WEIGHTS)
    def store_under_a_loaders_key(self, name: str, weight: int) -> None:
        def act(twin: Twin) -> object:
            key = twin.loaders[weight].cache_key(name)
            twin.cache[key] = Thing(name, weight)
            return twin.loaders[weight](name)

        self.both(act)

    @rule(name=NAMES)
    def use(self, name: str) -> None:
        self.both(lambda twin: twin.cache[name])

    @rule(name=NAMES, weight=WEIGHTS)
    def evict(self, name: str, weight: int) -> None:
        self.both(lambda twin: len(twin.loaders[weight].evict(name)))

    @rule()
    def pop(self) -> None:
        self.both(lambda twin: twin.cache.popitem()[1])

    def teardown(self) -> None:
        if hasattr(self, "planned"):
            self.both(lambda twin: twin.cache.close())
            self.both(lambda twin: twin.loaders[1]("a"))
            self.both(lambda twin: twin.cache.__setitem__("a", Thing("a", 1)))
            for lease in [*self.planned.leases, *self.at_once.leases]:
                lease.close()
            assert self.planned.log == self.at_once.log

    @invariant()
    def they_agree(self) -> None:
        if hasattr(self, "planned"):
            assert self.planned.seen() == self.at_once.seen()
            assert_consistent(self.at_once.cache)


TestTwins = Twins.TestCase
TestTwins.settings = settings(
    max_examples=100,
    stateful_step_count=40,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
)
