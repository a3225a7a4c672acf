"""Caches whose limit is real memory: a GPU's, the machine's own, or that of any probe."""

from __future__ import annotations

from warmcache._node.refusal import Node
from warmcache._public import found_here

from .caches import (
    AutoMemoryCache,
    GPUMemoryCache,
    HostMemoryCache,
    MemoryCache,
    MemoryOptions,
    devices_table,
)
from .device import empty_gpu_cache
from .footprint import Footprint
from .retry import retry_on_oom

__all__ = [
    "AutoMemoryCache",
    "Footprint",
    "GPUMemoryCache",
    "HostMemoryCache",
    "MemoryCache",
    "MemoryOptions",
    "Node",
    "devices_table",
    "empty_gpu_cache",
    "retry_on_oom",
]

found_here(globals())
