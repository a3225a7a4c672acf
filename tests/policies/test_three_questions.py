"""The options of the three questions: who goes first, how much, how long."""

from __future__ import annotations

import copy
import pickle
import re
import uuid
from typing import Any

import cachetools
import pytest

import warmcache
from warmcache import (
    AutoMemoryCache,
    Cache,
    CostCache,
    FIFOCache,
    GPUMemoryCache,
    HostMemoryCache,
    LFUCache,
    LRUCache,
    MemoryCache,
    RRCache,
    policies,
    warm,
)
from warmcache.testing import FakeProbe

GiB = 2**30
UUID = "GPU-8d51db0e-ef2f-4bb8-a8b9-5c4a8f0ad5b4"


class HeaviestCache(Cache[Any, Any]):
    """Gives up the heaviest entry, of equals the least recently used."""

    def rank(self, entry: Any) -> Any:
        return -entry.weight, entry.used


class CheapestFirst(Cache[Any, Any]):
    """Gives up the entry whose next load would cost least per byte: the how-to's example."""

    def rank(self, entry: Any) -> Any:
        return entry.load_seconds / entry.weight


def probe() -> FakeProbe:
    return FakeProbe(32 * GiB)


def cache_of(**options: Any) -> Any:
    cache: Any = warm(**options)(lambda name: [name]).cache  # type: ignore[call-overload]
    return cache


# -- what goes with what ---------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "limit", "policy"),
    [
        ({"policy": "lru", "device": 0, "probe": probe()}, GPUMemoryCache, LRUCache),
        ({"policy": "lfu", "device": "cuda:1", "probe": probe()}, GPUMemoryCache, LFUCache),
        ({"policy": "fifo", "device": UUID, "probe": probe()}, GPUMemoryCache, FIFOCache),
        ({"policy": "lru", "device": "cpu"}, HostMemoryCache, LRUCache),
        ({"policy": HeaviestCache, "device": "cpu"}, HostMemoryCache, HeaviestCache),
        ({"policy": "rr", "probe": probe()}, MemoryCache, RRCache),
        ({"policy": "lru"}, AutoMemoryCache, LRUCache),
        ({"device": "cpu"}, HostMemoryCache, LRUCache),
        ({"policy": "cost", "device": "cpu"}, HostMemoryCache, CostCache),
        ({"policy": "ram"}, HostMemoryCache, CostCache),
        ({"policy": "ram", "order": "lru"}, HostMemoryCache, LRUCache),
        ({"policy": "auto", "order": HeaviestCache}, AutoMemoryCache, HeaviestCache),
        ({"policy": "gpu", "order": "lru", "probe": probe()}, GPUMemoryCache, LRUCache),
        ({"policy": HostMemoryCache, "order": "lfu"}, HostMemoryCache, LFUCache),
    ],
)
@pytest.mark.parametrize("ttl", [None, 600])
def test_a_budget_goes_with_every_policy_and_every_device(
    options: dict[str, Any], limit: Any, policy: Any, ttl: float | None
) -> None:
    life = {} if ttl is None else {"ttl": ttl}
    cache = cache_of(budget="2GiB", poll=0, **life, **options)

    assert isinstance(cache, limit) and isinstance(cache, policy)
    assert (2 * GiB, 2 * GiB) == (cache.budget, cache.maxsize)
    assert (policy, ttl) == (cache.policy, cache.ttl)
    assert limit.__name__ == type(cache).__name__


@pytest.mark.parametrize("policy", ["lru", "lfu", "fifo", "rr", "cost", "gdsf", HeaviestCache])
def test_a_count_and_a_time_to_live_go_with_every_policy(policy: Any) -> None:
    cache = cache_of(policy=policy, maxsize=3, ttl=600, idle_ttl=60)
    kind = policies.get(policy) if isinstance(policy, str) else policy
    assert (kind, 3, 600) == (type(cache), cache.maxsize, cache.ttl)


