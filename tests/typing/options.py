"""What type checkers make of options that go together: never run, checked by mypy and pyright."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import AbstractAsyncContextManager, AbstractContextManager
from datetime import timedelta
from typing import Any, Protocol, assert_type

import warmcache
from warmcache import (
    AsyncMemoryWarm,
    AsyncWarm,
    Cache,
    CacheInfo,
    Entry,
    GPUMemoryCache,
    HostMemoryCache,
    LRUCache,
    MemoryCache,
    MemoryWarm,
    Removal,
    TTLCache,
    Warm,
    WarmClass,
    policies,
    retry_on_oom,
    warm,
)
from warmcache.testing import FakeProbe


class Model:
    """What the loaders here load."""

    def __init__(self, name: str = "", device: str | None = None) -> None: ...
    def close(self) -> None: ...


class HeaviestCache(Cache[Any, Any]):
    """A third party's policy, with an option of its own."""

    def __init__(self, maxsize: float | str | None, *, favourite: str = "", **options: Any) -> None:
        super().__init__(maxsize, **options)

    def rank(self, entry: Entry) -> float:
        return -entry.weight


def load(name: str, /) -> Model:
    return Model(name)


async def connect(name: str, /) -> Model:
    return Model(name)


# -- who goes first, how much, how long ------------------------------------------------

assert_type(warm(maxsize=1)(load), Warm[[str], Model])
assert_type(warm(maxsize=1)(connect), AsyncWarm[[str], Model])
warm()(load)
warm(ttl=60, idle_ttl=60.0, wait=5, teardown="close")(load)
warm(policy="lru", maxsize="6GiB", ttl=timedelta(1), timer=lambda: 0, size=lambda model: 1)(load)
warm(policy="lfu", maxsize=10, ttl=3600)(load)
warm(policy="fifo", maxsize=None, getsizeof=lambda model: 1)(load)
warm(policy="cost", maxsize=10, on_removal=print, reclaim=lambda: None, record="a.csv")(load)
warm(policy="rr", maxsize=10, choice=lambda keys: keys[0])(load)
warm(policy="ttl", maxsize=10, ttl=60)(load)
warm(policy="tlru", maxsize=10, ttu=lambda key, value, now: now + 60, ttl=60)(load)
warm(policy="gdsf", maxsize=10, keep_uses=True)(load)
warm(policy=LRUCache, maxsize=10)(load)
warm(disk="results", out_files="name")(load)
warm(disk="results", persist="evict")(load)
warm(policy="gpu", disk="results", codec="pickle", out_files=["name"])(load)
warm(policy=HeaviestCache, maxsize=10, favourite="ada")(load)
assert_type(warm(policy=policies.registry["heaviest"], maxsize=1)(load), Warm[[str], Model])

assert_type(warm(policy="gpu")(load), MemoryWarm[[str], Model])
assert_type(warm(policy="auto", budget=0.8, device=1)(load), MemoryWarm[[str], Model])
assert_type(warm(policy="gpu", order="lru", ttl=600)(load), MemoryWarm[[str], Model])
warm(policy="ram", order=HeaviestCache, size_hint="1GiB", learn="sizes.json")(load)
warm(policy="ram", order="rr", choice=lambda keys: keys[0])(load)
assert_type(warm(budget="1GiB")(load), MemoryWarm[[str], Model])
assert_type(warm(policy="lru", budget="20GiB", device=0)(load), MemoryWarm[[str], Model])
assert_type(warm(policy="ttl", device="cpu", ttl=60)(load), MemoryWarm[[str], Model])
warm(policy="gdsf", budget="1GiB", keep_uses=True, headroom=0.1, probe=FakeProbe(1))(load)
assert_type(warm(policy=HeaviestCache, budget=1, device="cpu")(load), MemoryWarm[[str], Model])
assert_type(warm(policy=HeaviestCache, device="cpu")(load), MemoryWarm[[str], Model])
assert_type(warm(policy=HostMemoryCache, budget="1GiB")(load), MemoryWarm[[str], Model])


class Device(Protocol):
    """As torch declares it."""

    type: str
    index: int


def on(device: Device) -> None:
    warm(policy="gpu", device=device)
    warm(policy="lru", device=device)
    GPUMemoryCache[str, Model](device=device)


# -- what has a memory cache -----------------------------------------------------------


@warm(policy="auto", budget=0.8, headroom="256MiB", size="1MiB")
def measured(name: str) -> Model:
    return Model(name, measured.cache.device)


@warm(policy="lru", budget="1GiB", device="cpu", idle_ttl=600)
async def measured_async(name: str, /) -> Model:
    return Model(name, measured_async.cache.device)


@warm(budget="1GiB")
def measured_generator(name: str) -> Iterator[Model]:
    yield Model(name)


@retry_on_oom(measured.cache)
def infer(text: str) -> str:
    with measured.lease("ada") as model:
        assert_type(model, Model)
    return text


