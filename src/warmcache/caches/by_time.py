"""Caches whose entries end at a time."""

from __future__ import annotations

import functools
import time
from collections.abc import Callable, Hashable
from typing import Any, TypeVar, Unpack

import cachetools

from warmcache import _checks as checks
from warmcache._core.drivers.threads import run
from warmcache._core.plans.put import put_ended
from warmcache._core.state.entry import Entry
from warmcache._signatures import not_coroutine
from warmcache._tracebacks import one_frame

from .cache import Cache
from .frozen_clock import Timer
from .options import CacheOptions, CommonOptions, as_span, sooner

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


class _TimedCache(Cache[K, V]):
    """LRU in which one operation sees one time, as with cachetools' classes."""

    def _new_timer(self) -> Timer:
        return Timer(self._setup.timer)

    def rank(self, entry: Entry) -> float:
        return entry.used

    @property
    def timer(self) -> Timer:
        """The clock; ``with cache.timer as now`` freezes it for this thread."""
        return self._timer  # type: ignore[return-value]


def _at_one_time(method: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(method)
    def seen_at_one_time(self: _TimedCache[Any, Any], *args: Any) -> Any:
        with self.timer:
            return method(self, *args)

    return seen_at_one_time


for _name in (
    *("__getitem__", "__setitem__", "__delitem__", "get", "pop", "popitem", "setdefault"),
    "__repr__",
):
    setattr(_TimedCache, _name, _at_one_time(getattr(Cache, _name)))


class TTLCache(_TimedCache[K, V], cachetools.TTLCache[K, V]):  # type: ignore[misc]  # two clocks, ours goes
    """LRU whose entries end ``ttl`` after they were stored, touched or not.

    ``ttl`` is in the units of ``timer``: seconds, unless you bring your own clock.
    """

    @one_frame
    def __init__(
        self,
        maxsize: float | str | None,
        ttl: Any,
        timer: Callable[[], Any] = time.monotonic,
        getsizeof: Callable[[V], float] | None = None,
        **options: Unpack[CommonOptions],
    ) -> None:
        ttl = as_span("ttl", ttl, checks.hook("timer", timer))
        super().__init__(maxsize, getsizeof, timer=timer, ttl=ttl, **options)


class TLRUCache(_TimedCache[K, V], cachetools.TLRUCache[K, V]):  # type: ignore[misc]  # two clocks, ours goes
    """LRU whose entries end at ``ttu(key, value, now)``, each at its own time.

    Storing a value that has ended already removes what was there, and tears the value down.
    With a ``ttl`` besides, an entry ends at the earlier of the two.
    """

    _timed = True

    @one_frame
    def __init__(
        self,
        maxsize: float | str | None,
        ttu: Callable[[K, V, Any], Any],
        timer: Callable[[], Any] = time.monotonic,
        getsizeof: Callable[[V], float] | None = None,
        **options: Unpack[CacheOptions],
    ) -> None:
        self._ttu = checks.hook("ttu", ttu)
        super().__init__(maxsize, getsizeof, timer=timer, **options)

    @property
    def ttu(self) -> Callable[[K, V, Any], Any]:
        """The function that says when an entry ends."""
        return self._ttu

    def _expires(self, key: K, value: V, now: Any) -> Any:
        expires = not_coroutine("ttu", self._ttu(key, value, now))
        now < expires  # noqa: B015  # what is no time is refused before anything is stored
        return sooner(super()._expires(key, value, now), expires)

    def _stillborn(self, entry: Entry, now: Any) -> bool:
        if now < entry.expires:
            return False
        run(put_ended(self._view, entry), self._view)
        return True
