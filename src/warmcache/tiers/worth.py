"""Whether a value is worth keeping: what its load takes, against writing it and reading it again.

Both are measured as they happen. A cost is a constant and a part for each byte, times what this
disk, this codec and this machine made of such estimates lately: one factor for writing, one for
reading, an exponential mean of logarithms, so that twice as slow and twice as fast weigh alike.
"""

from __future__ import annotations

import math

_MARGIN = 2.0  # a load must take more than so many times what the disk takes
_WEIGHT = 0.25  # of the last one measured
_LEAST = 1e-6  # seconds; below, a clock says nothing


class _Cost:
    """What one direction costs: seconds for each entry, and for each byte of it."""

    def __init__(self, entry: float, byte: float) -> None:
        self._entry, self._byte = entry, byte
        self._factor = 0.0  # its logarithm

    def of(self, nbytes: float) -> float:
        return math.exp(self._factor) * (self._entry + self._byte * nbytes)

    def took(self, nbytes: float, seconds: float) -> None:
        found = math.log(max(seconds, _LEAST) / (self._entry + self._byte * nbytes))
        self._factor += _WEIGHT * (found - self._factor)


class Worth:
    """What one tier costs, learned; any thread may ask and tell."""

    def __init__(self) -> None:
        self.writing = _Cost(1e-3, 1 / 500e6)
        self.reading = _Cost(2e-4, 1 / 2e9)

    def pays(self, seconds: float, nbytes: float) -> bool:
        """Whether a load of so many ``seconds`` is to be kept, in so many bytes."""
        return seconds > _MARGIN * (self.writing.of(nbytes) + self.reading.of(nbytes))

    def has_read(self, nbytes: float, seconds: float, *, instead_of: float) -> bool:
        """Note what a read took; whether that is more than the load that it was ``instead_of``.

        So it must be by what reads take otherwise, too: one alone may have waited for others.
        """
        self.reading.took(nbytes, seconds)
        return min(seconds, self.reading.of(nbytes)) > instead_of
