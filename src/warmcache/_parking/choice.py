"""Who parks the values of a loader."""

from __future__ import annotations

from . import devices
from .in_place import InPlaceParker
from .pair import PairParker
from .parking import Pair, Parker
from .slabs import Slabs


def parker_for(pair: Pair | None, slabs: Slabs, device: devices.Device | None = None) -> Parker:
    """Return what parks values.

    Args:
        pair: what the loader's author said as ``park=``; without it the tensors of torch that a
            value has are moved in place.
        slabs: the host memory that these take.
        device: whose bytes are moved: by default all that torch knows; tests simulate one.
    """
    if pair is not None:
        return PairParker(*pair)
    return InPlaceParker(slabs, device or devices.ACCELERATORS)
