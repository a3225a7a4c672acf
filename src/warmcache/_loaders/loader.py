"""A decorated loader: what it loads, how, into which cache, under which keys."""

from __future__ import annotations

import inspect
import os
import weakref
from collections.abc import Callable, Hashable, Iterable, Mapping
from functools import partial
from typing import Any, NamedTuple, NoReturn, Protocol

from warmcache import _checks as checks
from warmcache._core.drivers.let_go import on_its_loop
from warmcache._core.plans.cache_view import CacheView
from warmcache._core.plans.steps import Request
from warmcache._core.state.entry import Entry, Source
from warmcache._core.state.hot_paths import SCOPES, HotEntries
from warmcache._core.state.records import RemovalCause
from warmcache._process.after_fork import begins_anew_in_child
from warmcache._process.janitor import janitor
from warmcache._signatures import code_of, not_async
from warmcache._sizes import SizeHint, file_size, parse_size
from warmcache.caches.cache import Cache
from warmcache.caches.options import Teardown, as_span, as_teardown
from warmcache.errors import WarmMissError
from warmcache.keys import ATOMS, CallKey, Defaults, checked_parts, frozen

from . import scopes
from .hit_path import Switch
from .hit_path_text import Shape
from .kinds import module_of, producer, qualname

_request = tuple.__new__  # of a named tuple, without the call of its own, which takes as long again


class LoaderOptions(NamedTuple):
    """What ``@warm`` was told about the loader itself."""

    teardown: Teardown | None = None
    teardown_in: str | None = None
    key: Any = None
    typed: bool = False
    size: float | str | Callable[[Any], float | str] | None = None
    size_hint: SizeHint | None = None
    validate: Callable[[Any], object] | None = None
    validate_errors: type[Exception] | tuple[type[Exception], ...] = Exception
    tags: Iterable[str] = ()
    version: Hashable = None
    ttl: Any = None
    loop_bound: bool = True

    @classmethod
    def of(cls, **options: Any) -> LoaderOptions:
        """Return the options, checked; :class:`Loader` knows whether they fit what it loads.

        Raises:
            TypeError: an option is of the wrong kind.
            ValueError: it is out of its range.
        """
        own = cls(**options)
        as_teardown(own.teardown)
        checks.optional(_teardown_in, "teardown_in", own.teardown_in)
        if not (own.key is None or callable(own.key) or isinstance(own.key, Mapping)):
            must_be = "callable, or a mapping of arguments to what stands for them"
            raise checks.type_error("key", must_be, own.key, "write key={'argument': None}")
        checks.flag("typed", own.typed)
        checks.flag("loop_bound", own.loop_bound)
        if callable(own.size):
            checks.function("size", own.size)
        elif own.size is not None:
            checks.size("size", own.size, "a size, or callable")
        hint = own.size_hint
        if hint is not None and not callable(hint) and not isinstance(hint, os.PathLike):
            checks.size("size_hint", hint, "a size, the path of a file, or callable")
        checks.optional(checks.function, "validate", own.validate)
        checks.hashable("version", own.version)
        return own._replace(tags=checks.texts("tags", own.tags))


# Where the teardown of an async loader's value runs that is not async itself.
_TEARDOWN_IN = ("loop", "thread")


def _teardown_in(option: str, where: Any) -> str:
    return checks.one_of(option, where, _TEARDOWN_IN)


def checked_errors(errors: Any) -> None:
    """Raise TypeError unless ``errors`` is what an ``except`` clause may name."""
    for error in errors if isinstance(errors, tuple) else (errors,):
        if not (isinstance(error, type) and issubclass(error, Exception)):
            raise TypeError(
                f"validate_errors must be a class of exceptions or a tuple of such, got {errors!r}"
            )


def _refuse_async(options: LoaderOptions) -> None:
    not_async("size", options.size, "give a number, or have the value know its size")
    not_async("size_hint", options.size_hint, "give a number, a text or a path")
    parts = options.key.items() if isinstance(options.key, Mapping) else [(None, options.key)]
    for name, part in parts:
        option = "key" if name is None else f"key={{{name!r}: ...}}"
        not_async(option, part, "await what it needs before the call, and pass that")


