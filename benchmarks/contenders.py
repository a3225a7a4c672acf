"""How each library is used: as its own documentation says, with 128 entries and LRU.

What a library cannot do it does not define, and the table shows "-" there. Policies
other than LRU are used only where there is no LRU (theine). Keys are made as the
library makes them by itself.
"""

from __future__ import annotations

import functools
import importlib.metadata
import importlib.util
import threading
from collections.abc import Callable
from typing import Any, ClassVar

MAXSIZE = 128
Function = Callable[..., Any]


class Contender:
    """One way to cache. Methods return None for what it cannot do.

    ``get``, ``set`` and ``insert`` are statements over the names that :meth:`mapping`
    returns and over ``k`` and ``v``.
    """

    name: ClassVar[str]
    module: ClassVar[str]
    distribution: ClassVar[str | None] = None  # None: the standard library
    thread_safe: ClassVar[bool] = True
    get: ClassVar[str] = "c[k]"
    set: ClassVar[str] = "c[k] = v"

    @classmethod
    def installed(cls) -> bool:
        return importlib.util.find_spec(cls.module) is not None

    @classmethod
    def version(cls) -> str:
        return importlib.metadata.version(cls.distribution) if cls.distribution else "stdlib"

    def cached(self, function: Function) -> Function | None:
        """Return ``function`` cached."""
        return None

    def cached_method(self, function: Function) -> Any:
        """Return ``function`` cached, for the body of a class."""
        return None

    def single_flight(self, function: Function) -> Function | None:
        """Return ``function`` cached, with the library's protection from stampedes if any."""
        return self.cached(function) if self.thread_safe else None

    def cached_async(self, function: Function) -> Function | None:
        """Return the ``async`` ``function`` cached."""
        return None

    def single_flight_async(self, function: Function) -> Function | None:
        return self.cached_async(function)

    def mapping(self, maxsize: int) -> dict[str, Any] | None:
        """Return an empty mapping and what else the statements need."""
        return None

    def mapping_telling(
        self, maxsize: int, removed: Callable[..., object]
    ) -> dict[str, Any] | None:
        """Return the same, which calls ``removed`` for whatever it evicts."""
        return None


class Functools(Contender):
    name, module = "functools", "functools"

    def cached(self, function: Function) -> Function:
        return functools.lru_cache(maxsize=MAXSIZE)(function)

    def cached_method(self, function: Function) -> Any:
        return self.cached(function)


class Warmcache(Contender):
    name, module, distribution = "warmcache", "warmcache", "warmcache"

    @classmethod
    def version(cls) -> str:
        import warmcache

        return warmcache.__version__

    def cached(self, function: Function) -> Function:
        import warmcache

        return warmcache.warm(policy="lru", maxsize=MAXSIZE)(function)

    def cached_method(self, function: Function) -> Any:
        return self.cached(function)

    def cached_telling(self, function: Function, removed: Callable[..., object]) -> Function:
        """Return ``function`` cached, with a teardown."""
        import warmcache

        return warmcache.warm(policy="lru", maxsize=MAXSIZE, teardown=removed)(function)

    def cached_async(self, function: Function) -> Function:
        return self.cached(function)

    def mapping(self, maxsize: int, policy: str = "lru") -> dict[str, Any]:
        import warmcache

        return {"c": warmcache.policies.create(policy, maxsize=maxsize)}

    def mapping_telling(self, maxsize: int, removed: Callable[..., object]) -> dict[str, Any]:
        import warmcache

        return {"c": warmcache.LRUCache(maxsize, teardown=removed)}

    def mapping_listening(self, maxsize: int, removed: Callable[..., object]) -> dict[str, Any]:
        """Return a mapping that tears nothing down, and tells why something is gone."""
        import warmcache

        return {"c": warmcache.LRUCache(maxsize, on_removal=removed)}


def _always(thing: Any, instance: object) -> Any:
    return thing


class Cachetools(Contender):
    name, module, distribution = "cachetools", "cachetools", "cachetools"
    thread_safe = False

    def _options(self) -> dict[str, Any]:
        return {}

    def cached(self, function: Function) -> Function:
        import cachetools

        return cachetools.cached(cachetools.LRUCache(maxsize=MAXSIZE), **self._options())(function)

    def cached_method(self, function: Function) -> Any:
        """Return it with the one cache that the one object of the benchmark would have."""
        import cachetools

        cache: Any = cachetools.LRUCache(maxsize=MAXSIZE)
        options = {name: functools.partial(_always, each) for name, each in self._options().items()}
        return cachetools.cachedmethod(functools.partial(_always, cache), **options)(function)

    def mapping(self, maxsize: int) -> dict[str, Any] | None:
        import cachetools

        return {"c": cachetools.LRUCache(maxsize)}

    def mapping_telling(
        self, maxsize: int, removed: Callable[..., object]
    ) -> dict[str, Any] | None:
        import cachetools

        class Telling(cachetools.LRUCache):
            def popitem(self) -> tuple[Any, Any]:
                key, value = super().popitem()
                removed(value)
                return key, value

        return {"c": Telling(maxsize)}


