"""Who parks the values of a loader."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from . import devices
from .by_users import ByUsers
from .in_place import InPlace
from .parker import Parker
from .slabs import Slabs


def parker_for(
    pair: tuple[Callable[[Any], Any], Callable[[Any], Any]] | None,
    slabs: Slabs,
    device: devices.Device | None = None,
) -> Parker:
    """Return what parks values.

    Args:
        pair: functions of the user's, ``park(value)`` and ``unpark(what that returned)``; without
            them the tensors of torch that a value has are moved in place.
        slabs: the host memory that these take.
        device: whose bytes are moved: by default all that torch knows; tests simulate one.
    """
    return InPlace(slabs, device or devices.ACCELERATORS) if pair is None else ByUsers(*pair)
