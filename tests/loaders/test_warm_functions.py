"""``@warm`` on functions: what the decorated callable offers, and what it refuses."""

from __future__ import annotations

import threading
from typing import Any

import pytest

import warmcache
from warmcache import LFUCache, LRUCache, Removal, RemovalCause, TTLCache, warm
from warmcache.testing import ManualClock, assert_consistent

CAP = 5.0


class Model:
    """A value that can be closed, and knows how often it was."""

    def __init__(self, name: Any = None) -> None:
        self.name = name
        self.closed = 0

    def close(self) -> None:
        self.closed += 1


def make(name: Any, dtype: str = "fp16") -> Model:
    return Model(name)


def test_bare_warm_keeps_128_values_in_lru_order() -> None:
    load = warm(lambda x: Model(x))
    for x in range(129):
        load(x)

    assert isinstance(load.cache, LRUCache)
    assert (0, 129, 128, 128) == load.cache_info()
    assert not load.contains(0) and load.contains(1)


def test_policy_and_its_options_make_the_cache() -> None:
    clock = ManualClock()
    load = warm(policy="ttl", maxsize=2, ttl=10, timer=clock)(make)
    first = load("a")
    clock.advance(9)
    assert load("a") is first
    clock.advance(1)
    assert load("a") is not first

    assert isinstance(load.cache, TTLCache) and (2, 10) == (load.cache.maxsize, load.cache.ttl)


def test_a_cache_can_be_handed_in_and_shared() -> None:
    cache: LFUCache[Any, Any] = LFUCache(2)
    first = warm(cache=cache)(lambda x: Model("first"))
    second = warm(cache=cache)(lambda x: Model("second"))
    first(1), second(1), second(2)

    assert cache is first.cache is second.cache
    assert (0, 1, 2, 0) == first.cache_info() and (0, 2, 2, 2) == second.cache_info()
    first.cache_clear()
    assert second.contains(1) and second.contains(2)


def test_the_old_value_is_gone_before_the_new_one_loads() -> None:
    events: list[Any] = []

    @warm(policy="lru", maxsize=1, teardown=lambda model: events.append(("down", model.name)))
    def load(name: str) -> Model:
        events.append(("load", name))
        return Model(name)

    load("a"), load("b"), load("b")

    assert [("load", "a"), ("down", "a"), ("load", "b")] == events


@pytest.mark.parametrize("teardown", ["close", lambda model: model.close(), Model.close])
def test_a_teardown_is_a_callable_or_a_methods_name(teardown: Any) -> None:
    load = warm(maxsize=1, teardown=teardown)(make)
    models = [load("a"), load("b")]
    load.cache_clear()

    assert [1, 1] == [model.closed for model in models]


def test_a_loaders_own_teardown_is_run_instead_of_its_caches() -> None:
    events: list[str] = []
    cache: LRUCache[Any, Any] = LRUCache(9, teardown=lambda model: events.append("cache"))
    own = warm(cache=cache, teardown=lambda model: events.append("own"))(make)
    plain = warm(cache=cache)(make)
    own(1), plain(1)
    cache["mapping"] = Model()
    own.evict(1), plain.evict(1)
    del cache["mapping"]

    assert ["own", "cache", "cache"] == events


def test_teardown_on_a_loader_with_a_policy_is_for_its_values_and_no_other() -> None:
    load = warm(maxsize=2, teardown="close")(make)
    model, stranger = load(1), Model()
    load.cache["mapping"] = stranger
    load.cache.clear()

    assert (1, 0) == (model.closed, stranger.closed)


@pytest.mark.parametrize(
    ("teardown", "error"), [("not a name", ValueError), (3, TypeError), ("", ValueError)]
)
def test_a_bad_teardown_fails_at_decoration(teardown: Any, error: type[Exception]) -> None:
    with pytest.raises(error, match="teardown must"):
        warm(teardown=teardown)(make)


def test_a_lease_holds_the_value_whatever_happens() -> None:
    load = warm(policy="lru", maxsize=2, teardown="close", wait=0)(make)
    with load.lease("a", dtype="fp32") as model:
        assert [1] == [entry.leases for entry in load.cache.entries()]
        load("b"), load("c")
        assert load.peek("a", "fp32") is model and not load.contains("b")
        load.evict("a", "fp32")
        assert 0 == model.closed and not load.contains("a", "fp32")
    assert 1 == model.closed
    assert_consistent(load.cache)


def test_a_lease_is_entered_once_and_ends_though_its_body_fails() -> None:
    load = warm(make)
    lease = load.lease("a")
    with pytest.raises(KeyError, match="mine"), lease:
        raise KeyError("mine")
    assert [0] == [entry.leases for entry in load.cache.entries()]
    with pytest.raises(RuntimeError, match="entered once"), lease:
        pass


def test_peek_and_contains_neither_load_nor_count_as_use() -> None:
    load = warm(policy="lru", maxsize=2)(make)
    assert (None, False) == (load.peek("a"), load.contains("a"))
    first, _ = load("a"), load("b")
    before = load.cache_info(), load.cache.stats(), load.cache.victims()

    assert first is load.peek("a") is load.peek(name="a", dtype="fp16")
    assert load.contains("a") and load.contains(name="a") and not load.contains("a", "fp32")
    assert before == (load.cache_info(), load.cache.stats(), load.cache.victims())
    assert [1, 1] == [entry.uses for entry in load.cache.entries()]
    load("c")
    assert not load.contains("a"), "it stayed the least recently used"


def test_peek_and_contains_do_not_see_what_has_expired() -> None:
    clock = ManualClock()
    load = warm(policy="lru", maxsize=2, idle_ttl=5, timer=clock)(make)
    load("a")
    clock._now += 6  # so that no janitor is faster

    assert (None, False) == (load.peek("a"), load.contains("a"))


