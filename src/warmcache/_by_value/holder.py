"""What a loader holds a name by, or would like to: who had it last, and what is torn down.

Invariant: of those that take turns in one place, only the one that holds it has anything warm.
"""

from __future__ import annotations

import weakref
from contextlib import suppress
from typing import Any, Protocol

from warmcache._core.plans.cache_view import CacheView
from warmcache._core.state.entry import Source
from warmcache._loaders.call_site import Sites
from warmcache._loaders.calls import Caller
from warmcache._loaders.classes import class_made_by
from warmcache._loaders.loader import Loader
from warmcache._loaders.methods import WarmMethod
from warmcache._loaders.name_holder import Replaced
from warmcache._process.fork_safe_lock import ForkSafeLock
from warmcache.caches.cache import Cache

from .local_loader import LocalLoader
from .meaning import Meaning, meaning

_guard = ForkSafeLock()  # of who holds what; nothing of the user's runs under it


class Place(Protocol):
    """Where loaders take turns: a name that they share, or a statement that is run again."""

    holder: Holder | None


class _Known:
    """Where what a Loader has warm is found, also when the loader or its cache is gone."""

    __slots__ = ("cache", "source", "view")

    def __init__(self, loader: Loader) -> None:
        self.cache: weakref.ref[Cache[Any, Any]] = weakref.ref(loader.cache)
        self.view = weakref.ref(loader.cache._view)
        self.source = weakref.ref(loader._source)

    def warm(self) -> tuple[CacheView, Source] | None:
        cache, source = self.cache(), self.source()
        view = self.view() if cache is None else cache._view  # which is another after a fork
        if view is None or source is None or view.store.inherited:
            return None
        return view, source


class _Turn:
    """One time that a holder gave way, and what it had is to be torn down."""

    __slots__ = ("_holder",)

    def __init__(self, holder: Holder) -> None:
        self._holder = holder

    def warm(self) -> list[tuple[CacheView, Source]]:
        """Return in which caches there may be something of it, and as whose."""
        return self._holder.warm()


