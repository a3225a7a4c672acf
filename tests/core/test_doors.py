"""Every door out of a cache runs exactly one teardown, with its cause."""

from __future__ import annotations

import gc
import os
import subprocess
import sys
import threading
from collections.abc import Callable
from typing import Any

import pytest

import warmcache
from warmcache import LRUCache, RemovalCause, TLRUCache, TTLCache
from warmcache.testing import ManualClock, assert_consistent

CAP = 5.0


class Watched:
    """A cache whose teardowns and removals are written down."""

    def __init__(self, kind: Any = LRUCache, maxsize: Any = 2, **options: Any) -> None:
        self.torn_down: list[Any] = []
        self.removals: list[warmcache.Removal] = []
        self.changed = threading.Condition()
        self.cache = kind(maxsize, **options, teardown=self.tear_down, on_removal=self.removed)

    def tear_down(self, value: Any) -> None:
        self.torn_down.append(value)

    def removed(self, removal: warmcache.Removal) -> None:
        with self.changed:
            self.removals.append(removal)
            self.changed.notify_all()

    def wait_for(self, count: int) -> None:
        with self.changed:
            assert self.changed.wait_for(lambda: len(self.removals) >= count, CAP)

    def causes(self) -> list[RemovalCause]:
        return [removal.cause for removal in self.removals]


def over_the_limit(cache: Any) -> None:
    cache["b"] = "B"
    cache["c"] = "C"


def leave_with(cache: Any) -> None:
    with cache:
        pass


DOORS: dict[str, tuple[Callable[[Any], object], RemovalCause]] = {
    "over the limit": (over_the_limit, RemovalCause.SIZE),
    "replaced": (lambda c: c.__setitem__("a", "A2"), RemovalCause.REPLACED),
    "update": (lambda c: c.update(a="A2"), RemovalCause.REPLACED),
    "del": (lambda c: c.__delitem__("a"), RemovalCause.EXPLICIT),
    "pop": (lambda c: c.pop("a"), RemovalCause.EXPLICIT),
    "popitem": (lambda c: c.popitem(), RemovalCause.EXPLICIT),
    "clear": (lambda c: c.clear(), RemovalCause.EXPLICIT),
    "evict": (lambda c: c.evict(), RemovalCause.EXPLICIT),
    "evict key": (lambda c: c.evict(key="a"), RemovalCause.EXPLICIT),
    "evict where": (lambda c: c.evict(where=lambda e: e.key == "a"), RemovalCause.EXPLICIT),
    "close": (lambda c: c.close(), RemovalCause.CLOSED),
    "with": (leave_with, RemovalCause.CLOSED),
}


@pytest.mark.parametrize("door", DOORS)
def test_every_door_tears_down_once_and_says_why(door: str) -> None:
    watched = Watched()
    watched.cache["a"] = "A"
    leave, cause = DOORS[door]
    leave(watched.cache)
    assert ["A"] == watched.torn_down
    assert [("a", cause)] == [(removal.key, removal.cause) for removal in watched.removals]
    assert {cause: 1} == watched.cache.stats().removals
    assert_consistent(watched.cache)


@pytest.mark.parametrize("door", DOORS)
def test_a_leased_entry_leaves_by_every_door_only_when_its_lease_ends(door: str) -> None:
    watched = Watched(wait=0)
    watched.cache["a"] = "A"
    leave, cause = DOORS[door]
    with watched.cache.lease("a"):
        if door in ("over the limit", "popitem", "evict"):
            watched.cache["b"] = "B"  # the victim is another one
            leave(watched.cache)
            assert "A" not in watched.torn_down
            return
        leave(watched.cache)
        assert "A" not in watched.torn_down
        assert "A" != watched.cache.get("a")
    assert ["A"] == watched.torn_down
    assert [cause] == watched.causes()


def test_a_value_that_came_in_twice_goes_out_twice_but_one_stored_again_stays() -> None:
    watched = Watched()
    watched.cache["a"] = watched.cache["b"] = "same"
    watched.cache["a"] = "same"
    assert [] == watched.torn_down
    watched.cache.clear()
    assert ["same", "same"] == watched.torn_down


def test_a_value_stored_again_takes_its_new_weight_and_evicts_for_what_it_grew() -> None:
    value = [1]
    watched = Watched(maxsize=4, getsizeof=len)
    watched.cache["a"] = value
    watched.cache["b"] = [2, 2]
    value += [1, 1]
    watched.cache["a"] = value
    assert ([[2, 2]], 3) == (watched.torn_down, watched.cache.currsize)
    value += [1, 1]
    with pytest.raises(warmcache.CapacityError):
        watched.cache["a"] = value
    assert watched.cache["a"] is value
    assert_consistent(watched.cache)


