"""The options that every cache takes, and what of them has to be made sense of."""

from __future__ import annotations

import math
import os
from collections.abc import Callable
from operator import methodcaller
from typing import Any, TypeAlias, TypedDict

from warmcache._core.state.records import Removal
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
