"""Leases: scoped holds on a value, under which it is never torn down.

A lease is its own record: what the entry knows it by is the very object that was entered.
"""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable, Coroutine
from typing import Any, Generic, NoReturn, TypeAlias, TypeVar

from warmcache._core.drivers.mending import mend_after
from warmcache._core.drivers.threads import release
from warmcache._core.plans.cache_view import CacheView
from warmcache._core.state.entry import Entry, LeaseRecord
from warmcache._core.state.outer_leases import Place, place_of

V = TypeVar("V")
Leased: TypeAlias = tuple[Entry, CacheView]


class EnteredOnce(LeaseRecord):
    """What leases share: each is entered once, and ends what it began."""

    __slots__ = ("_acquire", "_cache", "_entry", "place")

    _acquire: Callable[..., Any] | None
    _cache: CacheView  # not to be asked for again: a fork changes it
    _entry: Entry
    place: Place

    def __init__(self, acquire: Callable[..., Any]) -> None:
        self._acquire = acquire

    def _begin(self) -> Callable[..., Any]:
        """Begin to be a record, as its ``__init__`` would have it; return what gets the entry."""
        acquire, self._acquire = self._acquire, None
        if acquire is None:
            raise RuntimeError("a lease is entered once; take another one")
        self.since, self.task, self.thread = time.monotonic(), None, threading.get_ident()
        self.over = False
        enter = sys._getframe(1)
        self.place = place_of(enter.f_back or enter)  # nothing but C code may call it
        return acquire

    def __reduce__(self) -> NoReturn:
        raise TypeError("a lease can be neither copied nor pickled; take another one")


class Lease(EnteredOnce, Generic[V]):
    """``with load.lease(...) as value``: gets the entry, loaded if need be, and holds it.

    ``acquire`` is given the lease, and returns the entry that it holds from then on.
    """

    __slots__ = ()

    def __enter__(self) -> V:
        self._entry, self._cache = self._begin()(self)
        return self._entry.value  # type: ignore[no-any-return]

    def __exit__(self, *exc: object) -> None:
        self.over = True
        try:
            release(self._cache, self._entry, self)
        except BaseException as error:
            mend_after(self._cache, error)
            raise


class AsyncLease(EnteredOnce, Generic[V]):
    """``async with load.lease(...) as value``: the same, for an ``acquire`` to be awaited."""

    __slots__ = ()

    def __aenter__(self) -> Coroutine[Any, Any, V]:
        return self._enter(self._begin())

    async def _enter(self, acquire: Callable[..., Any]) -> V:
        import asyncio

        from warmcache._core.drivers.event_loop import running_loop

        self.task = asyncio.current_task(running_loop())
        self._entry, self._cache = await acquire(self)
        return self._entry.value  # type: ignore[no-any-return]

    async def __aexit__(self, *exc: object) -> None:
        from warmcache._core.drivers.event_loop import release_async

        await release_async(self._cache, self._entry, self)
