"""The mapping that every cache is: cachetools', safe under threads, tearing down."""

from __future__ import annotations

import math
import os
import time
import weakref
from collections.abc import Callable, Hashable, Iterable, Iterator
from typing import Any, ClassVar, TypeVar, Unpack, overload

import cachetools

from warmcache._core.drivers.lingering import free_what_came_back
from warmcache._core.drivers.teardown import tear_down
from warmcache._core.drivers.threads import run
from warmcache._core.plans import remove
from warmcache._core.plans.meter import Meter
from warmcache._core.plans.put import put
from warmcache._core.plans.steps import CacheView
from warmcache._core.state.entry import Entry, Provenance, Source, State, seconds_between
from warmcache._core.state.records import Removal, RemovalCause
from warmcache._core.state.store import Store
from warmcache._core.state.use_clock import tick
from warmcache._core.state.victim_order import Order, RankOrder, ScanOrder
from warmcache._process.after_fork import begins_anew_in_child
from warmcache._process.at_exit import ExitJob
from warmcache._process.janitor import janitor

from .leftovers import last_of, tear_down_leftovers_of
from .options import CacheOptions, Teardown, as_limit, as_teardown

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")
T = TypeVar("T")
_MISSING: Any = object()


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


class CacheMapping(cachetools.Cache[K, V]):
    """The mapping side of :class:`warmcache.Cache`, which documents the arguments."""

    def __init__(
        self,
        maxsize: float | str | None,
        getsizeof: Callable[[V], float] | None = None,
        *,
        timer: Callable[[], Any] = time.monotonic,
        **options: Unpack[CacheOptions],
    ) -> None:
        self._setup(maxsize, getsizeof, timer, **options)

    def _setup(
        self,
        maxsize: float | str | None,
        getsizeof: Callable[[V], float] | None,
        timer: Callable[[], Any],
        *,
        teardown: Teardown | None = None,
        reclaim: Callable[[], object] | None = None,
        on_removal: Callable[[Removal], object] | None = None,
        idle_ttl: float | None = None,
        wait: float = 60.0,
        record: str | os.PathLike[str] | None = None,
    ) -> None:
        super().__init__(as_limit(maxsize), getsizeof)
        if idle_ttl is not None and not idle_ttl > 0:
            raise ValueError(f"idle_ttl must be positive, got {idle_ttl!r}")
        if not wait >= 0:
            raise ValueError(f"wait must not be negative, got {wait!r}")
        self._timer = timer
        self._idle_ttl = idle_ttl
        self._reclaim = reclaim
        self._on_removal = on_removal
        self._teardown = as_teardown(teardown)
        self._wait = wait
        self._open()
        if record is not None:
            from warmcache._observe.recording import Recording

            Recording(self._store, record, lazily=True)

    def _open(self) -> None:
        """Set up an empty store."""
        self._sized = self.getsizeof is not cachetools.Cache.getsizeof
        self._unit_weight = not self._sized
        self._store = store = Store(
            limit=self.maxsize,
            order=self._new_order(),
            timer=self._timer,
            idle_ttl=self._idle_ttl,
            timed=self._timed,
            reclaim=self._reclaim,
            listener=self._on_removal,
            tears_down=self._teardown is not None,
            meter=self._new_meter(),
        )
        self._live = store.live
        self._freshness = Freshness(store, self._timer)
        self._source = Source(type(self).__name__, self._teardown)
        self._handed_in = Provenance(self._source)
        self._has_an_end = False
        begins_anew_in_child(self)
        if store.tears_down:
            self._mind_the_end()

    def begin_anew(self) -> None:
        """Forget, in a forked child, what is the parent's; see ``_fork.py``."""
        old, minded = self._store, self._has_an_end
        old.begin_anew()
        self._open()
        self._store.switches, self._store.closed = old.switches, old.closed
        if minded:
            self._mind_the_end()

    def _mind_the_end(self) -> None:
        """Tear down what is left when the cache is collected or the process ends.

        Only once something has a teardown; why is said in ``_ending.py``.
        """
        if not self._has_an_end:
            self._has_an_end = True
            tear_down_leftovers_of(self, self._store)

    _shown_by: weakref.ref[Any] | None = None  # a function whose attribute ``cache`` it is
    __warm_options__ = tuple(CacheOptions.__annotations__)  # what **options stands for
    _timed = False  # whether entries have times to live

    drifts: ClassVar[bool] = False  # whether a rank may change though its entry is not used

    def _new_order(self) -> Order:
        return ScanOrder() if self.drifts else RankOrder()

    def _new_meter(self) -> Meter | None:
        """Return what measures the memory behind the weights; None: they are just numbers."""
        return None

    def rank(self, entry: Entry) -> Any:
        """Return the rank of ``entry``: of the idle entries, the lowest goes first.

        A policy overrides this with a pure function of the entry's record. It runs
        with the lock held, so it must not call the cache. An entry's rank may rise
        when the entry is used, and must not change otherwise; a class whose ranks
        also fall, or change with time, says so: ``drifts = True``.
        """
        return entry.loaded

    # -- the mapping ---------------------------------------------------------------

    def __getitem__(self, key: K) -> V:
        value = self._use(key)
        return self.__missing__(key) if value is _MISSING else value

    def _use(self, key: K) -> V:
        """Return the warm value and count a hit, or _MISSING and count a miss."""
        entry = self._live.get(key)
        timed = self._store.deadlines is not None
        if entry is not None and timed and not self._freshness.check(entry):
            entry = None
            self._expire()
        try:
            value: V = entry.value  # type: ignore[union-attr]
        except AttributeError:  # never there, or torn down this very moment
            with self._store.lock:
                self._store.counts.misses += 1
                self._source.misses += 1
            return _MISSING  # type: ignore[no-any-return]
        entry.used = tick()  # type: ignore[union-attr]
        entry.hits += 1  # type: ignore[union-attr]
        if self._store.recording is not None:
            self._store.recording.used(entry)  # type: ignore[arg-type]
        return value

    def __setitem__(self, key: K, value: V) -> None:
        """Store ``value``; the one it replaces is torn down first.

        Storing the very object that is there counts as a use and tears nothing down.

        Raises:
            CapacityError: it is too large, or leases left no room in time; it was
                not stored, and the caller still owns it.
            ClosedError: the cache is closed.
        """
        store = self._store
        weight = 1 if self._unit_weight else self._weigh(value)
        entry = Entry(key, value, weight, self._handed_in, self._timer())
        with store.lock:
            evicted = store.put_at_once(entry, self.rank)
        if evicted is None:
            self._put(entry)

    def _put(self, entry: Entry, *, replace: bool = True) -> Any:
        """Store ``entry`` with all that it takes; return the value that is stored."""
        now = entry.loaded_at
        entry.expires = self._expires(entry.key, entry.value, now)  # type: ignore[arg-type]
        if self._stillborn(entry, now):
            return entry.value
        stored = run(put(self._context(), entry, replace=replace), self._store)
        self._watch()
        return stored

    def __delitem__(self, key: K) -> None:
        self._expire()
        with self._store.lock:
            entry = self._live[key]
            doomed = self._store.condemn(entry, RemovalCause.EXPLICIT)
        if doomed:
            tear_down(self._store, [entry])

    def __contains__(self, key: object) -> bool:
        entry = self._live.get(key)
        return entry is not None and not self._ended(entry)

    def __len__(self) -> int:
        self._expire()
        return len(self._live)

    def __iter__(self) -> Iterator[K]:
        for key, entry in list(self._live.items()):
            if entry.state is State.LIVE and not self._ended(entry):
                yield key  # type: ignore[misc]

    def __repr__(self) -> str:
        self._expire()
        items = {key: entry.value for key, entry in list(self._live.items())}
        return (
            f"{type(self).__name__}({items!r}, maxsize={self.maxsize!r}, "
            f"currsize={self.currsize!r})"
        )

    @property
    def currsize(self) -> float:
        """The weight of the entries that are there."""
        self._expire()
        return self._store.live_weight

    @overload
    def get(self, key: K, default: None = None) -> V | None: ...
    @overload
    def get(self, key: K, default: V | T) -> V | T: ...
    def get(self, key: K, default: Any = None) -> Any:
        value = self._use(key)
        return default if value is _MISSING else value

    @overload
    def pop(self, key: K) -> V: ...
    @overload
    def pop(self, key: K, default: V | T) -> V | T: ...
    def pop(self, key: K, default: Any = _MISSING) -> Any:
        """Remove ``key``, tear its value down and return it; see also :meth:`detach`."""
        self._expire()
        with self._store.lock:
            entry = self._live.get(key)
            if entry is None:
                if default is _MISSING:
                    raise KeyError(key)
                return default
            value = entry.value
            doomed = self._store.condemn(entry, RemovalCause.EXPLICIT)
        if doomed:
            tear_down(self._store, [entry])
        return value

    def popitem(self) -> tuple[K, V]:
        """Remove the next victim, tear it down, and return its key and value.

        Raises:
            KeyError: there is no idle entry.
        """
        self._expire()
        with self._store.lock:
            entry = self._store.order.take(self.rank)
            if entry is None:
                raise KeyError(f"{type(self).__name__} has no idle entry") from None
            key, value = entry.key, entry.value
            self._store.condemn(entry, RemovalCause.EXPLICIT)
        tear_down(self._store, [entry])
        return key, value  # type: ignore[return-value]

    def setdefault(self, key: K, default: V | None = None) -> Any:
        value = self._use(key)
        if value is not _MISSING:
            return value
        weight = self._weigh(default)  # type: ignore[arg-type]
        entry = Entry(key, default, weight, self._handed_in, self._timer())
        return self._put(entry, replace=False)

    def clear(self) -> None:
        """Remove and tear down everything; a load under way arrives afterwards."""
        with self._store.lock:
            entries = list(self._live.values())
        self._evict(reversed(entries))

    def _evict(
        self, entries: Iterable[Entry], cause: RemovalCause = RemovalCause.EXPLICIT
    ) -> list[Removal]:
        return run(remove.evict(self._store, entries, cause), self._store)

    def expire(self, time: Any = None) -> list[tuple[K, V]]:
        """Tear down what has ended by ``time`` (now), and return the pairs removed."""
        store = self._store
        now = self._timer() if time is None else time
        with store.lock:
            doomed = store.expire(now)
            pairs = [(entry.key, entry.value) for entry in doomed]
        tear_down(store, doomed)
        return pairs  # type: ignore[return-value]

    # -- what loaders and the janitor need -----------------------------------------

    def _context(self) -> CacheView:
        return CacheView(self._store, self.rank, self._wait)

    def _weigh(self, value: V) -> float:
        weight = self.getsizeof(value)
        if not weight >= 0:
            raise ValueError(f"value size must be non-negative, got {weight!r}")
        return weight

    def _expires(self, key: K, value: V, now: Any) -> Any:
        """Return when a value stored now ends; None for never."""
        return None

    def _stillborn(self, entry: Entry, now: Any) -> bool:
        """Whether ``entry`` had ended before it was stored."""
        return False

    def _ended(self, entry: Entry) -> bool:
        store = self._store
        return store.deadlines is not None and store.ended(entry, self._timer())

    def _expire(self) -> None:
        """Tear down what has ended, before an operation that must not see it."""
        store = self._store
        if store.deadlines is not None:
            with store.lock:
                doomed = store.expire(self._timer())
            tear_down(store, doomed)

    def _watch(self) -> None:
        """Have the janitor come when the next entry ends."""
        if self._store.deadlines is not None:
            seconds = self._seconds_left()
            if seconds is not None:
                janitor.watch(self, seconds)

    def _seconds_left(self) -> float | None:
        with self._store.lock:
            deadlines = self._store.deadlines
            earliest = deadlines.earliest() if deadlines is not None else None
            if earliest is None or earliest == math.inf:
                return None
            return seconds_between(self._timer(), earliest)

    def expire_now(self) -> float | None:
        """Tear down what has ended; return the seconds until more may, or None."""
        self._expire()
        return self._seconds_left()

    def close_at_exit(self, patience: float) -> list[ExitJob]:
        """Close, and return what is to be torn down, even what is leased; see ``_exit.py``."""
        return last_of(self._store, patience)

    def settle_at_exit(self) -> None:
        free_what_came_back(self._store, at_once=True)
