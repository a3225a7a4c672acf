"""Policies by name: which cache class ``policy="lru"`` means.

``create(policy, **options)`` makes a cache as the options of ``@warm`` do: of a name or a class,
with a ``maxsize=``, or with a ``budget=`` of the memory of a ``device=``.

Packages ship their own through the entry point group ``warmcache.policies``::

    [project.entry-points."warmcache.policies"]
    cheapest-first = "my_package:CheapestFirst"
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from warmcache._public import list_public
from warmcache._registry import Registry

from .three_questions import Policies, check_class

if TYPE_CHECKING:
    from .option_types import Create

__all__ = ["create", "get", "names", "register", "registry", "unregister"]

list_public(globals())

_of_memory = {
    "auto": "warmcache.memory:AutoMemoryCache",
    "gpu": "warmcache.memory:GPUMemoryCache",
    "ram": "warmcache.memory:HostMemoryCache",
}
_by_name = {  # each is imported when it is first asked for
    "lru": "warmcache.caches:LRUCache",
    "lfu": "warmcache.caches:LFUCache",
    "fifo": "warmcache.caches:FIFOCache",
    "rr": "warmcache.caches:RRCache",
    "ttl": "warmcache.caches:TTLCache",
    "tlru": "warmcache.caches:TLRUCache",
    "gdsf": "warmcache.caches:GDSFCache",
    "cost": "warmcache.caches:CostCache",
    **_of_memory,
}
registry = Policies(
    "policy",
    check=check_class,
    group="warmcache.policies",
    lazy=_by_name,
    memories=Registry("memory", lazy={**_of_memory, "probe": "warmcache.memory:MemoryCache"}),
)
register = registry.register
unregister = registry.unregister
names = registry.names
get = registry.get
create: Create = registry.create
