"""How ``@warm``, and a process where none is yet, make a loader that travels by value.

``_loaders`` makes loaders and knows no pickler; what lets them travel is attached here: to
functions their attributes, and to methods, which are objects of a class, how to reduce one.
A warm class travels with its hit path, a warm function, as an attribute.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable
from typing import Any, TypeAlias

from warmcache._loaders.calls import Caller
from warmcache._loaders.functions import warm_function
from warmcache._loaders.loader_options import LoaderOptions
from warmcache._loaders.methods import WarmMethod
from warmcache.caches.cache import Cache
from warmcache.policies.shared_caches import SharedCache

from .arrived_loader import ArrivedLoader
from .digest import importable
from .loader_names import loader_name
from .local_loader import LocalLoader
from .parts import Parts
from .pickled_attributes import PickledAttributes
from .recipe import LoaderCache
from .stand_ins import ArrivedMethod

Made: TypeAlias = tuple[LocalLoader, Any]  # and what is called


def define(
    make: Callable[..., Made],
    target: Any,
    options: LoaderOptions,
    cache: LoaderCache,
    *,
    statement_of: Any = None,
) -> Any:
    """Return the warm counterpart of ``target``, which those that arrive find here.

    ``statement_of`` is the function or class whose statement defines it, if that is not what
    ``target`` wraps.
    """
    parts = Parts(make, target, options, cache.recipe)
    name = loader_name(parts.name)
    statement = name.statement(target if statement_of is None else statement_of)
    its_cache: Cache[Any, Any] | SharedCache | None = cache.cache
    if its_cache is None and statement is not None and cache.recipe.kind == "policy":
        its_cache = statement.cache_for(parts)
    if its_cache is None:
        its_cache = cache.recipe.cache()
    local, thing = make(parts, its_cache)
    name.add(local, thing)
    if statement is not None:
        statement.define(local)
    return thing


def local_function(
    parts: Parts, cache: Cache[Any, Any] | SharedCache, arrived: ArrivedLoader | None = None
) -> Made:
    """Make a warm function."""
    hit, caller = warm_function(parts.target, parts.options, cache)
    local = LocalLoader(hit, parts, cache, arrived)
    _attach(hit, caller, local)
    return local, hit


def local_method(
    parts: Parts, cache: Cache[Any, Any] | SharedCache, arrived: ArrivedLoader | None = None
) -> Made:
    """Make a warm method."""
    method = LocalMethod(parts, cache, arrived, of_class=False)
    return method._local, method


def local_class_method(
    parts: Parts, cache: Cache[Any, Any] | SharedCache, arrived: ArrivedLoader | None = None
) -> Made:
    """Make a warm class method."""
    method = LocalMethod(parts, cache, arrived, of_class=True)
    return method._local, method


def _attach(hit: Any, caller: Caller, local: LocalLoader) -> None:
    local.add(caller._loader)
    local.caller = weakref.ref(caller)
    PickledAttributes(hit, local).show(caller, local.cache_of(caller))


class LocalMethod(WarmMethod):
    """A warm method that travels: in a class that does so by value, as an ArrivedMethod."""

    def __init__(
        self,
        parts: Parts,
        cache: Cache[Any, Any] | SharedCache,
        arrived: ArrivedLoader | None,
        *,
        of_class: bool,
    ) -> None:
        super().__init__(parts.target, parts.options, cache, of_class=of_class)
        self._local = LocalLoader(self, parts, cache, arrived)
        if self._loader is not None:
            self._local.add(self._loader)

    def _as_function(self) -> tuple[Any, Caller]:
        hit, caller = super()._as_function()
        _attach(hit, caller, self._local)
        self._local.show_cache(hit)
        return hit, caller

    def __reduce__(self) -> Any:
        if self._class is not None and importable(self._class):
            return getattr, (self._class, self._name)
        if self._class is None and importable(self):
            return self.__qualname__
        return ArrivedMethod, (), self._local

    def __warm_digest__(self) -> Any:
        return self._local.token()
