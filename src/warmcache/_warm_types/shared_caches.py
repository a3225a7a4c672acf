"""``warmcache.cache``, as type checkers see it."""

from __future__ import annotations

from typing import Any, Protocol, TypeVar, Unpack, overload

from warmcache.caches.cache import Cache
from warmcache.memory.caches import MemoryCache
from warmcache.policies.option_types import (
    Counted,
    InMemory,
    Limit,
    MemoryName,
    OrderName,
    WithinBudget,
)
from warmcache.probes.cuda_numbering import DeviceName

C = TypeVar("C", bound=Cache[Any, Any])


class NamedCache(Protocol):
    """The type of ``warmcache.cache``."""

    @overload  # one that is defined elsewhere
    def __call__(self, name: str) -> Cache[Any, Any]: ...
    @overload
    def __call__(
        self, name: str, policy: OrderName = "lru", *, maxsize: Limit, **options: Unpack[Counted]
    ) -> Cache[Any, Any]: ...
    @overload
    def __call__(
        self,
        name: str,
        policy: MemoryName,
        *,
        device: DeviceName = ...,
        **options: Unpack[InMemory],
    ) -> MemoryCache[Any, Any]: ...
    @overload
    def __call__(
        self,
        name: str,
        policy: OrderName = "lru",
        *,
        budget: Limit,
        device: DeviceName = ...,
        **options: Unpack[WithinBudget],
    ) -> MemoryCache[Any, Any]: ...
    @overload
    def __call__(
        self,
        name: str,
        policy: OrderName = "lru",
        *,
        device: DeviceName,
        **options: Unpack[WithinBudget],
    ) -> MemoryCache[Any, Any]: ...
    @overload
    def __call__(self, name: str, policy: type[C], **options: Any) -> C: ...
