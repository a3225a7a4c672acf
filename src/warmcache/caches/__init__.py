"""The caches by policy: each says, with ``rank``, which idle entry goes first.

They evict in the order of cachetools' classes of the same names and take the same
arguments, plus :class:`Cache`'s own. :class:`CostCache` and :class:`GDSFCache`, which
cachetools does not have, weigh what a load costs against the room that its value takes.
"""

from __future__ import annotations

from warmcache._public import found_here

from .by_cost import CostCache
from .by_time import TLRUCache, TTLCache
from .by_use import FIFOCache, LFUCache, LRUCache, RRCache
from .cache import Cache
from .gdsf import GDSFCache
from .options import CacheOptions

__all__ = [
    "Cache",
    "CacheOptions",
    "CostCache",
    "FIFOCache",
    "GDSFCache",
    "LFUCache",
    "LRUCache",
    "RRCache",
    "TLRUCache",
    "TTLCache",
]

found_here(globals())
