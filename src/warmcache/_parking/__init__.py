"""A value's bytes in host memory, while the device needs the room; knows nothing of caches.

``choice`` says who parks: ``pair`` two functions of the user's, and ``in_place`` what has tensors
of torch. That one finds them (``finding``), makes each anew over other storages (``views``), copies
the bytes into ``slabs``, and has every tensor look there (``moving``). ``devices`` are where they
come from, and ``parking`` is what a cache sees of it all.
"""

from __future__ import annotations

from .choice import parker_for
from .parking import CannotPark, Parked, Parker
from .slabs import Slabs

__all__ = ["CannotPark", "Parked", "Parker", "Slabs", "parker_for"]
