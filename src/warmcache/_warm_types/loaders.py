"""A warm loader, as type checkers see it: declared, and never run."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Iterable, Mapping
from contextlib import AbstractAsyncContextManager, AbstractContextManager
from typing import Any, ParamSpec, Protocol, TypeVar, overload

from warmcache._core.state.cache_info import CacheInfo
from warmcache._core.state.records import Removal
from warmcache.caches.cache import Cache
from warmcache.keys import CallKey
from warmcache.memory.caches import MemoryCache

P = ParamSpec("P")
Q = ParamSpec("Q")
R = TypeVar("R")
R_co = TypeVar("R_co", covariant=True)
S = TypeVar("S")
S_contra = TypeVar("S_contra", contravariant=True)


class _Common(Protocol[P, R_co]):
    """What a warm callable has, whatever it loads."""

    __wrapped__: Callable[..., Any]
    __name__: str
    __qualname__: str

    @property
    def cache(self) -> Cache[Any, Any]:
        """The cache that holds what it loads."""
        ...

    @overload
    def peek(self, *args: P.args, **kwargs: P.kwargs) -> R_co | None: ...
    @overload
    def peek(self, *args: Any, default: S, **kwargs: Any) -> R_co | S: ...
    def peek(self, *args: Any, **kwargs: Any) -> Any:
        """Return the value of this call if it is warm, else ``default``; no use, no load.

        ``default=`` is an argument of the loader's where that takes one of this name.
        """
        ...

    def contains(self, *args: P.args, **kwargs: P.kwargs) -> bool:
        """Whether the value of this call is warm; no use of it, and no load."""
        ...

    def cache_key(self, *args: P.args, **kwargs: P.kwargs) -> CallKey:
        """Return the key of this call in :attr:`cache`."""
        ...

    def cache_info(self) -> CacheInfo:
        """Return hits, misses, maxsize and currsize, as functools.lru_cache's."""
        ...

    def cache_parameters(self) -> dict[str, Any]:
        """Return how it caches: maxsize, policy, ttl, idle_ttl, typed, cache, size, ..."""
        ...


class Bindable(Protocol[S_contra, Q, R_co]):
    """What has a first parameter, which an instance or a class may be bound to."""

    def __call__(self, first: S_contra, /, *args: Q.args, **kwargs: Q.kwargs) -> R_co: ...


class _Gives(Protocol[R_co]):
    """What gives something when it is called, with whatever arguments."""

    def __call__(self, *args: Any, **kwargs: Any) -> R_co: ...


class Warm(_Common[P, R_co], Protocol[P, R_co]):
    """A warm function, method or generator function, as type checkers see it."""

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R_co: ...
    def lease(self, *args: P.args, **kwargs: P.kwargs) -> AbstractContextManager[R_co]:
        """``with load.lease(...) as value``: load if need be, and hold: no teardown inside.

        Raises:
            CapacityError: as it is entered: there is no room, or leases left none in time.
            ClosedError: the cache is closed.
            LoadCycleError: the load waits for itself.
            WarmMissError: it is not warm, and loading is forbidden here.
        """
        ...

    def alease(self, *args: P.args, **kwargs: P.kwargs) -> AbstractAsyncContextManager[R_co]:
        """``async with load.alease(...) as value``: the same from async code.

        The load runs in a thread, and so does what the lease's end tears down.
        """
        ...

    def evict(self, *args: P.args, **kwargs: P.kwargs) -> list[Removal]:
        """Tear down the value of this call, if it is warm; return what was removed."""
        ...

    def evict_all(self, *, tag: str | None = None) -> list[Removal]:
        """Tear down all that it has warm, if it has ``tag``; return what was removed."""
        ...

    def forget(self, *args: P.args, **kwargs: P.kwargs) -> bool:
        """Remove what lies on disk of this call, and what is warm; whether anything lay there."""
        ...

    def cache_clear(self, *, disk: bool = False) -> None:
        """Tear down everything that it has warm, and start its counts anew; remove it from disk."""
        ...

    def many(self: _Gives[R], calls: Iterable[tuple[Any, ...] | Mapping[str, Any]]) -> list[R]:
        """Return the values of several calls, in their order; of equal ones, only one is made.

        A call is a tuple of its arguments, or a mapping of keywords. Nothing is leased.
        """
        ...

    def warm_up(self, calls: Iterable[Any]) -> None:
        """Load several calls' values, each once, in order."""
        ...

    @overload  # a class method
    def __get__(
        self: Bindable[type[S], Q, R], instance: S | None, owner: type[S]
    ) -> Warm[Q, R]: ...
    @overload  # through the class
    def __get__(self, instance: None, owner: type) -> Warm[P, R_co]: ...
    @overload  # a method
    def __get__(self: Bindable[S, Q, R], instance: S, owner: type | None = None) -> Warm[Q, R]: ...
    @overload  # a static method
    def __get__(self, instance: object, owner: type | None = None) -> Warm[P, R_co]: ...


