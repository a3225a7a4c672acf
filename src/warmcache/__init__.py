"""warmcache keeps expensive objects warm in long-lived processes and lets them go.

A map of the package, from the top down; imports point downwards only:

=================  ==============================================================
``_simulate``      ``warmcache simulate``: the table, the curve, what to take
``_replay``        a recorded trace, served by a cache on a manual clock
``_warm``          ``@warm`` and the types it returns
``_decorate``      which cache and which wrapper a decoration means
``_task``          functions that any pickler ships
``_classes``       what becomes of a class
``_wrap``          what becomes of a function, a method
``_ship``          loaders that travel by value, and what they meet
``_copies``        what picklers make of them, until the loader is known
``_caller``        what the wrappers offer: calls, leases, eviction, looking
``_loader``        one decorated callable: what it loads, under which keys
``_hotpath``       generates the code of a hit
``_home``          how another process comes to have the same cache
``_named``         caches shared by name
``policies``       policies by name, over ``_registry``
``memory``         caches whose limit is a device's memory
``_device``        a device as such a cache sees it
``_measure``       what loads take of it, and whether it came back
``_reclaim``       has free memory go back
``_watcher``       looks at the device, and has idle entries go when it runs full
``costs``          the policies that weigh load seconds: cost, GDSF
``caches``         the policies: LRU, LFU, FIFO, RR, TTL, TLRU
``_cache``         ``Cache``: leases, eviction, looking
``_lease``         scoped holds
``_mapping``       the mapping: a ``cachetools.Cache``
``_ending``        what is left when a cache or the process ends
``_aio``           carries plans out for asyncio
``_drive``         carries plans out for threads; teardown, reclaim
``_planner``       plans that get a value: hit, join, load, refuse
``_room``          plans that make room, store, release and remove
``_refusal``       who is in the way when there is none
``_steps``         what a plan is made of
``_store``         entries and ledger under the lock
``_promises``      who was granted room, who waits for some
``_ledger``        the sums: what is committed, what may be promised
``_meter``         what a cache of real memory asks; what is left of a value
``_referrers``     who holds an object, in words
``_learned``       what loads took before
``_oom``           how running out of memory looks
``_pressure``      what to do about a device that runs full
``_record``        writes down what is asked for, to be replayed
``_sigterm``       SIGTERM closes everything first
``_exit``          the end of the process
``_process``       the janitor thread
``_flight``        loads under way, and who is inside of what
``_signal``        what one waits for
``_history``       how often keys were used of late
``_order``         who goes first; who has ended
``_entry``         the entry and its records
``_fork``          what a forked child begins anew
=================  ==============================================================

beside them ``keys``, ``errors``, ``testing``, ``_digest``, ``_scopes``, ``_stats``,
``_options``, ``_sizes``, ``_clock``, ``_progress``, ``_traces``; for memory ``probes`` (over
``_nvml``, ``_host``, ``_visible``, ``_sample``), ``_footprint`` (over ``_extents``) and
``_survey``; for many workers ``routing`` (over ``_fleet``), ``dask`` (over
``_dask_scheduler`` and ``_dask_worker``), ``executors``, ``parsl`` and ``ray`` (over ``_routed``,
``_call`` and ``_serve``), all over ``_wanted``; and on top ``cli`` and ``demo``.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from . import keys, policies
from ._entry import Entry, EntryInfo, Removal, RemovalCause
from ._exit import close_all
from ._named import named as cache
from ._options import CacheOptions
from ._registry import Registry
from ._scopes import disabled, no_load
from ._sigterm import close_on_sigterm
from ._stats import CacheInfo, Stats
from ._task import task
from ._warm import AsyncWarm, Warm, warm
from .caches import Cache, FIFOCache, LFUCache, LRUCache, RRCache, TLRUCache, TTLCache
from .costs import CostCache, GDSFCache
from .errors import (
    CapacityError,
    ClosedError,
    KeyingError,
    LoadCycleError,
    ProbeUnavailable,
    WarmcacheError,
    WarmMissError,
)
from .keys import drop_if_equal

if TYPE_CHECKING:
    from ._record import Recording
    from .memory import (
        AutoMemoryCache,
        Footprint,
        GPUMemoryCache,
        HostMemoryCache,
        MemoryCache,
        MemoryOptions,
        devices_table,
        retry_on_oom,
    )

__version__ = "0.1.0"

__all__ = [
    "AsyncWarm",
    "AutoMemoryCache",
    "Cache",
    "CacheInfo",
    "CacheOptions",
    "CapacityError",
    "ClosedError",
    "CostCache",
    "Entry",
    "EntryInfo",
    "FIFOCache",
    "Footprint",
    "GDSFCache",
    "GPUMemoryCache",
    "HostMemoryCache",
    "KeyingError",
    "LFUCache",
    "LRUCache",
    "LoadCycleError",
    "MemoryCache",
    "MemoryOptions",
    "ProbeUnavailable",
    "RRCache",
    "Recording",
    "Registry",
    "Removal",
    "RemovalCause",
    "Stats",
    "TLRUCache",
    "TTLCache",
    "Warm",
    "WarmMissError",
    "WarmcacheError",
    "cache",
    "close_all",
    "close_on_sigterm",
    "devices_table",
    "disabled",
    "drop_if_equal",
    "keys",
    "no_load",
    "policies",
    "retry_on_oom",
    "task",
    "warm",
]

# Imported when first asked for: whoever caches no memory, or records nothing, need not wait.
_MEMORY = (
    *("AutoMemoryCache", "GPUMemoryCache", "HostMemoryCache", "MemoryCache", "MemoryOptions"),
    *("Footprint", "devices_table", "retry_on_oom"),
)
_LAZY = {**dict.fromkeys(_MEMORY, ".memory"), "Recording": "._record"}


def __getattr__(name: str) -> Any:
    if name in _LAZY:
        return getattr(importlib.import_module(_LAZY[name], __name__), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
