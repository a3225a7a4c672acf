"""What the process holds, and how the C library gives memory back."""

from __future__ import annotations

import ctypes
import os
from collections.abc import Callable
from pathlib import Path

_STATM = Path("/proc/self/statm")


def resident() -> int | None:
    """Return the bytes of this process in physical memory (RSS); None where unknown."""
    try:
        pages = int(_STATM.read_text().split()[1])
    except (OSError, IndexError, ValueError):
        return None
    return pages * os.sysconf("SC_PAGE_SIZE")


def trimmer() -> Callable[[], object] | None:
    """Return what makes the allocator give free memory back to the system, if it can.

    glibc keeps what a torn-down model leaves; ``malloc_trim`` returns it. Other C
    libraries have no such function.
    """
    if os.name != "posix":
        return None
    try:
        trim = ctypes.CDLL(None).malloc_trim
    except (OSError, AttributeError):
        return None

    def give_back() -> object:
        return trim(ctypes.c_size_t(0))

    return give_back
