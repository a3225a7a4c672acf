"""A teardown or a listener that fails stops nothing, and is told."""

from __future__ import annotations

import logging

import pytest

import warmcache
from warmcache import LRUCache
from warmcache.testing import assert_consistent


def test_a_failing_teardown_is_logged_counted_and_stops_nothing(
    caplog: pytest.LogCaptureFixture,
) -> None:
    def explode(value: str) -> None:
        raise OSError(f"cannot close {value}")

    cache: LRUCache[str, str] = LRUCache(1, teardown=explode)
    with caplog.at_level(logging.ERROR, "warmcache"):
        cache["a"] = "A"
        cache["b"] = "B"
    assert ["b"] == list(cache)
    assert 1 == cache.stats().teardown_failures
    assert "'a'" in caplog.text and "size" in caplog.text and "cannot close A" in caplog.text
    assert_consistent(cache)


def test_close_runs_every_teardown_and_then_raises_what_failed() -> None:
    torn_down: list[int] = []

    def sometimes(value: int) -> None:
        torn_down.append(value)
        if value % 2:
            raise OSError(value)

    cache: LRUCache[int, int] = LRUCache(9, teardown=sometimes)
    cache.update((n, n) for n in range(5))
    with pytest.raises(ExceptionGroup) as caught:
        cache.close()
    assert [4, 3, 2, 1, 0] == torn_down
    assert [(3,), (1,)] == [error.args for error in caught.value.exceptions]
    cache.close()
    with pytest.raises(warmcache.ClosedError):
        cache[1] = 1
    assert 0 == len(cache)


def test_a_failing_listener_stops_nothing(caplog: pytest.LogCaptureFixture) -> None:
    def explode(removal: warmcache.Removal) -> None:
        raise OSError("listener")

    torn_down: list[str] = []
    cache = LRUCache(1, teardown=torn_down.append, on_removal=explode)
    cache["a"] = "A"
    cache["b"] = "B"
    assert (["A"], ["b"]) == (torn_down, list(cache))
    assert "listener failed" in caplog.text


def test_an_interrupted_teardown_is_still_the_end_of_its_entry() -> None:
    torn_down: list[str] = []

    def interrupt(value: str) -> None:
        torn_down.append(value)
        if value == "B":
            raise KeyboardInterrupt

    cache: LRUCache[str, str] = LRUCache(3, teardown=interrupt)
    cache.update(a="A", b="B", c="C")
    with pytest.raises(KeyboardInterrupt):
        cache.clear()
    assert ["C", "B", "A"] == torn_down
    assert_consistent(cache)
