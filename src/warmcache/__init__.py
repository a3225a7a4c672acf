"""warmcache keeps expensive objects warm in long-lived processes and lets them go.

A map of the package, from the top down; imports point downwards only:

=================  ==============================================================
``_simulate``      ``warmcache simulate``: the table, the curve, what to take
``_replay``        a recorded trace, served by a cache on a manual clock
``_warm``          ``@warm`` and the types it returns
``_decorate``      which cache and which wrapper a decoration means
``_wrap``          what becomes of a function, a method, a class
``_caller``        what the wrappers offer: calls, leases, eviction, looking
``_loader``        one decorated callable: what it loads, under which keys
``_hotpath``       generates the code of a hit
``_named``         caches shared by name
``policies``       policies by name, over ``_registry``
``costs``          the policies that weigh load seconds: cost, GDSF
``caches``         the policies: LRU, LFU, FIFO, RR, TTL, TLRU
``_cache``         ``Cache``: leases, eviction, looking
``_lease``         scoped holds
``_mapping``       the mapping: a ``cachetools.Cache``
``_aio``           carries plans out for asyncio
``_drive``         carries plans out for threads; teardown, reclaim
``_planner``       plans that get a value: hit, join, load, refuse
``_room``          plans that make room, store, release and remove
``_steps``         what a plan is made of
``_store``         entries and ledger under the lock
``_record``        writes down what is asked for, to be replayed
``_process``       the janitor thread, and the end of the process
``_flight``        loads under way, and who is inside of what
``_signal``        what one waits for
``_history``       how often keys were used of late
``_order``         who goes first; who has ended
``_entry``         the entry and its records
=================  ==============================================================

beside them ``keys``, ``errors``, ``testing``, ``_scopes``, ``_stats``, ``_sizes``,
``_clock``, ``_progress``, ``_traces``; and on top of it all ``cli`` and ``demo``.
"""

from __future__ import annotations

from . import keys, policies
from ._entry import Entry, EntryInfo, Removal, RemovalCause
from ._mapping import CacheOptions
from ._named import named as cache
from ._record import Recording
from ._registry import Registry
from ._scopes import disabled, no_load
from ._stats import CacheInfo, Stats
from ._warm import AsyncWarm, Warm, warm
from .caches import Cache, FIFOCache, LFUCache, LRUCache, RRCache, TLRUCache, TTLCache
from .costs import CostCache, GDSFCache
from .errors import (
    CapacityError,
    ClosedError,
    KeyingError,
    LoadCycleError,
    WarmcacheError,
    WarmMissError,
)
from .keys import drop_if_equal

__version__ = "0.1.0"

__all__ = [
    "AsyncWarm",
    "Cache",
    "CacheInfo",
    "CacheOptions",
    "CapacityError",
    "ClosedError",
    "CostCache",
    "Entry",
    "EntryInfo",
    "FIFOCache",
    "GDSFCache",
    "KeyingError",
    "LFUCache",
    "LRUCache",
    "LoadCycleError",
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
    "disabled",
    "drop_if_equal",
    "keys",
    "no_load",
    "policies",
    "warm",
]
