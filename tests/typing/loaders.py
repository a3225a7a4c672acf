"""What type checkers make of ``@warm``: never run, checked by mypy and pyright.

A line with ``type: ignore`` claims that it is an error; both checkers report an ignore
that nothing needs.
"""
# pyright: reportUnnecessaryTypeIgnoreComment=error

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncGenerator, AsyncIterator, Generator, Iterator, Sequence
from contextlib import AbstractAsyncContextManager, AbstractContextManager
from pathlib import Path
from typing import Any, TextIO, assert_type

from warmcache import AsyncWarm, BatchWarm, CacheInfo, Context, LRUCache, Removal, Warm, warm


class Model:
    """What the loaders here load."""

    def close(self) -> None: ...


# -- functions -------------------------------------------------------------------------


@warm
def bare(name: str, dtype: str = "fp16") -> Model:
    return Model()


@warm(policy="lru", maxsize=1, teardown=lambda model: model.close(), size="3GiB")
def with_options(name: str, *, layers: int = 1) -> Model:
    return Model()


shared: LRUCache[Any, Any] = LRUCache("3GiB", teardown="close")


@warm(cache=shared, key={"dtype": None, "name": str.lower}, tags=["nlp"], version=2)
def in_a_cache(name: str, dtype: str = "fp16") -> Model:
    return Model()


assert_type(bare("a"), Model)
assert_type(bare(name="a", dtype="fp32"), Model)
assert_type(bare.lease("a"), AbstractContextManager[Model])
assert_type(bare.alease("a"), AbstractAsyncContextManager[Model])
assert_type(bare.peek("a"), Model | None)
assert_type(bare.peek("a", default=3), Model | int)
assert_type(bare.contains("a"), bool)
assert_type(bare.evict("a"), list[Removal])
assert_type(bare.cache_info(), CacheInfo)
assert_type(bare.cache_parameters(), dict[str, Any])
assert_type(with_options("a", layers=2), Model)
assert_type(in_a_cache("a"), Model)

with bare.lease("a") as model, with_options.lease("a", layers=2) as another:
    assert_type(model, Model)
    assert_type(another, Model)

bare.cache_clear()
bare.cache_clear(disk=True)
assert_type(bare.many([("a",), ("b", "fp32"), {"name": "c"}]), list[Model])
assert_type(bare.evict_all(tag="maps"), list[Removal])
assert_type(bare.evict_all(), list[Removal])
bare.warm_up(["a", ("b", "fp32"), {"name": "c"}])
as_parameter: Warm[[str, str], Model] = in_a_cache

bare(1)  # type: ignore[arg-type]
bare()  # type: ignore[call-arg]
bare("a", device=0)  # type: ignore[call-arg]
bare.lease(1)  # type: ignore[arg-type]
bare.lease("a", device=0)  # type: ignore[call-arg]
bare.alease(1)  # type: ignore[arg-type]
bare.peek(1)  # type: ignore[call-overload]
bare.contains(1)  # type: ignore[arg-type]
bare.evict(1)  # type: ignore[arg-type]
bare.cache_key(1)  # type: ignore[arg-type]
with_options("a", 2)  # type: ignore[call-arg]
bare.many(["a"])  # type: ignore[list-item]
warm(maxsize=1, validate=3)(Model)  # type: ignore[call-overload]
warm(policy=LRUCache, maxsize=1)(Model)
warm(policy=dict)(Model)  # type: ignore[arg-type]
warm(policy=LRUCache(1))(Model)  # type: ignore[call-overload]
warm(teardown="close", teardown_in="lopp")(Model)  # type: ignore[call-overload]
warm(teardown="close", teardown_in="loop")(Model)


# -- owners ----------------------------------------------------------------------------


class Sky(Context):
    def __init__(self, nside: int) -> None:
        self.nside = nside

    @warm(tags=["maps"])
    def beam(self, channel: int) -> Model:
        return Model()


@warm(per="ctx", policy="lru", maxsize=2)
def frobnify(ctx: Sky, arg: int, *, deep: bool = False) -> Model:
    return Model()


@warm(per=threading.current_thread)
def of_this_thread(name: str) -> Model:
    return Model()


@warm(per=asyncio.get_running_loop)
async def of_this_loop(host: str) -> Model:
    return Model()


