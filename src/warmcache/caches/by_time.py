"""Caches whose entries end at a time."""

from __future__ import annotations

import functools
import time
from collections.abc import Callable, Hashable
from typing import Any, TypeVar, Unpack

from warmcache import _checks as checks
from warmcache._core.drivers.threads import run
from warmcache._core.plans.put import put_ended
from warmcache._core.state.entry import Entry
from warmcache._signatures import not_coroutine

from .cache import Cache
from .frozen_clock import Timer
from .options import CacheOptions

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


class _TimedCache(Cache[K, V]):
    """LRU with times to live; one operation sees one time."""

    _timed = True

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
        self._ttl = _as_span(ttl, checks.hook("timer", timer))
        super().__init__(maxsize, getsizeof, timer=timer, **options)

    @property
    def ttl(self) -> Any:
        """How long entries live."""
        return self._ttl

    def _expires(self, key: K, value: V, now: Any) -> Any:
        return now + self._ttl


class TLRUCache(_TimedCache[K, V]):
    """LRU whose entries end at ``ttu(key, value, now)``, each at its own time.

    Storing a value that has ended already removes what was there, and tears the value down.
    """

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
        return expires

    def _stillborn(self, entry: Entry, now: Any) -> bool:
        if now < entry.expires:
            return False
        run(put_ended(self._view, entry), self._view)
        return True


def _as_span(ttl: Any, timer: Callable[[], Any]) -> Any:
    """Return ``ttl``, which is seconds, or whatever else can be added to a time of ``timer``."""
    if checks.is_number(ttl):
        checks.seconds("ttl", ttl)
    if timer is time.monotonic and checks.is_number(ttl):
        return ttl
    must_be = "seconds, or what the timer= of the cache counts in"
    now = timer()
    try:
        fits = not isinstance(ttl, bool) and bool(now <= now + ttl)
    except OverflowError:  # it is longer than such a clock goes
        return ttl
    except TypeError:
        raise checks.type_error("ttl", must_be, ttl, "with the usual one, write ttl=60") from None
    if not fits:
        raise checks.value_error("ttl", f"{must_be}, 0 or more", ttl)
    return ttl
