"""Which cache a loader lives in, and how another process comes to have the same."""

from __future__ import annotations

import os
import weakref
from typing import Any, NamedTuple

from warmcache import policies
from warmcache._process.fork_safe_lock import ForkSafeLock
from warmcache.caches.cache import Cache
from warmcache.policies.definition import Definition
from warmcache.policies.shared_caches import SharedCache, definition_of, shared_cache

_guard = ForkSafeLock()
# By what stands for them everywhere: caches that loaders share, made here or like those of others.
_foreign_caches: weakref.WeakValueDictionary[str, Cache[Any, Any]] = weakref.WeakValueDictionary()


class Recipe(NamedTuple):
    """How to come by a cache: one of its own by policy, one by name, or one like another.

    Attributes:
        kind: ``"policy"``, ``"named"``, ``"like"`` or ``"only here"``.
        which: the policy, a name or a class; the cache's name; or a name that stands for the
            other cache wherever it is met.
        options: those of the policy; the definition of the name, where it is known already; or
            what the other cache is set up with.
    """

    kind: str
    which: Any
    options: Any

    def cache(self) -> Cache[Any, Any] | SharedCache:
        """Return the cache: a new one only where none of that name is here."""
        if self.kind == "policy":
            created: Cache[Any, Any] = policies.create(self.which, **self.options)
            return created
        if self.kind == "named":
            return _named(self.which, self.options)  # which may be defined only later
        known = _foreign_cache(self.which)
        return _new_foreign_cache(self.which, *self.options) if known is None else known

    def __reduce__(self) -> Any:
        if self.kind == "only here":
            raise TypeError(
                "a loader whose cache is a memory cache made here cannot be sent by value: "
                f"share the cache by name, cache={self.which!r}, as warmcache.cache() defines it"
            )
        options = self.options
        if self.kind == "named" and options is None:  # what it is by now
            options = shared_cache(self.which).definition
        return Recipe, (self.kind, self.which, options)

    def __warm_digest__(self) -> Any:
        """Return what of it has a meaning: not where it writes, nor which cache it is."""
        if self.kind == "named":  # not how it is made: here that is known before, or later
            return self.kind, self.which
        if self.kind in ("like", "only here"):
            return self.kind, self.options
        meant = sorted(name for name in self.options if name != "record")
        return self.kind, self.which, tuple((name, self.options[name]) for name in meant)


class LoaderCache(NamedTuple):
    """The cache of a loader, and how another process comes to have the same.

    ``cache`` is None where the recipe has it: the loader's own, or one of a name.
    """

    cache: Cache[Any, Any] | None
    recipe: Recipe


def _named(name: str, definition: Definition | None) -> SharedCache:
    shared = shared_cache(name)
    if definition is not None and shared.opened() is None:
        shared.define(definition.cache(), definition)  # or it is what it is here meanwhile
    return shared


def _foreign_cache(token: str) -> Cache[Any, Any] | None:
    with _guard.lock:
        known = _foreign_caches.get(token)
        return None if known is None or known._store.closed else known


def _new_foreign_cache(token: str, kind: type[Cache[Any, Any]], setting: Any) -> Cache[Any, Any]:
    made = kind._empty_as(*setting)  # not under the lock: it may be the user's, and import
    with _guard.lock:
        known = _foreign_cache(token)
        _foreign_caches[token] = cache = made if known is None else known
    return cache


def recipe_of(cache: Cache[Any, Any]) -> Recipe:
    """Return the recipe of a cache that several loaders may share."""
    definition = definition_of(cache)
    if definition is not None:
        return Recipe("named", *definition)
    if cache._view.meter is not None:  # its device and its watcher belong to this process
        return Recipe("only here", "<name>", type(cache))
    with _guard.lock:
        known_as = [token for token, other in _foreign_caches.items() if other is cache]
        token = known_as[0] if known_as else os.urandom(16).hex()
        _foreign_caches[token] = cache
    return Recipe("like", token, (type(cache), cache.__warm_digest__()))