def test_without_a_policy_it_is_lru_and_128_entries_but_for_a_budget() -> None:
    assert (LRUCache, 128, 60) == (
        type(cache := cache_of(ttl=60)),
        cache.maxsize,
        cache.ttl,
    )
    assert GiB == cache_of(budget=GiB, probe=probe(), poll=0).maxsize


def test_a_device_without_a_budget_has_the_usual_one() -> None:
    cache = cache_of(policy="lru", device=0, probe=probe(), poll=0, high=0.5, low=0.5)
    assert 16 * GiB == cache.budget


@pytest.mark.parametrize("device", ["cpu", "CPU", "cpu:0"])
@pytest.mark.parametrize("policy", ["ram", None, "lfu"])
def test_the_machine_is_a_device_for_all_that_can_be_of_it(policy: Any, device: str) -> None:
    named = {} if policy is None else {"policy": policy}
    assert isinstance(cache_of(budget="1MiB", device=device, **named), HostMemoryCache)


def test_classes_take_the_same_options() -> None:
    assert 60 == LRUCache(10, ttl=60).ttl and LRUCache(10).ttl is None
    cache = MemoryCache(GiB, probe=probe(), poll=0, order=HeaviestCache, ttl=60)
    assert (HeaviestCache, 60) == (cache.policy, cache.ttl)
    assert LFUCache is MemoryCache(GiB, probe=probe(), poll=0, order="lfu").policy
    assert CostCache is MemoryCache(GiB, probe=probe(), poll=0).policy


class Placed(LRUCache[Any, Any]):
    """Calls something of its own as memory caches call what limits them."""

    def __init__(self, maxsize: Any, *, device: str, **options: Any) -> None:
        super().__init__(maxsize, **options)
        self.place = device


class OnlyMaxsize(Cache[Any, Any]):
    def __init__(self, maxsize: Any) -> None:
        super().__init__(maxsize)


@pytest.mark.parametrize("limit", [{"maxsize": 3}, {"budget": "1MiB", "probe": FakeProbe(GiB)}])
@pytest.mark.parametrize("option", ["ttl", "wait", "on_removal"])
def test_an_option_that_a_class_takes_away_is_missing_with_and_without_a_budget(
    limit: dict[str, Any], option: str
) -> None:
    with pytest.raises(TypeError) as caught:
        cache_of(policy=OnlyMaxsize, **limit, **{option: print if option == "on_removal" else 4})
    assert str(caught.value) == (
        f"policy OnlyMaxsize has no option '{option}', for its __init__() does not take it: give "
        f"that **options, and hand these on to super().__init__()"
    )
    with pytest.raises(TypeError, match=f"OnlyMaxsize has no option '{option}', for its __init__"):
        HostMemoryCache(
            "1MiB", order=OnlyMaxsize, **{option: print if option == "on_removal" else 4}
        )
    assert 3 == cache_of(policy=OnlyMaxsize, maxsize=3).maxsize


def test_what_a_policy_calls_a_device_itself_is_its_own() -> None:
    cache = cache_of(policy=Placed, maxsize=3, device="left")
    assert (Placed, 3, "left") == (type(cache), cache.maxsize, cache.place)


