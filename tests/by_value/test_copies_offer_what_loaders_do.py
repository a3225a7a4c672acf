"""A copy of a loader has its methods, options, cache and attributes."""

from __future__ import annotations

import copy
import inspect
import pickle
from typing import Any

import by_value
import cloudpickle
import pytest
from by_value import cell, journal, sent
from travellers import CELL

import warmcache

pytestmark = pytest.mark.usefixtures("a_process_that_knows_of_no_loader")


def test_before_it_is_called_a_copy_offers_what_its_loader_does() -> None:
    payload = sent(CELL)
    cloudpickle.loads(payload)("a")

    def fresh() -> Any:
        return cloudpickle.loads(payload)

    assert fresh().contains("a") and "a" == fresh().peek("a").name
    assert (0, 1, 2, 1) == fresh().cache_info()
    assert 1 == len(fresh().cache) and fresh().cache_key("a") in fresh().cache
    assert ["load('a', '')"] == [str(key) for key in fresh().cache]
    assert "a" == fresh().cache[fresh().cache_key("a")].name
    assert 2 == fresh().cache.maxsize and 2 == fresh().cache_parameters()["maxsize"]
    assert "(name, suffix='')" == str(inspect.signature(fresh()))
    assert ("load", "load", "__main__") == tuple(
        getattr(fresh(), name) for name in ("__name__", "__qualname__", "__module__")
    )
    with fresh().lease("a") as model:
        assert "a" == model.name
    fresh().warm_up(["b"])
    assert fresh().contains("b") and 1 == len(fresh().evict("b"))
    fresh().cache_clear()
    assert not fresh().contains("a")
    with pytest.raises(TypeError, match=r"load\(\) missing 1 required"):
        fresh()()
    with pytest.raises(AttributeError):
        _ = fresh().cache.no_such_thing, fresh().nothing


def test_a_copys_methods_and_cache_travel_too() -> None:
    load, lease, cache = cloudpickle.loads(sent(CELL, "load, load.lease, load.cache"))
    with lease("a") as model:
        assert load("a") is model
    assert 1 == len(cache)
    lease, cache = cloudpickle.loads(cloudpickle.dumps((load.lease, load.cache)))
    with lease("a") as held:
        assert 1 == len(cache) and held is model


def test_options_travel() -> None:
    source = """
    from warmcache import warm
    @warm(
        policy="ttl", ttl=60, maxsize="4KiB", key={"verbose": None, "name": lambda name: name[0]},
        typed=True, size=lambda value: 1024, validate=lambda value: value[0] != "bad",
        tags=iter(["x"]), version=(1,), teardown=lambda value: note("close", value),
    )
    def load(name, verbose=False):
        note("load", name)
        return [name]
    """
    load = cloudpickle.loads(sent(source))
    value = load("bge")
    assert load("bge-large", verbose=True) is value
    assert (4096, 1024) == (load.cache.maxsize, load.cache_info().currsize)
    assert 60 == load.cache.ttl and ["x"] == load.cache_parameters()["tags"]
    value[0] = "bad"
    assert load("b") is not value
    assert [("load", "bge"), ("close", ["bad"]), ("load", "b")] == journal


def test_a_cache_that_loaders_share_is_shared_there() -> None:
    source = """
    import warmcache
    from warmcache import warm
    pool = warmcache.LRUCache(3, teardown=lambda value: note("close", value))
    warmcache.cache("shared by value", policy="lfu", maxsize=7)
    @warm(cache=pool)
    def one(n): return [n]
    @warm(cache=pool)
    def two(n): return [one(n)]
    @warm(cache="shared by value")
    def named(n): return [n]
    """
    two, one, named = cloudpickle.loads(sent(source, "two, one, named"))
    assert two(1)[0] is one(1) and 2 == len(one.cache)
    named(1)
    assert named.cache is warmcache.cache("shared by value") and 7 == named.cache.maxsize
    one(2), one(3)
    assert one.cache is two.cache and [("close", [[1]])] == journal


def test_a_memory_cache_is_shared_by_policy_or_by_name() -> None:
    source = """
    import warmcache
    from warmcache import warm
    options = dict(budget="64MiB", poll=0)
    @warm(policy="ram", size="1MiB", **options)
    def by_policy(n): return [n]
    @warm(cache=warmcache.cache("ram by value", policy="ram", **options), size=1)
    def by_name(n): return [n]
    @warm(cache=warmcache.HostMemoryCache(**options), size=1)
    def by_object(n): return [n]
    """
    by_policy, by_name = cloudpickle.loads(sent(source, "by_policy, by_name"))
    assert by_policy(1) is by_policy(1) and 2**26 == by_policy.cache.maxsize
    assert by_name(1) is by_name(1) and by_name.cache is warmcache.cache("ram by value")
    with pytest.raises(TypeError, match="cannot be sent by value: share the cache by name"):
        sent(source, "by_object")


def test_who_goes_first_how_much_and_how_long_travel_in_whatever_way_they_are_said() -> None:
    source = """
    import warmcache
    from warmcache import warm
    class Heaviest(warmcache.Cache):
        def rank(self, entry): return -entry.weight
    memory = dict(device="cpu", budget="64MiB", poll=0)
    @warm(policy=Heaviest, maxsize=8, ttl=60)
    def by_class(n): return [n]
    @warm(policy=Heaviest, ttl=60, **memory)
    def in_a_budget(n): return [n]
    @warm(policy="ram", order=Heaviest, budget="64MiB", poll=0, ttl=60)
    def in_its_order(n): return [n]
    @warm(cache=warmcache.cache("orders by value", policy=Heaviest, **memory), ttl=60)
    def by_name(n): return [n]
    @warm(cache=warmcache.LRUCache(8), ttl=60)
    def in_a_shared_one(n): return [n]
    """
    names = ["by_class", "in_a_budget", "in_its_order", "by_name", "in_a_shared_one"]
    loaders = cloudpickle.loads(sent(source, ", ".join(names)))
    for load in loaders:
        assert load("a") is load("a") and 60 == load.cache_parameters()["ttl"]
        assert [60] == [round(entry.ends_in) for entry in load.cache.entries()]
    assert ["Heaviest"] * 4 == [load.cache.policy.__name__ for load in loaders[:4]]
    assert [8, 2**26, 2**26, 2**26, 8] == [load.cache.maxsize for load in loaders]


def test_an_outer_wrapper_keeps_to_the_loader() -> None:
    source = """
    import functools
    from warmcache import warm
    @warm
    def load(n):
        note("load")
        return [n]
    @functools.wraps(load)
    def outer(*args):
        return load(*args)
    """
    outer, load = cloudpickle.loads(sent(source, "outer, load"))
    assert outer(1) is load(1) and outer.contains(1) and 1 == len(outer.cache)
    assert ["load"] == journal


def test_attributes_of_its_own_travel() -> None:
    load = cloudpickle.loads(sent(CELL + "\nload.note = [1]"))
    assert [1] == load.note


def test_a_loaders_attributes_can_be_copied() -> None:
    load = cell(CELL)["load"]
    for twin in (copy.copy(vars(load)), copy.deepcopy(vars(load))):
        assert load.cache is twin["cache"] and twin is not vars(load)
    assert load("a") is load("a")


def test_a_loader_is_not_taken_for_a_copy_of_itself() -> None:
    load = by_value.importable
    assert pickle.loads(pickle.dumps(vars(load))) is vars(load)
    assert load("a") is load("a")
