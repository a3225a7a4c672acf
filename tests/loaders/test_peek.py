"""To peek is to look at what is warm: no load, no use, and a default for what is not there."""

from __future__ import annotations

from typing import Any

import pytest

from warmcache import LRUCache, TTLCache, warm
from warmcache.testing import ManualClock


@warm(policy="lru", maxsize=2)
def load(name: str) -> Any:
    return None if name == "none" else [name]


def test_what_is_not_warm_is_the_default() -> None:
    load("a"), load("none")
    assert (["a"], None, "cold") == (
        load.peek("a", default="cold"),
        load.peek("none", default="cold"),
        load.peek("c", default="cold"),
    )
    assert load.peek("c") is None


class Methods:
    @warm
    def load(self, name: str) -> Any:
        return [name]


async def test_so_it_is_of_methods_classes_and_async_loaders() -> None:
    @warm
    async def connect(name: str) -> Any: ...

    @warm
    class Model:
        def __init__(self, name: str) -> None: ...

    methods: list[Any] = [Methods().load, connect, Model]
    assert ["cold"] * 3 == [each.peek("a", default="cold") for each in methods]


def _named(name: str, default: Any = 1) -> Any:
    return [name, default]


def _keyword_only(name: str, *, default: Any = 1) -> Any:
    return [name, default]


def _any(name: str, **options: Any) -> Any:
    return [name, options.get("default", 1)]


@pytest.mark.parametrize("loader", [_named, _keyword_only, _any])
def test_a_loaders_own_argument_of_that_name_is_the_loaders(loader: Any) -> None:
    own = warm(loader)
    own("a", default=2)
    assert ["a", 2] == own.peek("a", default=2)
    assert own.peek("a", default=3) is None and own.peek("a") is None


def _positional_only(name: str, default: Any = 1, /) -> Any:
    return [name, default]


def _starred(name: str, *default: Any) -> Any:
    return [name, default]


@pytest.mark.parametrize("loader", [_positional_only, _starred])
def test_an_argument_that_no_call_can_name_is_in_nobodys_way(loader: Any) -> None:
    assert "cold" == warm(loader).peek("a", default="cold")


def test_a_cache_is_peeked_at_without_a_use_or_a_count() -> None:
    cache: LRUCache[str, int] = LRUCache(2)
    cache["a"] = 1
    cache["b"] = 2
    assert (1, None, 5, 5) == (
        cache.peek("a"),
        cache.peek("c"),
        cache.peek("c", 5),
        cache.peek("c", default=5),
    )
    assert (0, 0) == (cache.stats().hits, cache.stats().misses)
    assert ["a", "b"] == cache.victims()


def test_what_has_expired_is_not_seen() -> None:
    clock = ManualClock()
    cache: TTLCache[str, int] = TTLCache(2, ttl=5, timer=clock)
    cache["a"] = 1
    clock.advance(5)
    assert "cold" == cache.peek("a", "cold")
