"""How often a key was used of late, over several spans of time at once."""

from __future__ import annotations

import math
from math import exp2

HALF_LIVES = (32, 256, 2048, 16384)  # in uses of the cache
DAMPING = 0.85  # 1 would make the shortest span count most; 0 would have each use count alike
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
        p, q, r, s = HALF_LIVES
        self.weights = (
            w * exp2(age / p),
            x * exp2(age / q),
            y * exp2(age / r),
            z * exp2(age / s),
        )

    def brought_up(self, counts: list[float], block: int) -> int:
        """Scale ``counts`` of an earlier block; return the block that they are of now."""
        behind = self.block - block
        for i, decayed in enumerate(_BY_A_BLOCK):
            counts[i] *= decayed if behind == 1 else decayed**behind
        return self.block

    def add(self, counts: list[float], uses: float, last: float, span: float) -> None:
        """Count ``uses``, evenly spread over a ``span`` that ends with the last of them."""
        age = last - self.epoch
        if uses == 1:  # as below, for what is most common
            p, q, r, s = HALF_LIVES
            counts[0] += exp2(age / p)
            counts[1] += exp2(age / q)
            counts[2] += exp2(age / r)
            counts[3] += exp2(age / s)
            return
        for i, half_life in enumerate(HALF_LIVES):
            decay = span / uses * RATES[i]  # from one use to the next
            worth = math.expm1(-uses * decay) / math.expm1(-decay) if decay else uses
            counts[i] += worth * exp2(age / half_life)
