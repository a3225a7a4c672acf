"""Caches whose limit is real memory: a GPU's, the machine's own, or that of any probe."""

from __future__ import annotations

from .caches import (
    AutoMemoryCache,
    GPUMemoryCache,
    HostMemoryCache,
    MemoryCache,
    MemoryOptions,
    devices_table,
    retry_on_oom,
)
from .footprint import Footprint

__all__ = [
    "AutoMemoryCache",
    "Footprint",
    "GPUMemoryCache",
    "HostMemoryCache",
    "MemoryCache",
    "MemoryOptions",
    "devices_table",
    "retry_on_oom",
]

for _name in __all__:
    globals()[_name].__module__ = __name__
