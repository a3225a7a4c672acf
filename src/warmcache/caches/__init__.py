"""The caches by policy: each says, with ``rank``, which idle entry goes first.

They evict in the order of cachetools' classes of the same names and take the same
arguments, plus :class:`Cache`'s own. :class:`CostCache` and :class:`GDSFCache`, which
cachetools does not have, weigh what a load costs against the room that its value takes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from warmcache._public import found_here, import_when_asked

from .by_use import FIFOCache, LFUCache, LRUCache, RRCache
from .cache import Cache
from .options import CacheOptions

if TYPE_CHECKING:
    from .by_cost import CostCache
    from .by_time import TLRUCache, TTLCache
    from .gdsf import GDSFCache

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

_LAZY = {  # who asks for none of them need not wait for what they weigh with
    "CostCache": ".by_cost",
    "GDSFCache": ".gdsf",
    "TLRUCache": ".by_time",
    "TTLCache": ".by_time",
}

found_here(globals())
__getattr__ = import_when_asked(globals(), _LAZY)
