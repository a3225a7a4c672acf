"""Caches whose entries end at a time."""

from __future__ import annotations

import time
from collections.abc import Callable, Hashable, Iterator
from copy import copy
from typing import Any, TypeVar, Unpack, overload

from warmcache._core.state.entry import Entry
from warmcache._core.state.records import RemovalCause

from .cache import Cache
from .frozen_clock import Timer
from .mapping import _MISSING
from .options import CacheOptions

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")
T = TypeVar("T")


class _TimedCache(Cache[K, V]):
    """LRU with times to live; one operation sees one time."""

    def __init__(
        self,
        maxsize: float | str | None,
        timer: Callable[[], Any],
        getsizeof: Callable[[V], float] | None,
        options: CacheOptions,
    ) -> None:
        self._frozen = Timer(timer)
        self._setup(maxsize, getsizeof, self._frozen, **options)

    _timed = True

    def __setstate__(self, state: dict[str, Any]) -> None:
        state["_frozen"] = state["_timer"] = copy(state["_frozen"])
        super().__setstate__(state)

    def rank(self, entry: Entry) -> int:
        return entry.used

    @property
    def timer(self) -> Timer:
        """The clock; ``with cache.timer as now`` freezes it for this thread."""
        return self._frozen

    def __getitem__(self, key: K) -> V:
        with self._frozen:
            return super().__getitem__(key)

    def __setitem__(self, key: K, value: V) -> None:
        with self._frozen:
            super().__setitem__(key, value)

    def __delitem__(self, key: K) -> None:
        with self._frozen:
            super().__delitem__(key)

    def __iter__(self) -> Iterator[K]:
        return super().__iter__()

    @overload
    def get(self, key: K, default: None = None) -> V | None: ...
    @overload
    def get(self, key: K, default: V | T) -> V | T: ...
    def get(self, key: K, default: Any = None) -> Any:
        with self._frozen:
            return super().get(key, default)

    @overload
    def pop(self, key: K) -> V: ...
    @overload
    def pop(self, key: K, default: V | T) -> V | T: ...
    def pop(self, key: K, default: Any = _MISSING) -> Any:
        with self._frozen:
            return super().pop(key, default)

    def popitem(self) -> tuple[K, V]:
        with self._frozen:
            return super().popitem()

    def setdefault(self, key: K, default: V | None = None) -> Any:
        with self._frozen:
            return super().setdefault(key, default)

    def __repr__(self) -> str:
        with self._frozen:
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
        super().__init__(maxsize, timer, getsizeof, options)
        self._ttl = ttl

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
        super().__init__(maxsize, timer, getsizeof, options)
        self._ttu = ttu

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
        with self._store.lock:
            old = self._live.get(entry.key)
        self._evict([] if old is None else [old], RemovalCause.REPLACED)
        return True
