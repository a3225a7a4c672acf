"""What a decorated callable can do besides being called: lease, evict, peek, ..."""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial
from operator import attrgetter
from threading import get_ident
from typing import TYPE_CHECKING, Any

from warmcache import _checks as checks
from warmcache._core.drivers.at_once import load_at_once
from warmcache._core.drivers.mending import mend_after
from warmcache._core.drivers.threads import lease_warm, release, run
from warmcache._core.plans import remove
from warmcache._core.plans.cache_view import CacheView
from warmcache._core.plans.get import get
from warmcache._core.plans.remove import Successor
from warmcache._core.plans.steps import Request
from warmcache._core.state.cache_info import CacheInfo
from warmcache._core.state.entry import Entry, LeaseRecord
from warmcache._core.state.hot_paths import SCOPES
from warmcache._core.state.records import Removal
from warmcache._progress import track
from warmcache._texts import short_text_of
from warmcache._tracebacks import drop_frames, drop_inner_frames, one_frame
from warmcache.caches.cache import Cache
from warmcache.caches.lease import AsyncLease, Lease, Leased
from warmcache.caches.options import sooner
from warmcache.errors import KeyingError
from warmcache.keys import CallKey

from . import many as several
from . import scopes
from .call_site import CallSite
from .disabled import DisabledLease, await_if_need_be, disowned, finish_last, frozen_unowned
from .hit_path import share_closure
from .loader import Loader
from .name_holder import Replaced
from .told_loads import told_loads

if TYPE_CHECKING:
    from .through_disk import ThroughDisk


