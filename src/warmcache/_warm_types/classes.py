"""A warm class, as type checkers see it."""

from __future__ import annotations

from abc import ABCMeta
from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractAsyncContextManager, AbstractContextManager
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar, overload

from warmcache._core.state.cache_info import CacheInfo
from warmcache._core.state.records import Removal
from warmcache.keys import CallKey

P = ParamSpec("P")
T = TypeVar("T")
D = TypeVar("D")

if TYPE_CHECKING:

    class _Warm(ABCMeta):  # so that it goes with abstract classes too
        """What a warm class has and its instances do not."""

        @property
        def cache(cls) -> Any:  # of which kind, its decorator says, and nobody hears
            """The cache that holds the instances."""
            ...

        def lease(
            cls: Callable[P, T], *args: P.args, **kwargs: P.kwargs
        ) -> AbstractContextManager[T]:
            """``with Model.lease(...) as model``: make one if need be, and hold it."""
            ...

        def alease(
            cls: Callable[P, T], *args: P.args, **kwargs: P.kwargs
        ) -> AbstractAsyncContextManager[T]:
            """``async with Model.alease(...) as model``: the same from async code."""
            ...

        @overload
        def peek(cls: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T | None: ...
        @overload
        def peek(cls: Callable[..., T], *args: Any, default: D, **kwargs: Any) -> T | D: ...  # type: ignore[overload-cannot-match]
        def peek(cls, *args: Any, **kwargs: Any) -> Any:
            """Return the instance of this call if it is warm, else ``default``."""
            ...

        def contains(cls: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> bool:
            """Whether the instance of this call is warm; no use of it, and no load."""
            ...

        def evict(cls: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> list[Removal]:
            """Tear down the instance of this call, if it is warm; return what was removed."""
            ...

        def evict_all(cls, *, tag: str | None = None) -> list[Removal]:
            """Tear down all that are warm, if they have ``tag``; return what was removed."""
            ...

        def forget(cls: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> bool:
            """Remove what lies on disk of this call, and what is warm; whether it lay there."""
            ...

        def cache_key(cls: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> CallKey:
            """Return the key of this call in :attr:`cache`."""
            ...

        def cache_info(cls) -> CacheInfo:
            """Return hits, misses, maxsize and currsize, as functools.lru_cache's."""
            ...

        def cache_parameters(cls) -> dict[str, Any]:
            """Return how it caches: maxsize, policy, ttl, idle_ttl, typed, cache, size, ..."""
            ...

        def cache_clear(cls, *, disk: bool = False) -> None:
            """Tear down all that are warm, and start its counts anew; remove them from disk."""
            ...

        def many(
            cls: Callable[P, T], calls: Iterable[tuple[Any, ...] | Mapping[str, Any]]
        ) -> list[T]:
            """Return the instances of several calls, in their order; of equal ones one is made."""
            ...

        def warm_up(cls, calls: Iterable[Any]) -> None:
            """Make several calls' instances, each once, in order."""
            ...

    class WarmClass(metaclass=_Warm):
        """A base for classes under ``@warm``, which tells type checkers what such a class has."""

else:

    class WarmClass:
        """A base for classes under ``@warm``, which tells type checkers what such a class has.

        For a decorator cannot tell them: mypy takes a decorated class for what it was, and where
        pyright does not, the class is no type any more. So ``Model.lease(...)`` and the like are
        known to them of a subclass of this::

            @warm(policy="lru", maxsize=2)
            class Model(WarmClass):
                def __init__(self, name: str) -> None: ...

        It has no attributes, and ``@warm`` does without it.
        """

        __slots__ = ()