class AsyncWarm(_Common[P, R_co], Protocol[P, R_co]):
    """A warm ``async`` function, method or generator function, as type checkers see it."""

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> Coroutine[Any, Any, R_co]: ...
    def lease(self, *args: P.args, **kwargs: P.kwargs) -> AbstractAsyncContextManager[R_co]:
        """``async with load.lease(...) as value``: load if need be, and hold."""
        ...

    async def evict(self, *args: P.args, **kwargs: P.kwargs) -> list[Removal]:
        """Tear down the value of this call, if it is warm; return what was removed."""
        ...

    async def evict_all(self, *, tag: str | None = None) -> list[Removal]:
        """Tear down all that it has warm, if it has ``tag``; return what was removed."""
        ...

    async def forget(self, *args: P.args, **kwargs: P.kwargs) -> bool:
        """Remove what lies on disk of this call, and what is warm; whether anything lay there."""
        ...

    async def cache_clear(self, *, disk: bool = False) -> None:
        """Tear down everything that it has warm, and start its counts anew; remove it from disk."""
        ...

    async def many(
        self: _Gives[Coroutine[Any, Any, R]],
        calls: Iterable[tuple[Any, ...] | Mapping[str, Any]],
    ) -> list[R]:
        """Return the values of several calls, in their order; of equal ones, only one is made."""
        ...

    async def warm_up(self, calls: Iterable[Any]) -> None:
        """Load several calls' values, each once, in order."""
        ...

    @overload  # a class method
    def __get__(
        self: Bindable[type[S], Q, Coroutine[Any, Any, R]], instance: S | None, owner: type[S]
    ) -> AsyncWarm[Q, R]: ...
    @overload  # through the class
    def __get__(self, instance: None, owner: type) -> AsyncWarm[P, R_co]: ...
    @overload  # a method
    def __get__(
        self: Bindable[S, Q, Coroutine[Any, Any, R]], instance: S, owner: type | None = None
    ) -> AsyncWarm[Q, R]: ...
    @overload  # a static method
    def __get__(self, instance: object, owner: type | None = None) -> AsyncWarm[P, R_co]: ...


class MemoryWarm(Warm[P, R_co], Protocol[P, R_co]):
    """A :class:`Warm` whose cache is a :class:`MemoryCache`: it has a budget."""

    @property
    def cache(self) -> MemoryCache[Any, Any]:
        """The cache that holds what it loads."""
        ...

    @overload  # a class method
    def __get__(
        self: Bindable[type[S], Q, R], instance: S | None, owner: type[S]
    ) -> MemoryWarm[Q, R]: ...
    @overload  # through the class
    def __get__(self, instance: None, owner: type) -> MemoryWarm[P, R_co]: ...
    @overload  # a method
    def __get__(
        self: Bindable[S, Q, R], instance: S, owner: type | None = None
    ) -> MemoryWarm[Q, R]: ...
    @overload  # a static method
    def __get__(  # pyright: ignore[reportIncompatibleMethodOverride]
        self, instance: object, owner: type | None = None
    ) -> MemoryWarm[P, R_co]: ...


class AsyncMemoryWarm(AsyncWarm[P, R_co], Protocol[P, R_co]):
    """An :class:`AsyncWarm` whose cache is a :class:`MemoryCache`."""

    @property
    def cache(self) -> MemoryCache[Any, Any]:
        """The cache that holds what it loads."""
        ...

    @overload  # a class method
    def __get__(
        self: Bindable[type[S], Q, Coroutine[Any, Any, R]], instance: S | None, owner: type[S]
    ) -> AsyncMemoryWarm[Q, R]: ...
    @overload  # through the class
    def __get__(self, instance: None, owner: type) -> AsyncMemoryWarm[P, R_co]: ...
    @overload  # a method
    def __get__(
        self: Bindable[S, Q, Coroutine[Any, Any, R]], instance: S, owner: type | None = None
    ) -> AsyncMemoryWarm[Q, R]: ...
    @overload  # a static method
    def __get__(  # pyright: ignore[reportIncompatibleMethodOverride]
        self, instance: object, owner: type | None = None
    ) -> AsyncMemoryWarm[P, R_co]: ...
