"""The options of ``@warm``, as type checkers see them, with those of its cache."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from typing import Any, TypedDict

from warmcache._sizes import SizeHint
from warmcache.caches.cache import Cache
from warmcache.caches.options import Teardown
from warmcache.policies.option_types import (
    CountedOptions,
    MeasuredOptions,
    OrderName,
    OrderOptions,
)
from warmcache.probes.probe import Probe


class _OfTheLoader(TypedDict, total=False):
    key: Callable[..., Hashable] | Mapping[str, Callable[[Any], Any] | None] | None
    typed: bool
    size: float | str | Callable[[Any], float | str] | None
    size_hint: SizeHint | None
    validate: Callable[[Any], object] | None
    validate_errors: type[Exception] | tuple[type[Exception], ...]
    tags: Iterable[str]
    version: Hashable


class BesideCache(_OfTheLoader, total=False):
    """What goes with ``cache=``, which has its own policy and its own limit."""

    teardown: Teardown | None
    ttl: Any


class Timed(_OfTheLoader, CountedOptions, total=False):
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


class Measured(_OfTheLoader, MeasuredOptions, OrderOptions, total=False):
    """What goes with a budget of memory."""

    getsizeof: Callable[[Any], float] | None
    probe: Probe


class WithOrder(Measured, total=False):
    """What goes with the policies that mean a budget of memory."""

    budget: float | str | None
    order: type[Cache[Any, Any]] | OrderName
