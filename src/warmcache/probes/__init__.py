"""Probes: what reads how much memory a device has left. They decide nothing.

==============  =================================================================
``NvmlProbe``   a GPU, by the driver's own count
``TorchProbe``  the same, with what torch's allocator holds in reserve
``HostProbe``   this machine's memory, within the limits of its containers
==============  =================================================================

A probe of one's own is anything with the methods of :class:`Probe`.
"""

from __future__ import annotations

from warmcache._public import found_here
from warmcache.errors import ProbeUnavailable

from .host import HostProbe
from .nvml import NvmlProbe
from .probe import Probe, Sample
from .torch_allocator import TorchProbe

__all__ = ["HostProbe", "NvmlProbe", "Probe", "ProbeUnavailable", "Sample", "TorchProbe"]

found_here(globals())
