"""The stream of requests: a few models are asked for often, most of them seldom."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass

EXPONENT = 1.1  # of Zipf's law: the n-th most popular is asked for n ** -EXPONENT as often
BUSY, PERIOD = 3.0, 50  # likewise of workers; requests after which another one is the busiest


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


def spread(models: Sequence[str], count: int, workers: int, seed: int) -> list[tuple[int, Request]]:
    """Return ``count`` requests, each with the number of the worker that it is for.

    Each worker has popular models of its own. One is busy at a time, and they take turns.
    """
    chance = random.Random(seed)
    streams = [iter(stream(models, count, chance.getrandbits(32))) for _ in range(workers)]
    busy = chance.sample(range(workers), workers)
    shares = [rank**-BUSY for rank in range(1, workers + 1)]
    found = []
    for number in range(count):
        if number % PERIOD == 0:
            busy = [*busy[1:], busy[0]]
        [worker] = chance.choices(busy, shares)
        found.append((worker, next(streams[worker])))
    return found