assert_type(measured.cache, MemoryCache[Any, Any])
assert_type(measured.cache.device, str | None)
assert_type(measured.cache.relieve("1GiB"), float)
assert_type(measured.lease("a"), AbstractContextManager[Model])
assert_type(measured_generator("a"), Model)
assert_type(infer("a"), str)
assert_type(measured_async, AsyncMemoryWarm[[str], Model])
assert_type(measured_async.lease("a"), AbstractAsyncContextManager[Model])
as_warm: Warm[[str], Model] = measured
as_async_warm: AsyncWarm[[str], Model] = measured_async


class Store:
    @warm(policy="gpu", budget="20GiB")
    def model(self, name: str, /) -> Model:
        return Model(name)

    @warm(policy="gpu")
    async def remote(self, name: str, /) -> Model:
        return Model(name)

    @warm(policy="ram")
    @classmethod
    def of_class(cls, name: str, /) -> Model:
        return Model(name)

    @warm(policy="ram")
    @staticmethod
    def static(name: str, /) -> Model:
        return Model(name)


assert_type(Store().model("a"), Model)
assert_type(Store().model.cache.device, str | None)
assert_type(Store.model.cache.budget, float)
assert_type(Store().remote, AsyncMemoryWarm[[str], Model])
assert_type(Store.of_class, MemoryWarm[[str], Model])
assert_type(Store.static, MemoryWarm[[str], Model])


# -- caches to share -------------------------------------------------------------------

gpu: GPUMemoryCache[Any, Any] = GPUMemoryCache("20GiB", order="rr", choice=lambda keys: keys[0])
counts: TTLCache[Any, Any] = TTLCache(8, 60)
assert_type(warm(cache=gpu)(load), MemoryWarm[[str], Model])
assert_type(warm(cache=counts, ttl=60, teardown="close")(load), Warm[[str], Model])
assert_type(warm(cache="models", version=2)(load), Warm[[str], Model])
assert_type(warm(cache="models", maxsize=2, reclaim=print)(load), Warm[[str], Model])
assert_type(warm(cache="models", policy="lfu", maxsize=2, ttl=5)(load), Warm[[str], Model])
assert_type(warm(cache="models", policy="ttl", maxsize=2, ttl=5)(load), Warm[[str], Model])
assert_type(warm(cache="models", policy="gpu", budget="1GiB")(load), MemoryWarm[[str], Model])
assert_type(warm(cache="models", budget="1GiB", device=0)(load), MemoryWarm[[str], Model])
assert_type(warm(cache="models", policy=HeaviestCache, maxsize=2)(load), Warm[[str], Model])

assert_type(warmcache.cache("models"), Cache[Any, Any])
assert_type(warmcache.cache("models", "lfu", maxsize=2, ttl=60), Cache[Any, Any])
assert_type(warmcache.cache("models", maxsize=2), Cache[Any, Any])
assert_type(warmcache.cache("models", policy="gpu", order="lru"), MemoryCache[Any, Any])
assert_type(warmcache.cache("models", policy="lru", budget="1GiB"), MemoryCache[Any, Any])
assert_type(warmcache.cache("models", device=0), MemoryCache[Any, Any])
assert_type(warmcache.cache("models", policy=HeaviestCache, maxsize=2), HeaviestCache)

assert_type(policies.create("ttl", maxsize=2, ttl=60), Cache[Any, Any])
assert_type(policies.create(HeaviestCache, maxsize=2, favourite="ada"), HeaviestCache)
policies.create("gpu", order=HeaviestCache).relieve(1)
policies.create("lru", budget="20GiB", device=0, ttl=60).relieve(1)


# -- classes ---------------------------------------------------------------------------


@warm(policy="gpu", teardown="close")
class Session(WarmClass):
    def __init__(self, host: str, port: int = 80) -> None: ...
    def close(self) -> None: ...


class Abstract(ABC):
    @abstractmethod
    def close(self) -> None: ...


@warm
class Concrete(Abstract, WarmClass):
    def close(self) -> None: ...


assert_type(Session("a"), Session)
assert_type(Session.lease("a", port=1), AbstractContextManager[Session])
assert_type(Session.peek("a"), Session | None)
assert_type(Session.peek("a", default=1), Session | int)
assert_type(Session.alease("a"), AbstractAsyncContextManager[Session])
assert_type(Session.contains("a"), bool)
assert_type(Session.evict("a"), list[Removal])
assert_type(Session.cache_info(), CacheInfo)
assert_type(Concrete.lease(), AbstractContextManager[Concrete])
Session.warm_up(["a"])
Session.cache_clear()
Session.cache.relieve("1GiB")
with Session.lease("a") as session:
    as_type: Session = session


# -- results that nobody knows ---------------------------------------------------------


def unknown(name: str) -> Any: ...


with warm(maxsize=1)(unknown).lease("a") as value, warm(budget=1)(unknown).lease("a"):
    value.anything()


class OrderedByUse(HostMemoryCache[str, Model], LRUCache[str, Model]):
    """A memory cache with an order of its own."""
