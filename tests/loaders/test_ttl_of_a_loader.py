"""A loader's own time to live, in a cache that it shares."""

from __future__ import annotations

import copy
import dis
import threading
from datetime import datetime, timedelta
from typing import Any

import pytest

from warmcache import LFUCache, LRUCache, MemoryCache, Removal, RemovalCause, TLRUCache, warm
from warmcache.testing import FakeProbe, ManualClock, assert_consistent

CAP = 5.0


class Clock:
    """Moved by the test alone, and counts who looks."""

    def __init__(self) -> None:
        self.now, self.looks = 0.0, 0

    def __call__(self) -> float:
        self.looks += 1
        return self.now


def cache_of(clock: Any, **options: Any) -> LRUCache[Any, Any]:
    return LRUCache(8, timer=clock, **options)


def loader(cache: Any, **options: Any) -> Any:
    return warm(cache=cache, **options)(lambda name: [name])


def test_what_it_loads_ends_after_that_and_nothing_else_does() -> None:
    clock = Clock()
    cache = cache_of(clock)
    mortal, immortal = loader(cache, ttl=60), loader(cache)
    first = immortal("a")
    second = mortal("a")
    cache["mapped"] = 1
    clock.now = 59.9
    assert second is mortal("a")
    clock.now = 60
    assert mortal.peek("a") is None and second is not mortal("a")
    assert first is immortal("a") and 1 == cache["mapped"]
    assert {RemovalCause.EXPIRED: 1} == cache.stats().removals
    assert_consistent(cache)


@pytest.mark.parametrize(("its", "caches", "ends"), [(30, 60, 30), (60, 30, 30), (None, 30, 30)])
def test_the_shorter_of_the_loaders_and_the_caches_counts(
    its: Any, caches: float, ends: float
) -> None:
    clock = Clock()
    load = loader(cache_of(clock, ttl=caches), ttl=its)
    load("a")
    assert [ends] == [entry.ends_in for entry in load.cache.entries()]
    clock.now = ends - 0.1
    assert load.contains("a")
    clock.now = ends
    assert not load.contains("a")


def test_it_is_the_shorter_beside_a_time_for_each_value_as_well() -> None:
    clock = Clock()
    cache: Any = TLRUCache(8, lambda key, value, now: now + len(value[0]), timer=clock)
    load = loader(cache, ttl=3)
    load("a"), load("abcde")
    assert [1, 3] == [entry.ends_in for entry in cache.entries()]


@pytest.mark.parametrize("policy", [LFUCache, MemoryCache])
def test_it_holds_in_whatever_cache_it_lies(policy: Any) -> None:
    clock = Clock()
    options = {} if policy is LFUCache else dict(probe=FakeProbe(2**30), poll=0, confirm=0)
    cache = policy(8, timer=clock, **options)
    torn_down: list[str] = []
    load = loader(cache, ttl=60, size=1, teardown=lambda value: torn_down.append(value[0]))
    load("a")
    clock.now = 60
    load("b")
    assert ["a"] == torn_down


def test_what_is_handed_in_under_its_key_is_its_and_ends_too() -> None:
    clock = Clock()
    load = loader(cache_of(clock), ttl=60)
    load.cache[load.cache_key("a")] = ["handed in"]
    clock.now = 30
    load.cache.setdefault(load.cache_key("b"), ["by default"])
    clock.now = 60
    assert [False, True] == [load.contains(name) for name in "ab"]


def test_the_same_value_stored_again_lives_on_from_then() -> None:
    clock = Clock()
    load = loader(cache_of(clock), ttl=60)
    value = load("a")
    clock.now = 30
    load.cache[load.cache_key("a")] = value
    clock.now = 60
    assert load("a") is value
    clock.now = 90
    assert not load.contains("a")


@pytest.mark.race
def test_it_goes_on_time_though_nobody_asks_for_anything() -> None:
    clock, gone = ManualClock(), threading.Event()
    cache: LRUCache[Any, Any] = LRUCache(8, timer=clock)
    torn_down: list[Any] = []

    def tear_down(value: Any) -> None:
        torn_down.append(value)
        gone.set()

    load = loader(cache, ttl=60, teardown=tear_down)
    load("a")
    clock.advance(60)
    assert gone.wait(CAP) and [["a"]] == torn_down


