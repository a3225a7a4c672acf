"""A loader of this process, as those that arrive find it, and as it travels itself."""

from __future__ import annotations

import os
import weakref
from collections.abc import Callable
from typing import Any, Protocol

from warmcache._loaders.calls import Caller
from warmcache._loaders.loader import Loader
from warmcache._process.after_fork import in_child
from warmcache.caches.cache import Cache
from warmcache.policies.shared_caches import SharedCache, nowhere

from .digest import digest
from .parts import Parts
from .stand_ins import LaterCache

_this_process = os.urandom(16).hex()


@in_child
def _be_another_process() -> None:
    global _this_process
    _this_process = os.urandom(16).hex()


def this_process() -> str:
    """Return what tells this process from all others."""
    return _this_process


class HoldsName(Protocol):
    """What a loader holds its name by, see ``holder.py``."""

    @property
    def place(self) -> Any:
        """Where it takes turns with others."""

    @property
    def predecessors(self) -> tuple[Any, ...]:
        """Whom a loader that was not used yet may go on with."""
        ...

    def add(self, number: int, loader: Loader) -> None:
        """Have it hold the name for ``loader``, too, the so-manieth of its LocalLoader."""
        ...

    def moved(self, number: int, loader: Loader) -> None:
        """Note that this lives in another cache from now on."""
        ...


class LocalLoader:
    """What lets a loader of this process be found, and travel: pickled, it is an ArrivedLoader.

    Of one that is defined here, the digest is taken whenever it is asked for, since globals
    change. One that was made for one that arrived has the digest that came, and the origin,
    the process where it is defined.

    Attributes:
        name: its module and qualified name.
        parts: what it is made of.
        loaders: its :class:`Loader`; of a method two, if it may be a static one.
        caller: gives what its function offers besides being called; None of a method.
        holder: what it holds its name by, see ``loader_names.py``.
        came_as: the digest that it came with; None of one that is defined here.
    """

    __slots__ = (
        *("__weakref__", "_cache", "_origin", "_thing"),
        *("caller", "came_as", "holder", "loaders", "name", "parts"),
    )

    def __init__(
        self,
        thing: Any,
        parts: Parts,
        cache: Cache[Any, Any] | SharedCache,
        arrived: Any = None,
    ) -> None:
        self._thing: weakref.ref[Any] = weakref.ref(thing)
        self.parts = parts
        self._cache = cache
        self.loaders: list[Loader] = []
        self.caller: Callable[[], Any] | None = None
        self.holder: HoldsName | None = None
        self.name: tuple[str, str] = parts.name if arrived is None else arrived.name
        self.came_as: str | None = None if arrived is None else arrived.digest
        self._origin: str | None = None if arrived is None else arrived.origin

    def thing(self) -> Any:
        """Return the warm function or method; None if it is gone."""
        return self._thing()

    @property
    def cache(self) -> Cache[Any, Any]:
        """The cache that it lives in; one that is closed where its name is not defined yet."""
        if isinstance(self._cache, Cache):
            return self._cache
        defined = self._cache.cache
        return nowhere() if defined is None else defined

    def digest(self) -> str:
        """Return the digest of what the loader means."""
        return self.came_as or digest(self.parts)

    def origin(self) -> str:
        """Return which process the loader is defined in."""
        return self._origin or _this_process

    def token(self) -> tuple[str, ...]:
        """Return what stands for the loader in Dask's keys."""
        return "warmcache", *self.name, self.digest()

    def add(self, loader: Loader) -> None:
        """Have one more Loader, which shares the name as the other does."""
        self.loaders.append(loader)
        loader.moved = weakref.WeakMethod(self._moved)
        if self.holder is not None:  # and if that comes now, it sees the loader
            self.holder.add(len(self.loaders) - 1, loader)

    def _moved(self, loader: Loader) -> None:
        """Note that ``loader`` lives in another cache from now on."""
        if self.holder is not None:
            self.holder.moved(self.loaders.index(loader), loader)
        caller = self.caller() if self.caller is not None else None
        function = caller.function() if caller is not None else None
        if caller is not None and function is not None:
            function.__dict__["cache"] = self.cache_of(caller)
            self.show_cache(function)

    def cache_of(self, caller: Caller) -> Any:
        """Return what a function shows as its cache: what looks for it, where it is not there."""
        cache, by_name = caller._loader.cache, caller._loader.shared is not None
        return LaterCache(caller) if by_name and cache is nowhere() else cache

    def show_cache(self, thing: Any) -> None:
        """Have the cache named after ``thing``, unless it is after another; see ``Cache.name``."""
        if isinstance(self._cache, SharedCache) and self._cache.cache is None:
            return
        cache = self.cache
        known = cache._of_loader() if cache._of_loader is not None else None
        if known is None or (known.__module__, known.__qualname__) == self.name:
            cache._of_loader = weakref.ref(thing)
