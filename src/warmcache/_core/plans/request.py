"""What one call of a loader asks for."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import Any, NamedTuple

from warmcache._core.state.entry import Source
from warmcache._core.state.hot_paths import HotEntries


class Request(NamedTuple):
    """What one call of a loader asks for.

    ``weight`` is None when only the value can tell; then ``weigh`` is asked, after the
    load, for which ``hint`` was reserved if there is one. ``sized`` says that somebody
    said how to weigh.
    """

    key: Hashable
    source: Source
    load: Callable[[], Any]
    weight: float | None
    hint: float | None
    weigh: Callable[[Any], Any]
    sized: bool
    expires: Callable[[Hashable, Any, Any], Any] | None
    validate: Callable[[Any], object] | None
    hot: HotEntries | None
    hot_key: Any
    may_load: bool
