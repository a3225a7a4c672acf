"""A teardown or a listener that fails stops nothing, and is told."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest

import warmcache
from warmcache import LRUCache, warm
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


# -- inside of disabled() --------------------------------------------------------------


def explode(value: str) -> None:
    raise OSError(f"cannot close {value}")


async def explode_later(value: str) -> None:
    explode(value)


def generate(name: str) -> Iterator[str]:
    yield name
    explode(name)


async def generate_async(name: str) -> AsyncIterator[str]:
    yield name
    explode(name)


@pytest.mark.parametrize(
    "load",
    [
        warm(teardown=explode)(lambda name: name),
        warm(teardown=explode_later)(lambda name: name),
        warm(generate),
    ],
    ids=["plain", "async teardown", "generator"],
)
def test_a_failing_teardown_of_a_lease_inside_of_disabled_is_logged_as_elsewhere(
    load: Any, caplog: pytest.LogCaptureFixture
) -> None:
    with warmcache.disabled():
        with load.lease("a") as value:
            assert "a" == value
        with pytest.raises(ZeroDivisionError), load.lease("b"):
            raise ZeroDivisionError
    assert "cannot close a" in caplog.text and "cannot close b" in caplog.text


async def test_a_failing_async_teardown_inside_of_disabled_is_logged_too(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with warmcache.disabled():
        async with warm(generate_async).lease("a"):
            pass
        with warm(teardown=explode_later)(lambda name: name).lease("b"):
            pass
    await asyncio.sleep(0)
    assert "cannot close a" in caplog.text and "cannot close b" in caplog.text


def test_an_interrupt_of_a_teardown_inside_of_disabled_reaches_the_caller() -> None:
    def interrupt(value: str) -> None:
        raise KeyboardInterrupt

    load: Any = warm(teardown=interrupt)(lambda name: name)
    with warmcache.disabled(), pytest.raises(KeyboardInterrupt):
        with load.lease("a"):
            pass
