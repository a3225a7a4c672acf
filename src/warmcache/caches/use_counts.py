"""How often a key was used of late, over several spans of time at once."""

from __future__ import annotations

import math
from functools import lru_cache
from math import exp2

from .known_keys import KnownKey

HALF_LIVES = (32, 256, 2048, 16384)  # in uses of the cache
DAMPING = 0.85  # 1 would make the shortest span count most; 0 would have each use count alike
_SHARES = tuple(1 / half_life for half_life in HALF_LIVES)
RATES = tuple(math.log(2) / half_life for half_life in HALF_LIVES)
WORTHS = tuple(rate**DAMPING for rate in RATES)  # what a use counts for, as it is made
_SHIFT = 960  # log2 of what a use may count for by the end of a block
BLOCK = _SHIFT * HALF_LIVES[0]  # uses of the cache
_BY_A_BLOCK = tuple(2.0 ** (-BLOCK / half_life) for half_life in HALF_LIVES)


class Decay:
    """What the decayed uses of all keys are worth now.

    To be decayed, a count need not be touched: each use is counted as the more, the later it is,
    and the weights that counts are multiplied with shrink instead. So a rank takes no power and
    no logarithm. Counts begin anew with each block of time, so that they stay in the range of
    floats; those of an earlier block are scaled when somebody looks, which is why nobody has to
    look at all of them.
    """

    __slots__ = ("block", "epoch", "now", "weights")

    weights: tuple[float, float, float, float]

    def __init__(self) -> None:
        self.block = 0
        self.epoch = 0.0
        self.now = -1.0
        self.show(0.0)

    def show(self, now: float) -> None:
        """Let it be ``now``, in uses of the cache; never earlier than before."""
        if now == self.now:
            return
        self.now = now
        if now >= self.epoch + BLOCK:
            self.block = int(now // BLOCK)
            self.epoch = float(self.block * BLOCK)
        age = self.epoch - now
        w, x, y, z = WORTHS
        p, q, r, s = _SHARES
        self.weights = (
            w * exp2(age * p),
            x * exp2(age * q),
            y * exp2(age * r),
            z * exp2(age * s),
        )

    def bring_up(self, record: KnownKey) -> None:
        """Scale the uses of ``record`` that are of an earlier block."""
        p, q, r, s = _decay_by(self.block - record.block)
        record.in_32 *= p
        record.in_256 *= q
        record.in_2048 *= r
        record.in_16384 *= s
        record.block = self.block

    def add(self, record: KnownKey, uses: float, last: float, span: float) -> None:
        """Count ``uses``, evenly spread over a ``span`` that ends with the last of them."""
        if record.block != self.block:
            self.bring_up(record)
        age = last - self.epoch
        p, q, r, s = _SHARES
        a = b = c = d = 1.0
        if uses != 1:
            a, b, c, d = (_spread(uses, span / uses * rate) for rate in RATES)
        record.in_32 += a * exp2(age * p)
        record.in_256 += b * exp2(age * q)
        record.in_2048 += c * exp2(age * r)
        record.in_16384 += d * exp2(age * s)


@lru_cache(maxsize=64)  # in a large cache each look comes to some, of the same few ages
def _decay_by(blocks: int) -> tuple[float, ...]:
    """Return what is left of a use, for each half-life, after so many blocks."""
    return tuple(decayed**blocks for decayed in _BY_A_BLOCK)


def _spread(uses: float, decay: float) -> float:
    """Return what is left of ``uses`` if each decays by ``exp(-decay)`` until the next."""
    return math.expm1(-uses * decay) / math.expm1(-decay) if decay else uses