@pytest.mark.race
def test_the_first_of_it_that_is_handed_in_goes_on_time_too() -> None:
    clock, gone = ManualClock(), threading.Event()
    told: list[Removal] = []
    cache: LRUCache[Any, Any] = LRUCache(
        8, timer=clock, on_removal=lambda removal: (told.append(removal), gone.set())
    )
    load = loader(cache, ttl=60)
    cache[load.cache_key("a")] = ["handed in"]
    clock.advance(60)
    assert gone.wait(CAP) and [RemovalCause.EXPIRED] == [removal.cause for removal in told]


def test_a_lease_holds_what_has_ended() -> None:
    clock = Clock()
    torn_down: list[Any] = []
    load = loader(cache_of(clock), ttl=60, teardown=torn_down.append)
    with load.lease("a") as value:
        clock.now = 60
        load.cache.expire()
        assert [] == torn_down and not load.contains("a")
        assert value is load("a"), "inside of its lease, the call gives that value"
    assert [["a"]] == torn_down


def test_hits_of_another_loader_in_that_cache_do_not_look_at_the_time() -> None:
    clock = Clock()
    cache = cache_of(clock)
    mortal, immortal = loader(cache, ttl=60), loader(cache)
    mortal("a"), immortal("a")
    before = clock.looks
    immortal("a")
    assert before == clock.looks
    with immortal.lease("a"):
        assert before == clock.looks
    before = clock.looks
    mortal("a")
    assert before < clock.looks
    plain = [step.opname for step in dis.get_instructions(loader(cache_of(clock)))]
    assert plain == [step.opname for step in dis.get_instructions(immortal)]


def test_what_never_ends_is_idle_since_its_last_hit_beside_what_ends() -> None:
    clock = Clock()
    cache = cache_of(clock)
    mortal, immortal = loader(cache, ttl=60), loader(cache)
    mortal("a"), immortal("a")
    clock.now = 20
    mortal("a"), immortal("a")
    clock.now = 25
    assert [5, 0] == [entry.idle for entry in cache.entries()], "exact where each hit is dated"
    assert [35, None] == [entry.ends_in for entry in cache.entries()]


def test_a_copy_of_the_cache_ends_it_too() -> None:
    clock = Clock()
    load = loader(cache_of(clock), ttl=60)
    load("a")
    clock.now = 30
    twin = copy.copy(load.cache)
    assert 1 == len(twin)
    clock.now = 60
    assert 0 == len(twin)


async def test_an_async_loader_has_one_too() -> None:
    clock = Clock()

    @warm(cache=cache_of(clock), ttl=60)
    async def load(name: str) -> list[str]:
        return [name]

    value = await load("a")
    clock.now = 59
    assert value is await load("a")
    clock.now = 60
    assert value is not await load("a")


def test_methods_classes_and_generators_have_one_too() -> None:
    clock = Clock()
    cache = cache_of(clock)
    ended: list[str] = []

    @warm(cache=cache, ttl=60)
    def generate(name: str) -> Any:
        yield [name]
        ended.append(name)

    @warm(cache=cache, ttl=60)
    class Model:
        def __init__(self, name: str) -> None:
            self.name = name

    class Server:
        @warm(cache=cache, ttl=60)
        def load(self, name: str) -> list[str]:
            return [name]

    server = Server()
    before = [generate("a"), Model("a"), server.load("a")]
    clock.now = 60
    after = [generate("a"), Model("a"), server.load("a")]
    assert [] == [old for old, new in zip(before, after, strict=True) if old is new]
    assert ["a"] == ended


def test_it_is_in_what_the_timer_of_the_cache_counts() -> None:
    now = [datetime(2026, 1, 1)]
    cache: LRUCache[Any, Any] = LRUCache(8, timer=lambda: now[0])
    load = loader(cache, ttl=timedelta(minutes=1))
    value = load("a")
    now[0] += timedelta(seconds=59)
    assert value is load("a") and [1.0] == [entry.ends_in for entry in cache.entries()]
    now[0] += timedelta(seconds=1)
    assert value is not load("a")


def test_what_that_timer_does_not_count_is_refused_at_decoration() -> None:
    with pytest.raises(TypeError, match="ttl must be seconds, or what the timer="):
        loader(LRUCache(8, timer=lambda: datetime(2026, 1, 1)), ttl=60)


def test_with_a_policy_it_is_the_caches() -> None:
    load = warm(policy="lru", maxsize=2, ttl=60)(lambda name: name)
    assert 60 == load.cache.ttl
