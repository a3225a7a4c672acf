"""What is done with a cache while it is interrupted at one place after the other."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Iterator
from typing import Any

import warmcache
from warmcache import LRUCache, MemoryCache, warm
from warmcache.testing import FakeProbe, ManualClock


class Value:
    """Something that writes down that it was torn down, where nothing holds the value itself."""

    def __init__(self, torn_down: list[None]) -> None:
        self._torn_down = torn_down

    def close(self) -> None:
        self._torn_down.append(None)


class Scenario:
    """What is done with a cache, and what it has loaded by then."""

    def __init__(self, **options: Any) -> None:
        self.made: list[list[None]] = []
        self.handed_in: list[list[None]] = []
        self.cache: Any = self.new_cache(**options)

    def new_cache(self, **options: Any) -> Any:
        return LRUCache(1, teardown="close", wait=0.05, **options)

    def load(self, name: str) -> Any:
        self.made.append([])
        return Value(self.made[-1])

    def new(self) -> Value:
        """Return a value to be handed in."""
        self.handed_in.append([])
        return Value(self.handed_in[-1])

    def act(self) -> None:
        raise NotImplementedError

    def goes_on(self) -> None:
        """Use the cache, as anybody may who knows nothing of the interrupt."""
        for name in "abc":
            self.cache[name] = self.new()


class Loads(Scenario):
    def __init__(self) -> None:
        super().__init__()
        self.warm = warm(cache=self.cache)(lambda name: self.load(name))

    def act(self) -> None:
        self.warm("a")
        self.warm("b")
        self.warm("b")
        self.warm.evict("b")
        self.warm("b")
        self.warm.cache_clear()

    def goes_on(self) -> None:
        for name in "abc":
            self.warm(name)


class LoadsThatSayTheirSize(Loads):
    def __init__(self) -> None:
        super().__init__()
        self.warm = warm(cache=self.cache, size=lambda value: 1)(lambda name: self.load(name))


class LoadsThatFail(Loads):
    def load(self, name: str) -> Any:
        if name == "bad":
            raise ValueError(name)
        return super().load(name)

    def act(self) -> None:
        for name in ("a", "bad", "b"):
            try:
                self.warm(name)
            except ValueError:
                pass


class Leases(Loads):
    def act(self) -> None:
        with self.warm.lease("a"):
            self.warm.evict("a")
        with self.warm.lease("a"), self.warm.lease("a"):
            try:
                self.warm("b")
            except warmcache.CapacityError:
                pass


class LoadsThatLoad(Loads):
    def new_cache(self, **options: Any) -> Any:
        return LRUCache(2, teardown="close", wait=0.05)

    def load(self, name: str) -> Any:
        if len(name) < 2:
            self.warm(name + name)
        return super().load(name)


class LoadsOfWhatIsRetired(Loads):
    def new_cache(self, **options: Any) -> Any:
        return LRUCache(2, teardown="close", wait=0.05)

    def __init__(self) -> None:
        super().__init__()
        self.leases = contextlib.ExitStack()

    def load(self, name: str) -> Any:
        self.leases.close()
        return super().load(name)

    def act(self) -> None:
        self.leases.enter_context(self.warm.lease("a"))
        self.warm.evict("a")
        self.warm("a")

    def goes_on(self) -> None:
        self.leases.close()
        super().goes_on()


class Freezing(Value):
    def __warm_freeze__(self) -> Any:
        return self


class LoadsThatAreFrozen(Loads):
    def __init__(self) -> None:
        super().__init__()
        own: Any = {"freeze": True, "teardown": lambda value: value[0].close()}
        self.plain = warm(cache=self.cache, **own)(lambda name: [self.load(name)])
        self.sized = warm(cache=self.cache, size=len, **own)(lambda name: [self.load(name)])

    def load(self, name: str) -> Any:
        self.made.append([])
        return Value(self.made[-1]) if name == "bad" else Freezing(self.made[-1])

    def act(self) -> None:
        for load in (self.plain, self.sized):
            load("a")
            load("b")
            with contextlib.suppress(TypeError):
                load("bad")

    def goes_on(self) -> None:
        self.plain("a"), self.sized("b"), self.plain("c")


class Generators(Loads):
    def __init__(self) -> None:
        super().__init__()

        def load(name: str) -> Iterator[Value]:
            value = self.load(name)
            yield value
            value.close()

        self.warm = warm(cache=self.cache)(load)


class Validated(Loads):
    def __init__(self) -> None:
        super().__init__()
        self.warm = warm(cache=self.cache, validate=lambda value: False)(
            lambda name: self.load(name)
        )

    def act(self) -> None:
        self.warm("a")
        self.warm("a")


class Mapping(Scenario):
    def new_cache(self, **options: Any) -> Any:
        return LRUCache(2, teardown="close", wait=0.05, getsizeof=lambda value: 1)

    def act(self) -> None:
        cache = self.cache
        cache["a"] = self.new()
        cache["b"] = self.new()
        cache["c"] = self.new()
        cache["c"] = self.new()
        cache["c"] = cache["c"]
        cache.pop("b")
        cache.setdefault("d", self.new())
        cache.popitem()
        cache.clear()


class PlainMapping(Mapping):
    def new_cache(self, **options: Any) -> Any:
        return LRUCache(2, wait=0.05)


class Choices(Mapping):
    def new_cache(self, **options: Any) -> Any:
        return warmcache.RRCache(2, min, teardown="close", wait=0.05)

    def goes_on(self) -> None:
        for name in "abc":
            self.cache[name] = self.new()


class Costs(Loads):
    def new_cache(self, **options: Any) -> Any:
        return warmcache.CostCache(1, teardown="close", wait=0.05)


class Aging(Loads):
    def new_cache(self, **options: Any) -> Any:
        return warmcache.GDSFCache(1, teardown="close", wait=0.05, keep_uses=True)


class Expiry(Scenario):
    def new_cache(self, **options: Any) -> Any:
        self.clock = ManualClock()
        return warmcache.TTLCache(2, 10, self.clock, teardown="close", wait=0.05)

    def act(self) -> None:
        self.cache["a"] = self.new()
        self.clock.advance(5)
        self.cache["b"] = self.new()
        self.clock.advance(5)
        self.cache.expire()
        self.clock.advance(5)
        self.cache["c"] = self.new()


class LoadsThatEnd(Loads):
    """The first that ends makes its cache look at the time."""

    def __init__(self) -> None:
        super().__init__()
        self.warm = warm(cache=self.cache, ttl=10)(lambda name: self.load(name))

    def new_cache(self, **options: Any) -> Any:
        self.clock = ManualClock()
        return LRUCache(2, timer=self.clock, teardown="close", wait=0.05)

    def act(self) -> None:
        self.cache["mapped"] = self.new()
        self.warm("a")
        self.warm("b")

    def goes_on(self) -> None:
        self.clock.advance(10)
        self.cache.expire()
        assert not self.warm.contains("a") and not self.cache.stats().dying
        super().goes_on()


class Memory(Loads):
    def new_cache(self, **options: Any) -> Any:
        probe = FakeProbe(total=2**30)
        return MemoryCache(
            10, lambda value: 10, probe=probe, poll=0, teardown="close", wait=0.05, headroom=0
        )


class Lingering(Loads):
    """What another thread has torn down is held still, and then let go."""

    def __init__(self) -> None:
        super().__init__()
        self.held = [self.warm("a")]
        other = threading.Thread(target=self.warm.evict, args=("a",))
        other.start(), other.join()

    def new_cache(self, **options: Any) -> Any:
        known = dict(probe=FakeProbe(total=2**30), poll=0, headroom=0, confirm=60.0)
        return MemoryCache(10, lambda value: 10, teardown="close", wait=0.05, **known)

    def act(self) -> None:
        self.held.clear()
        self.warm("b")

    def goes_on(self) -> None:
        self.held.clear()
        super().goes_on()


class Parked(Loads):
    def __init__(self) -> None:
        super().__init__()
        park = (lambda value: (value,)), (lambda there: there[0])
        self.warm = warm(cache=self.cache, park=park)(lambda name: self.load(name))

    def new_cache(self, **options: Any) -> Any:
        known = dict(probe=FakeProbe(total=2**30), poll=0, headroom=0, order="lru")
        return MemoryCache(10, lambda value: 10, host=15, teardown="close", wait=0.05, **known)

    def act(self) -> None:
        for name in "abac":
            self.warm(name)
        self.warm.evict("a")
        self.warm.cache_clear()


class StoredAgain(Parked):
    """What is parked is handed in once more, first without room for it, then what is there."""

    def act(self) -> None:
        first, key = self.warm("a"), self.warm.cache_key("a")
        with self.warm.lease("b"), contextlib.suppress(warmcache.CapacityError):
            self.cache[key] = first
        self.cache[key] = first
        self.cache[key] = first


class Closing(Loads):
    def new_cache(self, **options: Any) -> Any:
        return LRUCache(3, teardown="close", wait=0.05)

    def act(self) -> None:
        for name in "abc":
            self.warm(name)
        with self.warm.lease("a"):
            self.cache.close()

    def goes_on(self) -> None:
        if not self.cache._store.closed:
            super().goes_on()


class AsyncLoads(Loads):
    def __init__(self) -> None:
        super().__init__()

        async def load(name: str) -> Value:
            return self.load(name)

        self.warm = warm(cache=self.cache)(load)

    def act(self) -> None:
        async def main() -> None:
            await self.warm("a")
            async with self.warm.lease("b"):
                pass
            await self.warm.evict("b")

        asyncio.run(main())

    def goes_on(self) -> None:
        async def main() -> None:
            for name in "abc":
                await self.warm(name)

        asyncio.run(main())


class Batches(Scenario):
    def __init__(self) -> None:
        super().__init__()
        self.warm = warm(cache=self.cache, batch="names")(self.load_all)

    def new_cache(self, **options: Any) -> Any:
        return LRUCache(2, wait=0.05)

    def load_all(self, names: list[str]) -> list[Any]:
        return [self.load(name) for name in names]

    def act(self) -> None:
        self.warm(["a", "b"])
        self.warm(["b", "c", "b"])
        self.warm(["c", "d", "e"])
        with self.warm.lease("c"):
            self.warm(["c", "f"])

    def goes_on(self) -> None:
        assert 3 == len(self.warm(["a", "b", "c"])) and 1 == len(self.warm(["d"]))


class BatchesOfMany(Batches):
    def act(self) -> None:
        self.warm.many([("a",), ("b",)])
        self.warm.many([("b",), ("c",), ("b",)])


class BatchesByName(Batches):
    """The cache is defined after the loader, which finds it as it is called first."""

    def __init__(self) -> None:
        Scenario.__init__(self)
        self.cache.close()
        self.warm = warm(cache="scenario", batch="names")(self.load_all)
        self.cache = self.new_cache()

    def new_cache(self, **options: Any) -> Any:
        return warmcache.cache("scenario", policy="lru", maxsize=2, wait=0.05)


class AsyncBatches(Batches):
    def __init__(self) -> None:
        super().__init__()

        async def load_all(names: list[str]) -> list[Any]:
            return self.load_all(names)

        self.warm: Any = warm(cache=self.cache, batch="names")(load_all)

    def act(self) -> None:
        asyncio.run(self.warm(["a", "b"]))

    def goes_on(self) -> None:
        assert 3 == len(asyncio.run(self.warm(["a", "b", "c"])))


SCENARIOS = [
    *(Loads, LoadsThatSayTheirSize, LoadsThatFail, Leases, LoadsThatLoad, LoadsOfWhatIsRetired),
    *(LoadsThatAreFrozen, Generators, Validated),
    *(
        Mapping,
        PlainMapping,
        Choices,
        Costs,
        Aging,
        Expiry,
        LoadsThatEnd,
        Memory,
        Lingering,
        Parked,
        StoredAgain,
        Closing,
        AsyncLoads,
        Batches,
        BatchesOfMany,
        BatchesByName,
        AsyncBatches,
    ),
]
