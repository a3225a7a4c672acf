"""Leases: scoped holds on a value, under which it is never torn down.

What the entry knows a lease by is a record of it, and no more: so a lease that nobody refers to
is collected, though it was not ended, and says so.
"""

from __future__ import annotations

import sys
import warnings
from collections.abc import Callable, Coroutine
from functools import partial
from threading import get_ident
from time import monotonic
from typing import Any, Generic, NoReturn, TypeAlias, TypeVar

from warmcache._core.drivers.mending import mend_after
from warmcache._core.drivers.threads import release
from warmcache._core.plans.cache_view import CacheView
from warmcache._core.state.entry import Entry, LeaseRecord
from warmcache._core.state.outer_leases import Place, place_of
from warmcache._process.janitor import janitor
from warmcache._texts import text_of

V = TypeVar("V")
Leased: TypeAlias = tuple[Entry, CacheView]

_new = object.__new__
_TWICE = "a lease is entered once; take another one"
NOT_ASYNC = (
    "this lease is entered by `with`; from async code `async with load.alease(...)` is the same, "
    "and loads in a thread"
)
ASYNC = (
    "this lease is entered by `async with`, in an async function, for it is of an async loader or "
    "was taken by alease()"
)


class _Entered(LeaseRecord):
    """The record of a lease that was entered, and where."""

    __slots__ = ("place",)

    place: Place

    @classmethod
    def here(cls) -> _Entered:
        """Return one for whoever calls the method that calls this."""
        record = _new(cls)  # as its __init__ has it, which takes as long again
        record.since, record.task, record.thread, record.over = (
            monotonic(),
            None,
            get_ident(),
            False,
        )
        enter = sys._getframe(1)
        record.place = place_of(enter.f_back or enter)  # nothing but C code may call it
        return record


class EnteredOnce:
    """What leases share: each is entered once, and ends what it began."""

    __slots__ = ("_acquire",)

    _acquire: Callable[..., Any] | None

    def __init__(self, acquire: Callable[..., Any]) -> None:
        self._acquire = acquire

    def _begin(self) -> Callable[..., Any]:
        """Begin, and return what gets the value."""
        acquire, self._acquire = self._acquire, None
        if acquire is None:
            raise RuntimeError(_TWICE)
        return acquire

    def _was_lost(self, of: str, end: Callable[[], object]) -> None:
        """Have the janitor ``end`` what was collected, and warn, as Python's own files do.

        A finalizer may run anywhere, inside any lock, so it ends nothing itself. To hold
        something for as long as the process lives is no mistake.
        """
        if sys.is_finalizing():
            return
        janitor.defer(end)
        warnings.warn(
            f"a lease of {of} was collected without its end; enter it in a with statement",
            *(ResourceWarning, 3),
            source=self,  # tracemalloc knows where it was taken
        )

    def __reduce__(self) -> NoReturn:
        raise TypeError("a lease can be neither copied nor pickled; take another one")


class _EntryLease(EnteredOnce):
    """A lease of an entry in a cache."""

    __slots__ = ("_cache", "_entry", "_record")

    _cache: CacheView  # not to be asked for again: a fork changes it
    _entry: Entry
    _record: LeaseRecord | None  # while it lasts

    def __init__(self, acquire: Callable[..., Any]) -> None:
        self._acquire = acquire
        self._record = None

    def __del__(self) -> None:
        record = getattr(self, "_record", None)
        if record is not None and record in self._entry.leases and not self._cache.store.inherited:
            end = partial(release, self._cache, self._entry, record)
            self._was_lost(text_of(self._entry.key), end)


class Lease(_EntryLease, Generic[V]):
    """``with load.lease(...) as value``: gets the entry, loaded if need be, and holds it.

    ``acquire`` is given a record of the lease, and returns the entry that it holds from then on.
    It is a Python function, for as a call of C code returns it may be interrupted.
    """

    __slots__ = ()

    def __enter__(self) -> V:
        acquire, self._acquire = self._acquire, None  # _begin(), without a call
        if acquire is None:
            raise RuntimeError(_TWICE)
        record = _Entered.here()
        (self._entry, self._cache), self._record = acquire(record), record
        return self._entry.value  # type: ignore[no-any-return]

    def __exit__(self, *exc: object) -> None:
        record = self._record
        assert record is not None, "it was not entered"
        try:
            release(self._cache, self._entry, record)
        except BaseException as error:
            record.over = True
            mend_after(self._cache, error)
            raise

    def __aenter__(self) -> NoReturn:
        raise TypeError(NOT_ASYNC)

    __aexit__ = __aenter__  # without which `async with` would say only that it is missing


class AsyncLease(_EntryLease, Generic[V]):
    """``async with load.lease(...) as value``: the same, for an ``acquire`` to be awaited."""

    __slots__ = ()

    def __aenter__(self) -> Coroutine[Any, Any, V]:
        return self._enter(self._begin(), _Entered.here())

    async def _enter(self, acquire: Callable[..., Any], record: LeaseRecord) -> V:
        import asyncio

        from warmcache._core.drivers.event_loop import running_loop

        record.task = asyncio.current_task(running_loop())
        (self._entry, self._cache), self._record = await acquire(record), record
        return self._entry.value  # type: ignore[no-any-return]

    async def __aexit__(self, *exc: object) -> None:
        from warmcache._core.drivers.event_loop import release_async

        assert self._record is not None, "it was not entered"
        await release_async(self._cache, self._entry, self._record)

    def __enter__(self) -> NoReturn:
        raise TypeError(ASYNC)

    __exit__ = __enter__
