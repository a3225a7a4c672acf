"""The options that every cache takes, and the set-up that is made of them."""

from __future__ import annotations

import math
import os
from collections.abc import Callable
from operator import methodcaller
from typing import Any, NamedTuple, TypeAlias, TypedDict

from warmcache._core.state.records import Removal
from warmcache._signatures import not_async
from warmcache._sizes import parse_size

Teardown: TypeAlias = Callable[[Any], object] | str


class CacheOptions(TypedDict, total=False):
    """The options that every cache takes besides its policy's own."""

    teardown: Teardown | None
    reclaim: Callable[[], object] | None
    on_removal: Callable[[Removal], object] | None
    idle_ttl: float | None
    wait: float
    record: str | os.PathLike[str] | None


class Setup(NamedTuple):
    """What a cache was told, checked: all that a copy of it needs besides the entries.

    What a policy is told besides, ``ttl`` or ``choice``, is the attributes of its caches.
    """

    timer: Callable[[], Any]
    teardown: Callable[[Any], object] | None
    reclaim: Callable[[], object] | None
    on_removal: Callable[[Removal], object] | None
    idle_ttl: float | None
    wait: float

    @classmethod
    def of(
        cls,
        timer: Callable[[], Any],
        *,
        teardown: Teardown | None = None,
        reclaim: Callable[[], object] | None = None,
        on_removal: Callable[[Removal], object] | None = None,
        idle_ttl: float | None = None,
        wait: float = 60.0,
        record: object = None,
    ) -> Setup:
        """Return the set-up that the options of a cache mean.

        ``record`` is no part of it: of two caches, only one can write to a file.

        Raises:
            TypeError: ``teardown`` is neither callable nor a text.
            ValueError: ``idle_ttl`` or ``wait`` is negative, or ``teardown`` is no name.
        """
        not_async("timer", timer)
        not_async("reclaim", reclaim)
        not_async("on_removal", on_removal, "have it start a task, or put the removal in a queue")
        if idle_ttl is not None and not idle_ttl > 0:
            raise ValueError(f"idle_ttl must be positive, got {idle_ttl!r}")
        if not wait >= 0:
            raise ValueError(f"wait must not be negative, got {wait!r}")
        return cls(timer, as_teardown(teardown), reclaim, on_removal, idle_ttl, wait)


def as_teardown(teardown: Teardown | None) -> Callable[[Any], object] | None:
    """Return ``teardown`` as a callable; a text names the value's method to call."""
    if isinstance(teardown, str):
        if not teardown.isidentifier():
            raise ValueError(f"teardown must name a method, got {teardown!r}")
        return methodcaller(teardown)
    if teardown is not None and not callable(teardown):
        raise TypeError(f"teardown must be callable or a method's name, got {teardown!r}")
    return teardown


def as_limit(maxsize: float | str | None) -> float:
    """Return ``maxsize`` as a number; None means that there is no limit."""
    if maxsize is None:
        return math.inf
    if not isinstance(maxsize, (int, float, str)):
        raise TypeError(f"maxsize must be a number, a text such as '6GiB' or None, got {maxsize!r}")
    try:
        return parse_size(maxsize)
    except ValueError as error:
        raise ValueError(f"maxsize: {error}") from None