with Sky(1) as sky:
    assert_type(sky, Sky)
    assert_type(sky.beam(1), Model)
    assert_type(frobnify(sky, 1), Model)
    assert_type(frobnify.lease(sky, 1, deep=True), AbstractContextManager[Model])
    assert_type(frobnify.evict(ctx=sky, arg=1), list[Removal])
    assert_type(sky.evict(tag="maps"), list[Removal])
    assert_type(sky.evict(), list[Removal])
    frobnify(1)  # type: ignore[call-arg, arg-type]
    frobnify("no context", 1)  # type: ignore[arg-type]
    sky.evict("maps")  # type: ignore[call-arg]
assert_type(of_this_thread("a"), Model)
of_this_thread(sky, "a")  # type: ignore[arg-type, call-arg]


async def use_a_context() -> None:
    async with Sky(1) as sky:
        assert_type(sky, Sky)
        assert_type(await of_this_loop("a"), Model)
    await sky.aclose()
    Sky()  # type: ignore[call-arg]


# A file is an iterator too, but it is what a loader loads, not what it yields.
@warm(teardown="close")
def opened(path: str) -> TextIO:
    return Path(path).open()


assert_type(opened("a"), TextIO)


# -- generator functions ---------------------------------------------------------------


@warm
def yields(name: str) -> Iterator[Model]:
    yield Model()


@warm(policy="lru", maxsize=1)
def generates(name: str) -> Generator[Model, None, None]:
    yield Model()


assert_type(yields("a"), Model)
assert_type(generates("a"), Model)
assert_type(generates.lease("a"), AbstractContextManager[Model])

yields(1)  # type: ignore[arg-type]


# -- async -----------------------------------------------------------------------------


@warm
async def connect(host: str, port: int = 80) -> Model:
    return Model()


@warm(policy="ttl", maxsize=8, ttl=60)
async def connect_for_a_minute(host: str) -> Model:
    return Model()


@warm
async def yields_async(name: str) -> AsyncIterator[Model]:
    yield Model()


@warm(policy="lru", maxsize=1)
async def generates_async(name: str) -> AsyncGenerator[Model, None]:
    yield Model()


async def use() -> None:
    assert_type(await connect("a"), Model)
    assert_type(await connect_for_a_minute("a"), Model)
    assert_type(await yields_async("a"), Model)
    assert_type(await generates_async("a"), Model)
    assert_type(connect.lease("a", 443), AbstractAsyncContextManager[Model])
    assert_type(connect.peek("a"), Model | None)
    assert_type(await connect.evict("a"), list[Removal])
    async with connect.lease("a") as held, generates_async.lease("a") as generated:
        assert_type(held, Model)
        assert_type(generated, Model)
    await connect.cache_clear()
    await connect.warm_up(["a"])
    assert_type(await connect.many([("a",)]), list[Model])
    as_parameter: AsyncWarm[[str], Model] = connect_for_a_minute
    await as_parameter("a")

    await connect(1)  # type: ignore[arg-type]
    connect.lease("a", "443")  # type: ignore[arg-type]
    await yields_async(1)  # type: ignore[arg-type]
    with connect.lease("a"):  # type: ignore[attr-defined]
        pass


# -- several elements ------------------------------------------------------------------


@warm(batch="texts", maxsize=1000, key={"model": str.lower}, disk="results", name="encode")
def encode(texts: list[str], model: str = "minilm") -> list[Model]:
    return [Model() for _ in texts]


@warm(policy="tlru", maxsize=10, ttu=lambda key, value, now: now, batch="texts")
def in_a_tuple(texts: tuple[str, ...]) -> tuple[Model, ...]:
    return tuple(Model() for _ in texts)


@warm(cache=LRUCache(10), batch="texts")
async def encode_async(texts: list[str]) -> Sequence[Model]:
    return [Model() for _ in texts]


assert_type(encode(["a"]), list[Model])
assert_type(encode(texts=["a"], model="mpnet"), list[Model])
assert_type(encode.lease("a"), AbstractContextManager[Model])
assert_type(encode.alease("a"), AbstractAsyncContextManager[Model])
assert_type(encode.peek("a"), Model | None)
assert_type(encode.peek("a", default=3), Model | int)
assert_type(encode.evict("a", model="mpnet"), list[Removal])
assert_type(encode.forget("a"), bool)
assert_type(encode.many([("a",), ("b", "mpnet")]), list[Model])
assert_type(in_a_tuple(("a",)), list[Model])
as_batch: BatchWarm[[list[str], str], Model] = encode