class Holder:
    """What a loader holds a name by; those that mean the same hold it by one.

    Who holds a name that loaders from elsewhere share is ``kept`` alive. One that is defined
    here is not: when it dies, what it has warm goes, and its successor waits for that. But one
    that has a successor is, until that knows whether it goes on with what is warm.

    Attributes:
        place: where it takes turns with others.
        in_peace: whether it has the name, and nothing is left of those who had it before.
    """

    __slots__ = (
        *("_before", "_kept", "_known", "_local", "_meaning", "_predecessors", "_unsettled"),
        *("in_peace", "place"),
    )

    def __init__(
        self,
        place: Place,
        local: LocalLoader,
        *,
        kept: Any = None,
        predecessors: tuple[Any, ...] | None = None,
    ) -> None:
        self.place = place
        self.in_peace = False
        self._local = weakref.ref(local)
        self._kept = kept
        self._unsettled = predecessors is not None
        self._predecessors = predecessors or ()
        self._known: list[_Known] = []
        self._meaning: Meaning | None = None
        self._before: tuple[_Turn, ...] = ()
        local.holder = self
        for number, loader in enumerate(local.loaders):
            self.add(number, loader)

    def hold_if_nobody_does(self) -> None:
        """Have the name if it is free."""
        with _guard.lock:
            if self.place.holder is None:
                self.place.holder = self
                self.in_peace = not self._before

    def add(self, number: int, loader: Loader) -> None:
        """Have it hold the name for ``loader``, too, the so-manieth of its LocalLoader.

        That goes on with what there is of its number already.
        """
        loader.name_holder, loader.defined_anew = self, self._unsettled
        source = self._known[number].source() if number < len(self._known) else None
        if source is not None:
            loader.go_on_with(source)
        else:
            self._known[number:] = [_Known(loader)]

    def moved(self, number: int, loader: Loader) -> None:
        """Note that ``loader``, added before as the so-manieth, lives in another cache now.

        Of those that hold the name by this, whoever is the first there has the others join it.
        """
        if number >= len(self._known):  # it is only being added
            return
        known = self._known[number]
        source = known.source()
        if source is not None and known.cache() is loader.cache:
            loader.go_on_with(source)
        else:
            self._known[number] = _Known(loader)

    def warm(self) -> list[tuple[CacheView, Source]]:
        """Return in which caches it may have something warm, and as whose."""
        return [warm for known in self._known if (warm := known.warm()) is not None]

    def has_name(self) -> bool:
        """Whether it is this that holds the name."""
        return self.place.holder is self

    def take_over_name(self) -> tuple[Replaced, ...]:
        """Have the name; return whose it was, as long as not all of theirs is torn down."""
        if not self.has_name():
            self._settle(self._meaning_beside(self.place.holder))
            with _guard.lock:
                before, self.place.holder = self.place.holder, self
                if before is not None and before is not self:
                    before.in_peace = False
                    self._before += (*before._before, _Turn(before))
                self.in_peace = not self._before
        return self._before

    def torn_down(self, replaced: tuple[Replaced, ...]) -> None:
        """Note that what there was of these is torn down."""
        with _guard.lock:
            self._before = tuple(turn for turn in self._before if turn not in replaced)
            self.in_peace = self.has_name() and not self._before

    def inherit(self) -> None:
        """Have the loader hold its name by what its predecessor holds it by, if it means the same.

        Then it has all that is warm of that one, in the cache that it shares with it.
        """
        before, local = self.place.holder, self._local()
        if before is None or before is self or local is None or before._meaning is None:
            return
        means = self._meaning_beside(before)
        if means is None or means.digest != before._meaning.digest:
            return
        if any(known.cache() is not local.cache for known in before._known):
            return
        thing = local.thing()
        for predecessor in self._predecessors:
            if isinstance(thing, WarmMethod) and isinstance(predecessor, WarmMethod):
                thing.take_over_sites(predecessor)
            elif (mine := _sites_of(thing)) is not None and (
                theirs := _sites_of(predecessor)
            ) is not None:
                mine.take_over(theirs)
        made = class_made_by(local.parts.target)
        if made is not None:
            _be_instances_of(made, before.warm())
        local.holder = before
        for number, loader in enumerate(local.loaders):
            before.add(number, loader)
        before._meaning = means  # which knows the objects that there are now
        self._settle(means)

    def _meaning_beside(self, before: Holder | None) -> Meaning | None:
        """Return what the loader means, to be compared with the one that holds the name."""
        local = self._local()
        if self._kept is not None or local is None:
            return self._meaning  # loaders from elsewhere are told by the digests that they have
        if self._meaning is not None:
            return self._meaning
        seen = before._meaning if before is not None else None
        return meaning(local.parts, local.name[0], seen)

    def _settle(self, means: Meaning | None) -> None:
        local = self._local()
        self._meaning, self._predecessors, self._unsettled = means, (), False
        for loader in local.loaders if local is not None else ():
            loader.defined_anew = False

    @property
    def predecessors(self) -> tuple[Any, ...]:
        """Whom a loader that was not used yet may go on with."""
        return self._predecessors


def _sites_of(thing: Any) -> Sites | None:
    """Return the sites of a warm function or class with ``per=``, one for each owner."""
    caller = getattr(getattr(thing, "lease", None), "__self__", None)
    return caller._loader.sites if isinstance(caller, Caller) else None


def _be_instances_of(made: type, warm: list[tuple[CacheView, Source]]) -> None:
    """Have the instances that are warm of a class's predecessor be instances of the class."""
    name = made.__module__, made.__qualname__
    for view, source in warm:
        with view.store.lock:
            entries = [each for each in view.store.kept() if each.provenance.source is source]
        for entry in entries:
            value = getattr(entry, "value", None)
            if (type(value).__module__, type(value).__qualname__) == name:
                with suppress(TypeError):  # C code may have a say in it
                    object.__setattr__(value, "__class__", made)
