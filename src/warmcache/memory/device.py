"""A device as a cache of memory sees it: its probe, and what else can be done with it."""

from __future__ import annotations

import ctypes
import importlib.metadata
import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

from warmcache import _checks as checks
from warmcache._log import log
from warmcache._sizes import parse_size
from warmcache.errors import ProbeUnavailable
from warmcache.probes import cuda_numbering
from warmcache.probes.cuda_numbering import DeviceName
from warmcache.probes.host import HostProbe
from warmcache.probes.probe import Probe
from warmcache.probes.torch_allocator import TorchProbe

from .footprint import Footprint, footprint


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


def gpu(device: DeviceName, probe: Probe | None) -> Device:
    """Return the GPU that ``device`` means, or that ``probe`` reads."""
    wanted = cuda_numbering.parse(device)
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


def gpu_or_host(device: DeviceName) -> Device:
    """Return the GPU that ``device`` means, or the machine's memory where there is none.

    Why there is none is logged once a process.
    """
    try:
        return gpu(device, None)
    except ProbeUnavailable as error:
        if error.reason not in _told:
            _told.add(error.reason)
            log().warning("no GPU (%s): budgets are of the machine's memory", error.reason)
        return host(None)


def circumstances(probe: Probe) -> str:
    """Return on what the size of a load depends besides its key."""
    try:
        version = importlib.metadata.version("torch")
    except importlib.metadata.PackageNotFoundError:
        version = "not installed"
    return f"{probe.name}; torch {version}"


def share(what: str, size: float | str, total: int | None, whole: str = "the device") -> float:
    """Return a size, checked before, as bytes; up to 1.0 it is a fraction of ``total``.

    But for a whole number, which is as many bytes.
    """
    number = parse_size(size)
    if isinstance(size, str) or checks.is_whole_number(size) or number > 1:
        return number
    if total is None:
        raise ValueError(f"{what} must be given in bytes: the size of {whole} is not known")
    return int(number * total)


def empty_gpu_cache() -> None:
    """Have torch's and CuPy's allocators return what they keep in reserve.

    Only where they are loaded and have begun to use a GPU: nothing is imported or
    initialised. While a CUDA graph is being captured nothing is done, for that would
    break the capture.
    """
    torch = sys.modules.get("torch")
    cuda = getattr(torch, "cuda", None)
    if cuda is not None and cuda.is_initialized() and not cuda.is_current_stream_capturing():
        cuda.empty_cache()
    cupy = sys.modules.get("cupy")
    pool = getattr(cupy, "get_default_memory_pool", None)
    if pool is not None:
        pool().free_all_blocks()


def trim_heap() -> None:
    """Have the C library return free memory to the machine, where it can (glibc)."""
    if _malloc_trim is not None:
        _malloc_trim(0)


def _find_malloc_trim() -> Callable[[int], int] | None:
    try:
        return ctypes.CDLL(None).malloc_trim
    except (OSError, AttributeError, TypeError):  # another C library, or none to ask
        return None


_malloc_trim = _find_malloc_trim()
