"""What tests of footprints share: values, and what is seen of them."""

from __future__ import annotations

import types
from typing import Any

import numpy as np

from warmcache.memory.footprint import Footprint, footprint

KIB = 1024


def size(value: object, device: object = "cpu") -> int | None:
    found = footprint(value, device)
    return None if found is None else found.nbytes


def alive(found: Footprint) -> int:
    """Return how many bytes of its parts are still in use."""
    return sum(nbytes for owner, nbytes in found.parts if owner() is not None)


def survivors(found: Footprint) -> list[object]:
    """Return the tensors and arrays that still exist."""
    return [face for reference in found.faces if (face := reference()) is not None]


class Plain:
    def __init__(self, **attributes: Any) -> None:
        self.__dict__.update(attributes)


def kib(number: int = 1) -> Any:
    return np.zeros(number * KIB, np.uint8)


class CudaArray:
    """An array on a card, as CuPy and Numba have them."""

    def __init__(self, *shape: int, start: int = 4096, device: int | None = None) -> None:
        self.start, self.shape, self.strides = start, shape, None
        if device is not None:
            self.device = types.SimpleNamespace(id=device)

    @property
    def __cuda_array_interface__(self) -> dict[str, Any]:
        return {
            "data": (self.start, False),
            "shape": self.shape,
            "strides": self.strides,
            "typestr": "|u1",
            "version": 3,
        }
