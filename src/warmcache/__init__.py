"""warmcache keeps expensive objects warm in long-lived processes and lets them go.

Its folders are its ideas; ``ARCHITECTURE.md`` draws them, says where what is decided, and
follows a key through them. What is public is here, and in the modules of no underscore.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from . import _interrupts, _public, keys, policies  # noqa: F401  # the first one acts at once
from ._core.state.entry import Entry
from ._core.state.records import (
    EntryInfo,
    HostStats,
    Load,
    Removal,
    RemovalCause,
    Stats,
)
from ._loaders.scopes import disabled, no_load
from ._registry import Registry
from .caches.all_caches import all_caches, clear_all, clear_all_async, close_all, evict
from .caches.by_use import FIFOCache, LFUCache, LRUCache, RRCache
from .caches.cache import Cache
from .caches.options import CacheOptions
from .errors import (
    CapacityError,
    ClosedError,
    FreezeError,
    KeyingError,
    LoadCycleError,
    ProbeUnavailable,
    WarmcacheError,
    WarmMissError,
)
from .keys import by_content, drop_if_equal

if TYPE_CHECKING:
    from ._by_value.task import task
    from ._core.state.cache_info import CacheInfo
    from ._decorator import warm
    from ._loaders.context import Context
    from ._observe.recording import Recording
    from ._process.sigterm import close_on_sigterm
    from ._simulation.replay import Outcome
    from ._simulation.simulation import Simulation, simulate
    from ._warm_types.batches import AsyncBatchWarm, BatchWarm
    from ._warm_types.classes import WarmClass
    from ._warm_types.loaders import AsyncMemoryWarm, AsyncWarm, MemoryWarm, Warm
    from ._warm_types.shared_caches import NamedCache
    from .caches.by_cost import CostCache
    from .caches.by_time import TLRUCache, TTLCache
    from .caches.gdsf import GDSFCache
    from .memory import Node
    from .memory.caches import (
        AutoMemoryCache,
        GPUMemoryCache,
        HostMemoryCache,
        MemoryCache,
        MemoryOptions,
        devices_table,
    )
    from .memory.device import empty_gpu_cache
    from .memory.footprint import Footprint
    from .memory.retry import retry_on_oom
    from .tiers import Codec, DiskTier, HostTier, TierStats, disk

    cache: NamedCache  # which cache it is, goes by the options

__version__ = "0.1.0"

__all__ = [
    "AsyncBatchWarm",
    "AsyncMemoryWarm",
    "AsyncWarm",
    "AutoMemoryCache",
    "BatchWarm",
    "Cache",
    "CacheInfo",
    "CacheOptions",
    "CapacityError",
    "ClosedError",
    "Codec",
    "Context",
    "CostCache",
    "DiskTier",
    "Entry",
    "EntryInfo",
    "FIFOCache",
    "Footprint",
    "FreezeError",
    "GDSFCache",
    "GPUMemoryCache",
    "HostMemoryCache",
    "HostStats",
    "HostTier",
    "KeyingError",
    "LFUCache",
    "LRUCache",
    "Load",
    "LoadCycleError",
    "MemoryCache",
    "MemoryOptions",
    "MemoryWarm",
    "Node",
    "Outcome",
    "ProbeUnavailable",
    "RRCache",
    "Recording",
    "Registry",
    "Removal",
    "RemovalCause",
    "Simulation",
    "Stats",
    "TLRUCache",
    "TTLCache",
    "TierStats",
    "Warm",
    "WarmClass",
    "WarmMissError",
    "WarmcacheError",
    "all_caches",
    "by_content",
    "cache",
    "clear_all",
    "clear_all_async",
    "close_all",
    "close_on_sigterm",
    "devices_table",
    "disabled",
    "disk",
    "drop_if_equal",
    "empty_gpu_cache",
    "evict",
    "keys",
    "no_load",
    "policies",
    "retry_on_oom",
    "simulate",
    "task",
    "warm",
]

# Imported when first asked for: who decorates nothing, caches no memory or records nothing need
# not wait for what that takes.
_LAZY = {
    **dict.fromkeys(["AsyncMemoryWarm", "AsyncWarm", "MemoryWarm", "Warm"], "._warm_types.loaders"),
    **dict.fromkeys(["AsyncBatchWarm", "BatchWarm"], "._warm_types.batches"),
    "WarmClass": "._warm_types.classes",
    "CacheInfo": "._core.state.cache_info",
    **dict.fromkeys(["CostCache", "GDSFCache", "TLRUCache", "TTLCache"], ".caches"),
    **dict.fromkeys(
        [
            *("AutoMemoryCache", "GPUMemoryCache", "HostMemoryCache", "MemoryCache"),
            *("Footprint", "MemoryOptions", "Node"),
            *("devices_table", "empty_gpu_cache", "retry_on_oom"),
        ],
        ".memory",
    ),
    **dict.fromkeys(["Outcome", "Simulation", "simulate"], "._simulation.simulation"),
    "Context": "._loaders.context",
    "Recording": "._observe.recording",
    **dict.fromkeys(["Codec", "DiskTier", "HostTier", "TierStats", "disk"], ".tiers"),
    "cache": ".policies.shared_caches",
    "close_on_sigterm": "._process.sigterm",
    "task": "._by_value.task",
    "warm": "._decorator",
}

_public.found_here(globals())
__getattr__ = _public.import_when_asked(globals(), _LAZY)
