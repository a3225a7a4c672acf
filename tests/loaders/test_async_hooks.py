"""Hooks that are ``async``: awaited where that can be, else refused, when they are given."""

from __future__ import annotations

import functools
import unittest.mock
from typing import Any

import pytest

import warmcache
from warmcache import KeyingError, LRUCache, MemoryCache, warm
from warmcache.testing import FakeProbe


async def hook(*_: Any) -> Any:
    return 1


async def generating(*_: Any) -> Any:
    yield 1


class Callable:
    async def __call__(self, *_: Any) -> Any:
        return 1

    async def method(self, *_: Any) -> Any:
        return 1


HOOKS = [
    hook,
    generating,
    Callable(),
    Callable().method,
    functools.partial(hook, 1),
    functools.partial(Callable(), 1),
    unittest.mock.AsyncMock(),
]
LOADER = {
    "validate": dict(validate=...),
    "key": dict(key=...),
    "key of an argument": dict(key={"name": ...}),
    "size": dict(policy="lru", maxsize=9, size=...),
    "size_hint": dict(policy="lru", maxsize=9, size_hint=...),
    "reclaim": dict(policy="lru", maxsize=9, reclaim=...),
    "on_removal": dict(policy="lru", maxsize=9, on_removal=...),
    "timer": dict(policy="lru", maxsize=9, timer=...),
    "timer of ttl": dict(policy="ttl", maxsize=9, ttl=9, timer=...),
    "getsizeof": dict(policy="gdsf", maxsize=9, getsizeof=...),
    "ttu": dict(policy="tlru", maxsize=9, ttu=...),
    "choice": dict(policy="rr", maxsize=9, choice=...),
}


def given(options: Any, hook: Any) -> Any:
    if options is ...:
        return hook
    if isinstance(options, dict):
        return {name: given(value, hook) for name, value in options.items()}
    return options


def load_plainly(name: str) -> str:
    return name


async def load_async(name: str) -> str:
    return name


@pytest.mark.parametrize("hook", HOOKS, ids=lambda hook: type(hook).__name__)
@pytest.mark.parametrize("option", LOADER)
def test_an_async_hook_of_a_loader_that_is_not_is_refused_with_its_name(
    option: str, hook: Any
) -> None:
    with pytest.raises(TypeError, match=rf"^{option.split()[0]}.* must not be async, .*; .*, got"):
        warm(**given(LOADER[option], hook))(load_plainly)


@pytest.mark.parametrize("option", [option for option in LOADER if option != "validate"])
def test_over_an_async_loader_all_but_the_check_are_refused_too(option: str) -> None:
    with pytest.raises(TypeError, match="must not be async"):
        warm(**given(LOADER[option], hook))(load_async)
    assert warm(validate=hook)(load_async)


@pytest.mark.parametrize("option", ["footprint", "give_back", "reclaim", "on_removal", "getsizeof"])
def test_an_async_hook_of_a_memory_cache_is_refused(option: str) -> None:
    with pytest.raises(TypeError, match=f"^{option} must not be async"):
        MemoryCache(2**20, probe=FakeProbe(2**30), **{option: hook})


@pytest.mark.parametrize("name", ["rank", "getsizeof"])
def test_an_async_method_of_a_policy_is_refused(name: str) -> None:
    policy: Any = type("Policy", (LRUCache,), {name: hook})
    with pytest.raises(TypeError, match=f"^{name} must not be async"):
        policy(9)


def test_an_async_choice_of_what_to_evict_is_refused_and_evicts_nothing() -> None:
    cache: LRUCache[str, int] = LRUCache(9)
    cache["a"] = 1
    with pytest.raises(TypeError, match="^where must not be async"):
        cache.evict(where=hook)
    assert ["a"] == list(cache)


# -- what turns out to be a coroutine --------------------------------------------------


@pytest.mark.parametrize(
    ("option", "options"),
    [
        ("validate", dict(validate=lambda value: hook())),
        ("size", dict(policy="lru", maxsize=9, size=lambda value: hook())),
        ("ttu", dict(policy="tlru", maxsize=9, ttu=lambda key, value, now: hook())),
    ],
)
def test_a_hook_that_returns_a_coroutine_is_an_error_and_not_true(
    option: str, options: Any
) -> None:
    load: Any = warm(**options)(load_plainly)
    with pytest.raises(TypeError, match=f"^{option} returned a coroutine, which nobody awaits"):
        load("a"), load("a")
    assert [0] * len(load.cache) == [entry.leases for entry in load.cache.entries()]


def test_a_listener_and_a_reclaim_that_return_a_coroutine_have_failed(
    caplog: pytest.LogCaptureFixture,
) -> None:
    cache: Any = LRUCache(1, on_removal=lambda removal: hook(), reclaim=lambda: hook())
    cache["a"], cache["b"] = 1, 2
    assert "listener failed" in caplog.text and "reclaim failed" in caplog.text
    assert "returned a coroutine, which nobody awaits" in caplog.text
    cache.detach("b")


def test_a_key_that_is_a_coroutine_is_refused_for_it_would_never_be_found_again() -> None:
    made: list[Any] = []

    def key(name: str) -> Any:
        made.append(hook())
        return made[-1]

    with pytest.raises(KeyingError, match="a coroutine cannot be part of a key"):
        warm(key=key)(load_plainly)("a")
    made.pop().close()


def test_a_loader_that_returns_a_coroutine_is_refused_for_it_can_be_awaited_once() -> None:
    load = warm(lambda name: load_async(name))
    with pytest.raises(TypeError, match="returned a coroutine"):
        load("a")
    with warmcache.disabled(), pytest.raises(TypeError, match="returned a coroutine"):
        load("a")