class Caller:
    """What a loader can do, at one site: a function, or a bound instance."""

    _instance: Any = None  # what a method is bound to
    function: Callable[[], Any] | None = None  # gives the function that it belongs to
    _may_be_method = False
    _lease_of: type[Lease[Any] | AsyncLease[Any]] = Lease  # what holds a value

    def __init__(self, loader: Loader, site: CallSite) -> None:
        self._loader = loader
        self._site = site
        self._instance = None
        self._may_be_method = "<locals>" in loader.__qualname__  # until its first miss

    # -- calling -------------------------------------------------------------------

    def slow_call(
        self, raw: Any, args: tuple[Any, ...], kwargs: dict[str, Any], /, *owner: Any
    ) -> Any:
        """Do what the hit path could not: load, join, wait, or find under a lock.

        It may know the ``owner`` of what is loaded, which is asked for once.
        """
        loader = self._loader
        view, record = loader.cache._view, LeaseRecord(time.monotonic())
        try:
            if (
                loader.successor is not None
                and loader.outdated
                and (successor := self.replaced_in_place()) is not None
            ):
                return successor.call_anew(args, kwargs)
            if loader.waits:
                self._find_cache()
                view = loader.cache._view
            site = self._site if loader.sites is None else loader.site(args, kwargs, *owner)
            if loader.keeps_nothing or (SCOPES and scopes.disabled_here()):
                return disowned(loader, *self._load_unowned(site, args, kwargs))
            return self._get(self._request(site, raw, args, kwargs), record, view, record)[1]
        except BaseException as error:
            record.over = True
            mend_after(view, error)
            drop_frames(error)  # the hit path's is the one that is seen
            raise

    def call_anew(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Do what a call does that was made of a predecessor."""
        return self.slow_call(*self._loader.bind(*args, **kwargs))

    def as_called(self) -> Callable[..., Any]:
        """Return what a user calls: the function, if it is there still."""
        function = self.function() if self.function is not None else None
        return function or self._called

    def _called(self, /, *args: Any, **kwargs: Any) -> Any:
        return self.call_anew(args, kwargs)

    def _find_cache(self) -> None:
        """Have a loader whose cache was not defined yet live in it, if that matters here."""
        if not (SCOPES and scopes.disabled_here()):
            self._loader.find_cache()

    def replaced_in_place(self) -> Caller | None:
        """Return the caller that the function belongs to now, if it was made to be another's.

        ``%autoreload`` gives a function the code and the attributes of the one that is to
        replace it, or all that makes that one, which then dies. What it closes over may still be
        ours, and what it looks up is made to be the other's here. It goes on to fall through
        to us: next time it may be made to be a third one's.
        """
        function: Any = self.function() if self.function is not None else None
        if function is None:
            newest = self._loader.successor and self._loader.successor()
            return newest if isinstance(newest, Caller) else None
        successor: Caller = getattr(getattr(function, "lease", None), "__self__", self)
        if successor is self:
            return None
        other: Any = successor.function() if successor.function is not None else None
        if other is not None:
            share_closure(function, other)
        return successor

    def _acquire(self, record: LeaseRecord, request: Request) -> Any:
        """Lease what is asked for, loaded if need be."""
        view = self._loader.cache._view  # once: a fork changes it
        try:
            return self._get(request, record, view, None)[0], view
        except BaseException as error:
            record.over = True
            mend_after(view, error)
            raise

    def _get(
        self, request: Request, record: LeaseRecord, view: CacheView, done: LeaseRecord | None
    ) -> tuple[Entry, Any]:
        """Return the entry and its value, loaded if need be.

        It is leased to ``record``, unless that is ``done`` once it has the value.
        """
        loader, name = self._loader, self._loader.name_holder
        if (
            name is not None
            and not name.in_peace
            and request.may_load
            and (replaced := loader.take_over_name())
        ):
            self._clear(replaced, Successor(view, record, lambda: request.key))
        found = load_at_once(view, request, record, done)
        if found is None:
            entry = run(get(view, request, record), view)
            found = entry, entry.value
            if done is not None:
                release(view, entry, done)
            loader.cache._watch()
        if name is not None and not name.in_peace and loader.lost_its_name:  # while it loaded
            _clear_replaced((loader,))
        return found

    def have_name(self, successor: Successor) -> Any:
        """Have what there is go of those who had the loader's name, if they had, as it loads."""
        if replaced := self._loader.take_over_name():
            self._clear(replaced, successor)

    def lose_name(self) -> Any:
        """Have what it has loaded go, if another has taken over its name meanwhile."""
        if self._loader.lost_its_name:
            _clear_replaced((self._loader,))

    def _clear(self, replaced: tuple[Replaced, ...], successor: Successor) -> None:
        """Have what there is go of those whose name the loader has taken over, before it loads."""
        _clear_replaced(replaced, successor)
        self._loader.torn_down(replaced)

    def _request(
        self, site: CallSite, raw: Any, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> Request:
        if self._may_be_method and args:
            self._may_be_method = False
            self._warn_of_method(args[0])
        if self._instance is not None:
            args = self._complete(args)
        return self._loader.request(site, raw, args, kwargs)

    def _warn_of_method(self, instance: Any) -> None:
        """Say so if this is a method of ``instance``, which nobody could see at decoration."""
        hit = self.function() if self.function is not None else None
        if any(hit is each for kind in type(instance).__mro__ for each in [*vars(kind).values()]):
            warnings.warn(
                f"{self._loader.__qualname__}() is a method of {type(instance).__qualname__}, and "
                f"keeps its instances, for they are part of its keys: have the decorator below "
                f"@warm use functools.wraps, so that it is seen to be a method",
                stacklevel=5,
            )

    def _site_of(self, args: tuple[Any, ...], kwargs: dict[str, Any], *owner: Any) -> CallSite:
        """Return where a call comes from. ClosedError if what owns its value has ended."""
        loader = self._loader
        return self._site if loader.sites is None else loader.site(args, kwargs, *owner)

    def _complete(self, args: tuple[Any, ...]) -> tuple[Any, ...]:
        return args if self._instance is None else (self._instance, *args)

    def lease(self, /, *args: Any, **kwargs: Any) -> Any:
        """Return a context manager that holds the value, loading it if need be.

        Of an ``async`` loader it is an async context manager.

        Raises:
            CapacityError: as it is entered: there is no room, or leases left none in time.
            ClosedError: the cache is closed.
            LoadCycleError: the load waits for itself.
            WarmMissError: it is not warm, and loading is forbidden here.
        """
        try:
            raw, args, kwargs = self._loader.bind(*args, **kwargs)
            if self._loader.waits:
                self._find_cache()
            site = self._site_of(args, kwargs)
            if self._loader.keeps_nothing or (SCOPES and scopes.disabled_here()):
                return self._lease_unowned(site, args, kwargs)
            if self._is_hot(site, raw):
                return self._lease_of(self._acquire_hot, site, raw, args, kwargs)
            return self._lease_of(self._acquire, self._request(site, raw, args, kwargs))
        except BaseException as error:
            drop_inner_frames(error)
            raise

    def _is_hot(self, site: CallSite, raw: Any) -> bool:
        try:
            return not self._loader.ends and site.hot.get(raw) is not None
        except TypeError:  # not hashable as it is
            return False

    def _acquire_hot(
        self, record: LeaseRecord, site: CallSite, raw: Any, args: Any, kwargs: Any
    ) -> Any:
        """Lease what a hit would find; when that has left, load it."""
        found = lease_warm(self._loader.cache._view, site.hot.get, raw, record)
        return found or self._acquire(record, self._request(site, raw, args, kwargs))

    def alease(self, /, *args: Any, **kwargs: Any) -> Any:
        """Return an async context manager that holds the value, loading it if need be in a thread.

        What the lease's end tears down goes in a thread, too: nothing of it blocks the event loop.

        Raises TypeError where the thread that has loaded is to tear down, for that ends at once.
        """
        try:
            if self._loader.options.teardown_in == "loading-thread":
                raise TypeError(
                    f"{self._loader.__name__}() says teardown_in='loading-thread', and alease "
                    f"loads in a thread that ends at once: lease it in a thread that stays"
                )
            raw, args, kwargs = self._loader.bind(*args, **kwargs)
            if self._loader.waits:
                self._find_cache()
            site = self._site_of(args, kwargs)
            if self._loader.keeps_nothing or (SCOPES and scopes.disabled_here()):
                return self._lease_unowned(site, args, kwargs, aside=True)
            if self._is_hot(site, raw):
                return AsyncLease(self._acquire_hot_aside, site, raw, args, kwargs)
            return AsyncLease(self._acquire_aside, self._request(site, raw, args, kwargs))
        except BaseException as error:
            drop_inner_frames(error)
            raise

    def _acquire_hot_aside(
        self, record: LeaseRecord, site: CallSite, raw: Any, args: Any, kwargs: Any
    ) -> Any:
        found = lease_warm(self._loader.cache._view, site.hot.get, raw, record)
        return found or self._acquire_aside(record, self._request(site, raw, args, kwargs))

    def _lease_live(self, request: Request, record: LeaseRecord) -> Leased | None:
        """Lease what is there if nobody has to be asked or waited for; else None."""
        cache = self._loader.cache
        entry = cache._live.get(request.key)
        if entry is None or cache._ended(entry) or request.validate is not None:
            return None
        shares_name = self._loader.name_holder is not None
        return (
            None if shares_name else lease_warm(cache._view, cache._live.get, request.key, record)
        )

    async def _acquire_aside(self, record: LeaseRecord, request: Request) -> Leased:
        """Acquire what is there at once, else in a thread, whose the ``record`` is meanwhile."""
        if (found := self._lease_live(request, record)) is not None:
            return found
        from warmcache._core.drivers.aside import aside

        def work() -> Leased:
            record.thread = get_ident()
            leased: Leased = self._acquire(record, request)
            return leased

        def unclaimed(leased: Leased) -> None:
            entry, view = leased
            release(view, entry, record)

        leased = await aside(work, "warmcache-load", unclaimed=unclaimed)
        record.thread = get_ident()
        return leased

    def _lease_unowned(
        self, site: CallSite, args: tuple[Any, ...], kwargs: dict[str, Any], *, aside: bool = False
    ) -> DisabledLease[Any]:
        load = partial(self._load_unowned, site, args, kwargs)
        return DisabledLease(self._loader, load, aside=aside)

    def _load_unowned(self, site: CallSite, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Load what belongs to the caller alone: inside ``disabled()``, or as nothing is kept."""
        loader, complete = self._loader, self._complete(args)
        if scopes.disabled_here():
            return frozen_unowned(loader, loader.produce_unowned(complete, kwargs), loader.freeze)
        successor = self._successor(args, kwargs)
        if replaced := loader.take_over_name():
            self._clear(replaced, successor)
        for pending in finish_last(loader):
            await_if_need_be(pending)
        with told_loads(loader, lambda: [successor.key()]) as box:
            box.append(self._produced_unowned(site, complete, args, kwargs))
        return box[0]

    def _produced_unowned(
        self,
        site: CallSite,
        complete: tuple[Any, ...],
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
    ) -> Any:
        """Return what nothing here keeps, if the disk has it, from there."""
        loader = self._loader
        if loader.disk is None:
            return frozen_unowned(loader, loader.produce_unowned(complete, kwargs), loader.freeze)
        loader.count_unowned()
        request = self._request(site, *loader.bind(*args, **kwargs))
        return frozen_unowned(loader, request.load()[:3], request.freeze)

    def _successor(
        self, args: tuple[Any, ...], kwargs: dict[str, Any], record: LeaseRecord | None = None
    ) -> Successor:
        """Return who takes a predecessor's place, for a value that is to be the caller's own."""

        def key() -> CallKey:
            try:
                return self._key(args, kwargs)
            except KeyingError:  # what is not kept needs none
                return CallKey((self._loader.source,))

        return Successor(self._loader.cache._view, record or LeaseRecord(time.monotonic()), key)

    # -- letting go ----------------------------------------------------------------

    @one_frame
    def evict(self, /, *args: Any, **kwargs: Any) -> list[Removal]:
        """Tear down the value of this call, if it is warm; return what was removed.

        When it is leased, it is torn down as the last lease ends.
        """
        return self._loader.cache._evict(self._kept(args, kwargs))

    @one_frame
    def evict_all(self, *, tag: str | None = None) -> list[Removal]:
        """Tear down all that this loader has warm, the last loaded first; return what was removed.

        Only if it has ``tag``, where one is given. Of a bound method, what it has warm for this
        instance. What is leased goes with its last lease, and is among what is returned.

        Raises:
            TypeError: ``tag`` is no text.
            ValueError: it is empty.
        """
        return self._loader.cache._evict(self._with_tag(tag))

    def _with_tag(self, tag: str | None) -> list[Entry]:
        checks.optional(checks.text, "tag", tag)
        own = self._loader.kept_entries(self._site)
        entries = [each for each in own if tag is None or tag in each.tags]
        return sorted(entries, key=attrgetter("loaded"), reverse=True)

    @one_frame
    def forget(self, /, *args: Any, **kwargs: Any) -> bool:
        """Remove what lies on disk of this call, and tear down what is warm of it.

        Returns whether anything lay there.

        Raises:
            KeyingError: an argument cannot be told from others on disk.
            TypeError: the loader keeps nothing on disk.
        """
        there = self._forget_on_disk(args, kwargs)
        self._loader.cache._evict(self._kept(args, kwargs))
        return there

    def _forget_on_disk(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> bool:
        disk = self._disk()
        raw, args, kwargs = self._loader.bind(*args, **kwargs)
        site = self._site_of(args, kwargs)
        key, _ = self._loader.key(site, raw)
        return disk.forget(disk.call(key, raw, site, self._complete(args), kwargs))

    def _disk(self) -> ThroughDisk:
        if self._loader.disk is None:
            name = self._loader.__name__
            raise TypeError(f"{name}() keeps nothing on disk: it was decorated without disk=")
        return self._loader.disk

    @one_frame
    def cache_clear(self, *, disk: bool = False) -> None:
        """Tear down everything this loader has warm, and start its counts anew.

        Of a bound method, what it has warm for this instance; the counts are those of all
        instances together, and stay. With ``disk``, what lies there of it goes, too: of a method,
        that of all instances.
        """
        if disk:
            self._disk().forget_all()
        self._loader.cache._evict(reversed(self._loader.kept_entries(self._site)))
        self._forget_counts()

    def _forget_counts(self) -> None:
        loader = self._loader
        if self._site.owner is not None:  # others have their part in the counts
            return
        with loader.cache._store.lock:
            # What is still leased or being torn down adds its hits as it goes.
            loader.source.past_hits = -loader.uncounted_hits()
            loader.source.misses = 0

    # -- looking -------------------------------------------------------------------

    def _found(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> list[Entry]:
        cache, key = self.cache, self._key(args, kwargs)
        with cache._store.lock:
            entry = cache._live.get(key)
            return [] if entry is None or cache._ended(entry) else [entry]

    def _kept(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> list[Entry]:
        """Return what there is of a call, be it parked."""
        cache, key = self.cache, self._key(args, kwargs)
        with cache._store.lock:
            return self._found(args, kwargs) or cache._store.below(key)

    @one_frame
    def peek(self, /, *args: Any, **kwargs: Any) -> Any:
        """Return the warm value of this call, or ``default`` (None); loads and counts nothing.

        ``default=`` is an argument of the loader's where that takes one of this name.
        """
        default = None if self._loader.takes("default") else kwargs.pop("default", None)
        for entry in self._found(args, kwargs):
            return getattr(entry, "value", default)  # torn down this very moment
        return default

    @one_frame
    def contains(self, /, *args: Any, **kwargs: Any) -> bool:
        """Whether the value of this call is warm; loads nothing, counts nothing."""
        return bool(self._found(args, kwargs))

    @one_frame
    def cache_key(self, /, *args: Any, **kwargs: Any) -> CallKey:
        """Return the key of this call in :attr:`cache`."""
        if self._loader.waits:
            self._loader.find_cache()
        return self._key(args, kwargs)

    def _key(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> CallKey:
        raw, args, kwargs = self._loader.bind(*args, **kwargs)
        return self._loader.key(self._site_of(args, kwargs), raw)[0]

    @property
    def cache(self) -> Cache[Any, Any]:
        """The cache that this loader's values live in. ValueError if nobody has defined it."""
        if self._loader.waits:
            self._loader.find_cache()
        return self._loader.cache

    def cache_info(self) -> CacheInfo:
        """Return this loader's hits and misses, and its share of the cache."""
        cache, source = self.cache, self._loader.source
        with cache._store.lock:
            return CacheInfo(
                hits=source.past_hits + self._loader.uncounted_hits(),
                misses=source.misses,
                maxsize=None if cache.maxsize == float("inf") else cache.maxsize,
                currsize=sum(
                    entry.weight
                    for entry in cache._live.values()
                    if entry.provenance.source is source and not cache._ended(entry)
                ),
            )

    def cache_parameters(self) -> dict[str, Any]:
        """Return how this loader caches, as ``functools.lru_cache`` does and more."""
        options, cache = self._loader.options, self.cache
        return {
            "maxsize": None if cache.maxsize == float("inf") else cache.maxsize,
            "typed": options.typed,
            "cache": type(cache).__name__,
            "policy": cache.policy.__name__,
            "ttl": sooner(cache.ttl, options.ttl),
            "idle_ttl": cache._setup.idle_ttl,
            "size": options.size,
            "tags": sorted(self._loader.source.tags),
            "version": options.version,
        }

    # -- several calls -------------------------------------------------------------

    @one_frame
    def many(self, calls: Iterable[Any]) -> list[Any]:
        """Return the values of several calls, in their order; of equal ones, only one is made.

        A call is a tuple of its arguments, or a mapping of keywords. With ``batch=``, it is one of
        an element, and all that are missing are loaded together. Nothing is leased: a value may
        be torn down from the moment on at which the next one is loaded.

        Raises:
            TypeError: a call is neither.
        """
        return several.many(self, calls)

    # -- warming up ----------------------------------------------------------------

    @one_frame
    def warm_up(self, calls: Iterable[Any]) -> None:
        """Load several values, each once, in order, with a progress bar in a terminal.

        A call is its one argument, a tuple of arguments or a mapping of keywords.

        Raises:
            TypeError: it was given one text or mapping, instead of a list of them.
        """
        for args, kwargs in each_call(calls, self._loader.__name__):
            with self.lease(*args, **kwargs):
                pass

    # -- shown to people -----------------------------------------------------------

    def __repr__(self) -> str:
        from . import shown  # which only who looks waits for

        return shown.as_text(self._loader, self._where())

    def _where(self) -> CallSite | None:
        """Return the site that is a part of its keys, if one is."""
        return None

    def _ipython_display_(self) -> None:
        """Show what is warm, for IPython: of a function, its ``repr`` says nothing of that."""
        from . import shown

        shown.in_ipython(repr(self))

    def __reduce__(self) -> Any:
        function = self.function() if self.function is not None else None
        if function is None:
            return self._loader.__reduce__()
        return attrgetter("lease.__self__"), (function,)


def _clear_replaced(loaders: tuple[Replaced, ...], successor: Successor | None = None) -> None:
    """Tear down what is warm of ``loaders``, whose name another has taken over."""
    for loader in loaders:
        for view, source in loader.warm():
            run(remove.replaced(view, source, successor), view)


def each_call(calls: Iterable[Any], name: str) -> Iterator[tuple[tuple[Any, ...], dict[str, Any]]]:
    """Yield ``(args, kwargs)`` of each call, showing progress in a terminal."""
    if isinstance(calls, str | bytes | Mapping):  # one call, of which each part would be another
        raise TypeError(
            f"warm_up() takes several calls, got {short_text_of(calls)}; "
            f"for this one, write {name}.warm_up([...]) with it inside"
        )
    for call in track(list(calls), f"warming up {name}()"):
        if isinstance(call, Mapping):
            yield (), dict(call)
        else:
            yield call if isinstance(call, tuple) else (call,), {}


API = (
    *("alease", "cache_clear", "cache_info", "cache_key", "cache_parameters", "contains", "evict"),
    *("evict_all", "forget", "lease", "many", "peek", "warm_up"),
)
