"""What the ``cache_info()`` of a loader gives."""

# No annotation is put off here: each text would be compiled as its class is made.
from typing import Any, NamedTuple

from .record import plain


class CacheInfo(NamedTuple):
    """As ``functools.lru_cache``'s: ``maxsize`` is None when there is no limit.

    A call that joined another's load is neither a hit nor a miss, see :class:`Stats`.
    """

    hits: int
    misses: int
    maxsize: float | None
    currsize: float

    def as_dict(self) -> dict[str, Any]:
        """Return the fields by name, in types that JSON knows."""
        return {name: plain(value) for name, value in zip(self._fields, self, strict=True)}


CacheInfo.__module__ = "warmcache"  # where it is found
