"""A device as a cache of memory sees it: its probe, and what else can be done with it."""

from __future__ import annotations

import math
import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

from ._footprint import Footprint, footprint
from ._reclaim import empty_gpu_cache, trim_heap
from ._sizes import parse_size
from .probes import HostProbe, Probe, TorchProbe


def unseen(value: Any) -> None:
    """Return None, for nothing can be seen of any value."""


def nothing() -> None:
    """Do nothing."""


@dataclass(frozen=True, slots=True)
class Device:
    """A memory, and what can be done with it besides reading.

    ``footprint`` returns what a value holds there, or None where that cannot be seen;
    ``give_back`` has free memory go back to it; ``exact`` says whether its figures show
    single loads and teardowns, as those of a machine that does a thousand things beside
    them do not; ``name`` is what torch calls it.
    """

    probe: Probe
    name: str | None = None
    footprint: Callable[[Any], Footprint | None] = unseen
    give_back: Callable[[], object] = nothing
    exact: bool = True


def gpu(device: int | str, probe: Probe | None) -> Device:
    found = TorchProbe(device) if probe is None else probe
    index = device if isinstance(device, int) else None

    def seen(value: Any) -> Footprint | None:
        return footprint(value, _name(getattr(found, "index", index)))

    return Device(found, _name(index), seen, empty_gpu_cache)


def _name(index: int | None) -> str:
    return "cuda" if index is None else f"cuda:{index}"


def host(probe: Probe | None) -> Device:
    found = HostProbe() if probe is None else probe
    return Device(found, "cpu", partial(footprint, device="cpu"), trim_heap, exact=False)


def circumstances(probe: Probe) -> str:
    """Return on what the size of a load depends besides its key."""
    torch = sys.modules.get("torch")
    return f"{probe.name}; torch {getattr(torch, '__version__', 'not loaded')}"


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
