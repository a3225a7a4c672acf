"""``@warm``: from a function, class or method to its warm counterpart."""

from __future__ import annotations

from functools import partial
from typing import Any

from . import policies
from ._by_value.makers import define, local_class_method, local_function, local_method
from ._by_value.recipe import LoaderCache, Recipe, recipe_of
from ._loaders.classes import warm_class
from ._loaders.loader import LoaderOptions
from ._registry import nearest
from .caches.cache import Cache
from .policies.shared_caches import named

_LOADER_OPTIONS = LoaderOptions.__slots__
_DEFAULT_POLICY = "lru"
_DEFAULT_MAXSIZE = 128  # as functools.lru_cache


def decorate(target: Any, policy: str | None, cache: Any, options: dict[str, Any]) -> Any:
    """Return the warm counterpart of ``target``; see :func:`warmcache.warm`."""
    own = {name: options.pop(name) for name in _LOADER_OPTIONS if name in options}
    if not isinstance(own.get("tags", ""), str):
        own["tags"] = tuple(own["tags"])  # they are read more than once
    make = partial(define, options=LoaderOptions(**own), cache=_cache(policy, cache, options))
    if isinstance(target, staticmethod):
        return staticmethod(make(local_function, target.__func__))
    if isinstance(target, classmethod):
        return make(local_class_method, target.__func__)
    if isinstance(target, type):
        return warm_class(target, partial(make, local_function))
    if not callable(target):
        raise TypeError(f"@warm goes over a function, method or class, not {target!r}")
    return make(local_method if _defined_in_class(target) else local_function, target)


def _cache(policy: str | None, cache: Any, options: dict[str, Any]) -> LoaderCache:
    """Return the cache that the options of ``@warm`` mean, and how to come by it elsewhere."""
    if cache is None:
        if policy is None and "maxsize" not in options:
            options["maxsize"] = _DEFAULT_MAXSIZE
        policy = policy or _DEFAULT_POLICY
        known = policies.registry.options(policy)
        for option in options:
            if known is not None and option not in known:
                hint = nearest(option, {*known, *_LOADER_OPTIONS, "policy", "cache"})
                raise TypeError(f"@warm with policy {policy!r} has no option {option!r}{hint}")
        recipe = Recipe("policy", policy, options)
        return LoaderCache(recipe.cache(), recipe)
    if policy is not None or options:
        extra = ", ".join([*(["policy"] if policy is not None else []), *options])
        hint = nearest(extra, {*_LOADER_OPTIONS, "cache"})
        raise TypeError(
            f"cache= brings its own policy and options; {extra} cannot be given with it{hint}"
        )
    if isinstance(cache, str):
        cache = named(cache)
    if not isinstance(cache, Cache):
        raise TypeError(f"cache must be a warmcache.Cache or a name, got {cache!r}")
    return LoaderCache(cache, recipe_of(cache))


def _defined_in_class(function: Any) -> bool:
    scope, _, _ = getattr(function, "__qualname__", "").rpartition(".")
    return bool(scope) and not scope.endswith("<locals>")
