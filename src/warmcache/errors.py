"""Every exception that warmcache raises on its own account.

::

    WarmcacheError
    ├── CapacityError     (ValueError)    it cannot fit, or could not in time
    ├── LoadCycleError    (RuntimeError)  a load waits, in the end, for itself
    ├── WarmMissError     (LookupError)   not warm, and loading was forbidden
    ├── ClosedError       (RuntimeError)  the cache is closed
    ├── KeyingError       (TypeError)     an argument cannot be part of a key
    ├── FreezeError       (TypeError)     what was loaded could be changed
    └── ProbeUnavailable  (RuntimeError)  a device's memory cannot be read

A loader's own exception is never wrapped: it reaches the caller as it is.
"""

from __future__ import annotations

import copyreg
import math
from collections.abc import Hashable, Sequence

from ._public import list_public
from ._sizes import MIB, format_number, format_size, format_weight
from ._texts import text_of

__all__ = [
    "CapacityError",
    "ClosedError",
    "FreezeError",
    "KeyingError",
    "LoadCycleError",
    "ProbeUnavailable",
    "WarmMissError",
    "WarmcacheError",
]

list_public(globals())


_FEW = 8  # holders, of whom a message names no more


class WarmcacheError(Exception):
    """Base class of all exceptions that warmcache raises on its own account."""


class CapacityError(WarmcacheError, ValueError):
    """Something does not fit: not at all, or not while others hold leases.

    It is a ``ValueError`` because that is what ``cachetools`` raises for a value
    that is too large, and what ``cachetools.cached`` expects.

    Attributes:
        key: what was to be stored.
        needed: its weight: bytes, a number of entries, or whatever the cache's weights count, as
            in all that follows.
        free: weight that was free.
        leased: all weight in use that is not idle: leased entries, those that were removed and
            are leased still, loads under way, what is being torn down, and what was torn down
            and is still held outside.
        limit: the cache's ``maxsize``, or its budget.
        available: what the device has left beside the headroom; infinity where the
            cache does not look.
        attainable: what the device has at all beside the headroom; infinity likewise.
        holders: who holds what, one text each.
        remedies: what would make some of them let go, one text each.
        own: whether only the asking thread or task could have given the room.
        option: what the limit is called where the cache is made.
        defined_anew: whether it is in the way that the loader had these leased, in another cache,
            before it was defined anew.
    """

    def __init__(
        self,
        key: Hashable,
        *,
        needed: float,
        free: float,
        leased: float,
        limit: float,
        available: float = math.inf,
        attainable: float = math.inf,
        holders: Sequence[str | tuple[object, ...]] = (),
        remedies: Sequence[str] = ("release a lease",),
        own: bool = False,
        option: str = "maxsize",
        defined_anew: bool = False,
    ) -> None:
        self.key = key
        self.needed = needed
        self.free = free
        self.leased = leased
        self.limit = limit
        self.available = available
        self.attainable = attainable
        self._who: tuple[str | tuple[object, ...], ...] = tuple(holders)
        self.remedies = tuple(remedies)
        self.own = own
        self.option = option
        self.defined_anew = defined_anew
        super().__init__(key)

    def __str__(self) -> str:
        # Bytes beside a count of entries would be compared wrongly.
        weights = format_weight if self.limit >= MIB else format_number
        size = format_size if self.option == "budget" else weights  # of bytes, however few
        text = f"{text_of(self.key)} needs {size(self.needed)} of {size(self.limit)}"
        if self.defined_anew:
            text = (
                f"{text_of(self.key)} waits for what was leased before its loader was defined anew"
            )
            return f"{text}{self._holders()}{self._remedies('')}"
        if self.needed > self.limit:
            return f"{text}: more than the whole cache; raise its {self.option}"
        if self.needed > self.attainable:
            whole = size(max(self.attainable, 0))
            return f"{text}: more than the {whole} that the device has beside the headroom"
        text += f"; {size(max(self.free, 0))} free, {size(self.leased)} in use"
        if self.available < self.limit:
            text += f", {size(max(self.available, 0))} available on the device"
        return f"{text}{self._holders()}{self._remedies(f'raise {self.option}, ')}"

    @property
    def holders(self) -> tuple[str, ...]:
        # Those come in parts, of which some may have no text yet: nothing of a key's runs before.
        self._who = told = tuple("".join(map(str, each)) for each in self._who)
        return told

    def _holders(self) -> str:
        more = len(self.holders) - _FEW
        text = ": " * bool(self.holders) + ", ".join(self.holders[:_FEW])
        return f"{text} and {more} more" if more > 0 else text

    def _remedies(self, last: str) -> str:
        if self.own:
            return "; only the caller itself could release it, so waiting is pointless"
        remedies = "".join(f"{remedy}, " for remedy in self.remedies)
        return f"; {remedies}{last}or pass a longer wait="

    def __reduce__(self) -> tuple[object, ...]:
        said = {**vars(self), "_who": self.holders}
        return copyreg.__newobj__, (type(self), self.key), said  # type: ignore[attr-defined]


class LoadCycleError(WarmcacheError, RuntimeError):
    """A loader asked, directly or through other loaders, for what it is loading.

    Also raised when a teardown asks for the entry that it is tearing down.
    """


class WarmMissError(WarmcacheError, LookupError):
    """The value is not warm and :func:`warmcache.no_load` forbids loading it."""

    _in_place_of_loader = False  # which was not called; see _core/plans/loaded.py

    @classmethod
    def _in_place_of(cls, text: str) -> WarmMissError:
        """Return the error of a load that is forbidden as it is about to call its loader."""
        error = cls(text)
        error._in_place_of_loader = True
        return error


class ClosedError(WarmcacheError, RuntimeError):
    """The cache was closed; nothing can be stored or loaded any more."""


class KeyingError(WarmcacheError, TypeError):
    """An argument cannot be part of a key: an array, or something unhashable."""


class FreezeError(WarmcacheError, TypeError):
    """What a loader with ``freeze=True`` gave has a part that could be changed. It says where."""


class ProbeUnavailable(WarmcacheError, RuntimeError):  # noqa: N818 - it names a state
    """The memory of a device cannot be read.

    Attributes:
        reason: why not.
        remedy: what to do about it.
    """

    def __init__(self, reason: str, remedy: str) -> None:
        self.reason = reason
        self.remedy = remedy
        super().__init__(reason, remedy)

    def __str__(self) -> str:
        return f"{self.reason}; {self.remedy}"
