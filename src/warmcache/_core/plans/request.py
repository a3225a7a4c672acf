"""What one call of a loader asks for."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import Any

from warmcache._core.state.entry import Source
from warmcache._core.state.hot_paths import HotEntries


class Request:
    """What one call of a loader asks for.

    ``weight`` is None when only the value can tell; then ``weigh`` is asked, after the
    load, for which ``hint`` was reserved if there is one. ``sized`` says that somebody
    said how to weigh.
    """

    __slots__ = (
        "expires",
        "hint",
        "hot",
        "hot_key",
        "key",
        "load",
        "may_load",
        "sized",
        "source",
        "validate",
        "weigh",
        "weight",
    )

    def __init__(
        self,
        key: Hashable,
        source: Source,
        load: Callable[[], Any],
        *,
        weight: float | None,
        hint: float | None,
        weigh: Callable[[Any], Any],
        sized: bool,
        expires: Callable[[Hashable, Any, Any], Any] | None,
        validate: Callable[[Any], object] | None,
        hot: HotEntries | None,
        hot_key: Any,
        may_load: bool,
    ) -> None:
        self.key = key
        self.source = source
        self.load = load
        self.weight = weight
        self.hint = hint
        self.weigh = weigh
        self.sized = sized
        self.expires = expires
        self.validate = validate
        self.hot = hot
        self.hot_key = hot_key
        self.may_load = may_load