class CachetoolsLock(Cachetools):
    name = "cachetools +RLock"
    thread_safe = True
    get = "with lock: c[k]"
    set = "with lock: c[k] = v"

    def _options(self) -> dict[str, Any]:
        return {"lock": threading.RLock()}

    def mapping(self, maxsize: int) -> dict[str, Any] | None:
        names = super().mapping(maxsize)
        return names and {**names, "lock": threading.RLock()}

    def mapping_telling(
        self, maxsize: int, removed: Callable[..., object]
    ) -> dict[str, Any] | None:
        names = super().mapping_telling(maxsize, removed)
        return names and {**names, "lock": threading.RLock()}


class CachetoolsCondition(Cachetools):
    name = "cachetools +Condition"
    thread_safe = True

    def _options(self) -> dict[str, Any]:
        return {"condition": threading.Condition()}

    def mapping(self, maxsize: int) -> None:
        return None  # a condition is the decorator's alone

    def mapping_telling(self, maxsize: int, removed: Callable[..., object]) -> None:
        return None


class Cachebox(Contender):
    name, module, distribution = "cachebox", "cachebox", "cachebox"

    def cached(self, function: Function) -> Function:
        import cachebox

        return cachebox.cached(cachebox.LRUCache(maxsize=MAXSIZE))(function)

    def cached_async(self, function: Function) -> Function:
        return self.cached(function)

    def mapping(self, maxsize: int) -> dict[str, Any]:
        import cachebox

        return {"c": cachebox.LRUCache(maxsize)}


class Moka(Contender):
    name, module, distribution = "moka-py", "moka_py", "moka-py"
    get = "get(k)"
    set = "set(k, v)"

    def cached(self, function: Function) -> Function:
        import moka_py

        return moka_py.cached(maxsize=MAXSIZE, policy="lru")(function)

    def single_flight(self, function: Function) -> Function:
        import moka_py

        return moka_py.cached(maxsize=MAXSIZE, policy="lru", wait_concurrent=True)(function)

    def cached_async(self, function: Function) -> Function:
        return self.cached(function)

    def single_flight_async(self, function: Function) -> Function:
        return self.single_flight(function)

    def mapping(self, maxsize: int) -> dict[str, Any]:
        import moka_py

        cache = moka_py.Moka(maxsize, policy="lru")
        return {"get": cache.get, "set": cache.set}

    def mapping_telling(self, maxsize: int, removed: Callable[..., object]) -> dict[str, Any]:
        import moka_py

        cache = moka_py.Moka(maxsize, policy="lru", eviction_listener=lambda k, v, why: removed(v))
        return {"get": cache.get, "set": cache.set}


class Theine(Contender):
    name, module, distribution = "theine", "theine", "theine"
    get = "get(k)"
    set = "set(k, v)"

    def cached(self, function: Function) -> Function:
        import theine

        return theine.Memoize(MAXSIZE, None)(function)

    def cached_async(self, function: Function) -> Function:
        return self.cached(function)

    def mapping(self, maxsize: int) -> dict[str, Any]:
        import theine

        cache = theine.Cache(maxsize)
        return {"get": cache.get, "set": cache.set}


class Cacheout(Contender):
    name, module, distribution = "cacheout", "cacheout", "cacheout"
    get = "get(k)"
    set = "set(k, v)"

    def cached(self, function: Function) -> Function:
        import cacheout

        return cacheout.lru_memoize(maxsize=MAXSIZE)(function)

    def cached_async(self, function: Function) -> Function:
        return self.cached(function)

    def mapping(self, maxsize: int) -> dict[str, Any]:
        import cacheout

        cache = cacheout.LRUCache(maxsize=maxsize)
        return {"get": cache.get, "set": cache.set}

    def mapping_telling(self, maxsize: int, removed: Callable[..., object]) -> dict[str, Any]:
        import cacheout

        cache = cacheout.LRUCache(maxsize=maxsize, on_delete=lambda k, v, why: removed(v))
        return {"get": cache.get, "set": cache.set}


class AsyncLru(Contender):
    name, module, distribution = "async-lru", "async_lru", "async-lru"
    thread_safe = False

    def cached_async(self, function: Function) -> Function:
        import async_lru

        return async_lru.alru_cache(maxsize=MAXSIZE)(function)


ALL: tuple[type[Contender], ...] = (
    Warmcache,
    Functools,
    Cachetools,
    CachetoolsLock,
    CachetoolsCondition,
    Cachebox,
    Moka,
    Theine,
    Cacheout,
    AsyncLru,
)
NAMES = [kind.name for kind in ALL]
OURS = Warmcache.name
# functools.lru_cache is what the others are measured by, so it is no peer here.
THREAD_SAFE_PEERS = [
    kind.name for kind in ALL if kind.thread_safe and kind not in (Warmcache, Functools)
]


def ignore(value: object) -> None:
    """Be what is called for something that was removed."""


def installed() -> list[Contender]:
    """Return the contenders that are there, one of each."""
    return [kind() for kind in ALL if kind.installed()]


def missing() -> list[str]:
    """Return the distributions that would have to be installed for all contenders."""
    return [kind.distribution or kind.module for kind in ALL if not kind.installed()]
