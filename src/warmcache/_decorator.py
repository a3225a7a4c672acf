"""The ``warm`` decorator itself, and the types of what it returns."""

from __future__ import annotations

from collections.abc import (
    AsyncGenerator,
    AsyncIterator,
    Callable,
    Coroutine,
    Generator,
    Hashable,
    Iterable,
    Iterator,
    Mapping,
)
from contextlib import AbstractAsyncContextManager, AbstractContextManager
from typing import IO, Any, ParamSpec, Protocol, TypeVar, overload

from ._core.state.records import CacheInfo, Removal
from ._decorate import decorate
from ._sizes import SizeHint
from .caches.cache import Cache
from .keys import CallKey

P = ParamSpec("P")
Q = ParamSpec("Q")
R = TypeVar("R")
R_co = TypeVar("R_co", covariant=True)
S = TypeVar("S")
S_contra = TypeVar("S_contra", contravariant=True)
F = TypeVar("F", bound=IO[Any])
C = TypeVar("C", bound=type)

_Key = Callable[..., Hashable] | Mapping[str, Callable[[Any], Any] | None]
_Size = float | str | Callable[[Any], float | str]


class _Common(Protocol[P]):
    """What a warm callable has, whatever it loads."""

    __wrapped__: Callable[..., Any]
    __name__: str
    __qualname__: str

    @property
    def cache(self) -> Cache[Any, Any]:
        """The cache that holds what it loads."""
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
        """Return how it caches: maxsize, typed, cache, size, tags and version."""
        ...


class _Call(Protocol[S_contra, Q, R_co]):
    """What has a first parameter, which an instance or a class may be bound to."""

    def __call__(self, first: S_contra, /, *args: Q.args, **kwargs: Q.kwargs) -> R_co: ...


class _AsyncCall(Protocol[S_contra, Q, R_co]):
    """The same, to be awaited."""

    def __call__(
        self, first: S_contra, /, *args: Q.args, **kwargs: Q.kwargs
    ) -> Coroutine[Any, Any, R_co]: ...


class Warm(_Common[P], Protocol[P, R_co]):
    """A warm function, method or generator function, as type checkers see it."""

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R_co: ...
    def lease(self, *args: P.args, **kwargs: P.kwargs) -> AbstractContextManager[R_co]:
        """``with load.lease(...) as value``: load if need be, and hold: no teardown inside."""
        ...

    def peek(self, *args: P.args, **kwargs: P.kwargs) -> R_co | None:
        """Return the value of this call if it is warm, else None; no use, no load."""
        ...

    def evict(self, *args: P.args, **kwargs: P.kwargs) -> list[Removal]:
        """Tear down the value of this call, if it is warm; return what was removed."""
        ...

    def cache_clear(self) -> None:
        """Tear down everything that it has warm, and start its counts anew."""
        ...

    def warm_up(self, calls: Iterable[Any]) -> None:
        """Load several calls' values, each once, in order."""
        ...

    @overload  # a class method
    def __get__(self: _Call[type[S], Q, R], instance: S | None, owner: type[S]) -> Warm[Q, R]: ...
    @overload  # through the class
    def __get__(self, instance: None, owner: type) -> Warm[P, R_co]: ...
    @overload  # a method
    def __get__(self: _Call[S, Q, R], instance: S, owner: type | None = None) -> Warm[Q, R]: ...
    @overload  # a static method
    def __get__(self, instance: object, owner: type | None = None) -> Warm[P, R_co]: ...


class AsyncWarm(_Common[P], Protocol[P, R_co]):
    """A warm ``async`` function, method or generator function, as type checkers see it."""

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> Coroutine[Any, Any, R_co]: ...
    def lease(self, *args: P.args, **kwargs: P.kwargs) -> AbstractAsyncContextManager[R_co]:
        """``async with load.lease(...) as value``: load if need be, and hold."""
        ...

    def peek(self, *args: P.args, **kwargs: P.kwargs) -> R_co | None:
        """Return the value of this call if it is warm, else None; no use, no load."""
        ...

    async def evict(self, *args: P.args, **kwargs: P.kwargs) -> list[Removal]:
        """Tear down the value of this call, if it is warm; return what was removed."""
        ...

    async def cache_clear(self) -> None:
        """Tear down everything that it has warm, and start its counts anew."""
        ...

    async def warm_up(self, calls: Iterable[Any]) -> None:
        """Load several calls' values, each once, in order."""
        ...

    @overload  # a class method
    def __get__(
        self: _AsyncCall[type[S], Q, R], instance: S | None, owner: type[S]
    ) -> AsyncWarm[Q, R]: ...
    @overload  # through the class
    def __get__(self, instance: None, owner: type) -> AsyncWarm[P, R_co]: ...
    @overload  # a method
    def __get__(
        self: _AsyncCall[S, Q, R], instance: S, owner: type | None = None
    ) -> AsyncWarm[Q, R]: ...
    @overload  # a static method
    def __get__(self, instance: object, owner: type | None = None) -> AsyncWarm[P, R_co]: ...


