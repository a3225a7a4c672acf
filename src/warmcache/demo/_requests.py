"""The stream of requests: a few models are asked for often, most of them seldom."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass

EXPONENT = 1.1  # of Zipf's law: the n-th most popular is asked for n ** -EXPONENT as often


@dataclass(frozen=True, slots=True)
class Request:
    """One request: which model, and the seed of what it asks."""

    model: str
    seed: int


def stream(models: Sequence[str], count: int, seed: int) -> list[Request]:
    """Return ``count`` requests; which models are the popular ones is drawn too."""
    chance = random.Random(seed)
    ranked = chance.sample(models, len(models))
    shares = [rank**-EXPONENT for rank in range(1, len(ranked) + 1)]
    drawn = chance.choices(ranked, shares, k=count)
    return [Request(model, chance.getrandbits(32)) for model in drawn]
