"""The cache: a mapping that tears down, and what one does with warm things besides."""

from __future__ import annotations

import math
import os
import time
import weakref
from collections.abc import Callable, Hashable, Iterable, Iterator
from contextlib import AbstractContextManager
from operator import attrgetter
from types import FunctionType
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Self, TypeVar, Unpack, overload

import cachetools

from warmcache import _checks as checks
from warmcache import _log, _public
from warmcache._core.drivers.at_once import store_at_once
from warmcache._core.drivers.let_go import vanished
from warmcache._core.drivers.lingering import free_what_came_back, write_off_the_dead
from warmcache._core.drivers.mending import mend_after
from warmcache._core.drivers.threads import lease_warm, run
from warmcache._core.plans import remove
from warmcache._core.plans.cache_view import CacheView
from warmcache._core.plans.get import get, request_for
from warmcache._core.plans.meter import Meter
from warmcache._core.plans.put import put
from warmcache._core.plans.steps import Plan
from warmcache._core.state.at_once import NOT_RENEWED, renew_at_once, vanish_at_once
from warmcache._core.state.entry import (
    NOWHERE,
    Entry,
    LeaseRecord,
    Provenance,
    Source,
    State,
    new_entry,
    seconds_between,
)
from warmcache._core.state.ledger import Claim
from warmcache._core.state.outer_leases import outlived
from warmcache._core.state.records import EntryInfo, Removal, RemovalCause, Stats
from warmcache._core.state.sharing import charge_anew
from warmcache._core.state.snapshots import entries_of, info_of, stats_of
from warmcache._core.state.store import Store
from warmcache._core.state.use_clock import tick
from warmcache._core.state.victim_order import Order, ScanOrder, order_by, stamp
from warmcache._log import DEBUG, debugging
from warmcache._process.after_fork import begins_anew_in_child
from warmcache._process.at_exit import THE_END, ExitJob
from warmcache._process.janitor import janitor
from warmcache._signatures import not_async
from warmcache._texts import text_of
from warmcache._tracebacks import called_from, drop_inner_frames, one_frame
from warmcache.errors import WarmMissError
from warmcache.keys import CallKey

from .freshness import Freshness
from .lease import Lease, Leased
from .leftovers import all_of, tear_down_leftovers_of, unless_leased
from .options import CacheOptions, Setup, refuse_unknown, sooner

if TYPE_CHECKING:
    from warmcache._core.state.host_ledger import HostLedger
    from warmcache._observe.recording import Recording

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")
T = TypeVar("T")
MISSING: Any = object()
# What others of this package call, and nobody else.
_INTERNAL = {
    *("begin_anew", "close_at_exit", "expire_now", "finish_at_exit", "warm_at_exit"),
    "why_closed",
}
# What is set as a cache opens: it runs, and is no part of a copy.
_RUNNING = {
    *("_freshness", "_handed_in", "_has_leftovers_torn_down", "_live", "_name", "_of_loader"),
    *("_places_taken", "_setup", "_sized", "_source", "_store", "_timed", "_timer", "_unit_weight"),
    "_view",
}
# All caches there are, by their ids: they have no hash.
MADE: weakref.WeakValueDictionary[int, Cache[Any, Any]] = weakref.WeakValueDictionary()


def _unwrapped(method: Any) -> Any:
    """Return what decorators of ours, or of a subclass of ours, were put around."""
    while hasattr(method, "__wrapped__"):
        method = method.__wrapped__
    return method