class CallSite:
    """Where calls come from: a function, or one instance that a method is bound to.

    An instance is referenced weakly; when it dies, what it loaded is torn down.
    """

    __slots__ = ("__weakref__", "hot", "instance")

    def __init__(
        self, instance: Any = None, died: Callable[[CallSite], None] | None = None
    ) -> None:
        self.hot = HotEntries()
        self.instance: Callable[[], Any] | None = None
        if died is not None:
            self.bind(instance, died)

    def bind(self, instance: Any, died: Callable[[CallSite], None]) -> None:
        """Be that of ``instance``, until it dies, and of no other any more."""
        self.instance = weakref.ref(instance, lambda _: died(self))

    def __repr__(self) -> str:
        instance = self.instance() if self.instance is not None else None
        return "<dead instance>" if instance is None else f"<{type(instance).__name__}>"


class Replaced(Protocol):
    """A loader whose name another has taken over."""

    def warm(self) -> list[tuple[CacheView, Source]]:
        """Return in which caches there may be something of it, and as whose."""
        ...


class NameHolder(Protocol):
    """What holds a name for a loader that shares it with others.

    A loader asks it at each miss. What there is warm of a loader whose name another takes
    over, is torn down before that one loads.
    """

    def take_over_name(self) -> tuple[Replaced, ...]:
        """Have the name; return whose it was, as long as not all of theirs is torn down."""
        ...

    def torn_down(self, replaced: tuple[Replaced, ...]) -> None:
        """Note that what there was of these is torn down."""
        ...

    def has_name(self) -> bool:
        """Whether no other has taken it over."""
        ...

    def inherit(self) -> None:
        """Have what is warm of the predecessor, if that means the same."""
        ...


