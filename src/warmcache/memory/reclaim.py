"""Giving memory back to the device or the machine, once nobody holds it."""

from __future__ import annotations

import ctypes
import sys
from collections.abc import Callable


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