class Cache(cachetools.Cache[K, V]):
    """A thread-safe mapping of limited weight that tears down whatever leaves it.

    It evicts when an entry needs room: expired ones first, then the idle entry of
    lowest :meth:`rank`, which a policy overrides. This class itself gives up first
    what was stored first. Every method may be called from any thread.

    Args:
        maxsize: the most weight to hold: a number, ``"6GiB"``, or None for no limit.
        getsizeof: returns the weight of a value, asked once, when it is stored;
            every value weighs 1 without it.
        teardown: destroys a value that leaves: a callable taking it, or the name of
            its method, such as ``"close"``.
        reclaim: called after a value was torn down and the last reference to it here
            dropped; if the value is still alive then, the garbage collector runs
            first. It gives memory back, as ``torch.cuda.empty_cache`` does.
        on_removal: called with a :class:`Removal` once an entry is gone.
        on_load: called with a :class:`Load` by whoever has loaded, once the entry is there and
            before that call returns; who joined the load may have the value by then.
        ttl: how long after it was stored an entry is torn down, used or not: seconds, or
            whatever ``timer`` counts in.
        idle_ttl: how long an entry may be unused and unleased before it is torn down: seconds, or
            whatever ``timer`` counts in.
        wait: seconds (60) to wait for a lease to end where only that can give room.
        record: a file that everything asked for is written to, see :meth:`record`;
            nothing is written before there is something to write.
        timer: the clock of ages, load times and times to live: returns seconds, or datetimes.
            Where it counts something else, so do they.

    Raises:
        TypeError: an option is of the wrong kind; what it must be is in the message.
        ValueError: it is out of its range, as a negative ``maxsize`` or ``wait``.
    """

    _of_loader: weakref.ref[Any] | None  # the function or method that it was made for
    _name: str | None  # by which modules share it

    __warm_options__ = tuple(CacheOptions.__optional_keys__)  # what **options stands for
    _set_up_by: ClassVar[tuple[Callable[..., Any], ...]] = (Setup.of,)  # who knows their defaults
    _timed = False  # whether its entries have times to live

    if TYPE_CHECKING:

        @property
        def __limited_by(self) -> Literal["weights"]:
            """Tells this from a memory cache, which is one too, where a type may be unknown."""
            ...

    _of_memory: ClassVar[bool] = False  # whether a device's memory limits it
    drifts: ClassVar[bool] = False  # whether a rank may change though its entry is not used

    def __init_subclass__(cls, **options: Any) -> None:
        """Refuse a subclass that wants to be told of evictions where nobody tells it."""
        super().__init_subclass__(**options)
        for name in ("popitem", "__delitem__"):
            if _unwrapped(getattr(cls, name)) is not _unwrapped(getattr(Cache, name)):
                raise TypeError(
                    f"{cls.__qualname__} overrides {name}(), which no eviction calls: rank() says "
                    f"who goes first, teardown= destroys what leaves, by whatever door, and "
                    f"on_removal= is told of it"
                )

    @one_frame
    def __init__(
        self,
        maxsize: float | str | None,
        getsizeof: Callable[[V], float] | None = None,
        *,
        timer: Callable[[], Any] = time.monotonic,
        **options: Unpack[CacheOptions],
    ) -> None:
        refuse_unknown(type(self), {**options})
        setup = Setup.of(timer, **options)
        checks.optional(checks.function, "getsizeof", getsizeof)
        cachetools.Cache.__init__(self, checks.limit("maxsize", maxsize), getsizeof)
        self._open(setup)
        record = options.get("record")
        if record is not None:
            from warmcache._observe.recording import Recording

            Recording(self._store, record, lazily=True)

    def _open(self, setup: Setup) -> None:
        """Set up an empty store; what is set here runs, and is no part of a copy: ``_RUNNING``.

        Nobody asks for ``vars(self)`` who merely uses a cache: from then on its attributes are
        looked up by name, which takes CPython 3.11 five times as long.
        """
        not_async("getsizeof", self.getsizeof)
        not_async("rank", self.rank)
        self._setup = setup
        meter = self._new_meter()
        self._of_loader = self._name = None
        self._timer = self._new_timer()
        self._sized = self.getsizeof is not cachetools.Cache.getsizeof
        self._unit_weight = not self._sized and meter is None
        self._timed = type(self)._timed or setup.ttl is not None
        self._store = store = Store(
            limit=self.maxsize,
            order=self._new_order(),
            timer=self._timer,
            idle_ttl=setup.idle_ttl,
            timed=self._timed,
            reclaim=self._new_reclaim(),
            listener=setup.on_removal,
            load_listener=setup.on_load,
            tears_down=setup.teardown is not None or meter is not None,
            host=self._new_host_ledger(),
        )
        self._view = CacheView(self, store, meter, setup.wait)
        self._live = store.live
        self._freshness = Freshness(store, self._timer)
        self._source = Source(type(self).__name__, setup.teardown)
        self._handed_in = Provenance(self._source)
        self._has_leftovers_torn_down = self._places_taken = False
        begins_anew_in_child(self)
        MADE[id(self)] = self
        if store.tears_down:
            self._have_leftovers_torn_down()

    def begin_anew(self) -> None:
        """Forget, in a forked child, what is the parent's."""
        old, had, of_loader = self._store, self._has_leftovers_torn_down, self._of_loader
        name = self._name
        old.begin_anew()
        self._open(self._setup)
        self._of_loader, self._name = of_loader, name
        self._store.observers.take_over_hit_paths(old.observers)
        if old.closed:
            self._store.close(old.why_closed)
        if had:
            self._have_leftovers_torn_down()

    def _have_leftovers_torn_down(self) -> None:
        """Have what is left torn down when the cache is collected or the process ends.

        Only once something has a teardown: it may keep the cache itself alive till then.
        """
        if not self._has_leftovers_torn_down:
            self._has_leftovers_torn_down = True
            tear_down_leftovers_of(self, self._view)

    # -- what a policy may say -----------------------------------------------------

    @stamp("loaded")
    def rank(self, entry: Entry) -> Any:
        """Return the rank of ``entry``: of the idle entries, the lowest goes first.

        A policy overrides this with a pure function of the entry's record. It runs
        with the lock held, so it must not call the cache. An entry's rank may rise
        when the entry is used, and must not change otherwise; a class whose ranks
        also fall, or change with time, says so: ``drifts = True``.
        """
        return entry.loaded

    def _new_order(self) -> Order:
        return ScanOrder() if self.drifts else order_by(type(self).rank)

    def _new_timer(self) -> Callable[[], Any]:
        return self._setup.timer

    def _new_reclaim(self) -> Callable[[], object] | None:
        return self._setup.reclaim

    def _new_meter(self) -> Meter | None:
        """Return what measures the memory behind the weights; None: they are just numbers."""
        return None

    def _new_host_ledger(self) -> HostLedger | None:
        """Return what keeps account of the values that are parked; None: none are."""
        return None

    def _expires(self, key: K, value: V, now: Any) -> Any:
        """Return when a value stored now ends by what the cache was told; None for never."""
        return None if self._setup.ttl is None else now + self._setup.ttl

    def _ends_at(self, ttl: Any, key: K, value: V, now: Any) -> Any:
        """Return when a value stored now ends, of a loader with a ``ttl`` of its own, or None."""
        ends = self._expires(key, value, now)
        return ends if ttl is None else sooner(ends, now + ttl)

    def _stillborn(self, entry: Entry, now: Any) -> bool:
        """Whether ``entry`` had ended before it was stored."""
        return False

    # -- the mapping ---------------------------------------------------------------

    def __getitem__(self, key: K) -> V:
        value = self._use(key)
        if value is not MISSING:
            return value
        try:
            return self.__missing__(key)
        except BaseException as error:
            drop_inner_frames(error)
            raise

    def _use(self, key: K) -> V:
        """Return the warm value and count a hit, or MISSING and count a miss."""
        store = self._store
        if store.has_orphans:
            self._drop_orphans()
        entry = self._live.get(key)
        if entry is not None and store.deadlines is not None and not self._freshness.check(entry):
            entry = None
            self._expire()
        try:
            value: V = entry.value  # type: ignore[union-attr]
        except AttributeError:  # never there, or torn down this very moment
            with store.lock:
                store.counts.misses += 1
                self._source.misses += 1
            return MISSING  # type: ignore[no-any-return]
        store.used(entry, key)  # type: ignore[arg-type]
        return value

    def __setitem__(self, key: K, value: V) -> None:
        """Store ``value``; the one it replaces is torn down first.

        Storing the very object that is there counts as a use and tears nothing down. Under a
        loader's key (``load.cache_key(...)``) it is that loader's: its next call returns it, and
        it leaves by that loader's teardown.

        Raises:
            CapacityError: it is too large, or leases left no room in time; it was
                not stored, and the caller still owns it.
            ClosedError: the cache is closed.
        """
        store = self._store
        try:
            old = store.live.get(key)
            if (old is None or old.provenance is not self._handed_in) and isinstance(key, CallKey):
                self._put(self._new_entry(key, value))
                return
            weight = 1 if self._unit_weight else self._weigh(value)
            timer = self._timer
            now = timer()
            if not store.plain:
                self._put(new_entry(key, value, weight, self._handed_in, now))
                return
            if old is not None:
                with store.lock:
                    dropped = renew_at_once(store, old, value, weight, self._handed_in, now)
                if dropped is not NOT_RENEWED:
                    return
            entry = new_entry(key, value, weight, self._handed_in, now)
            if old is not None:
                self._take_place(entry)
            logs = _log.known.get(DEBUG)
            if logs is None:
                logs = debugging()
            with store.lock:
                told = True if logs else store.observers.all
                gone = vanish_at_once(store, key, weight, self._view, told, entry, old)
            if gone is None:
                self._put(entry)
            elif told or old is not None:
                vanished(store, gone, logs, told)
            else:
                for victim in gone:  # as empty(), of whom nobody was told
                    del victim.value
                    victim.key = None
                    victim.provenance = NOWHERE
        except BaseException as error:
            mend_after(self._view, error)
            drop_inner_frames(error)
            raise

    def _new_entry(self, key: K, value: V) -> Entry:
        source = key.source if isinstance(key, CallKey) else self._source
        provenance = self._handed_in if source is self._source else Provenance(source)
        weight = self._weigh(value) if source.weigh is None else source.weigh(value)
        return new_entry(key, value, weight, provenance, self._timer())

    def _take_place(self, entry: Entry) -> None:
        """Have ``entry`` stand in the mapping where what it replaces does."""
        old = self._live.get(entry.key)
        if old is not None:
            entry.placed = old.placed
            self._places_taken = True

    def _put(self, entry: Entry, *, replace: bool = True) -> Any:
        """Store ``entry`` with all that it takes; return the value that is stored."""
        value, ttl = entry.value, entry.provenance.source.ttl
        if self._timed or ttl is not None:
            now = entry.loaded_at
            entry.expires = self._ends_at(ttl, entry.key, value, now)  # type: ignore[arg-type]
            if self._stillborn(entry, now):
                return value
        if entry.key in self._live:
            self._take_place(entry)
        view, claim = self._view, Claim(entry.key, entry.weight)
        claim.present = True
        if replace and entry.expires is None and store_at_once(view, entry, claim):
            return value
        stored = run(put(view, entry, claim, replace=replace), view)
        self._watch()
        return stored

    @one_frame
    def __delitem__(self, key: K) -> None:
        self._expire()
        plan = remove.by_key(self._view, key, RemovalCause.EXPLICIT, remove.its_key)
        if not run(plan, self._view):
            raise KeyError(key)

    def __contains__(self, key: object) -> bool:
        entry = self._live.get(key)
        return entry is not None and not self._ended(entry)

    def __len__(self) -> int:
        self._expire()
        return len(self._live)

    def __iter__(self) -> Iterator[K]:
        items = [*self._live.copy().items()]
        if self._places_taken:
            items.sort(key=lambda item: item[1].placed)
        for key, entry in items:
            if entry.state is State.LIVE and not self._ended(entry):
                yield key  # type: ignore[misc]

    def __repr__(self) -> str:
        from . import shown  # which only who looks waits for

        self._expire()
        return shown.as_text(self)

    def _repr_html_(self) -> str:
        from . import shown

        self._expire()
        return shown.as_table(self)

    def __dir__(self) -> list[str]:
        """Return what is public, and what Python itself calls."""
        return _public.without_internals(super().__dir__(), _INTERNAL)

    @property
    def name(self) -> str | None:
        """What it was called by :func:`warmcache.cache`; else which loader's it is, or None."""
        loader = self._of_loader() if self._of_loader is not None else None
        if self._name is not None or loader is None:
            return self._name
        return f"{loader.__module__}.{loader.__qualname__}"

    @property
    def policy(self) -> type[Cache[Any, Any]]:
        """The class that says who goes first: its own, but for caches of memory."""
        return self._policy_class()

    @classmethod
    def _policy_class(cls) -> type[Cache[Any, Any]]:
        """Return the class that says who goes first in caches of this class."""
        return cls

    @property
    def ttl(self) -> Any:
        """How long entries live, in what ``timer`` counts in; None: nothing ends them by itself."""
        return self._setup.ttl

    @property
    def currsize(self) -> float:
        """The weight of the entries that are there."""
        self._expire()
        return self._store.ledger.live

    @overload
    def get(self, key: K, default: None = None) -> V | None: ...
    @overload
    def get(self, key: K, default: V | T) -> V | T: ...
    def get(self, key: K, default: Any = None) -> Any:
        value = self._use(key)
        return default if value is MISSING else value

    @overload
    def pop(self, key: K) -> V: ...
    @overload
    def pop(self, key: K, default: V | T) -> V | T: ...
    @one_frame
    def pop(self, key: K, default: Any = MISSING) -> Any:
        """Remove ``key``, tear its value down and return it; see also :meth:`detach`.

        Raises:
            KeyError: it is not there, and there is no ``default``.
        """
        self._expire()
        plan = remove.by_key(self._view, key, RemovalCause.EXPLICIT, remove.its_value)
        for value in run(plan, self._view):
            return value
        if default is MISSING:
            raise KeyError(key)
        return default

    @one_frame
    def popitem(self) -> tuple[K, V]:
        """Remove the next victim, tear it down, and return its key and value.

        Raises:
            KeyError: there is no idle entry.
        """
        self._expire()
        for pair in run(remove.victims(self._view, 1, remove.its_pair), self._view):
            return pair
        # As cachetools, which says so even where nothing was raised before.
        raise KeyError(f"{type(self).__name__} has no idle entry") from None

    @one_frame
    def setdefault(self, key: K, default: V | None = None) -> Any:
        value = self._use(key)
        if value is not MISSING:
            return value
        return self._put(self._new_entry(key, default), replace=False)  # type: ignore[arg-type]

    @one_frame
    def clear(self) -> None:
        """Remove and tear down everything; a load under way arrives afterwards."""
        run(remove.everything(self._view), self._view)
        with self._store.lock:
            self._store.order.forget()

    @one_frame
    def expire(self, time: Any = None) -> list[tuple[K, V]]:
        """Tear down what has ended by ``time`` (now), and return the pairs removed.

        What is leased is torn down when its last lease ends, and is among them.
        """
        now = self._timer() if time is None else time
        return run(remove.expired(self._view, now, remove.its_pair), self._view)

    # -- leases and removal --------------------------------------------------------

    def lease(self, key: K) -> AbstractContextManager[V]:
        """Return a context manager that holds the entry of ``key`` while inside.

        What is parked comes back for it, to where it was.

        Raises:
            KeyError: as it is entered: the key is not there, and a bare cache cannot load.
        """

        def acquire(record: LeaseRecord) -> Leased:
            self._expire()
            store = self._store
            leased = lease_warm(
                self._view,
                lambda key: store.live.get(key) or outlived(store.leased, key, record),
                *(key, record),
            )
            return leased or self._bring_back(key, record)

        return Lease(acquire)

    def _bring_back(self, key: K, record: LeaseRecord) -> Leased:
        """Lease what is parked under ``key``, back where it was. Raises KeyError if nothing is."""
        with self._store.lock:
            below = self._store.below(key)
        if not below:
            raise KeyError(key)
        try:
            return run(get(self._view, request_for(below[0]), record), self._view), self._view
        except WarmMissError:  # it has left meanwhile
            raise KeyError(key) from None
        except BaseException as error:
            record.over = True
            mend_after(self._view, error)
            raise

    @one_frame
    def detach(self, key: K) -> V:
        """Take a value out alive: it is not torn down and the caller owns it.

        Raises:
            KeyError: it is not there.
            TypeError: a generator loader yielded it, whose rest is its teardown.
        """
        self._expire()
        with self._store.lock:
            entry = self._live[key]
            whole = entry.provenance.finish is None
            value: V = entry.value
            leased = bool(entry.leases)
            meter = self._view.meter
            shared = meter.give_up(entry) if whole and meter is not None else ()
            charge_anew([share for share in shared if share.store is self._store])
            if whole:
                self._store.detach(entry)
        if not whole:
            raise TypeError(f"{text_of(key)} cannot be detached: its generator is its teardown")
        charge_anew(shared)
        if not leased:
            entry.empty()
        return value

    @one_frame
    def evict(
        self,
        count: int | None = None,
        *,
        key: K = MISSING,
        where: Callable[[EntryInfo], object] | None = None,
        tag: str | None = None,
    ) -> list[Removal]:
        """Remove entries and tear them down: ``count`` victims (1), a key, a selection, or a tag.

        Leased entries are no victims of ``count``; named by ``key``, ``where`` or ``tag`` they
        are torn down when their last lease ends. What has the tag goes the last loaded first.
        Returns what was removed, what is still leased included.

        Raises:
            TypeError: more than one of the four was given, or a ``tag`` that is no text.
            ValueError: ``count`` is negative, or ``tag`` is empty.
        """
        if (count is not None) + (key is not MISSING) + (where is not None) + (tag is not None) > 1:
            raise TypeError("evict() takes one of count, key, where and tag")
        checks.optional(checks.text, "tag", tag)
        if count is not None and count < 0:
            raise ValueError(f"count must not be negative, got {count}")
        not_async("where", where)
        self._expire()
        if where is not None:
            with self._store.lock:
                seen = [(each, info_of(self._store, each)) for each in self._store.kept()]
            return self._evict([entry for entry, info in seen if where(info)])
        view, note = self._view, self._store.removal
        if tag is not None:
            return run(remove.tagged(view, tag, note), view)
        if key is not MISSING:
            return run(remove.by_key(view, key, RemovalCause.EXPLICIT, note), view)
        return run(remove.victims(view, 1 if count is None else count, note), view)

    def _evict(
        self, entries: Iterable[Entry], cause: RemovalCause = RemovalCause.EXPLICIT
    ) -> list[Removal]:
        view = self._view
        self._expire()
        return run(remove.chosen(view, lambda _: entries, cause, view.store.removal), view)

    @one_frame
    def close(self) -> None:
        """Tear everything down, last loaded first, and refuse whatever comes after.

        What is leased is torn down when its last lease ends. Closing twice is fine.

        Raises:
            ExceptionGroup: of what failing teardowns raised, once all have run.
        """
        store = self._store
        try:
            why = self.why_closed(f"close() {called_from()}; make another, or only clear() it")
            failures = run(remove.close(self._view, why), self._view)
        finally:
            with store.lock:
                store.order.forget()
        store.observers.closed()
        if failures:
            raise ExceptionGroup("teardown failed in close()", failures)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    # -- looking -------------------------------------------------------------------

    @overload
    def peek(self, key: K, default: None = None) -> V | None: ...
    @overload
    def peek(self, key: K, default: V | T) -> V | T: ...
    @one_frame
    def peek(self, key: K, default: Any = None) -> Any:
        """Return the value of ``key``, or ``default`` where there is none; that is no use."""
        entry = self._live.get(key)
        if entry is None or self._ended(entry):
            return default
        return getattr(entry, "value", default)  # torn down this very moment

    @one_frame
    def record(self, path: str | os.PathLike[str]) -> Recording:
        """Begin to write what is asked for to ``path``, for ``warmcache simulate``.

        A CSV file, gzipped where its name ends in ``.gz``, with a line for each use:
        when (seconds since now), the key as text, the weight, the seconds of its load.
        A ``{pid}`` in the name becomes the number of the process. It replaces what was
        there. Stop it with ``stop()``, or use it in a ``with`` statement; closing the
        cache and the end of the process stop it too. While recording, a hit takes up
        to twice as long.

        Raises:
            ClosedError: the cache is closed.
            OSError: the file cannot be written.
            RuntimeError: the cache is being recorded already.
        """
        from warmcache._observe.recording import Recording

        return Recording(self._store, checks.path("path", path))

    def victims(self) -> list[K]:
        """Return all keys in the order in which they would go, changing nothing.

        A leased entry has its place in the order, but is passed over while leased.
        """
        self._drop_orphans()
        store = self._store
        try:
            with store.lock:
                now = self._timer()
                ended = [entry for entry in self._live.values() if store.ended(entry, now)]
                rest = [entry for entry in self._live.values() if not store.ended(entry, now)]
                order = ended + store.order.listing(rest, self._view.rank)
                return [entry.key for entry in order]  # type: ignore[misc]
        except BaseException as error:
            mend_after(self._view, error)  # under cost all are looked at, and ranked anew
            raise

    def entries(self) -> list[EntryInfo]:
        """Return a snapshot of every entry: live, parked, retired under a lease, dying, loading."""
        self._drop_orphans()
        with self._store.lock:
            return entries_of(self._store)

    def stats(self) -> Stats:
        """Return the cache's counts and its ledger.

        While there are zombies the garbage collector runs: what is in a cycle that was let
        go is held by nobody.
        """
        self._drop_orphans()
        write_off_the_dead(self._store)
        with self._store.lock:
            return stats_of(self._store)

    # -- copying and pickling ------------------------------------------------------

    def __copy__(self) -> Self:
        """Return a cache of its own with the same values, if nothing tears them down.

        Raises:
            TypeError: values here have a teardown: two caches would each run it.
        """
        twin = type(self).__new__(type(self))
        twin.__setstate__(self.__getstate__())
        return twin

    def __reduce_ex__(self, protocol: Any) -> Any:
        # What a loader has warm stays here: its cache travels as that loader's.
        loader = self._of_loader() if self._of_loader is not None else None
        if isinstance(loader, FunctionType):  # whose attribute ``cache`` it is
            return attrgetter("cache"), (loader,)
        return super().__reduce_ex__(protocol)

    def __getstate__(self) -> dict[str, Any]:
        store = self._store
        with store.lock:
            if store.tears_down:
                raise TypeError(
                    "this cache tears its values down and so must be their only owner: "
                    "it can be neither copied nor pickled"
                )
            entries = [
                (e.key, e.value, e.weight, e.uses, e.expires, e.used, e.placed, e.load_seconds)
                for e in sorted(self._live.values(), key=attrgetter("loaded"))
            ]
        own, setup = self.__warm_digest__()
        return {**own, "_setup": setup, "_entries": entries}

    def __setstate__(self, state: dict[str, Any]) -> None:
        setup, entries = state.pop("_setup"), state.pop("_entries")
        vars(self).update(state)
        self._open(setup)
        store, now, stamped = self._store, self._timer(), []
        places: list[tuple[float, Entry]] = []
        for key, value, weight, uses, expires, used, placed, seconds in entries:
            provenance = self._handed_in
            if seconds or isinstance(key, CallKey):  # a loader's is never handed in
                provenance = Provenance(self._source, seconds)
            entry = new_entry(key, value, weight, provenance, now)
            entry.base_uses, entry.expires = uses, expires
            store.ledger.reserve(Claim(key, weight))
            store.publish(entry)
            stamped.append((used, entry))
            places.append((placed, entry))
        for _, entry in sorted(stamped):
            entry.used = entry.seen = tick()
        for place, (_, entry) in zip([e.placed for _, e in places], sorted(places), strict=True):
            self._places_taken = self._places_taken or entry.placed != place
            entry.placed = place
        self._watch()

    def __warm_digest__(self) -> tuple[dict[str, Any], Setup]:
        """Return all that it is made of, but what it holds."""
        own = {name: value for name, value in vars(self).items() if name not in _RUNNING}
        return own, self._setup

    @classmethod
    def _empty_as(cls, own: dict[str, Any], setup: Setup) -> Self:
        """Return an empty cache made of what another is made of."""
        twin = cls.__new__(cls)
        vars(twin).update(own)
        twin._open(setup)
        return twin

    # -- what loaders, the janitor and the end of the process need -----------------

    def _weigh(self, value: V) -> float:
        weight = self.getsizeof(value)
        if not weight >= 0:
            raise ValueError(f"value size must be non-negative, got {weight!r}")
        return weight

    def _ended(self, entry: Entry) -> bool:
        store = self._store
        if store.has_orphans and entry.provenance.is_orphan:
            return True
        return store.deadlines is not None and store.ended(entry, self._timer())

    def _expire(self) -> None:
        """Tear down what has ended, before an operation that must not see it."""
        for plan in self._expiring():
            run(plan, self._view)

    def _expiring(self) -> Iterator[Plan[Any]]:
        """Yield what is to be carried out for that, if anything has ended by itself."""
        if self._store.has_orphans:
            yield remove.orphans(self._view)
        if self._store.deadlines is not None:
            yield remove.expired(self._view, self._timer(), remove.its_key)

    def _drop_orphans(self) -> None:
        """Tear down what is bound to event loops that are closed, likewise."""
        if self._store.has_orphans:
            run(remove.orphans(self._view), self._view)

    def _watch(self) -> None:
        """Have the janitor come when the next entry ends."""
        if self._store.deadlines is not None and (seconds := self._seconds_left()) is not None:
            janitor.watch(self, seconds)

    def _seconds_left(self) -> float | None:
        with self._store.lock:
            earliest = self._store.earliest_end()
            if earliest is None or earliest == math.inf:
                return None
            return seconds_between(self._timer(), earliest)

    def expire_now(self) -> float | None:
        """Tear down what has ended; return the seconds until more may, or None."""
        self._expire()
        return self._seconds_left()

    def warm_at_exit(self, patience: float) -> list[tuple[object, object, ExitJob]]:
        """Return what can go as the main thread ends, and how; close nothing."""
        return unless_leased(self._view, patience)

    def close_at_exit(self, patience: float, by: str = THE_END) -> list[ExitJob]:
        """Close, and return what is to be torn down, even what is leased."""
        return all_of(self._view, patience, self.why_closed(by))

    def why_closed(self, by: str) -> str:
        """Return what is said to who asks for something once ``by`` has closed this."""
        name = type(self).__name__ if self.name is None else f"{type(self).__name__} {self.name!r}"
        return f"{name} was closed by {by}"

    def finish_at_exit(self) -> None:
        free_what_came_back(self._store, at_once=True)
        remove.close_host(self._view)
