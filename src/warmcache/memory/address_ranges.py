"""Where the bytes of arrays and buffers lie: ranges of addresses, and who owns them."""

from __future__ import annotations

import ctypes
import math
import mmap
from array import array
from collections.abc import Callable, Iterator
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


def clusters(ranges: list[Range]) -> Iterator[tuple[int, list[Ref | None]]]:
    """Yield the bytes and the owners of ranges of addresses, those that overlap together."""
    first = last = 0
    owners: list[Ref | None] = []
    for start, end, owner in sorted(ranges, key=lambda found: found[:2]):
        if owners and start < last:
            last = max(end, last)
            owners.append(owner)
            continue
        if owners:
            yield last - first, owners
        first, last, owners = start, end, [owner]
    if owners:
        yield last - first, owners


class _PyBuffer(ctypes.Structure):
    """CPython's ``Py_buffer``."""

    _fields_ = (
        ("buf", ctypes.c_void_p),
        ("obj", ctypes.py_object),
        ("len", ctypes.c_ssize_t),
        ("itemsize", ctypes.c_ssize_t),
        ("readonly", ctypes.c_int),
        ("ndim", ctypes.c_int),
        ("format", ctypes.c_char_p),
        ("shape", ctypes.c_void_p),
        ("strides", ctypes.c_void_p),
        ("suboffsets", ctypes.c_void_p),
        ("internal", ctypes.c_void_p),
    )


def address(thing: object) -> tuple[int, int] | None:
    """Return where the bytes of a buffer are, and how many; None if it is none."""
    if not issubclass(type(thing), BUFFERS):
        return None
    view = _PyBuffer()
    try:
        ctypes.pythonapi.PyObject_GetBuffer(ctypes.py_object(thing), ctypes.byref(view), 0)
    except (BufferError, ValueError):  # closed, or not in one piece
        return None
    try:
        return view.buf or 0, view.len
    finally:
        ctypes.pythonapi.PyBuffer_Release(ctypes.byref(view))
