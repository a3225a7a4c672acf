"""The caches that go by use, by age or by chance, in cachetools' order."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Hashable, Sequence
from typing import Any, TypeVar, Unpack

import cachetools

from warmcache import _checks as checks
from warmcache._core.state.entry import Entry
from warmcache._core.state.victim_order import ChoiceOrder, rises, stamp
from warmcache._tracebacks import one_frame

from .cache import Cache
from .options import CacheOptions

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


class LRUCache(Cache[K, V], cachetools.LRUCache[K, V]):  # pyright: ignore[reportIncompatibleMethodOverride]
    """Gives up the least recently used entry."""

    @stamp("used")
    def rank(self, entry: Entry) -> float:
        return entry.used


class LFUCache(Cache[K, V], cachetools.LFUCache[K, V]):  # pyright: ignore[reportIncompatibleMethodOverride]
    """Gives up the least frequently used entry, the least recent of equals."""

    @rises
    def rank(self, entry: Entry) -> tuple[int, float]:
        return entry.uses, entry.used


class FIFOCache(Cache[K, V], cachetools.FIFOCache[K, V]):  # pyright: ignore[reportIncompatibleMethodOverride]
    """Gives up the entry that was stored first."""

    @stamp("loaded")
    def rank(self, entry: Entry) -> float:
        return entry.loaded


class RRCache(Cache[K, V], cachetools.RRCache[K, V]):  # pyright: ignore[reportIncompatibleMethodOverride]
    """Gives up an entry of ``choice``'s choosing: at random by default."""

    @one_frame
    def __init__(
        self,
        maxsize: float | str | None,
        choice: Callable[[Sequence[K]], K] = random.choice,
        getsizeof: Callable[[V], float] | None = None,
        *,
        timer: Callable[[], Any] = time.monotonic,
        **options: Unpack[CacheOptions],
    ) -> None:
        self._choice = checks.hook("choice", choice)
        super().__init__(maxsize, getsizeof, timer=timer, **options)

    def _new_order(self) -> ChoiceOrder:
        return ChoiceOrder(self._choice)

    @property
    def choice(self) -> Callable[[Sequence[K]], K]:
        """The function that picks one of a sequence of keys."""
        return self._choice