def test_evict_tears_down_and_returns_the_record_of_what_went() -> None:
    load = warm(maxsize=2, teardown="close", tags=["text", "small"])(make)
    model = load("a")
    load("a")
    assert [] == load.evict("b")

    [removal] = load.evict(name="a")

    assert isinstance(removal, Removal) and 1 == model.closed
    assert (load.cache_key("a"), RemovalCause.EXPLICIT, 1, 2, frozenset({"text", "small"})) == (
        removal.key,
        removal.cause,
        removal.weight,
        removal.uses,
        removal.tags,
    )
    assert [] == load.evict("a") and 1 == model.closed


def test_a_hit_after_an_evict_loads_anew() -> None:
    load = warm(make)
    first = load("a")
    load.evict("a")
    assert load("a") is not first
    load.cache.clear()
    assert load("a") is not first and 3 == load.cache_info().misses


def test_cache_clear_tears_down_the_loaders_own_and_starts_its_counts_anew() -> None:
    load = warm(maxsize=3, teardown="close")(make)
    models = [load(x) for x in "abca"]
    load.cache["mapping"] = stranger = Model()
    load.cache_clear()

    assert (0, 0, 3, 0) == load.cache_info()
    assert [1, 1] == [models[1].closed, models[2].closed]
    assert load.cache["mapping"] is stranger
    load("a"), load("a")
    assert (1, 1, 3, 1) == load.cache_info()


def test_counts_include_what_is_leased_after_its_removal_and_are_cleared_for_good() -> None:
    load = warm(maxsize=3)(make)
    load("a"), load("a")
    with load.lease("a"):
        load.evict("a")
        assert (2, 1) == load.cache_info()[:2]
    assert (2, 1) == load.cache_info()[:2]

    load("a"), load("a")
    with load.lease("a"):
        load.cache_clear()
        assert (0, 0) == load.cache_info()[:2]
    assert (0, 0) == load.cache_info()[:2]


def test_counts_do_not_dip_while_a_teardown_runs() -> None:
    seen: list[Any] = []
    load = warm(teardown=lambda model: seen.append(load.cache_info()[:2]))(make)
    load("a"), load("a")
    load.evict("a")

    assert [(1, 1)] == seen


def test_cache_parameters_tell_how_it_caches() -> None:
    load = warm(policy="lfu", maxsize=7, typed=True, tags={"b", "a"}, version=2, size=1)(make)
    parameters = load.cache_parameters()

    assert {"maxsize": 7, "typed": True} == {k: parameters[k] for k in ("maxsize", "typed")}
    assert ("LFUCache", ["a", "b"], 2, 1) == tuple(
        parameters[k] for k in ("cache", "tags", "version", "size")
    )
    assert warm(policy="lru", maxsize=None)(make).cache_parameters()["maxsize"] is None


def test_a_failed_load_is_the_callers_own_exception_and_is_not_cached() -> None:
    attempts: list[Any] = []

    @warm(maxsize=1)
    def load(name: str) -> Model:
        attempts.append(name)
        if len(attempts) == 1:
            raise LookupError(name)
        return Model(name)

    with pytest.raises(LookupError, match="a"):
        load("a")
    assert not load.contains("a") and (0, 1, 1, 0) == load.cache_info()
    assert "a" == load("a").name
    assert_consistent(load.cache)


def test_none_is_a_value_like_any_other() -> None:
    calls: list[int] = []
    load = warm(lambda x: calls.append(x))
    load(1), load(1)
    assert [1] == calls and load.contains(1) and load.peek(1) is None


# -- other threads -----------------------------------------------------------------


@pytest.mark.race
def test_a_hit_does_not_wait_for_the_load_of_another_key() -> None:
    loading, go = threading.Event(), threading.Event()

    @warm(maxsize=4)
    def load(name: str) -> Model:
        if name == "slow":
            loading.set()
            assert go.wait(CAP)
        return Model(name)

    warm_model = load("warm")
    thread = threading.Thread(target=load, args=("slow",))
    thread.start()
    try:
        assert loading.wait(CAP)
        assert load("warm") is warm_model
        with load.lease("warm") as leased:
            assert leased is warm_model
        assert "another" == load("another").name
    finally:
        go.set()
        thread.join(CAP)
    assert load.contains("slow")


def test_the_public_names_are_all_there() -> None:
    load = warm(make)
    offered = "lease evict peek contains cache cache_info cache_clear cache_parameters cache_key"
    assert all(hasattr(load, name) for name in (*offered.split(), "warm_up", "__wrapped__"))
    assert load.__wrapped__ is make and sorted(warmcache.__all__) == warmcache.__all__


@pytest.mark.parametrize("one", ["llama", b"llama", {"name": "llama"}])
def test_to_warm_up_one_call_that_is_no_list_is_refused_with_what_to_write(one: Any) -> None:
    @warm(policy="lru", maxsize=9)
    def load(name: Any) -> list[Any]:
        return [name]

    with pytest.raises(TypeError, match=r"takes several calls, got .*; .* load\.warm_up\(\["):
        load.warm_up(one)
    assert 0 == len(load.cache)
    load.warm_up([one])
    assert 1 == len(load.cache)


async def test_to_warm_up_one_async_call_that_is_no_list_is_refused_too() -> None:
    @warm(policy="lru", maxsize=9)
    async def load(name: Any) -> list[Any]:
        return [name]

    with pytest.raises(TypeError, match="takes several calls"):
        await load.warm_up("llama")
    assert 0 == len(load.cache)
