"""Where the bytes of arrays and buffers lie: ranges of addresses, and who owns them."""

from __future__ import annotations

import ctypes
import math
import mmap
from array import array
from collections.abc import Callable, Iterator
from operator import itemgetter
from typing import Any

Ref = Callable[[], object]
Range = tuple[int, int, Ref | None]  # start, end, owner

BUFFERS = (bytes, bytearray, memoryview, array, mmap.mmap)


def extent(facts: dict[str, Any], item: int) -> tuple[int, int]:
    """Return where an array's bytes begin and end; its strides may lead backwards."""
    low, shape, strides = facts["data"][0], facts["shape"], facts.get("strides")
    high = low + item
    if 0 in shape:
        return low, low
    if strides is None:
        return low, low + math.prod(shape) * item
    for length, stride in zip(shape, strides, strict=True):
        low += min((length - 1) * stride, 0)
        high += max((length - 1) * stride, 0)
    return low, high


def clusters(ranges: list[Range]) -> Iterator[tuple[int, int, list[Ref | None]]]:
    """Yield where ranges of addresses lie, and their owners, those that overlap together."""
    first = last = 0
    owners: list[Ref | None] = []
    for start, end, owner in sorted(ranges, key=itemgetter(0)):
        if owners and start < last:
            last = max(end, last)
            owners.append(owner)
            continue
        if owners:
            yield first, last, owners
        first, last, owners = start, end, [owner]
    if owners:
        yield first, last, owners


def address(thing: object) -> tuple[int, int] | None:
    """Return where the bytes of a buffer are, and how many; None if it is none."""
    if not issubclass(type(thing), BUFFERS):
        return None
    # CPython is asked, for ctypes itself takes no address of what is read-only, and NumPy,
    # which does, need not be there. Its Py_buffer is eleven words at most, and begins with
    # the address, the owner and the length.
    view = (ctypes.c_void_p * 11)()
    try:
        ctypes.pythonapi.PyObject_GetBuffer(ctypes.py_object(thing), view, 0)
    except (BufferError, ValueError):  # closed, or not in one piece
        return None
    ctypes.pythonapi.PyBuffer_Release(view)
    return view[0] or 0, view[2] or 0
