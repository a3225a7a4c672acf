"""Memory caches in the order of a policy: one class made of two."""

from __future__ import annotations

import gc
from typing import Any

import pytest

from warmcache import CostCache, HostMemoryCache, LFUCache, LRUCache, MemoryCache
from warmcache.testing import FakeProbe

GiB = 2**30


def probe() -> FakeProbe:
    return FakeProbe(32 * GiB)


class Fixed(LRUCache[Any, Any]):
    """Has a limit of its own."""

    def __init__(self, *, ttl: Any = None) -> None:
        super().__init__(2, ttl=ttl)


def test_a_policy_with_a_limit_of_its_own_has_the_budgets() -> None:
    assert 2 == Fixed().maxsize
    cache = MemoryCache(GiB, probe=probe(), poll=0, order=Fixed, ttl=60)
    assert (GiB, 60) == (cache.maxsize, cache.ttl)


def test_one_class_is_made_of_two_once() -> None:
    first, second = (MemoryCache(GiB, probe=probe(), poll=0, order="lfu") for _ in "ab")
    assert type(first) is type(second) is not MemoryCache
    assert type(first) is type(type(first)(GiB, probe=probe(), poll=0))


def test_a_class_that_was_a_policy_under_a_budget_is_not_kept_by_that() -> None:
    class Local(LRUCache[Any, Any]):
        pass

    before = len(LRUCache.__subclasses__())
    MemoryCache(GiB, probe=probe(), poll=0, order=Local).close()
    del Local
    gc.collect()
    assert before > len(LRUCache.__subclasses__())


class Secretive(LRUCache[Any, Any]):
    """Has attributes whose names a memory cache might like, too."""

    def __init__(self, maxsize: Any, **options: Any) -> None:
        super().__init__(maxsize, **options)
        for name in ("budget", "device", "memory", "meter", "watcher", "learned"):
            setattr(self, f"_{name}", name)


def test_a_policys_own_attributes_are_in_nobodys_way() -> None:
    cache: Any = HostMemoryCache(GiB, order=Secretive, poll=0)
    cache["a"] = [1]
    cache.relieve(1)
    assert (GiB, "cpu", "budget") == (cache.budget, cache.device, cache._budget)


# -- a class of memory caches that says itself who goes first ----------------------------------


class Own(HostMemoryCache[Any, Any]):
    def rank(self, entry: Any) -> Any:
        return super().rank(entry), entry.used


class Inherits(HostMemoryCache[Any, Any], LFUCache[Any, Any]):
    pass


class Late(HostMemoryCache[Any, Any]):
    def __init__(self, budget: Any) -> None:
        super().__init__(budget, order="lru")


def test_a_memory_cache_with_a_rank_of_its_own_may_ask_for_that_of_cost() -> None:
    cache = Own(GiB, poll=0)
    cache["a"], cache["b"] = [1], [2]
    assert ["a", "b"] == sorted(cache.victims())
    assert isinstance(cache, CostCache) and cache.policy is Own


def test_a_memory_cache_may_inherit_its_order() -> None:
    cache = Inherits(GiB, poll=0)
    assert type(cache) is Inherits and cache.policy is LFUCache
    assert type(Inherits(GiB, poll=0, order="lfu")) is Inherits


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Own(GiB, order="lru"), "Own takes no order=, for Own says who goes first in it"),
        (lambda: Inherits(GiB, order="lru"), "Inherits takes no order=, for LFUCache says who"),
        (lambda: Late(GiB), "order= goes to Late as it is made: a class .* inherits from it"),
    ],
)
def test_a_second_order_is_refused(make: Any, message: str) -> None:
    with pytest.raises(TypeError, match=message):
        make()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"order": "ttl"}, "MemoryCache in the order of TTLCache: missing .*: 'ttl'"),
        ({"order": "lru", "maxsize": 1}, "has no option 'maxsize': its limit is budget="),
        ({"order": "lru", "hedroom": 1}, "MemoryCache has no option 'hedroom'; did you mean 'head"),
    ],
)
def test_the_class_refuses_it_before_the_device_is_asked(
    options: dict[str, Any], message: str
) -> None:
    device = probe()
    with pytest.raises(TypeError, match=message):
        MemoryCache(GiB, probe=device, **options)
    assert 0 == device.samples