def test_a_value_of_no_weight_replaces_another_without_waiting_for_room() -> None:
    watched = Watched(maxsize=4, getsizeof=len, wait=5)
    for cache_key, value in (("a", [1, 2, 3, 4]), ("b", []), ("b", ()), ("a", {})):
        watched.cache[cache_key] = value
    assert [[], [1, 2, 3, 4]] == watched.torn_down
    assert (0, 0) == (watched.cache.currsize, watched.cache.stats().waits)
    assert_consistent(watched.cache)


def test_entries_end_on_time_though_nobody_touches_the_cache() -> None:
    clock = ManualClock()
    watched = Watched(TTLCache, ttl=10, timer=clock)
    watched.cache["a"] = "A"
    clock.advance(9)
    watched.cache["b"] = "B"
    clock.advance(1)
    watched.wait_for(1)
    assert [("a", RemovalCause.EXPIRED)] == [(r.key, r.cause) for r in watched.removals]
    clock.advance(9)
    watched.wait_for(2)
    assert ["A", "B"] == watched.torn_down


def test_entries_end_on_time_in_real_seconds() -> None:
    watched = Watched(TTLCache, ttl=0.02)
    watched.cache["a"] = "A"
    watched.wait_for(1)
    watched.cache["b"] = "B"
    watched.wait_for(2)
    assert [RemovalCause.EXPIRED] * 2 == watched.causes()


