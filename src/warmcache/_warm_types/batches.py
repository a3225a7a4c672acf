"""A warm loader with ``batch=``, as type checkers see it: declared, and never run.

It is called with several elements; what it can do besides takes one of them in their place, which
no type can say.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Iterable, Mapping
from contextlib import AbstractAsyncContextManager, AbstractContextManager
from typing import Any, ParamSpec, Protocol, TypeVar, overload

from warmcache._core.state.cache_info import CacheInfo
from warmcache._core.state.records import Removal
from warmcache.caches.cache import Cache
from warmcache.keys import CallKey

from .loaders import Bindable

P = ParamSpec("P")
Q = ParamSpec("Q")
R = TypeVar("R")
V = TypeVar("V")
V_co = TypeVar("V_co", covariant=True)
S = TypeVar("S")


class _OfElements(Protocol[V_co]):
    """What a warm callable has whose elements have values of this type."""

    __wrapped__: Callable[..., Any]
    __name__: str
    __qualname__: str

    @property
    def cache(self) -> Cache[Any, Any]:
        """The cache that holds what it loads."""
        ...

    @overload
    def peek(self, *args: Any, default: S, **kwargs: Any) -> V_co | S: ...
    @overload
    def peek(self, *args: Any, **kwargs: Any) -> V_co | None: ...
    def peek(self, *args: Any, **kwargs: Any) -> Any:
        """Return the value of an element if it is warm, else ``default``; no use, no load."""
        ...

    def contains(self, *args: Any, **kwargs: Any) -> bool:
        """Whether the value of an element is warm; no use of it, and no load."""
        ...

    def cache_key(self, *args: Any, **kwargs: Any) -> CallKey:
        """Return the key of an element in :attr:`cache`."""
        ...

    def cache_info(self) -> CacheInfo:
        """Return hits, misses, maxsize and currsize, as functools.lru_cache's."""
        ...

    def cache_parameters(self) -> dict[str, Any]:
        """Return how it caches: maxsize, policy, ttl, idle_ttl, typed, cache, size, ..."""
        ...


class BatchWarm(_OfElements[V], Protocol[P, V]):
    """A warm function or method with ``batch=``, as type checkers see it.

    It is called with several elements, and returns a list of their values. All else is of one:
    ``encode.peek("a")``, ``encode.evict("a")``.
    """

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> list[V]: ...
    def lease(self, *args: Any, **kwargs: Any) -> AbstractContextManager[V]:
        """``with encode.lease("a") as value``: load one element if need be, and hold it."""
        ...

    def alease(self, *args: Any, **kwargs: Any) -> AbstractAsyncContextManager[V]:
        """``async with encode.alease("a") as value``: the same from async code."""
        ...

    def evict(self, *args: Any, **kwargs: Any) -> list[Removal]:
        """Let the value of an element go, if it is warm; return what was removed."""
        ...

    def forget(self, *args: Any, **kwargs: Any) -> bool:
        """Remove what lies on disk of an element, and what is warm; whether anything lay there."""
        ...

    def cache_clear(self, *, disk: bool = False) -> None:
        """Let everything go that it has warm, and start its counts anew; remove it from disk."""
        ...

    def many(self, calls: Iterable[tuple[Any, ...] | Mapping[str, Any]]) -> list[V]:
        """Return the values of calls of one element each, in their order, loaded together."""
        ...

    def warm_up(self, calls: Iterable[Any]) -> None:
        """Load several elements' values, one by one, in order."""
        ...

    @overload  # a class method
    def __get__(
        self: Bindable[type[S], Q, list[R]], instance: S | None, owner: type[S]
    ) -> BatchWarm[Q, R]: ...
    @overload  # through the class
    def __get__(self, instance: None, owner: type) -> BatchWarm[P, V]: ...
    @overload  # a method
    def __get__(
        self: Bindable[S, Q, list[R]], instance: S, owner: type | None = None
    ) -> BatchWarm[Q, R]: ...
    @overload  # a static method
    def __get__(self, instance: object, owner: type | None = None) -> BatchWarm[P, V]: ...


class AsyncBatchWarm(_OfElements[V], Protocol[P, V]):
    """A :class:`BatchWarm` that is ``async``."""

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> Coroutine[Any, Any, list[V]]: ...
    def lease(self, *args: Any, **kwargs: Any) -> AbstractAsyncContextManager[V]:
        """``async with encode.lease("a") as value``: load one element if need be, and hold it."""
        ...

    async def evict(self, *args: Any, **kwargs: Any) -> list[Removal]:
        """Let the value of an element go, if it is warm; return what was removed."""
        ...

    async def forget(self, *args: Any, **kwargs: Any) -> bool:
        """Remove what lies on disk of an element, and what is warm; whether anything lay there."""
        ...

    async def cache_clear(self, *, disk: bool = False) -> None:
        """Let everything go that it has warm, and start its counts anew; remove it from disk."""
        ...

    async def many(self, calls: Iterable[tuple[Any, ...] | Mapping[str, Any]]) -> list[V]:
        """Return the values of calls of one element each, in their order, loaded together."""
        ...

    async def warm_up(self, calls: Iterable[Any]) -> None:
        """Load several elements' values, one by one, in order."""
        ...

    @overload  # a class method
    def __get__(
        self: Bindable[type[S], Q, Coroutine[Any, Any, list[R]]],
        instance: S | None,
        owner: type[S],
    ) -> AsyncBatchWarm[Q, R]: ...
    @overload  # through the class
    def __get__(self, instance: None, owner: type) -> AsyncBatchWarm[P, V]: ...
    @overload  # a method
    def __get__(
        self: Bindable[S, Q, Coroutine[Any, Any, list[R]]],
        instance: S,
        owner: type | None = None,
    ) -> AsyncBatchWarm[Q, R]: ...
    @overload  # a static method
    def __get__(self, instance: object, owner: type | None = None) -> AsyncBatchWarm[P, V]: ...
