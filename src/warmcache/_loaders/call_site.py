"""Where calls of a loader come from."""

from __future__ import annotations

import weakref
from collections.abc import Callable
from typing import Any

from warmcache._core.state.hot_paths import HotEntries


class CallSite:
    """Where calls come from: a function, or one instance that a method is bound to.

    An instance is referenced weakly; when it dies, what it loaded is torn down.
    """

    __slots__ = ("__weakref__", "hot", "instance")

    def __init__(
        self, instance: Any = None, died: Callable[[CallSite], None] | None = None
    ) -> None:
        self.hot = HotEntries()
        self.instance: Callable[[], Any] | None = None
        if died is not None:
            self.bind(instance, died)

    def bind(self, instance: Any, died: Callable[[CallSite], None]) -> None:
        """Be that of ``instance``, until it dies, and of no other any more."""
        self.instance = weakref.ref(instance, lambda _: died(self))

    def __repr__(self) -> str:
        instance = self.instance() if self.instance is not None else None
        return "<dead instance>" if instance is None else f"<{type(instance).__name__}>"
