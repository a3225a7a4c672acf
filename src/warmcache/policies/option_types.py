"""What type checkers are told of the options of policies: those of each name, and of each limit.

The names here are those that warmcache brings. Somebody's own policy is given as its class, or
as ``policies.registry["its-name"]``, so that a name that is misspelled is an error before
anything runs.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from os import PathLike
from typing import (
    TYPE_CHECKING,
    Any,
    Literal,
    Protocol,
    TypeAlias,
    TypedDict,
    TypeVar,
    Unpack,
    overload,
)

from warmcache.caches.cache import Cache
from warmcache.caches.options import CacheOptions, CommonOptions
from warmcache.probes.cuda_numbering import DeviceName
from warmcache.probes.probe import Probe

if TYPE_CHECKING:
    from warmcache.tiers.host_tier import HostTier

C = TypeVar("C", bound=Cache[Any, Any])

# Those that have no options of their own, all that a budget can be combined with, and those
# whose caches have one in any case.
PlainName: TypeAlias = Literal["lru", "lfu", "fifo", "cost"]
OrderName: TypeAlias = Literal[PlainName, "rr", "ttl", "tlru", "gdsf"]
MemoryName: TypeAlias = Literal["gpu", "ram", "auto"]

Limit: TypeAlias = float | str | None


class CountedOptions(CommonOptions, total=False):
    """What a cache of a ``maxsize`` takes, but for ``ttl``, which some must be given."""

    getsizeof: Callable[[Any], float] | None
    timer: Callable[[], Any]


class MeasuredOptions(CacheOptions, total=False):
    """What a cache within a budget of memory takes, whoever goes first in it."""

    headroom: float | str | None
    high: float
    low: float
    poll: float
    min_residency: float | None
    floor: float | str | None
    node: bool | str | os.PathLike[str] | None
    host: HostTier | float | str | None
    confirm: float
    learn: str | PathLike[str] | None
    timer: Callable[[], Any]


class OrderOptions(TypedDict, total=False):
    """What the orders take that entries may go in within a budget, each of them its own."""

    choice: Callable[[Sequence[Any]], Any]
    ttu: Callable[[Any, Any, Any], Any]
    keep_uses: bool


class Counted(CountedOptions, OrderOptions, total=False):
    """What ``create`` takes beside a ``maxsize``."""

    ttl: Any


class _InMemory(MeasuredOptions, OrderOptions, total=False):
    getsizeof: Callable[[Any], float] | None
    probe: Probe


class WithinBudget(_InMemory, total=False):
    """What ``create`` takes beside a ``budget`` or a ``device``."""

    footprint: Callable[[Any], Any]  # these two only with a ``probe``
    give_back: Callable[[], object]


class InMemory(_InMemory, total=False):
    """What ``create`` takes for the policies that mean a budget of memory, but for a device."""

    budget: Limit
    order: type[Cache[Any, Any]] | OrderName


class Create(Protocol):
    """The type of ``policies.create``, which cannot name the memory caches: they are above it."""

    @overload
    def __call__(
        self, policy: OrderName, /, *, maxsize: Limit, **options: Unpack[Counted]
    ) -> Cache[Any, Any]: ...
    @overload
    def __call__(
        self, policy: MemoryName, /, *, device: DeviceName = ..., **options: Unpack[InMemory]
    ) -> Any: ...
    @overload
    def __call__(
        self,
        policy: OrderName,
        /,
        *,
        budget: Limit,
        device: DeviceName = ...,
        **options: Unpack[WithinBudget],
    ) -> Any: ...
    @overload
    def __call__(
        self, policy: OrderName, /, *, device: DeviceName, **options: Unpack[WithinBudget]
    ) -> Any: ...
    @overload
    def __call__(self, policy: type[C], /, **options: Any) -> C: ...
