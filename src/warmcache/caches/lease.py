"""Leases: scoped holds on a value, under which it is never torn down."""

from __future__ import annotations

import time
from collections.abc import Callable, Hashable
from types import TracebackType
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from warmcache._core.drivers.teardown import tear_down
from warmcache._core.plans import remove
from warmcache._core.state.entry import Entry, LeaseRecord
from warmcache._core.state.use_clock import tick

if TYPE_CHECKING:
    from warmcache._core.state.store import Store

    from .cache import Cache

V = TypeVar("V")
Acquired = tuple[Entry, "Store"]


class _Once:
    """What all leases share: each is entered once, and ends what it began."""

    __slots__ = ("_entered",)

    def __init__(self) -> None:
        self._entered = False

    def _enter_once(self) -> None:
        if self._entered:
            raise RuntimeError("a lease is entered once; take another one")
        self._entered = True


def _let_go(store: Store, entry: Entry, record: LeaseRecord) -> None:
    with store.lock:
        doomed = store.end_lease(entry, record, tick())
    if doomed:
        tear_down(store, [entry])


class EntryLease(_Once, Generic[V]):
    """``with cache.lease(key) as value``: holds an entry that is there."""

    __slots__ = ("_cache", "_entry", "_key", "_record", "_store")

    def __init__(self, cache: Cache[Any, V], key: Hashable) -> None:
        super().__init__()
        self._cache = cache
        self._key = key

    def __enter__(self) -> V:
        self._enter_once()
        self._record = LeaseRecord(time.monotonic())
        self._store = self._cache._store  # not to be asked for again: a fork changes it
        self._entry = self._cache._lease_live(self._key, self._record)
        return self._entry.value  # type: ignore[no-any-return]

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        _let_go(self._store, self._entry, self._record)


class Lease(_Once, Generic[V]):
    """``with load.lease(...) as value``: loads if need be, and holds."""

    __slots__ = ("_acquire", "_entry", "_record", "_store")

    def __init__(self, acquire: Callable[[LeaseRecord], Acquired]) -> None:
        super().__init__()
        self._acquire = acquire

    def __enter__(self) -> V:
        self._enter_once()
        self._record = LeaseRecord(time.monotonic())
        self._entry, self._store = self._acquire(self._record)
        del self._acquire
        return self._entry.value  # type: ignore[no-any-return]

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        _let_go(self._store, self._entry, self._record)


class AsyncLease(_Once, Generic[V]):
    """``async with load.lease(...) as value``: loads if need be, and holds."""

    __slots__ = ("_acquire", "_entry", "_record", "_store")

    def __init__(self, acquire: Callable[[LeaseRecord], Any]) -> None:
        super().__init__()
        self._acquire = acquire

    async def __aenter__(self) -> V:
        self._enter_once()
        from warmcache._core.drivers.event_loop import lease_record_of_this_task

        self._record = lease_record_of_this_task()
        self._entry, self._store = await self._acquire(self._record)
        del self._acquire
        return self._entry.value  # type: ignore[no-any-return]

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        from warmcache._core.drivers.event_loop import run_async

        await run_async(remove.release(self._store, self._entry, self._record), self._store)