def test_each_entry_ends_at_its_own_time() -> None:
    clock = ManualClock()
    watched = Watched(TLRUCache, ttu=lambda key, value, now: now + value, timer=clock, maxsize=9)
    watched.cache.update({"late": 30, "early": 10, "middle": 20})
    for expected in (10, 20, 30):
        clock.advance(10)
        watched.wait_for(expected // 10)
        assert expected == watched.torn_down[-1]


def test_an_idle_entry_goes_and_one_in_use_stays() -> None:
    clock = ManualClock()
    watched = Watched(maxsize=3, idle_ttl=10, timer=clock)
    watched.cache.update(a="A", b="B", c="C")
    with watched.cache.lease("c"):
        clock.advance(6)
        assert "A" == watched.cache["a"]
        clock.advance(6)
        watched.wait_for(1)
        assert ["B"] == watched.torn_down
        clock.advance(100)
        watched.wait_for(2)
        assert ["B", "A"] == watched.torn_down
    assert "c" in watched.cache, "idleness counts from the end of the lease"
    clock.advance(10)
    watched.wait_for(3)
    assert [RemovalCause.EXPIRED] * 3 == watched.causes()


def test_a_hit_through_the_decorator_keeps_an_entry_from_idling_out() -> None:
    clock = ManualClock()
    torn_down: list[str] = []

    @warmcache.warm(policy="lru", maxsize=2, idle_ttl=10, timer=clock, teardown=torn_down.append)
    def load(name: str) -> str:
        return name.upper()

    load("a")
    for _ in range(5):
        clock.advance(6)
        assert load.contains("a")
        load("a")
    assert (1, 5) == (load.cache_info().misses, load.cache_info().hits)
    clock.advance(10)
    assert not load.contains("a")
    load("a")
    assert ["A"] == torn_down


def test_no_janitor_runs_until_a_cache_needs_one() -> None:
    script = (
        "import threading, warmcache\n"
        "cache = warmcache.LRUCache(2, teardown=print)\n"
        "cache['a'] = 1; cache.clear()\n"
        "assert threading.active_count() == 1\n"
        "cache = warmcache.TTLCache(2, ttl=1000)\n"
        "cache['a'] = 1\n"
        "assert threading.active_count() == 2\n"
        "assert all(t.daemon for t in threading.enumerate()[1:])\n"
    )
    assert "1" == run_python(script).strip()


def run_python(script: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", script],
        capture_output=True,
        text=True,
        timeout=30,
        env={**os.environ, "PYTHONWARNINGS": "error"},
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_a_cache_that_is_garbage_collected_lets_its_values_go_properly() -> None:
    watched = Watched()
    watched.cache.update(a="A", b="B")
    del watched.cache
    gc.collect()
    watched.wait_for(2)
    assert ["B", "A"] == watched.torn_down, "last loaded first"
    assert [RemovalCause.CLOSED] * 2 == watched.causes()


def test_the_end_of_the_process_tears_down_what_is_there_last_loaded_first() -> None:
    script = (
        "import warmcache\n"
        "@warmcache.warm(policy='lru', maxsize=3, teardown=lambda v: print('down', v))\n"
        "def load(x): return x\n"
        "@warmcache.warm\n"
        "def generator(x):\n"
        "    yield x\n"
        "    print('after', x)\n"
        "load(1); load(2); generator(3)\n"
        "lease = load.lease(1); lease.__enter__()\n"
        "with warmcache.disabled(): generator(4)\n"
    )
    assert {"down 2", "down 1", "after 3", "after 4"} == set(run_python(script).splitlines())


def test_detach_takes_a_value_out_alive() -> None:
    watched = Watched()
    watched.cache["a"] = "A"
    assert "A" == watched.cache.detach("a")
    assert [] == watched.torn_down + watched.removals
    assert "a" not in watched.cache
    with pytest.raises(KeyError):
        watched.cache.detach("a")
    watched.cache["b"] = "B"
    with watched.cache.lease("b"):
        watched.cache.detach("b")
    watched.cache.close()
    assert [] == watched.torn_down
    assert_consistent(watched.cache)


def test_reclaim_runs_once_the_value_is_dropped_and_collects_only_what_is_still_alive() -> None:
    import weakref

    class Model:
        def __init__(self, cyclic: bool) -> None:
            self.me = self if cyclic else None

    alive_at_reclaim: list[bool] = []
    watch: list[weakref.ref[Model]] = []
    cache: LRUCache[str, Model] = LRUCache(
        1,
        teardown=lambda model: None,
        reclaim=lambda: alive_at_reclaim.append(watch[-1]() is not None),
    )
    for cyclic in (False, True):
        model = Model(cyclic)
        watch.append(weakref.ref(model))
        cache["m"] = model
        del model
        del cache["m"]
    assert [False, False] == alive_at_reclaim


def test_a_teardown_is_a_callable_or_the_name_of_a_method() -> None:
    for wrong in (3, "not a name"):
        with pytest.raises((TypeError, ValueError), match="teardown"):
            LRUCache(1, teardown=wrong)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "options",
    [
        {"maxsize": -1},
        {"maxsize": "many"},
        {"maxsize": 1, "idle_ttl": 0},
        {"maxsize": 1, "wait": -1},
        {"maxsize": float("nan")},
    ],
)
def test_bad_values_are_refused_when_the_cache_is_made(options: dict[str, Any]) -> None:
    with pytest.raises(ValueError):
        LRUCache(**options)


def test_evict_takes_one_kind_of_choice() -> None:
    cache: LRUCache[int, int] = LRUCache(3)
    with pytest.raises(TypeError):
        cache.evict(1, key=2)
    with pytest.raises(ValueError):
        cache.evict(-1)
    assert [] == cache.evict(key=99)


def test_counts_include_what_has_left() -> None:
    clock = ManualClock()

    @warmcache.warm(policy="lru", maxsize=1, timer=clock)
    def load(name: str) -> str:
        clock.advance(3)
        return name

    for name in ("a", "a", "a", "b", "b"):
        load(name)
    stats = load.cache.stats()
    assert (3, 2, 2) == (stats.hits, stats.misses, stats.loads)
    assert (6, 9) == (stats.load_seconds, stats.saved_seconds)
    (entry,) = load.cache.entries()
    assert (2, 3, "live") == (entry.uses, entry.load_seconds, entry.state)


def test_storing_a_value_again_can_bring_its_end_forward() -> None:
    clock = ManualClock()
    ends = iter([50, 10])
    watched = Watched(TLRUCache, ttu=lambda key, value, now: next(ends), timer=clock)
    watched.cache["a"] = watched.cache["a"] = "A"
    clock.advance(10)
    watched.wait_for(1)
    assert ["A"] == watched.torn_down


@pytest.mark.parametrize("door", ["del", "pop", "popitem", "clear"])
def test_a_timer_that_fails_loses_no_value(door: str) -> None:
    works, torn_down = [True], []

    def timer() -> float:
        if not works:
            raise OSError("no clock")
        return 0.0

    cache: LRUCache[str, str] = LRUCache(2, timer=timer, teardown=torn_down.append)
    cache["a"] = "a"
    works.clear()
    try:
        if door == "del":
            del cache["a"]
        else:
            getattr(cache, door)(*(["a"] if door == "pop" else []))
    except OSError:
        pass
    assert ["a"] == torn_down and 0 == cache.stats().dying