# -- what does not go together --------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"maxsize": 1, "budget": GiB}, "maxsize= does not go with budget=, .* has one limit"),
        ({"maxsize": 1, "device": "cpu"}, "maxsize= does not go with device=, .* budget='20GiB'"),
        ({"policy": "ram", "maxsize": 1}, "maxsize= does not go with policy 'ram', .*budget="),
        ({"policy": "lfu", "maxsize": 1, "order": "lru"}, "order= does not go with policy 'lfu'"),
        ({"policy": "lfu", "budget": 1, "order": "lru"}, "order= does not go with policy 'lfu'"),
        ({"policy": FIFOCache, "maxsize": 1, "order": "lru"}, "does not go with policy FIFOCache"),
        ({"policy": "lru", "maxsize": 1, "headroom": 1}, "no option 'headroom' without a budget="),
        (
            {"policy": "lru", "budgett": 1},
            "policy 'lru' has no option 'budgett'; did you mean 'bud",
        ),
        ({"policy": "lru", "budget": 1, "ttk": 1}, "has no option 'ttk'; did you mean 'ttl'"),
        ({"policy": "rr", "budget": 1, "choise": 1}, "no option 'choise'; did you mean 'choice'"),
        ({"policy": "ram", "order": "rr", "choise": 1}, "no option 'choise'; did you mean 'choic"),
        ({"policy": "lru", "choice": min, "budget": 1}, "policy 'lru' has no option 'choice'"),
        ({"policy": HeaviestCache, "max_size": 1}, "policy HeaviestCache has no option 'max_size'"),
        ({"policy": HeaviestCache}, "policy HeaviestCache: missing a required argument: 'maxsize'"),
        ({"policy": dict, "maxsize": 1}, "policy must be the name of a policy, or a cache class"),
        (
            {"policy": cachetools.LRUCache, "maxsize": 1},
            "subclass of .* such as warmcache.LRUCache",
        ),
        ({"policy": LRUCache(1)}, "policy must be .*; write LRUCache without making one; cache="),
        (
            {"policy": "ram", "order": LFUCache(1)},
            "order must be .*; write LFUCache without making",
        ),
        ({"policy": "ram", "order": int}, "order must be the name of a policy, or a cache class"),
    ],
)
def test_what_does_not_go_together_is_a_type_error_with_a_remedy(
    options: dict[str, Any], message: str
) -> None:
    for make in (cache_of, lambda **options: warmcache.cache(str(uuid.uuid4()), **options)):
        with pytest.raises(TypeError, match=message):
            make(**{"policy": "lru", **options})


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"policy": "LRU", "maxsize": 1}, "there is no policy 'LRU'; did you mean 'lru'"),
        ({"policy": "lruu", "budget": 1}, "there is no policy 'lruu'; did you mean 'lru'"),
        ({"policy": "ram", "order": "lruu"}, "there is no policy 'lruu'; did you mean 'lru'"),
        ({"policy": "ram", "order": "gpu"}, "order must be a policy without a memory of its own"),
        ({"policy": "lru", "budget": 1, "device": "cpux"}, "device must be a GPU.*device='cpu'"),
    ],
)
def test_what_does_not_exist_is_a_value_error(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        cache_of(**options)


# -- what divides by a weight -----------------------------------------------------------------


@pytest.mark.parametrize("policy", [CheapestFirst, HeaviestCache])
def test_the_examples_of_the_docs_work_where_a_value_weighs_nothing(policy: Any) -> None:
    sizes = {"none": 0, "one": GiB, "two": 2 * GiB, "three": 3 * GiB}

    @warm(
        policy=policy, budget="4GiB", probe=probe(), poll=0, confirm=0, size=lambda v: sizes[v[0]]
    )
    def load(name: str) -> list[str]:
        return [name]

    for name in ("none", "one", "two", "none", "three"):
        assert [name] == load(name)
    assert "none" == load.cache.victims()[-1][1], "to give it up would make no room"
    assert [True, True] == [load.contains(name) for name in ("none", "three")]


def test_a_weight_of_nothing_goes_last_in_a_mapping_as_well() -> None:
    cache = CheapestFirst(2, getsizeof=len)
    cache["none"], cache["ab"] = "", "ab"
    cache["cd"] = "cd"
    assert ["none", "cd"] == list(cache) and ["cd", "none"] == cache.victims()


def test_another_division_by_zero_is_the_policys_own() -> None:
    class Wrong(Cache[str, int]):
        def rank(self, entry: Any) -> Any:
            return 1 / 0

    cache = Wrong(1)
    cache["a"] = 1
    with pytest.raises(ZeroDivisionError):
        cache["b"] = 2


# -- who else knows them --------------------------------------------------------------------


def test_a_named_cache_takes_them_and_a_class_is_its_name() -> None:
    name = str(uuid.uuid4())
    cache = warmcache.cache(name, policy=LFUCache, budget=GiB, device="cpu", ttl=60, poll=0)
    options = {"budget": GiB, "device": "cpu", "ttl": 60, "poll": 0}
    assert cache is warmcache.cache(name) is warmcache.cache(name, policy="lfu", **options)
    with pytest.raises(ValueError) as caught:
        warmcache.cache(name, policy=HeaviestCache, **options)
    assert "as (policy=LFUCache, budget=1073741824, device='cpu', ttl=60, poll=0)" in str(
        caught.value
    )
    assert "it cannot be (policy=HeaviestCache, " in str(caught.value)


def test_a_named_cache_outlives_the_name_of_its_policy() -> None:
    name = str(uuid.uuid4())
    policies.register("heaviest")(HeaviestCache)
    try:
        cache = warmcache.cache(name, policy="heaviest", maxsize=1)
    finally:
        policies.unregister("heaviest")
    assert cache is warmcache.cache(name)
    with pytest.raises(ValueError, match=r"as \(policy='heaviest', .*it cannot be \(policy='lru'"):
        warmcache.cache(name, policy="lru", maxsize=1)


def test_the_registry_knows_and_makes_them() -> None:
    known = policies.registry.options("lru")
    assert known is not None and {"maxsize", "budget", "device", "ttl", "idle_ttl"} <= known
    assert "order" in (policies.registry.options("ram") or ())
    cache = policies.create("lfu", budget=GiB, device="cpu", ttl=60, poll=0)
    assert isinstance(cache, HostMemoryCache) and cache.policy is LFUCache
    assert isinstance(policies.create(HeaviestCache, maxsize=1), HeaviestCache)


def test_a_registered_class_of_ones_own_is_an_order_by_its_name() -> None:
    policies.register("heaviest")(HeaviestCache)
    try:
        assert HeaviestCache is cache_of(policy="ram", order="heaviest", poll=0).policy
        assert HeaviestCache is cache_of(policy="heaviest", device="cpu", poll=0).policy
    finally:
        policies.unregister("heaviest")


def test_cache_parameters_tell_who_goes_first_and_how_long() -> None:
    load = warm(policy="lfu", budget=GiB, device="cpu", ttl=60, idle_ttl=5, poll=0)(lambda x: x)
    parameters = load.cache_parameters()
    assert {"policy": "LFUCache", "ttl": 60, "idle_ttl": 5, "maxsize": GiB}.items() <= (
        parameters.items()
    )
    shared: LRUCache[Any, Any] = LRUCache(1, ttl=60)
    own = [warm(cache=shared, ttl=ttl)(lambda x: x).cache_parameters() for ttl in (30, 90, None)]
    assert [30, 60, 60] == [each["ttl"] for each in own]


def test_copies_have_the_time_to_live_too() -> None:
    now = [0.0]
    cache: LRUCache[str, int] = LRUCache(2, ttl=60, timer=lambda: now[0])
    cache["a"] = 1
    now[0] = 59
    twin = copy.copy(cache)
    twin["b"] = 2
    now[0] = 60
    assert (60, ["b"]) == (twin.ttl, list(twin))
    assert 7 == pickle.loads(pickle.dumps(LRUCache(2, ttl=7))).ttl


def test_nobody_without_a_budget_waits_for_what_memory_caches_take() -> None:
    import subprocess
    import sys

    program = "import sys; from warmcache import warm, LRUCache\n"
    program += (
        "warm(policy='lru', maxsize=1, ttl=5)(print), warm(policy=LRUCache, maxsize=1)(len)\n"
    )
    program += "print('warmcache.memory' in sys.modules)"
    printed = subprocess.check_output([sys.executable, "-c", program], text=True, timeout=50)
    assert re.match("False", printed)
