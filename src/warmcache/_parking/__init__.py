"""How the bytes of a value leave its device and come back, while the object stays the same."""

from __future__ import annotations

from .pair import Slabs, parker_for
from .parking import CannotPark, Parked, Parker

__all__ = ["CannotPark", "Parked", "Parker", "Slabs", "parker_for"]
