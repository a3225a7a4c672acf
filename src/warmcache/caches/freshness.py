"""Whether a hit may still have an entry, in a cache whose entries end."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from warmcache._core.state.entry import Entry
from warmcache._core.state.store import Store


class Freshness:
    """What hits ask of a cache whose entries end. Pickled with a hit path, it is empty."""

    __slots__ = ("_store", "_timer")

    def __init__(self, store: Store | None = None, timer: Callable[[], Any] | None = None) -> None:
        self._store: Any = store
        self._timer: Any = timer

    def check(self, entry: Entry) -> bool:
        """Whether a hit may still have ``entry``; the use is dated if so."""
        now = self._timer()
        if self._store.ended(entry, now):
            return False
        entry.seen_at = now
        return True

    def __reduce__(self) -> Any:
        return Freshness, ()
