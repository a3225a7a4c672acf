"""A loader of this process, as those that arrive find it, and as it travels itself."""

from __future__ import annotations

import os
import weakref
from collections.abc import Callable
from typing import Any, Protocol

from warmcache._loaders.loader import Loader
from warmcache._process.after_fork import in_child
from warmcache.caches.cache import Cache

from .digest import digest
from .parts import Parts

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


class LocalLoader:
    """What lets a loader of this process be found, and travel: pickled, it is an ArrivedLoader.

    Of one that is defined here, the digest is taken whenever it is asked for, since globals
    change. One that was made for one that arrived has the digest that came, and the origin,
    the process where it is defined.

    Attributes:
        name: its module and qualified name.
        parts: what it is made of.
        cache: the cache that it lives in.
        loaders: its :class:`Loader`; of a method two, if it may be a static one.
        caller: gives what its function offers besides being called; None of a method.
        holder: what it holds its name by, see ``loader_names.py``.
        came_as: the digest that it came with; None of one that is defined here.
    """

    __slots__ = (
        *("__weakref__", "_origin", "_thing"),
        *("cache", "caller", "came_as", "holder", "loaders", "name", "parts"),
    )

    def __init__(
        self, thing: Any, parts: Parts, cache: Cache[Any, Any], arrived: Any = None
    ) -> None:
        self._thing: weakref.ref[Any] = weakref.ref(thing)
        self.parts = parts
        self.cache = cache
        self.loaders: list[Loader] = []
        self.caller: Callable[[], Any] | None = None
        self.holder: HoldsName | None = None
        self.name: tuple[str, str] = parts.name if arrived is None else arrived.name
        self.came_as: str | None = None if arrived is None else arrived.digest
        self._origin: str | None = None if arrived is None else arrived.origin

    def thing(self) -> Any:
        """Return the warm function or method; None if it is gone."""
        return self._thing()

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
        if self.holder is not None:  # and if that comes now, it sees the loader
            self.holder.add(len(self.loaders) - 1, loader)

    def show_cache(self, thing: Any) -> None:
        """Have the cache named after ``thing``, unless it is after another; see ``Cache.name``."""
        cache = self.cache
        known = cache._of_loader() if cache._of_loader is not None else None
        if known is None or (known.__module__, known.__qualname__) == self.name:
            cache._of_loader = weakref.ref(thing)
