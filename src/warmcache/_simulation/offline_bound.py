"""What no policy can pay less than, though it knew all that will be asked for.

Between two requests for one key lies a stretch of moments. Whoever has the key resident through all
of it saves the load at its end. At each moment the residents fit into the budget, so it holds of
any policy: of the stretches that lie over a moment, those that it keeps weigh no more than that.
To allow a part of a stretch to be kept, for that part of its seconds, only helps; then it is a
linear program (Albers, Arora and Khanna, "Page replacement for general caching problems", 1999;
Berger, Beckmann and Harchol-Balter, "Practical bounds on optimal caching with variable object
sizes", 2018, who call it FOO).

It need not be solved. Let a byte have a price at each moment, any price from 0 up: then nobody
saves more than ::

    what the budget costs over all moments
    + of each stretch, what its seconds are worth beyond what its bytes cost over it, if anything

by the duality of linear programs. So each set of prices gives a bound, and the search for a good
one may stop anywhere. It begins with one price for all moments, that at which the stretches with
the most seconds for their bytes and moments just fill the budget on average: that is the bound
PFOO-L of the second paper. Then prices rise where more wants to be kept than fits, and fall where
less does.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from .trace_file import Trace

_BLOCKS = 256  # of moments that share a price
_STEPS = 16  # at least, for prices to settle; more where they are quick
_LOOKS = 20_000  # at stretches, in all steps
_STEP = 0.5  # by which the first step changes a price, in its logarithm, at most


@dataclass(frozen=True, slots=True)
class Stretch:
    """The moments from one request for a key to the next, and what keeping it saves."""

    size: float
    seconds: float
    first: tuple[int, float]  # a block, and which part of it lies before
    last: tuple[int, float]
    moments: int


def offline_bound(trace: Trace, budget: float) -> float:
    """Return load seconds that no policy can go below with ``budget`` bytes."""
    total = sum(map(trace.seconds.__getitem__, trace.keys))
    blocks = max(1, min(_BLOCKS, len(trace)))
    span = len(trace) / blocks  # moments in a block
    stretches = _stretches(trace, budget, span)
    free = sum(each.seconds for each in stretches if not each.size)
    stretches = [each for each in stretches if each.size]
    price = _price_of_all(stretches, budget * len(trace))
    prices = [price] * blocks
    saved = sum(each.seconds for each in stretches)  # at no price at all
    for step in range(max(_STEPS, min(400, _LOOKS // (len(stretches) + 1)))):
        gain, wanted = _at(prices, stretches, span)
        saved = min(saved, gain + budget * span * sum(prices))
        pace = _STEP / (1 + step / 4)
        for block, weight in enumerate(wanted):
            excess = weight / (budget * span) - 1 if budget else 0.0
            prices[block] *= math.exp(pace * max(-1.0, min(1.0, excess)))
    return max(0.0, total - free - saved)


def _stretches(trace: Trace, budget: float, span: float) -> list[Stretch]:
    """Return what may be kept: between two requests for a key, if it fits at all."""
    last: dict[str, int] = {}
    found = []
    for moment, key in enumerate(trace.keys):
        before = last.get(key)
        last[key] = moment
        size = trace.sizes[key]
        if before is not None and size <= budget:
            ends = (_placed(before, span), _placed(moment, span))
            found.append(Stretch(size, trace.seconds[key], *ends, moment - before))
    return found


def _placed(moment: int, span: float) -> tuple[int, float]:
    block = int(moment / span)
    return block, moment / span - block


def _price_of_all(stretches: list[Stretch], room: float) -> float:
    """Return the seconds a byte and moment at which what is worth more just fills ``room``."""
    price = 0.0
    for each in sorted(stretches, key=_worth, reverse=True):
        if room <= 0 or not each.seconds:
            break
        room -= each.size * each.moments
        price = _worth(each)
    return price


def _worth(each: Stretch) -> float:
    return each.seconds / (each.size * each.moments)


def _at(prices: list[float], stretches: list[Stretch], span: float) -> tuple[float, list[float]]:
    """Return what stretches gain at these prices, and what wants to be kept in each block."""
    paid = [0.0]  # for a byte, from the beginning to that of each block
    for price in prices:
        paid.append(paid[-1] + price * span)
    gain = 0.0
    whole, parts = [0.0] * (len(prices) + 1), [0.0] * (len(prices) + 1)
    for each in stretches:
        (first, before), (last, after) = each.first, each.last
        cost = paid[last] - paid[first]
        cost += (after * prices[last] - before * prices[first]) * span
        worth = each.seconds - each.size * cost
        if worth > 0:
            gain += worth
            whole[first] += each.size
            whole[last] -= each.size
            parts[first] -= each.size * before
            parts[last] += each.size * after
    wanted, kept = [], 0.0
    for block in range(len(prices)):
        kept += whole[block]
        wanted.append((kept + parts[block]) * span)
    return gain, wanted
