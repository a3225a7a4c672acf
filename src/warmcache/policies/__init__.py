"""Policies by name: which cache class ``policy="lru"`` means.

``create(policy, **options)`` makes a cache as the options of ``@warm`` do: of a name or a class,
with a ``maxsize=``, or with a ``budget=`` of the memory of a ``device=``.

Packages ship their own through the entry point group ``warmcache.policies``::

    [project.entry-points."warmcache.policies"]
    cheapest-first = "my_package:CheapestFirst"
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from warmcache import caches
from warmcache._public import list_public
from warmcache._registry import Registry

from .three_questions import Policies, check_class

if TYPE_CHECKING:
    from .option_types import Create

__all__ = ["create", "get", "names", "register", "registry", "unregister"]

list_public(globals())

_of_memory = {  # few need them, and they take a while to import
    "auto": "warmcache.memory:AutoMemoryCache",
    "gpu": "warmcache.memory:GPUMemoryCache",
    "ram": "warmcache.memory:HostMemoryCache",
}
registry = Policies(
    "policy",
    check=check_class,
    group="warmcache.policies",
    lazy=_of_memory,
    memories=Registry("memory", lazy={**_of_memory, "probe": "warmcache.memory:MemoryCache"}),
)
register = registry.register
unregister = registry.unregister
names = registry.names
get = registry.get
create: Create = registry.create

register("lru")(caches.LRUCache)
register("lfu")(caches.LFUCache)
register("fifo")(caches.FIFOCache)
register("rr")(caches.RRCache)
register("ttl")(caches.TTLCache)
register("tlru")(caches.TLRUCache)
register("gdsf")(caches.GDSFCache)
register("cost")(caches.CostCache)
