"""A wrong option is told which one is meant: by its spelling, or as other libraries call it."""

from __future__ import annotations

import functools
import gc
import operator
from typing import Any
from unittest.mock import Mock

import pytest

import warmcache
from warmcache import HostMemoryCache, LRUCache, Registry, TTLCache, warm
from warmcache._suggestions import _OPTIONS, nearest_option
from warmcache.memory import MemoryCache
from warmcache.testing import FakeProbe


def load(name: str = "a") -> Any:
    return [name]


def hint(make: Any) -> str:
    with pytest.raises(TypeError) as refused:
        make()
    return str(refused.value).split("There are: ")[0]


FROM_ELSEWHERE = {
    "on_release": ["teardown"],
    "shutdown_callback": ["teardown", "reclaim"],
    "unload": ["teardown"],
    "destructor": ["teardown"],
    "finalizer": ["teardown"],
    "cleanup": ["teardown"],
    "on_evict": ["teardown", "on_removal"],
    "on_eviction": ["teardown", "on_removal"],
    "removal_listener": ["on_removal"],
    "max_entries": ["maxsize"],
    "max_num_models_per_replica": ["maxsize"],
    "maxSize": ["maxsize"],
    "max-size": ["maxsize"],
    "capacity": ["maxsize"],
    "size_limit": ["maxsize"],
    "time_to_idle": ["idle_ttl"],
    "clock": ["timer"],
    "gc": ["reclaim"],
    "on_relaese": ["teardown"],  # misspelt
    "max_entires": ["maxsize"],
    "teardwon": ["teardown"],
    "on_removel": ["on_removal"],
}
OF_LOADERS = {
    "hash_funcs": ["key"],
    "key_builder": ["key"],
    "ignore": ["key"],
    "tag": ["tags"],
    "cache_validation_callback": ["validate"],
    "eviction_policy": ["policy"],
    "weight": ["size", "getsizeof"],
}


@pytest.mark.parametrize(("word", "meant"), FROM_ELSEWHERE.items())
def test_a_word_from_elsewhere_means_an_option_of_ours(word: str, meant: list[str]) -> None:
    either = [*meant, "budget"] if meant == ["maxsize"] else meant  # a cache has one of the two
    for make, expected in (
        (lambda: warm(**{word: 1})(load), either),
        (lambda: LRUCache(1, **{word: 1}), meant),
        (lambda: warmcache.cache("never", **{word: 1}), either),
    ):
        said = hint(make)
        assert f"has no option {word!r}; did you mean " in said
        assert expected == [each for each in _OPTIONS if f"{each!r}" in said.split("mean")[1]]


@pytest.mark.parametrize(("word", "meant"), OF_LOADERS.items())
def test_so_do_words_for_what_loaders_alone_are_told(word: str, meant: list[str]) -> None:
    said = hint(lambda: warm(**{word: 1})(load))
    assert [each for each in _OPTIONS if f"{each!r}" in said.split("mean")[1]] == meant


def test_a_cache_of_memory_has_a_budget_and_other_caches_a_maxsize() -> None:
    for make in (
        lambda word: warm(policy="ram", **{word: 3})(load),
        lambda word: HostMemoryCache(**{word: 3}),
        lambda word: MemoryCache(probe=FakeProbe(9), **{word: 3}),
    ):
        for word in ("max_entries", "capacity", "size_limit", "vram"):
            assert "did you mean 'budget' (" in hint(functools.partial(make, word))
        assert "budget=" in hint(functools.partial(make, "maxsize"))


def test_what_expires_elsewhere_has_a_ttl_where_there_is_one() -> None:
    for word in ("expire", "expiry", "max_age", "lifetime"):
        assert "did you mean 'ttl' (" in hint(lambda word=word: TTLCache(1, 5, **{word: 3}))
    assert "'wait' (how long to wait for room)" in hint(lambda: warm(timeout=3)(load))
    assert "'ttl' (how long entries live) or 'wait' (" in hint(lambda: TTLCache(1, 5, timeout=3))


def test_with_a_shared_cache_only_options_of_the_loader_are_meant() -> None:
    shared: LRUCache[Any, Any] = LRUCache(1)
    assert "did you mean 'teardown' (" in hint(lambda: warm(cache=shared, on_release=1)(load))
    for own in ("maxsize", "on_removal", "max_entries"):
        said = hint(lambda own=own: warm(cache=shared, **{own: 1})(load))
        assert f"{own} cannot be given with it. " in said


