"""How running out of memory looks in each framework."""

from __future__ import annotations

import errno
import re

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


def is_lack_of_memory(error: BaseException | None) -> bool:
    """Whether ``error`` says that there was too little memory, of whatever device."""
    if isinstance(error, MemoryError) or any(
        kind.__name__ in _NAMES for kind in type(error).__mro__
    ):
        return True
    if isinstance(error, OSError) and error.errno == errno.ENOMEM:  # from mmap, from fork
        return True
    # Native code has no exceptions of its own: they arrive as one of these.
    return isinstance(error, (RuntimeError, OSError)) and bool(_TEXTS.search(str(error)))
