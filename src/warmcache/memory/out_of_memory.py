"""Running out of memory: how it looks in each framework, and how much was lacking."""

from __future__ import annotations

import errno
import math
import re

from warmcache._sizes import parse_size
from warmcache.probes.probe import Probe

# Exceptions that mean nothing else, by name: torch, CuPy, RMM, Numba, TensorFlow, JAX.
_NAMES = {
    "OutOfMemoryError",
    "OutOfMemory",
    "ResourceExhaustedError",
    "MemoryAllocationError",
}
_TEXTS = re.compile(
    r"out of memory|out_of_memory|outofmemory|not enough memory|std::bad_alloc"
    r"|CUBLAS_STATUS_ALLOC_FAILED|CUDNN_STATUS_ALLOC_FAILED|CUSOLVER_STATUS_ALLOC_FAILED"
    r"|RESOURCE_EXHAUSTED|DefaultCPUAllocator: can't allocate|failed to allocate",
    re.IGNORECASE,
)
_WANTED = re.compile(
    r"(?:tried|trying|failed|attempt\w*|unable) to allocate:?\s+"
    r"([\d,]*\.?\d+)\s*(bytes|[KMGT]i?B|B)?",
    re.IGNORECASE,
)


def lacked(error: BaseException, probe: Probe) -> float | None:
    """Return how many bytes ``error`` says it could not get; 0 when it does not say.

    Infinity means more than the device of ``probe`` has at all; None, that it is no lack
    of memory. What was raised from or while handling a lack of memory is one too.
    """
    link: BaseException | None = error
    seen: set[int] = set()
    while link is not None and id(link) not in seen:
        seen.add(id(link))
        if _is_lack(link):
            wanted, total = _wanted(str(link)), probe.sample().total
            return math.inf if total is not None and wanted > total else wanted
        link = link.__cause__ or (None if link.__suppress_context__ else link.__context__)
    return None


def _is_lack(error: BaseException) -> bool:
    if isinstance(error, MemoryError) or any(
        kind.__name__ in _NAMES for kind in type(error).__mro__
    ):
        return True
    if isinstance(error, OSError) and error.errno == errno.ENOMEM:  # from mmap, from fork
        return True
    # Native code has no exceptions of its own: they arrive as one of these.
    return isinstance(error, (RuntimeError, OSError)) and bool(_TEXTS.search(str(error)))


def _wanted(text: str) -> float:
    found = _WANTED.search(text)
    if found is None:
        return 0
    number, unit = found[1].replace(",", ""), found[2] or "B"
    return parse_size(f"{number} {'B' if unit.lower() == 'bytes' else unit}")
