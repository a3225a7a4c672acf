"""What carries a tag goes by it: from a cache, of a loader, from every cache of the process."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Callable
from typing import Any

import pytest

import warmcache
from warmcache import LRUCache, Removal, RemovalCause, warm


@pytest.fixture
def tag() -> str:
    """A tag that nothing else in this process carries."""
    return f"tag {uuid.uuid4()}"


class Case:
    """Loaders with a tag and without, in caches of their own or in one, and what was torn down."""

    def __init__(self, tag: str, **options: Any) -> None:
        self.torn_down: list[str] = []
        options = {"teardown": self.torn_down.append, **options}

        @warm(**options, tags=[tag, "also"])
        def tagged(name: str) -> str:
            return name

        @warm(**options)
        def other(name: str) -> str:
            return name

        self.tagged, self.other = tagged, other


def keys(removals: list[Removal]) -> list[str]:
    assert {RemovalCause.EXPLICIT} >= {removal.cause for removal in removals}
    return [removal.key[-1] for removal in removals]  # type: ignore[index]


def test_a_cache_lets_go_of_what_has_the_tag_the_last_loaded_first(tag: str) -> None:
    cache: LRUCache[Any, Any] = LRUCache(9)
    case = Case(tag, cache=cache)
    case.tagged("a"), case.other("b"), case.tagged("c"), case.tagged("a")
    assert ["c", "a"] == keys(cache.evict(tag=tag))
    assert ["c", "a"] == case.torn_down
    assert case.other.contains("b")
    assert [] == cache.evict(tag=tag)


def test_what_is_handed_in_under_a_key_of_the_loader_has_its_tags(tag: str) -> None:
    case = Case(tag)
    cache = case.tagged.cache
    cache[case.tagged.cache_key("a")] = "a"
    cache["its own"] = "b"
    assert ["a"] == keys(cache.evict(tag=tag))
    assert "its own" in cache


def test_every_cache_lets_go_of_it_in_one_order(tag: str) -> None:
    order: list[str] = []
    one, two = (Case(tag, teardown=order.append) for _ in range(2))
    one.tagged("1"), two.tagged("2"), one.other("3"), one.tagged("4"), two.tagged("5")
    assert ["5", "4", "2", "1"] == keys(warmcache.evict(tag=tag))
    assert ["5", "4", "2", "1"] == order
    assert one.other.contains("3")


EVICTS: dict[str, Callable[[Case, str], list[Removal]]] = {
    "cache": lambda case, tag: case.tagged.cache.evict(tag=tag),
    "loader": lambda case, tag: case.tagged.evict_all(tag=tag),
    "package": lambda case, tag: warmcache.evict(tag=tag),
}


@pytest.mark.parametrize("evict", EVICTS.values(), ids=EVICTS)
def test_what_is_leased_is_returned_too_and_goes_with_its_last_lease(
    evict: Callable[[Case, str], list[Removal]], tag: str
) -> None:
    case = Case(tag)
    case.tagged("idle")
    with case.tagged.lease("leased"):
        assert ["leased", "idle"] == keys(evict(case, tag))
        assert ["idle"] == case.torn_down
        assert not case.tagged.contains("leased")
    assert ["idle", "leased"] == case.torn_down
    assert {"explicit": 2} == case.tagged.cache.stats().removals


@pytest.mark.parametrize("evict", EVICTS.values(), ids=EVICTS)
def test_what_has_ended_by_itself_has_its_own_cause(
    evict: Callable[[Case, str], list[Removal]], tag: str
) -> None:
    now = [0.0]
    case = Case(tag, maxsize=9, ttl=10, timer=lambda: now[0])
    case.tagged("a")
    now[0] = 11.0
    assert [] == evict(case, tag)
    assert {"expired": 1} == case.tagged.cache.stats().removals


def test_so_it_is_with_what_a_loader_is_asked_for_by_its_call() -> None:
    now = [0.0]
    load = warm(maxsize=9, ttl=10, timer=lambda: now[0])(lambda name: name)
    load("a")
    now[0] = 11.0
    assert [] == load.evict("a")
    assert {"expired": 1} == load.cache.stats().removals


@pytest.mark.parametrize("act", ["evict", "evict_all"])
async def test_and_with_an_async_one(act: str) -> None:
    now = [0.0]

    @warm(maxsize=9, ttl=10, timer=lambda: now[0])
    async def load() -> int:
        return 5

    await load()
    now[0] = 11.0
    assert [] == await getattr(load, act)()
    assert {"expired": 1} == load.cache.stats().removals


@pytest.mark.parametrize("evict", EVICTS.values(), ids=EVICTS)
@pytest.mark.parametrize("wrong", [5, True, b"x", ["x"], ""])
def test_a_tag_is_a_text(evict: Callable[[Case, Any], list[Removal]], wrong: Any, tag: str) -> None:
    case = Case(tag)
    case.tagged("a")
    with pytest.raises((TypeError, ValueError), match="tag must be a text"):
        evict(case, wrong)
    assert case.tagged.contains("a")


def test_a_tag_is_said_alone() -> None:
    with pytest.raises(TypeError, match="one of count, key, where and tag"):
        LRUCache(1).evict(1, tag="x")


def test_a_loader_lets_go_of_all_and_of_nothing_by_a_tag_that_is_not_its_own(tag: str) -> None:
    case = Case(tag, cache=LRUCache(9))
    case.tagged("a"), case.other("b"), case.tagged("c")
    assert [] == case.tagged.evict_all(tag="another")
    assert [] == case.other.evict_all(tag=tag)
    assert ["c", "a"] == keys(case.tagged.evict_all())
    assert case.other.contains("b")
    assert 2 == case.tagged.cache_info().misses  # which cache_clear() would begin anew


def test_a_method_lets_go_of_what_it_has_for_its_instance(tag: str) -> None:
    class Sky:
        @warm(tags=[tag])
        def beam(self, channel: int) -> int:
            return channel

    here, there = Sky(), Sky()
    here.beam(1), there.beam(1), here.beam(2)
    assert [2, 1] == keys(here.beam.evict_all(tag=tag))
    assert there.beam.contains(1)


def test_of_an_async_loader_it_is_awaited(tag: str) -> None:
    closed: list[str] = []

    async def close(value: str) -> None:
        await asyncio.sleep(0)
        closed.append(value)

    @warm(tags=[tag], teardown=close)
    async def connect(name: str) -> str:
        return name

    async def main() -> None:
        await connect("a")
        await connect("b")
        assert ["b", "a"] == keys(await connect.evict_all(tag=tag))
        assert ["b", "a"] == closed

    asyncio.run(main())
