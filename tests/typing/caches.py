"""What type checkers make of the caches: never run, checked by mypy and pyright.

A line with ``type: ignore`` claims that it is an error; both checkers report an ignore
that nothing needs.
"""
# pyright: reportUnnecessaryTypeIgnoreComment=error

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager
from typing import assert_type

import cachetools

import warmcache
from warmcache import (
    Cache,
    CapacityError,
    Entry,
    EntryInfo,
    FIFOCache,
    LFUCache,
    LRUCache,
    Registry,
    Removal,
    RemovalCause,
    RRCache,
    Stats,
    TLRUCache,
    TTLCache,
    WarmcacheError,
)


class Model:
    """What the caches here keep."""

    def close(self) -> None: ...


def on_removal(removal: Removal) -> None:
    assert_type(removal.cause, RemovalCause)


cache: LRUCache[str, Model] = LRUCache("3GiB", teardown="close", on_removal=on_removal, wait=5)
as_mapping: Mapping[str, Model] = cache
as_cachetools: cachetools.Cache[str, Model] = cache
as_the_class_of_that_name: cachetools.LRUCache[str, Model] = cache

cache["a"] = Model()
assert_type(cache["a"], Model)
assert_type(cache.get("a"), Model | None)
assert_type(cache.pop("a"), Model)
assert_type(cache.pop("a", default=None), Model | None)
assert_type(cache.popitem(), tuple[str, Model])
assert_type(cache.lease("a"), AbstractContextManager[Model])
assert_type(cache.detach("a"), Model)
assert_type(list(cache.victims()), list[str])
assert_type(cache.evict(2), list[Removal])
assert_type(cache.evict(key="a"), list[Removal])
assert_type(cache.evict(where=lambda entry: entry.idle > 60), list[Removal])
assert_type(cache.evict(tag="maps"), list[Removal])
assert_type(warmcache.evict(tag="maps"), list[Removal])
cache.evict(tag=1)  # type: ignore[arg-type]
warmcache.evict("maps")  # type: ignore[call-arg]
assert_type(cache.entries(), list[EntryInfo])
assert_type(cache.stats(), Stats)
with cache as entered, cache.lease("a") as model:
    assert_type(entered, LRUCache[str, Model])
    assert_type(model, Model)

cache[1] = Model()  # type: ignore[index]
cache["a"] = 1  # type: ignore[assignment]
cache.lease(1)  # type: ignore[arg-type]
LRUCache[str, Model](1, teardwon="close")  # type: ignore[call-arg]
LRUCache[str, Model](1, teardown=1)  # type: ignore[arg-type]

LFUCache[str, Model](2)
FIFOCache[str, Model](2, idle_ttl=60.0, ttl=3600)
RRCache[str, Model](2, choice=lambda keys: keys[0])
TTLCache[str, Model](2, 60, timer=lambda: 0.0)
TLRUCache[str, Model](2, lambda key, value, now: now + 60)
TTLCache[str, Model](2)  # type: ignore[call-arg]
assert_type(TTLCache[str, Model](2, 60).pop("a", default=None), Model | None)
assert_type(TTLCache[str, Model](2, 60).get("a"), Model | None)


@warmcache.policies.register("cheapest-first")
class CheapestFirst(Cache[str, Model]):
    def rank(self, entry: Entry) -> float:
        return entry.load_seconds / entry.weight


assert_type(CheapestFirst(maxsize=2)["a"], Model)
assert_type(warmcache.policies.names(), list[str])
assert_type(CheapestFirst(maxsize=2).peek("a"), Model | None)
assert_type(CheapestFirst(maxsize=2).peek("a", 3), Model | int)
reclaiming: LRUCache[str, Model] = LRUCache(2, reclaim=warmcache.empty_gpu_cache)

loaders: Registry[type[Model]] = Registry("loader")
assert_type(loaders["a"], type[Model])
assert_type(loaders.get("a"), type[Model] | None)
assert_type(loaders.get("a", Model), type[Model])


@loaders.register("plain", override=True)
class Plain(Model):
    pass


assert_type(Plain(), Plain)

with warmcache.disabled(), warmcache.no_load():
    pass

try:
    cache["a"] = Model()
except CapacityError as error:
    as_base: WarmcacheError = error
