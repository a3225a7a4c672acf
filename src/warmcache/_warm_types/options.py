"""The options of ``@warm``, as type checkers see them, with those of its cache."""

from __future__ import annotations

import os
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from typing import Any, Literal, TypedDict

from warmcache._sizes import SizeHint
from warmcache.caches.cache import Cache
from warmcache.caches.options import Teardown
from warmcache.policies.option_types import (
    CountedOptions,
    InMemory,
    Limit,
    OrderName,
    OrderOptions,
    WithinBudget,
)
from warmcache.tiers import Codec, DiskTier


class _OfAnyLoader(TypedDict, total=False):
    key: Callable[..., Hashable] | Mapping[str, Callable[[Any], Any] | None] | None
    typed: bool
    size: float | str | Callable[[Any], float | str] | None
    size_hint: SizeHint | None
    validate: Callable[[Any], object] | None
    validate_errors: type[Exception] | tuple[type[Exception], ...]
    loop_bound: bool
    per: str | Callable[[], object] | None
    tags: Iterable[str]
    version: Hashable
    disk: DiskTier | str | os.PathLike[str] | None
    codec: Codec | Literal["auto", "pickle"]
    name: str | None
    code: bool
    out_files: str | Iterable[str] | None
    persist: Literal["load", "evict"]


class _OfTheLoader(_OfAnyLoader, total=False):
    teardown_in: Literal["loop", "thread"] | None
    park: tuple[Callable[[Any], Any], Callable[[Any], Any]] | None
    batch: None


class BesideCache(_OfTheLoader, total=False):
    """What goes with ``cache=``, if it has its policy and its limit from elsewhere."""

    teardown: Teardown | None
    ttl: Any


class _Named(TypedDict, total=False):
    cache: str  # the name of what these options define


class Timed(_OfTheLoader, _Named, CountedOptions, total=False):
    """What goes with ``maxsize=``, but for ``ttl``."""


class Counted(Timed, total=False):
    """What goes with ``maxsize=``, whatever the policy is."""

    ttl: Any


class ByChance(Counted, total=False):
    """What goes with ``policy="rr"``."""

    choice: Callable[[Sequence[Any]], Any]


class Aging(Counted, total=False):
    """What goes with ``policy="gdsf"``."""

    keep_uses: bool


class Measured(_OfTheLoader, _Named, WithinBudget, total=False):
    """What goes with a budget of memory."""


class InBatches(_OfAnyLoader, CountedOptions, OrderOptions, total=False):
    """What goes with ``batch=``."""

    policy: type[Cache[Any, Any]] | OrderName | None
    cache: Cache[Any, Any] | str
    maxsize: Limit
    ttl: Any


class WithOrder(_OfTheLoader, _Named, InMemory, total=False):
    """What goes with the policies that mean a budget of memory, but for a device."""
