"""Policies by name: which cache class ``policy="lru"`` means.

Packages ship their own through the entry point group ``warmcache.policies``::

    [project.entry-points."warmcache.policies"]
    cheapest-first = "my_package:CheapestFirst"
"""

from __future__ import annotations

import inspect
from typing import Any

from warmcache import caches
from warmcache._public import list_public
from warmcache._registry import Registry

__all__ = ["create", "get", "names", "register", "registry", "unregister"]

list_public(globals())


def _check(policy: Any) -> None:
    if not (isinstance(policy, type) and issubclass(policy, caches.Cache)):
        raise TypeError(f"a policy must be a subclass of warmcache.Cache, got {policy!r}")
    if inspect.isabstract(policy):
        missing = ", ".join(sorted(policy.__abstractmethods__))  # pyright: ignore[reportAttributeAccessIssue]
        raise TypeError(f"policy {policy.__name__} is abstract: it lacks {missing}")


registry: Registry[type[caches.Cache[Any, Any]]] = Registry(
    "policy",
    check=_check,
    group="warmcache.policies",
    lazy={  # few need them, and they take a while to import
        "auto": "warmcache.memory:AutoMemoryCache",
        "gpu": "warmcache.memory:GPUMemoryCache",
        "ram": "warmcache.memory:HostMemoryCache",
    },
)
register = registry.register
unregister = registry.unregister
names = registry.names
get = registry.get
create = registry.create

register("lru")(caches.LRUCache)
register("lfu")(caches.LFUCache)
register("fifo")(caches.FIFOCache)
register("rr")(caches.RRCache)
register("ttl")(caches.TTLCache)
register("tlru")(caches.TLRUCache)
register("gdsf")(caches.GDSFCache)
register("cost")(caches.CostCache)
