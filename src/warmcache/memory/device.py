"""A device as a cache of memory sees it: its probe, and what else can be done with it."""

from __future__ import annotations

import importlib.metadata
import logging
import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

from warmcache._sizes import parse_size
from warmcache.errors import ProbeUnavailable
from warmcache.probes import cuda_numbering as _visible
from warmcache.probes.host import HostProbe
from warmcache.probes.probe import Probe
from warmcache.probes.torch_allocator import TorchProbe

from .footprint import Footprint, footprint
from .reclaim import empty_gpu_cache, trim_heap

log = logging.getLogger("warmcache")


def unseen(value: Any) -> None:
    """Return None, for nothing can be seen of any value."""


def nothing() -> None:
    """Do nothing, return None."""


@dataclass(frozen=True, slots=True)
class Device:
    """A memory, and what can be done with it besides reading.

    ``footprint`` returns what a value holds there, or None where that cannot be seen;
    ``give_back`` has free memory go back to it; ``exact`` says whether its figures show
    single loads and teardowns, as those of a machine that does a thousand things beside
    them do not; ``name`` returns what torch calls it, or None where that is not known.
    """

    probe: Probe
    name: Callable[[], str | None] = nothing
    footprint: Callable[[Any], Footprint | None] = unseen
    give_back: Callable[[], object] = nothing
    exact: bool = True


def gpu(device: int | str, probe: Probe | None) -> Device:
    """Return the GPU that ``device`` means, or that ``probe`` reads."""
    wanted = _visible.parse(device)
    found = TorchProbe(device) if probe is None else probe

    def name() -> str | None:
        index = getattr(found, "index", None)
        if index is None and isinstance(wanted, int):
            index = wanted
        return None if index is None else f"cuda:{index}"

    def seen(value: Any) -> Footprint | None:
        return footprint(value, name() or "cuda")

    return Device(found, name, seen, empty_gpu_cache)


def host(probe: Probe | None) -> Device:
    """Return the machine's own memory."""
    found = HostProbe() if probe is None else probe
    return Device(found, lambda: "cpu", partial(footprint, device="cpu"), trim_heap, exact=False)


_told: set[str] = set()


def gpu_or_host(device: int | str) -> Device:
    """Return the GPU that ``device`` means, or the machine's memory where there is none.

    Why there is none is logged once a process.
    """
    try:
        return gpu(device, None)
    except ProbeUnavailable as error:
        if error.reason not in _told:
            _told.add(error.reason)
            log.warning("no GPU (%s): policy 'auto' goes by the machine's memory", error.reason)
        return host(None)


def circumstances(probe: Probe) -> str:
    """Return on what the size of a load depends besides its key."""
    try:
        version = importlib.metadata.version("torch")
    except importlib.metadata.PackageNotFoundError:
        version = "not installed"
    return f"{probe.name}; torch {version}"


def share(what: str, size: float | str, total: int | None) -> float:
    """Return a size as bytes; a float up to 1.0 is a fraction of ``total``."""
    try:
        number = parse_size(size)
    except ValueError as error:
        raise ValueError(f"{what}: {error}") from None
    if number == math.inf:
        raise ValueError(f"{what} must be finite, got {size!r}")
    if not isinstance(size, float) or size > 1:
        return number
    if total is None:
        raise ValueError(f"{what} must be given in bytes: the size of the device is not known")
    return int(number * total)
