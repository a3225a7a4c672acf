"""Where what is loaded lies besides: for the next miss, the next process, the next run."""

from __future__ import annotations

from warmcache import _public
from warmcache._disk.codecs import Codec

from .disk_tier import DiskTier, TierStats
from .host_tier import HostTier
from .shared_tiers import disk

__all__ = ["Codec", "DiskTier", "HostTier", "TierStats", "disk"]

_public.found_here(globals())
