"""The flags of code objects, as module ``inspect`` has them, which takes long to import."""

from __future__ import annotations

OPTIMIZED = 0x1  # of functions, whose variables are not in a dictionary
GENERATOR, COROUTINE, ASYNC_GENERATOR = 0x20, 0x80, 0x200
YIELDS = GENERATOR | ASYNC_GENERATOR
