"""Caches whose entries end at a time."""

from __future__ import annotations

import time
from collections.abc import Callable, Hashable
from typing import Any, TypeVar, Unpack, overload

from warmcache._core.drivers.threads import run
from warmcache._core.plans import remove
from warmcache._core.state.entry import Entry
from warmcache._core.state.records import RemovalCause

from .cache import MISSING, Cache
from .frozen_clock import Timer
from .options import CacheOptions

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")
T = TypeVar("T")


class _TimedCache(Cache[K, V]):
    """LRU with times to live; one operation sees one time."""

    _timed = True

    def _new_timer(self) -> Timer:
        return Timer(self._setup.timer)

    def rank(self, entry: Entry) -> int:
        return entry.used

    @property
    def timer(self) -> Timer:
        """The clock; ``with cache.timer as now`` freezes it for this thread."""
        return self._timer  # type: ignore[return-value]

    def __getitem__(self, key: K) -> V:
        with self.timer:
            return super().__getitem__(key)

    def __setitem__(self, key: K, value: V) -> None:
        with self.timer:
            super().__setitem__(key, value)

    def __delitem__(self, key: K) -> None:
        with self.timer:
            super().__delitem__(key)

    @overload
    def get(self, key: K, default: None = None) -> V | None: ...
    @overload
    def get(self, key: K, default: V | T) -> V | T: ...
    def get(self, key: K, default: Any = None) -> Any:
        with self.timer:
            return super().get(key, default)

    @overload
    def pop(self, key: K) -> V: ...
    @overload
    def pop(self, key: K, default: V | T) -> V | T: ...
    def pop(self, key: K, default: Any = MISSING) -> Any:
        with self.timer:
            return super().pop(key, default)

    def popitem(self) -> tuple[K, V]:
        with self.timer:
            return super().popitem()

    def setdefault(self, key: K, default: V | None = None) -> Any:
        with self.timer:
            return super().setdefault(key, default)

    def __repr__(self) -> str:
        with self.timer:
            return super().__repr__()


class TTLCache(_TimedCache[K, V]):
    """LRU whose entries end ``ttl`` after they were stored, touched or not.

    ``ttl`` is in the units of ``timer``: seconds, unless you bring your own clock.
    """

    def __init__(
        self,
        maxsize: float | str | None,
        ttl: Any,
        timer: Callable[[], Any] = time.monotonic,
        getsizeof: Callable[[V], float] | None = None,
        **options: Unpack[CacheOptions],
    ) -> None:
        self._ttl = ttl
        super().__init__(maxsize, getsizeof, timer=timer, **options)

    @property
    def ttl(self) -> Any:
        """How long entries live."""
        return self._ttl

    def _expires(self, key: K, value: V, now: Any) -> Any:
        return now + self._ttl


class TLRUCache(_TimedCache[K, V]):
    """LRU whose entries end at ``ttu(key, value, now)``, each at its own time.

    Storing a value that has ended already removes what was there and stores nothing.
    """

    def __init__(
        self,
        maxsize: float | str | None,
        ttu: Callable[[K, V, Any], Any],
        timer: Callable[[], Any] = time.monotonic,
        getsizeof: Callable[[V], float] | None = None,
        **options: Unpack[CacheOptions],
    ) -> None:
        self._ttu = ttu
        super().__init__(maxsize, getsizeof, timer=timer, **options)

    @property
    def ttu(self) -> Callable[[K, V, Any], Any]:
        """The function that says when an entry ends."""
        return self._ttu

    def _expires(self, key: K, value: V, now: Any) -> Any:
        expires = self._ttu(key, value, now)
        now < expires  # noqa: B015  # what is no time is refused before anything is stored
        return expires

    def _stillborn(self, entry: Entry, now: Any) -> bool:
        if now < entry.expires:
            return False
        run(remove.by_key(self._view, entry.key, cause=RemovalCause.REPLACED), self._view)
        return True
