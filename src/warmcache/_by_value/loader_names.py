"""The names of loaders in this process: one name, one cache, and one that holds it.

All loaders of a process are known by their names, module and qualified name, so that one
that comes by value finds the one that means the same. Once one came, its name has one
cache, and loaders of that name share it: an edited one, and the one from before the
edit. There may be copies of all of them in somebody's hands, and any may be called next.

Invariant: of the loaders that share a name, only the one that holds it has anything
warm. What its predecessor has is torn down before the load by which another takes it over; what is
leased then, as its lease ends; what was being loaded then, after its load. So no model is
kept beside one that has replaced it, and none is served in its place.

A name changes hands at a miss, before the load: the one moment at which a loader that has replaced
another, or was replaced, must come by. So hits pay nothing. Who holds a name is kept alive
here: the copies go with the task that brought them, and the next task finds it warm.

Who shares a name:

- a loader that was made for one that arrived: always;
- one that is defined here: once one of its meaning arrives from another process, for the
  edited one will, too, and both models would be warm;
- one that is defined here and came back: not for that. Its user may have it and an edited one
  in hand, and mean both;
- one that is defined here, and then anew: with its successors, and nobody else, see
  ``statement.py``. It is not kept alive for that.

The lock is of these tables alone: every ``@warm`` takes it, and to take digests, or to make
caches and loaders, is to run the user's code and to import. So what several threads make at
once counts once it is published, and who comes late drops what he made.
"""

from __future__ import annotations

import weakref
from typing import Any

from warmcache._process.fork_safe_lock import ForkSafeLock
from warmcache.caches.cache import Cache
from warmcache.policies.shared_caches import SharedCache

from .digest import digest
from .holder import Holder
from .local_loader import LocalLoader
from .recipe import Recipe
from .statement import Run, Statement, statement_that_runs

_guard = ForkSafeLock()  # of all names; nothing of the user's runs under it
_names: dict[tuple[str, str], LoaderName] = {}


def loader_name(name: tuple[str, str]) -> LoaderName:
    """Return what this process has under ``name``."""
    with _guard.lock:
        return _names.setdefault(name, LoaderName())


class LoaderName:
    """One name in this process: its loaders, their cache once they share it, and who holds it."""

    __slots__ = ("_runs", "cache", "holder", "loaders", "recipe")

    def __init__(self) -> None:
        self.loaders: weakref.WeakSet[LocalLoader] = weakref.WeakSet()
        self.cache: Cache[Any, Any] | None = None
        self.recipe = ""  # the digest of how the cache is made
        self.holder: Holder | None = None
        # By the file of the module, and by the name that what is defined there is given.
        self._runs: dict[tuple[str | None, str | None], Run] = {}

    def statement(self, target: Any) -> Statement | None:
        """Return which statement defines ``target``, if one of a module's or a cell's does."""
        running = statement_that_runs(target)
        if running is None:
            return None
        with _guard.lock:
            run = self._runs.setdefault((running.file, running.bound), Run())
            return run.statement(running)

    def add(self, local: LocalLoader, thing: Any) -> None:
        """Have a loader that is defined here found by those that arrive."""
        with _guard.lock:
            self.loaders.add(local)
            local.show_cache(thing)

    def find(self, wanted: str) -> tuple[LocalLoader, Any] | None:
        """Return the loader that has the digest ``wanted``, with what is called."""
        with _guard.lock:
            known = list(self.loaders)
        known.sort(key=lambda local: local.came_as is None)  # to tell the others' costs nothing
        for local in known:
            thing = local.thing()
            if thing is not None and wanted == local.digest():
                return local, thing
        return None

    def cache_of(self, recipe: Recipe) -> Cache[Any, Any] | SharedCache:
        """Return the cache of the name: a new one if it is made otherwise, or was closed."""
        if recipe.kind == "named":
            return recipe.cache()
        means = digest(recipe)
        cache = self._cache_if(means)
        if cache is None:
            made: Any = recipe.cache()
            with _guard.lock:
                cache = self._cache_if(means)
                if cache is None:
                    self.cache, self.recipe, cache = made, means, made
        return cache

    def _cache_if(self, means: str) -> Cache[Any, Any] | None:
        with _guard.lock:
            cache = self.cache
            return None if cache is None or self.recipe != means or cache._store.closed else cache

    def publish(self, local: LocalLoader, thing: Any) -> Any:
        """Have a loader that was made for one that arrived, unless another was faster.

        Return what is called: ``thing``, or the other's.
        """
        with _guard.lock:
            for other in self.loaders:
                if other.came_as == local.came_as and (theirs := other.thing()) is not None:
                    return theirs
            self._take_in(local, thing)
            self.add(local, thing)
        return thing

    def join(self, local: LocalLoader, thing: Any) -> None:
        """Have a loader that is defined here share the name with those that arrive."""
        means = digest(local.parts.recipe)
        with _guard.lock:
            if local.holder is None or local.holder.place is not self:
                if self.cache is None:
                    self.cache, self.recipe = local.cache, means
                self._take_in(local, thing)

    def _take_in(self, local: LocalLoader, thing: Any) -> None:
        Holder(self, local, kept=(local, thing)).hold_if_nobody_does()
