"""Caches by name, shared by a whole process.

A name needs no place where it is defined. Whoever says how its cache is made defines it, if nobody
has, and it does not matter whether that is before or after a loader names it: what a loader lives
in is looked up when it is first called, and anew once its cache was closed and another is defined.

Invariant: a loader lives in a cache of its name that was open when it moved in, or nowhere. All
moves are made under the lock, and those out of a closed cache before there is another; so of the
threads that call a loader at once none finds it halfway, and in a forked child it is nowhere at
worst, and looks.
"""

from __future__ import annotations

import weakref
from contextlib import suppress
from typing import Any, NoReturn, Protocol

from warmcache import _checks as checks
from warmcache import policies
from warmcache._process.fork_safe_lock import ForkSafeLock
from warmcache._suggestions import nearest
from warmcache._tracebacks import one_frame
from warmcache.caches.cache import Cache

from .definition import Definition

_guard = ForkSafeLock()
_caches: dict[str, SharedCache] = {}


@one_frame
def cache(
    name: str, policy: str | type[Cache[Any, Any]] | None = None, **options: Any
) -> Cache[Any, Any]:
    """Create or return the cache called ``name``.

    Modules that know nothing of each other share it: each may define it, with the
    same policy and options, or one defines it and the others name it; so may loaders,
    ``@warm(cache=name, policy=...)``. A cache that was closed may be defined anew: its
    loaders load into the new one from then on. Definitions are the same if they mean the
    same: a policy's name and its class, ``"1GiB"`` and its bytes, a default and its being
    left out, callables of one module and qualified name.

    Raises:
        ValueError: the name is defined otherwise already, or, when only a name was
            given, not yet.
        TypeError: the policy has no such option.
    """
    checks.text("name", name, "the name of the cache")
    if policy is None and not options:
        return shared_cache(name).find()
    return defined(name, policy, options)


def defined(name: str, policy: Any, options: dict[str, Any]) -> Cache[Any, Any]:
    """Return the cache called ``name``, which these define, or have to mean what defined it.

    Raises:
        ValueError: it is defined otherwise.
    """
    if policy is not None:
        policies.registry.find(policy)
    definition, shared = Definition.of(policy, options), shared_cache(name)
    found = shared.opened()
    if found is None:
        # Not under the lock: it imports what the policy is in, which may define a cache too.
        found = shared.define(definition.cache(), definition)
    cache, known = found
    if known is not definition and not known.means(definition):
        raise ValueError(_contradiction(name, known, definition))
    return cache


def shared_cache(name: str) -> SharedCache:
    """Return what this process knows under ``name``."""
    with _guard.lock:
        return _caches.setdefault(name, SharedCache(name))


def definition_of(cache: Cache[Any, Any]) -> tuple[str, Definition] | None:
    """Return the name and the definition of ``cache``; None when it has none."""
    with _guard.lock:
        for name, shared in _caches.items():
            if shared.cache is cache and shared.definition is not None:
                return name, shared.definition
    return None


class LoaderByName(Protocol):
    """A loader, as the name of its cache knows it."""

    waits: bool  # whether it lives nowhere yet

    def live_in(self, cache: Cache[Any, Any]) -> None:
        """Load into ``cache`` from now on."""


class SharedCache:
    """What a process knows under one name: its cache, how that is made, whose loaders live in it.

    Attributes:
        cache: the last that was defined, be it closed; None before the first.
    """

    __slots__ = ("_loaders", "cache", "definition", "name")

    def __init__(self, name: str) -> None:
        self.name = name
        self.cache: Cache[Any, Any] | None = None
        self.definition: Definition | None = None
        self._loaders: weakref.WeakSet[Any] = weakref.WeakSet()

    def opened(self) -> tuple[Cache[Any, Any], Definition] | None:
        """Return the cache and its definition, if there is one that is not closed."""
        cache, definition = self.cache, self.definition
        if cache is None or definition is None or cache._store.closed:
            return None
        return cache, definition

    def define(
        self, cache: Cache[Any, Any], definition: Definition
    ) -> tuple[Cache[Any, Any], Definition]:
        """Have ``cache`` under this name, unless another was faster; return which it is now."""
        with _guard.lock:
            found = self.opened()
            if found is not None:
                return found
            loaders = [*self._loaders]
            for loader in loaders:
                _move_out(loader)
            cache._name = self.name
            self.cache, self.definition = None, definition
            self.cache = cache
        for loader in loaders:
            with suppress(TypeError, ValueError):  # it raises them once it is called
                self.take_in(loader)
        return cache, definition

    def find(self) -> Cache[Any, Any]:
        """Return the cache. Raises ValueError when none is defined, or it was closed."""
        found = self.opened()
        return self._say_how() if found is None else found[0]

    def add(self, loader: LoaderByName) -> None:
        """Have a loader live in the cache, or wait for it where it is not defined yet."""
        with _guard.lock:
            self._loaders.add(loader)
        if self.opened() is not None:
            self.take_in(loader)

    def take_in(self, loader: LoaderByName) -> None:
        """Have a loader that waits for the cache live in it. Raises as :meth:`find` does."""
        with _guard.lock:
            cache = self.find()
            if loader.waits:
                loader.live_in(cache)
                loader.waits = False

    def _say_how(self) -> NoReturn:
        was_closed = "" if self.cache is None else f" any more ({self.cache._store.why_closed})"
        known = sorted(name for name, each in _caches.copy().items() if each.opened() is not None)
        raise ValueError(
            f"there is no cache {self.name!r}{was_closed or ' yet'}: define it with "
            f"warmcache.cache({self.name!r}, policy=..., maxsize=...), or where a loader names "
            f"it, @warm(cache={self.name!r}, policy=..., maxsize=...){nearest(self.name, known)}"
        )


def _move_out(loader: LoaderByName) -> None:
    loader.waits = True  # before it is nowhere, so that nobody finds it there
    loader.live_in(nowhere())


_nowhere: list[Cache[Any, Any]] = []


def nowhere() -> Cache[Any, Any]:
    """Return what loaders live in whose cache is not there yet: a closed one, always empty."""
    with _guard.lock:
        if not _nowhere:
            cache: Cache[Any, Any] = Cache(None)
            cache._store.close("it was closed and is being defined anew; ask again")
            _nowhere.append(cache)
        return _nowhere[0]


def _contradiction(name: str, known: Definition, other: Definition) -> str:
    text = f"cache {name!r} is defined already, as {known}; it cannot be {other} too"
    for own in ("teardown", "ttl"):
        if own in known.options and own not in other.options:
            text += f" ({own}= that is given to @warm beside cache= is the loader's own)"
    return (
        f"{text}. Leave policy and options out to use it as it is, or close it first, to define "
        f"it anew: warmcache.cache({name!r}).close()"
    )