encode("a")  # type: ignore[arg-type]
encode(["a"], 1)  # type: ignore[arg-type]
encode.many("a")  # type: ignore[arg-type]
warm(batch="texts")(len)  # type: ignore[arg-type]
warm(policy="ram", batch="texts")(encode)  # type: ignore[call-overload]
warm(batch="texts", budget="1GiB")(encode)  # type: ignore[call-overload]
warm(batch=1)(encode)  # type: ignore[call-overload]
warm(batch="texts", teardown_in="loop")(encode_async)  # type: ignore[call-overload]


async def use_several() -> None:
    assert_type(await encode_async(["a"]), list[Model])
    assert_type(encode_async.lease("a"), AbstractAsyncContextManager[Model])
    assert_type(await encode_async.many([("a",)]), list[Model])
    assert_type(await encode_async.evict("a"), list[Removal])


# -- classes ---------------------------------------------------------------------------


@warm
class Bare:
    def __init__(self, name: str, layers: int = 1) -> None:
        self.name = name


@warm(policy="lfu", maxsize=2, teardown="close")
class WithOptions:
    def __init__(self, name: str) -> None:
        self.name = name

    def close(self) -> None: ...

    @classmethod
    def default(cls) -> WithOptions:
        return cls("default")


class Sub(WithOptions):
    pass


assert_type(Bare, type[Bare])
assert_type(Bare("a"), Bare)
assert_type(Bare("a").name, str)
assert_type(WithOptions("a"), WithOptions)
assert_type(WithOptions.default(), WithOptions)
assert_type(Sub("a"), Sub)
either: Bare | WithOptions = Bare("a")
if isinstance(either, Bare):
    assert_type(either, Bare)

Bare(1)  # type: ignore[arg-type]
WithOptions("a", 2)  # type: ignore[call-arg]


# -- methods ---------------------------------------------------------------------------


class Registry:
    @warm
    def load(self, name: str, dtype: str = "fp16") -> Model:
        return Model()

    @warm(policy="lru", maxsize=2)
    async def connect(self, host: str) -> Model:
        return Model()

    @warm(policy="lru", maxsize=2)
    def generate(self, name: str) -> Iterator[Model]:
        yield Model()

    @warm
    @staticmethod
    def parse(path: str) -> Model:
        return Model()

    @warm
    @classmethod
    def default(cls, name: str) -> Model:
        return Model()

    @staticmethod
    @warm
    async def fetch(path: str) -> Model:
        return Model()

    @warm(batch="names")
    def load_all(self, names: Sequence[str], dtype: str = "fp16") -> list[Model]:
        return [Model() for _ in names]

    @warm(batch="hosts")
    async def connect_all(self, hosts: list[str]) -> list[Model]:
        return [Model() for _ in hosts]


registry = Registry()
assert_type(registry.load_all(["a"], "fp32"), list[Model])
assert_type(registry.load_all.peek("a"), Model | None)
assert_type(registry.load_all.many([("a",)]), list[Model])
assert_type(registry.load("a"), Model)
assert_type(registry.load(name="a", dtype="fp32"), Model)
assert_type(registry.load.lease("a"), AbstractContextManager[Model])
assert_type(registry.load.peek("a"), Model | None)
assert_type(registry.generate("a"), Model)
assert_type(Registry.load(registry, "a"), Model)
assert_type(registry.parse("a"), Model)
assert_type(Registry.parse("a"), Model)
assert_type(Registry.parse.lease("a"), AbstractContextManager[Model])
assert_type(Registry.default("a"), Model)
assert_type(registry.default("a"), Model)
assert_type(Registry.default.lease("a"), AbstractContextManager[Model])
with registry.load.lease("a") as model:
    assert_type(model, Model)


async def use_methods() -> None:
    assert_type(await registry.connect_all(["a"]), list[Model])
    assert_type(await registry.connect("a"), Model)
    assert_type(await registry.fetch("a"), Model)
    assert_type(await Registry.fetch("a"), Model)
    async with registry.connect.lease("a") as connected:
        assert_type(connected, Model)


registry.load(1)  # type: ignore[arg-type]
registry.load_all(1)  # type: ignore[arg-type]
registry.load_all(["a"], 1)  # type: ignore[arg-type]
registry.load(registry, "a")  # type: ignore[arg-type]
registry.load.lease(1)  # type: ignore[arg-type]
registry.connect.lease(1)  # type: ignore[arg-type]
registry.parse(1)  # type: ignore[arg-type]
Registry.load("a")  # type: ignore[call-arg, arg-type]