class _Decorator(Protocol):
    """What ``warm(...)`` with options returns."""

    @overload
    def __call__(self, target: C) -> C: ...  # type: ignore[overload-overlap]
    @overload
    def __call__(self, target: Callable[P, AsyncGenerator[R, Any]]) -> AsyncWarm[P, R]: ...  # type: ignore[overload-overlap]
    @overload
    def __call__(self, target: Callable[P, AsyncIterator[R]]) -> AsyncWarm[P, R]: ...  # type: ignore[overload-overlap]
    @overload
    def __call__(self, target: Callable[P, Coroutine[Any, Any, R]]) -> AsyncWarm[P, R]: ...  # type: ignore[overload-overlap]
    @overload
    def __call__(self, target: Callable[P, Generator[R, Any, Any]]) -> Warm[P, R]: ...
    @overload
    def __call__(self, target: Callable[P, F]) -> Warm[P, F]: ...  # a file is an iterator
    @overload
    def __call__(self, target: Callable[P, Iterator[R]]) -> Warm[P, R]: ...
    @overload
    def __call__(self, target: Callable[P, R]) -> Warm[P, R]: ...


@overload
def warm(target: C, /) -> C: ...  # type: ignore[overload-overlap]
@overload
def warm(target: Callable[P, AsyncGenerator[R, Any]], /) -> AsyncWarm[P, R]: ...  # type: ignore[overload-overlap]
@overload
def warm(target: Callable[P, AsyncIterator[R]], /) -> AsyncWarm[P, R]: ...  # type: ignore[overload-overlap]
@overload
def warm(target: Callable[P, Coroutine[Any, Any, R]], /) -> AsyncWarm[P, R]: ...  # type: ignore[overload-overlap]
@overload
def warm(target: Callable[P, Generator[R, Any, Any]], /) -> Warm[P, R]: ...
@overload
def warm(target: Callable[P, F], /) -> Warm[P, F]: ...  # a file is an iterator
@overload
def warm(target: Callable[P, Iterator[R]], /) -> Warm[P, R]: ...
@overload
def warm(target: Callable[P, R], /) -> Warm[P, R]: ...
@overload
def warm(
    *,
    policy: str | None = None,
    cache: Cache[Any, Any] | str | None = None,
    teardown: Callable[[Any], object] | str | None = None,
    key: _Key | None = None,
    typed: bool = False,
    size: _Size | None = None,
    size_hint: SizeHint | None = None,
    validate: Callable[[Any], object] | None = None,
    tags: Iterable[str] = (),
    version: Hashable = None,
    **options: Any,
) -> _Decorator: ...
def warm(
    target: Any = None, /, *, policy: str | None = None, cache: Any = None, **options: Any
) -> Any:
    """Keep what a loader returns warm, and let it go properly.

    Over a function, ``async`` function, generator function (what follows the
    ``yield`` is the teardown), method, class method, static method or class. Put it
    on top of other decorators. Bare, it means ``policy="lru", maxsize=128``.

    Args:
        policy: the policy's name, see :mod:`warmcache.policies`; its options follow:
            ``maxsize``, ``ttl``, ``idle_ttl``, ``on_removal``, ``reclaim``, ``wait``
            (how many seconds a load waits for room that leases hold: 60), ...
        cache: instead of a policy, a cache to share, or the name of one that
            :func:`warmcache.cache` defined.
        teardown: destroys a value: a callable taking it, or its method's name. The
            cache's own teardown is used when the loader has none.
        key: what makes the key instead of all arguments: a callable taking the
            call's arguments, or a mapping of arguments to callables that say what
            stands for them (None: nothing does).
        typed: whether arguments of different types are different though equal.
        size: a value's weight in the units of ``maxsize``: a number or a text such as
            ``"3GiB"``, which is reserved before the load, or a callable asked with the
            value after it.
        size_hint: bytes to reserve for the first load of a key where only the value can
            tell its size: a number, a text, a path (what its file or folder takes), or a
            callable taking the loader's arguments and returning one of these.
        validate: asked with a warm value before each use; a false answer means that
            it is torn down and loaded again.
        tags: texts that the entries carry.
        version: part of every key: raise it and nothing loaded before is found.

    Returns:
        The decorated callable, with ``lease``, ``evict``, ``peek``, ``contains``,
        ``warm_up``, ``cache``, ``cache_key``, ``cache_info``, ``cache_clear`` and
        ``cache_parameters``.

    Raises:
        TypeError: an unknown option, or one that does not go with another.
        ValueError: an unknown policy or cache, or a bad value.
    """
    if target is None:
        return lambda target: decorate(target, policy, cache, dict(options))
    if policy is not None or cache is not None or options:
        raise TypeError("warm() takes options by name, and then the loader: @warm(policy=...)")
    return decorate(target, None, None, {})
