"""Whenever nobody is inside the lock, the sums of the ledger are those of the entries."""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pytest

from warmcache import Cache, LRUCache, MemoryCache, warm
from warmcache.testing import FakeProbe, assert_consistent


class Watched:
    """A cache's lock; whenever it is free again, another thread might look: so look."""

    def __init__(self, cache: Cache[Any, Any]) -> None:
        self.cache, self.lock = cache, cache._store.lock
        self.depth = self.looks = 0
        self.looking = False
        self.wrong: list[AssertionError] = []
        cache._store.lock = self  # type: ignore[assignment]

    def __enter__(self) -> None:
        self.lock.acquire()
        self.depth += 1

    def __exit__(self, *exc: object) -> None:
        self.depth -= 1
        self.lock.release()
        if not self.depth and not self.looking:
            self.looking, self.looks = True, self.looks + 1
            try:
                assert_consistent(self.cache)
            except AssertionError as error:
                self.wrong.append(error)
            self.looking = False


def puts(cache: Cache[Any, Any]) -> None:
    for key in "abcab":
        cache[key] = 2 * key
    assert cache.setdefault("a", "another") and cache.setdefault("d", "dd")


def replaces(cache: Cache[Any, Any]) -> None:
    for value in ("xxxx", "yy", "zzzzz"):
        cache["a"] = value
        cache["b"] = "bb"


def touches(cache: Cache[Any, Any]) -> None:
    value: list[int] = []
    for _ in range(4):
        cache["a"] = value
        value.append(1)
    cache["a"] = value[:]


def too_large(cache: Cache[Any, Any]) -> None:
    with suppress(ValueError):
        cache["a"] = 9 * "a"


def loads(cache: Cache[Any, Any]) -> None:
    @warm(cache=cache, size=len, teardown=lambda value: None)
    def load(key: str, size: int) -> str:
        if not size:
            raise ConnectionError
        return size * key

    for key, size in [("a", 2), ("b", 1), ("c", 4), ("d", 0), ("e", 9), ("a", 2)]:
        with suppress(ConnectionError, ValueError), load.lease(key, size):
            load.evict(key, size)
            cache["x"] = key
    cache.close()


@pytest.mark.parametrize("act", [puts, replaces, touches, too_large, loads])
@pytest.mark.parametrize("tears_down", [True, False])
@pytest.mark.parametrize("metered", [True, False])
def test_whoever_looks_between_two_steps_finds_the_sums_right(
    act: Callable[[Cache[Any, Any]], None], tears_down: bool, metered: bool
) -> None:
    options: dict[str, Any] = dict(teardown=lambda value: None) if tears_down else {}
    cache: Cache[Any, Any]
    if metered:
        probe = FakeProbe(100)
        cache = MemoryCache(6, len, probe=probe, headroom=0, poll=0, confirm=0, **options)
    else:
        cache = LRUCache(6, len, **options)
    watched = Watched(cache)
    act(cache)
    assert [] == watched.wrong and watched.looks


@pytest.mark.race
def test_a_thread_that_waits_to_store_has_reserved_nothing() -> None:
    closing, go_on = threading.Event(), threading.Event()

    def teardown(value: str) -> None:
        closing.set()
        assert go_on.wait(5)

    cache = LRUCache[str, str](1, teardown=teardown)
    watched = Watched(cache)
    cache["a"] = "a"
    thread = threading.Thread(target=cache.__setitem__, args=("b", "b"))
    thread.start()
    assert closing.wait(5)
    assert_consistent(cache)
    go_on.set()
    thread.join(5)
    assert [] == watched.wrong and ["b"] == list(cache)