def test_what_has_no_counterpart_says_why() -> None:
    assert "it needs none: a cache is safe under threads by itself" in hint(
        lambda: warm(lock=1)(load)
    )


def test_a_registry_of_ones_own_knows_its_own_options_first() -> None:
    things: Registry[Any] = Registry("thing")
    things.register("x")(lambda limits=1, lock_file=2: 0)
    assert "did you mean 'limits'?" in hint(lambda: things.create("x", limit=1))
    assert "did you mean 'lock_file'?" in hint(lambda: things.create("x", lockfile=1))


def test_every_option_is_known_to_the_table() -> None:
    known = {*warmcache.CacheOptions.__annotations__, "maxsize", "budget", "ttl"}
    assert set() == known - {*_OPTIONS}
    for option, (meaning, words) in _OPTIONS.items():
        assert meaning and words == " ".join(words.split())
        for word in words.split():
            assert f"did you mean {option!r}" in nearest_option(word, {option})


@pytest.mark.parametrize(
    ("thing", "written"),
    [(128, "maxsize=128"), (None, "maxsize=None"), ("lru", "policy='lru'"), ("x", "policy=...")],
)
def test_an_option_without_its_name_is_told_its_name(thing: Any, written: str) -> None:
    if thing is not None:
        assert f"given by name: @warm({written})" in hint(lambda: warm(thing))
    assert "@warm(cache=...)" in hint(lambda: warm(LRUCache(1)))


# -- what is called with too much or too little ------------------------------------


def takes_nothing() -> None: ...


class TakesNothing:
    def __call__(self) -> None: ...

    def method(self) -> None: ...


def decorated(function: Any) -> Any:
    @functools.wraps(function)
    def dropping(value: Any) -> Any:
        return function()

    return dropping


NULLARY = [
    takes_nothing,
    lambda: None,
    TakesNothing(),
    TakesNothing().method,
    functools.partial(lambda value: None, "given already"),
    warmcache.empty_gpu_cache,
    lambda one, two: None,
    lambda *, value: None,
]
TAKES_IT = [
    gc.collect,  # which takes a generation, and nobody knows that a value is none
    print,
    str,
    dict.pop,  # whose signature nobody knows
    operator.methodcaller("close"),
    list.clear,
    lambda *values: None,
    lambda value, more=1: None,
    decorated(takes_nothing),
    functools.partial(lambda one, two: None, 1),
    Mock(),
    "close",
    None,
]


@pytest.mark.parametrize("teardown", NULLARY)
def test_a_teardown_that_cannot_take_the_value_is_refused_by_loader_and_cache(
    teardown: Any,
) -> None:
    for make in (
        lambda: warm(teardown=teardown)(load),
        lambda: warm(cache=LRUCache(1), teardown=teardown)(load),
        lambda: LRUCache(1, teardown=teardown),
        lambda: HostMemoryCache(teardown=teardown),
        lambda: warmcache.cache("never", maxsize=1, teardown=teardown),
    ):
        assert "teardown must be callable with the value, got" in hint(make)
        assert "what takes nothing is reclaim=" in hint(make)


@pytest.mark.parametrize("teardown", TAKES_IT)
def test_a_teardown_that_may_take_the_value_is_taken(teardown: Any) -> None:
    warm(teardown=teardown)(load)
    LRUCache(1, teardown=teardown)


def test_a_reclaim_takes_nothing_and_says_what_takes_the_value() -> None:
    said = hint(lambda: LRUCache(1, reclaim=lambda value: None))
    assert "reclaim must be callable with nothing, got" in said
    assert "what takes the value is teardown=" in said
    LRUCache(1, reclaim=gc.collect)


def test_a_teardown_by_name_has_nothing_to_do_with_none() -> None:
    removals: list[Any] = []
    cache: LRUCache[Any, Any] = LRUCache(1, teardown="close", on_removal=removals.append)
    nothing = warm(cache=cache)(lambda name: None)
    nothing("a"), nothing("b")
    with warmcache.disabled(), nothing.lease("c") as value:
        assert value is None
    cache.close()
    assert 2 == len(removals) and 0 == cache.stats().teardown_failures


def test_a_teardown_that_is_a_function_is_called_with_none_all_the_same() -> None:
    torn_down: list[Any] = []
    nothing = warm(maxsize=1, teardown=torn_down.append)(lambda name: None)
    nothing("a"), nothing("b")
    assert [None] == torn_down
    nothing.cache.close()
