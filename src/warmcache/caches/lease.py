"""Leases: scoped holds on a value, under which it is never torn down.

What the entry knows a lease by is a record of it, and no more: so a lease that nobody refers to
is collected, though it was not ended, and says so.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Coroutine
from functools import cache, partial
from threading import get_ident
from time import monotonic
from types import FrameType, ModuleType
from typing import Any, Generic, NoReturn, TypeAlias, TypeVar

from warmcache._code_flags import YIELDS
from warmcache._core.drivers.mending import mend_after
from warmcache._core.drivers.threads import release
from warmcache._core.plans.cache_view import CacheView
from warmcache._core.state.entry import Entry, LeaseRecord
from warmcache._core.state.outer_leases import Place, place_of
from warmcache._process.janitor import janitor
from warmcache._texts import text_of
from warmcache._tracebacks import drop_inner_frames

V = TypeVar("V")
Leased: TypeAlias = tuple[Entry, CacheView]

_getframe = sys._getframe
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

    def __init__(self, enter: FrameType) -> None:
        self.since = monotonic()  # as its base has it, which takes a call
        self.task = None
        self.thread = get_ident()
        self.over = False
        frame = enter.f_back or enter  # nothing but C code may call it
        code = frame.f_code
        plain = not code.co_flags & YIELDS
        self.place = (id(frame), code, frame.f_lasti) if plain else place_of(frame)


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
        import warnings  # only now, as Python does for its own

        warnings.warn(
            f"a lease of {of} was collected without its end; enter it in a with statement",
            *(ResourceWarning, 3),
            source=self,  # tracemalloc knows where it was taken
        )

    def __reduce__(self) -> NoReturn:
        raise TypeError("a lease can be neither copied nor pickled; take another one")


class _EntryLease(EnteredOnce):
    """A lease of an entry in a cache."""

    __slots__ = ("_cache", "_call", "_entry", "_record")

    _call: tuple[Any, ...]  # until it is entered: it may own what is not to be kept
    _cache: CacheView  # not to be asked for again: a fork changes it
    _entry: Entry
    _record: LeaseRecord | None  # while it lasts

    def __init__(self, acquire: Callable[..., Any], *call: Any) -> None:
        self._record = None
        self._acquire, self._call = acquire, call

    def _mend(self, record: LeaseRecord, error: BaseException) -> None:
        """Have it be over, though ``error`` may have come before anything had begun to end it."""
        record.over = True
        mend_after(self._cache, error)
        drop_inner_frames(error)

    def __del__(self) -> None:
        record = getattr(self, "_record", None)
        if (
            record is not None
            and (leases := self._entry.leases)
            and record in leases
            and not self._cache.store.inherited
        ):
            end = partial(release, self._cache, self._entry, record)
            self._was_lost(text_of(self._entry.key), end)


class Lease(_EntryLease, Generic[V]):
    """``with load.lease(...) as value``: gets the entry, loaded if need be, and holds it.

    ``acquire`` is given a record of the lease, and the ``call`` it is for, and returns the entry
    that it holds from then on. It is a Python function, for as a call of C code returns it may be
    interrupted.
    """

    __slots__ = ()

    def __enter__(self) -> V:
        acquire, self._acquire = self._acquire, None  # _begin(), without a call
        if acquire is None:
            raise RuntimeError(_TWICE)
        record, call, self._call = _Entered(_getframe()), self._call, ()
        try:
            (self._entry, self._cache), self._record = acquire(record, *call), record
        except BaseException as error:
            drop_inner_frames(error)
            raise
        return self._entry.value  # type: ignore[no-any-return]

    def __exit__(self, *exc: object) -> None:
        record = self._record
        assert record is not None, "it was not entered"
        try:
            release(self._cache, self._entry, record)
        except BaseException as error:
            self._mend(record, error)
            raise

    def __aenter__(self) -> NoReturn:
        raise TypeError(NOT_ASYNC)

    __aexit__ = __aenter__  # without which `async with` would say only that it is missing


@cache
def _event_loop() -> ModuleType:
    """Return what carries out what is async; it takes asyncio along, which few need."""
    from warmcache._core.drivers import event_loop

    return event_loop


class AsyncLease(_EntryLease, Generic[V]):
    """``async with load.lease(...) as value``: the same, for an ``acquire`` to be awaited."""

    __slots__ = ()

    def __aenter__(self) -> Coroutine[Any, Any, V]:
        return self._enter(self._begin(), _Entered(_getframe()))

    async def _enter(self, acquire: Callable[..., Any], record: LeaseRecord) -> V:
        call, self._call = self._call, ()
        try:
            record.task = _event_loop().running_task()
            leased = acquire(record, *call)
            if leased.__class__ is not tuple:  # what is warm is leased at once
                leased = await leased
            (self._entry, self._cache), self._record = leased, record
        except BaseException as error:
            drop_inner_frames(error)
            raise
        return self._entry.value  # type: ignore[no-any-return]

    async def __aexit__(self, *exc: object) -> None:
        record = self._record
        assert record is not None, "it was not entered"
        try:
            await _event_loop().release_async(self._cache, self._entry, record)
        except BaseException as error:
            self._mend(record, error)
            raise

    def __enter__(self) -> NoReturn:
        raise TypeError(ASYNC)

    __exit__ = __enter__