class Loader:
    """What one decorated callable is made of: what loads, where to, under which keys.

    ``target`` is what loads; ``signature`` what a key is made of (without ``self``);
    ``bind`` is generated by ``hit_path.py``. One with a ``name_holder`` shares its name with
    others. One that is ``defined_anew`` may go on with what its predecessor has warm; whether
    it does, its holder is asked when this is first of interest.
    """

    bind: Callable[..., Any]

    def __init__(
        self,
        target: Callable[..., Any],
        signature: inspect.Signature,
        options: LoaderOptions,
        cache: Cache[Any, Any],
    ) -> None:
        self.target = target
        self.signature = signature
        self.options = options
        self.cache = cache
        self.keeps_nothing = cache.maxsize == 0  # as functools.lru_cache with this maxsize
        self.unfinished: list[Callable[[], object]] = []  # ends what it gave and nobody keeps
        self.name_holder: NameHolder | None = None
        self.defined_anew = False
        self.successor: Callable[[], Any] | None = None  # gives its caller, if a function's
        self.__name__ = getattr(self.target, "__name__", type(self.target).__name__)
        self.__qualname__ = qualname(self.target)
        self.__module__ = module_of(self.target)
        code = code_of(self.target)
        self.is_async = inspect.iscoroutinefunction(code) or inspect.isasyncgenfunction(code)
        self._produce = producer(self.target, weakref.WeakMethod(self._ended_early))
        yields = inspect.isgeneratorfunction(code) or inspect.isasyncgenfunction(code)
        if yields and options.teardown is not None:
            raise TypeError(
                f"{self.__name__}() is a generator: what follows its yield is the teardown; "
                f"teardown= would be a second one"
            )
        if options.teardown_in is not None and (yields or not self.is_async):
            kind = "a generator" if yields else "not async"
            where = "as part of it" if yields else "in the thread whose act removes the value"
            raise TypeError(
                f"teardown_in= is for async loaders with a teardown: {self.__name__}() is {kind}, "
                f"whose teardown runs {where}"
            )
        checked_errors(options.validate_errors)
        if not self.is_async:
            not_async("validate", options.validate, "make the loader async, too")
        _refuse_async(options)
        self.weight: float | None = None
        if options.size is not None and not callable(options.size):
            self.weight = parse_size(options.size)
        if options.size_hint is not None and not callable(options.size_hint):
            file_size(options.size_hint)
        parameters = self.signature.parameters
        self.shape = Shape(
            parameters=list(parameters.values()),
            parts=checked_parts(options.key, parameters),
            key=options.key if callable(options.key) else None,
            typed=options.typed,
        )
        ttl = options.ttl
        self._ttl = None if ttl is None else as_span(ttl, cache._setup.timer)
        may_be_idle = cache._setup.idle_ttl is not None
        self.ends = cache._timed or may_be_idle or ttl is not None  # what it loads, by time
        self._single = self.shape.single
        self._terms = self._asked_alike()
        self._defaults = Defaults(parameters.values())
        # A value to validate must be held meanwhile: its hits take the slow path.
        self._has_hits = options.validate is None
        self._hints = options.size_hint is not None
        # Whether a key is made of nothing but the loader and what it is called with.
        self._only_arguments = options.version is None and not self._defaults
        # A loader that says nothing about teardown leaves it to the cache.
        teardown = as_teardown(options.teardown) or self.cache._source.teardown
        if options.teardown_in == "loop" and teardown is not None:
            teardown = partial(on_its_loop, teardown)
        # Nothing that outlives the loader may hold it: entries have their source.
        weigh = None if options.size is None else partial(_weight, options.size)
        tags = frozenset(options.tags)
        self._source = Source(self.__name__, teardown, tags, weigh, self._ttl, options.loop_bound)
        self._source.spread = self.shape.spread
        if teardown is not None or yields:
            self.cache._have_leftovers_torn_down()
        begins_anew_in_child(self)

    def begin_anew(self) -> None:
        """Forget, in a forked child, how often it was asked for elsewhere."""
        self._source.past_hits = self._source.misses = 0

    @property
    def source(self) -> Source:
        """What its entries have in common, those of a predecessor that meant the same included."""
        if self.defined_anew and self.name_holder is not None:
            self.name_holder.inherit()
        return self._source

    def go_on_with(self, source: Source) -> None:
        """Have the entries of ``source``, a predecessor's, which are torn down as this says."""
        own, self._source = self._source, source
        source.teardown, source.tags = own.teardown, own.tags
        source.loop_bound = own.loop_bound

    @property
    def outdated(self) -> bool:
        """Whether it has a successor. Then it is off the hit path.

        Where its function was made to be the successor's, as ``%autoreload`` does, no call may
        pass that by.
        """
        return self.successor is not None and self.successor() is not None

    def become_outdated(self, successor: Callable[[], Any]) -> None:
        """Be off the hit path for as long as there is a ``successor``, of those the last."""
        self.successor = successor
        store = self.cache._store
        with store.lock:
            for entry in store.live.values():
                if entry.provenance.source is self._source:
                    store.cool(entry)

    @property
    def fresh(self) -> Callable[[Entry], bool] | None:
        """What a hit has to ask first, of a loader whose entries end; else None."""
        return self.cache._freshness.check if self.ends else None

    def record_by(self, switch: Switch) -> None:
        """Have hits recorded whenever the cache is."""
        self._switch = switch  # which the store knows weakly
        with self.cache._store.lock:
            self.cache._store.add_hit_path(switch)

    def request(
        self, site: CallSite, raw: Any, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> Request:
        """Return what the plan of one call needs.

        Raises KeyingError when an argument cannot be part of a key.
        """
        key, canonical = self.key(site, raw)
        hot = site.hot if canonical is raw and self._has_hits and not self.outdated else None
        may_load = not (SCOPES and scopes.loading_forbidden_here())
        hint = self._hint(args, kwargs) if self._hints else None
        load = partial(self._produce, *args, **kwargs)
        return _request(Request, (key, key[0], load, hot, raw, may_load, hint, *self._terms))

    def _asked_alike(self) -> tuple[Any, ...]:
        """Return what all calls ask for alike: the last fields of a request, from ``weight`` on."""
        cache, options = self.cache, self.options
        size, weight = options.size, self.weight
        ends = cache._timed or self._ttl is not None
        if weight is None and size is None and cache._unit_weight:
            weight = 1
        return (
            weight,
            size if callable(size) else cache._weigh,
            callable(size) or cache._sized,
            partial(cache._ends_at, self._ttl) if ends else None,
            options.validate,
            options.validate_errors,
        )

    def _hint(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> float:
        """Return what a load may well take: said outright, or as the size of a file."""
        hint = self.options.size_hint
        assert hint is not None
        return file_size(hint(*args, **kwargs) if callable(hint) else hint)

    def key(self, site: CallSite, raw: Any) -> tuple[CallKey, Any]:
        """Return the cache's key for a raw one, and what stands in it for ``raw``."""
        source = self.source if self.defined_anew else self._source
        # Most often a key is of texts and numbers, and hashed without a call.
        if self._only_arguments:
            if self._single:
                if raw.__class__ in ATOMS:
                    instance = site.instance
                    return CallKey((source, raw) if instance is None else (source, site, raw)), raw
            elif ATOMS.issuperset(map(type, raw)):
                instance = site.instance
                return CallKey((source, *raw) if instance is None else (source, site, *raw)), raw
        canonical = frozen(self._defaults.stood_for(raw) if self._defaults else raw)
        where = (source,) if site.instance is None else (source, site)
        parts: Any = (canonical,) if self._single else canonical
        version = () if self.options.version is None else (self.options.version,)
        return CallKey.of((*where, *version, *parts)), canonical

    def takes(self, name: str) -> bool:
        """Whether a call may have ``name=`` as an argument of the loader's own."""
        return any(
            each.kind is each.VAR_KEYWORD
            or (each.name == name and each.kind in (each.POSITIONAL_OR_KEYWORD, each.KEYWORD_ONLY))
            for each in self.signature.parameters.values()
        )

    def produce_unowned(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Load what the caller is to own; see ``disabled.py``."""
        if not scopes.disabled_here():  # and so in a cache that keeps nothing
            store = self.cache._store
            with store.lock:
                store.check_open()
                store.counts.misses += 1
                self.source.misses += 1
        if scopes.loading_forbidden_here():
            raise WarmMissError(f"loading {self.__name__}() is forbidden here")
        return self._produce(*args, **kwargs)

    def own_entries(self, site: CallSite | None = None) -> list[Entry]:
        """Return this loader's live entries, those of one ``site`` only if given."""
        with self.cache._store.lock:
            return [
                entry
                for entry in self.cache._live.values()
                if entry.provenance.source is self.source
                and (site is None or site.instance is None or entry.key[1] is site)  # type: ignore[index]
            ]

    def take_over_name(self) -> tuple[Replaced, ...]:
        """Have its name, if others have it in turn; return whose it was, if it was another's."""
        return () if self.name_holder is None else self.name_holder.take_over_name()

    def torn_down(self, replaced: tuple[Replaced, ...]) -> None:
        """Note that what there was of those is torn down whose name this has taken over."""
        if self.name_holder is not None:
            self.name_holder.torn_down(replaced)

    def warm(self) -> list[tuple[CacheView, Source]]:
        """Return in which cache it may have something warm, and as whose."""
        return [(self.cache._view, self._source)]

    @property
    def lost_its_name(self) -> bool:
        """Whether another loader has taken over its name."""
        return self.name_holder is not None and not self.name_holder.has_name()

    def uncounted_hits(self) -> int:
        """Return the hits of entries that still exist (wants the cache's lock held)."""
        alive = self.cache._store.alive()
        hits = sum(entry.hits for entry in alive if entry.provenance.source is self.source)
        return int(hits)

    def _ended_early(self, finish: object) -> None:
        """Have a value removed whose async generator has ended by itself."""
        entries = [each for each in self.own_entries() if each.provenance.finish is finish]
        janitor.defer(lambda: self.cache._evict(entries, RemovalCause.INVALID))

    def instance_died(self, site: CallSite) -> None:
        """Have what a dead instance loaded torn down; called by its finalizer."""
        janitor.defer(lambda: self.cache._evict(self.own_entries(site), RemovalCause.CLOSED))

    def __reduce__(self) -> NoReturn:
        raise TypeError(
            f"{self.__qualname__}() cannot be pickled by value, for what it has warm belongs "
            f"to this process; define it where the other process can import it"
        )

    def __repr__(self) -> str:
        return f"<Loader {self.__qualname__}>"


def _weight(size: float | str | Callable[[Any], float | str], value: Any) -> float:
    """Return what ``value`` weighs, as ``size`` says it."""
    return parse_size(size(value) if callable(size) else size)
