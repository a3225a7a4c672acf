"""Who is told what happens in a cache: uses, stores, removals, waits, refusals, its end."""

from __future__ import annotations

import threading
from collections.abc import Callable, Hashable
from typing import Any

import pytest

from warmcache import CapacityError, LRUCache, Removal, RemovalCause, warm
from warmcache._core.state.entry import Entry
from warmcache._core.state.flights import Flight
from warmcache._core.state.ledger import Claim
from warmcache.testing import assert_consistent

CAP = 5


class Notes:
    """An observer that writes down all that it is told."""

    def __init__(self, *, of_hits: bool = True) -> None:
        self.heard: list[tuple[str, Any]] = []
        self.hits: list[Hashable] = []
        self._of_hits = of_hits

    @property
    def hit(self) -> Callable[[Hashable], object] | None:
        return self.hits.append if self._of_hits else None

    def used(self, key: Any) -> None:
        self.heard.append(("used", key))

    def stored(self, entry: Entry) -> None:
        self.heard.append(("stored", entry.key))

    def removed(self, removal: Removal) -> None:
        self.heard.append(("removed", (removal.key, removal.cause)))

    def waited(self, what: Claim | Flight) -> None:
        self.heard.append(("waited", what.key))

    def refused(self, error: CapacityError) -> None:
        self.heard.append(("refused", error.needed))

    def closed(self) -> None:
        self.heard.append(("closed", None))


def told(cache: LRUCache[Any, Any], notes: Notes | None = None) -> Notes:
    notes = notes or Notes()
    cache._store.observers.add(notes)
    return notes


@pytest.mark.parametrize("teardown", [None, lambda value: None], ids=["at once", "by a plan"])
def test_uses_and_stores_of_a_mapping_are_told(teardown: Any) -> None:
    cache: LRUCache[str, int] = LRUCache(2, teardown=teardown)
    notes = told(cache)
    cache["a"] = 1
    assert 1 == cache["a"] == cache.get("a")
    with cache.lease("a"):
        pass
    assert [("stored", "a"), *[("used", "a")] * 3] == notes.heard


def test_hits_of_a_loader_that_comes_later_are_told_too() -> None:
    cache: LRUCache[Any, str] = LRUCache(2)
    notes = told(cache)
    load = warm(cache=cache)(lambda name: str(name))
    load("a")
    load("a")
    assert [load.cache_key("a")] == notes.hits


@pytest.mark.parametrize("teardown", [None, lambda value: None], ids=["at once", "by a plan"])
def test_to_observe_what_nobody_else_listens_to_is_no_failure(
    teardown: Any, caplog: pytest.LogCaptureFixture
) -> None:
    cache: LRUCache[str, str] = LRUCache(1, teardown=teardown)
    notes = told(cache)
    cache["a"] = "a"
    cache["b"] = "b"
    assert ("removed", ("a", RemovalCause.SIZE)) in notes.heard
    assert [] == caplog.records


def test_to_store_what_is_there_is_told_as_a_use() -> None:
    cache: LRUCache[str, Any] = LRUCache(2)
    value: list[int] = []
    cache["a"] = value
    notes = told(cache)
    cache["a"] = value
    assert [("used", "a")] == notes.heard
    assert [2] == [entry.uses for entry in cache.entries()]


def test_a_removal_is_told_once_its_room_is_free() -> None:
    cache: LRUCache[str, str] = LRUCache(1, teardown=lambda value: free.append(cache.stats().dying))
    free: list[float] = []

    class Late(Notes):
        def removed(self, removal: Removal) -> None:
            super().removed(removal)
            free.append(cache.stats().dying)

    notes = told(cache, Late())
    cache["a"] = "a"
    del cache["a"]
    assert [("stored", "a"), ("removed", ("a", RemovalCause.EXPLICIT))] == notes.heard
    assert [1, 0] == free


@pytest.mark.parametrize("teardown", [None, lambda value: None], ids=["at once", "by a plan"])
def test_an_interrupt_of_who_hears_of_a_removal_reaches_the_caller(teardown: Any) -> None:
    class Interrupted(Notes):
        def removed(self, removal: Removal) -> None:
            super().removed(removal)
            raise KeyboardInterrupt

    cache: LRUCache[str, str] = LRUCache(2, teardown=teardown)
    cache["a"] = "a"
    notes = told(cache, Interrupted())
    with pytest.raises(KeyboardInterrupt):
        del cache["a"]
    cache.update(b="b", c="c")
    with pytest.raises(KeyboardInterrupt):
        cache["d"] = "d"
    heard = [of for what, of in notes.heard if what == "removed"]
    assert [("a", RemovalCause.EXPLICIT), ("b", RemovalCause.SIZE)] == heard
    assert_consistent(cache)
    cache._store.observers.remove(notes)


def test_hits_of_a_loader_are_told_by_its_hit_path_and_off_it() -> None:
    @warm(maxsize=2)
    def load(name: str) -> str:
        return name

    load("a")
    notes = told(load.cache)
    key = load.cache_key("a")
    load("a"), load("a")
    assert ([key, key], []) == (notes.hits, notes.heard)
    with load.lease("a"):
        pass
    assert [("used", key)] == notes.heard
    load.cache._store.observers.remove(notes)
    load("a"), load("b")
    assert (2, 1) == (len(notes.hits), len(notes.heard))


def test_several_are_told_and_those_that_need_no_hits_cost_hit_paths_nothing() -> None:
    @warm(maxsize=2)
    def load(name: str) -> str:
        return name

    plain = load.__code__  # type: ignore[attr-defined]
    counts_do = told(load.cache, Notes(of_hits=False))
    assert plain is load.__code__  # type: ignore[attr-defined]
    one, two = told(load.cache), told(load.cache)
    load("a"), load("a")
    key = load.cache_key("a")
    assert [key] == one.hits == two.hits
    assert [("stored", key)] == one.heard == two.heard == counts_do.heard
    load.cache._store.observers.remove(one)
    load("a")
    assert ([key], [key, key]) == (one.hits, two.hits)


@pytest.mark.race
def test_a_caller_that_joins_a_load_is_told_to_wait_for_it() -> None:
    loading, joined = threading.Event(), threading.Event()

    class Joining(Notes):
        def waited(self, what: Claim | Flight) -> None:
            super().waited(what)
            joined.set()

    @warm(maxsize=1)
    def load(name: str) -> str:
        loading.set()
        assert joined.wait(CAP)
        return name

    notes = told(load.cache, Joining())
    callers = [threading.Thread(target=load, args=["a"]) for _ in range(2)]
    callers[0].start()
    assert loading.wait(CAP)
    callers[1].start()
    for caller in callers:
        caller.join(CAP)
    key = load.cache_key("a")
    assert [("waited", key), ("stored", key)] == notes.heard


@pytest.mark.race
def test_a_wait_for_room_and_its_refusal_are_told() -> None:
    cache: LRUCache[str, str] = LRUCache(1, wait=0.01)
    cache["a"] = "a"
    held = threading.Event()
    done = threading.Event()

    def hold() -> None:
        with cache.lease("a"):
            held.set()
            done.wait(CAP)

    holder = threading.Thread(target=hold)
    holder.start()
    assert held.wait(CAP)
    notes = told(cache)
    with pytest.raises(CapacityError):
        cache["b"] = "b"
    done.set()
    holder.join(CAP)
    assert [("waited", "b"), ("refused", 1)] == notes.heard


def test_what_can_never_fit_is_told_as_refused() -> None:
    cache: LRUCache[str, int] = LRUCache(3, getsizeof=lambda value: value)
    notes = told(cache)
    with pytest.raises(CapacityError):
        cache["a"] = 4
    assert [("refused", 4)] == notes.heard


def test_the_end_of_the_cache_is_told_after_what_it_removes() -> None:
    cache: LRUCache[str, int] = LRUCache(2)
    cache["a"] = 1
    notes = told(cache)
    cache.close()
    assert [("removed", ("a", RemovalCause.CLOSED)), ("closed", None)] == notes.heard


@pytest.mark.parametrize("teardown", [None, lambda value: None], ids=["at once", "by a plan"])
def test_what_is_evicted_or_replaced_is_told_though_nothing_tears_it_down(teardown: Any) -> None:
    cache: LRUCache[str, int] = LRUCache(1, teardown=teardown)
    notes = told(cache)
    cache["a"] = 1
    cache["a"] = 2
    cache["b"] = 3
    removed = [what for how, what in notes.heard if how == "removed"]
    assert [("a", RemovalCause.REPLACED), ("a", RemovalCause.SIZE)] == removed


def test_an_observer_that_fails_stops_neither_the_next_teardown_nor_the_removal(
    caplog: pytest.LogCaptureFixture,
) -> None:
    class Failing(Notes):
        def removed(self, removal: Removal) -> None:
            super().removed(removal)
            raise OSError("the disk is full")

    torn_down: list[int] = []
    cache: LRUCache[str, int] = LRUCache(2, teardown=torn_down.append)
    cache["a"], cache["b"] = 1, 2
    failing, other = told(cache, Failing()), told(cache)
    cache.clear()
    assert ([2, 1], 2, 2) == (torn_down, len(failing.heard), len(other.heard))
    assert 0 == cache.stats().dying
    assert "the disk is full" in caplog.text
