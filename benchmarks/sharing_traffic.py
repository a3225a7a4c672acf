"""Which process is asked for which model when: Zipf-like, and it shifts.

Each process serves models of its own. Every second another one is the busiest, and other models are
the popular ones, so what is warm somewhere is of less and less use there.
"""

from __future__ import annotations

import random
import tempfile
import time
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path
from typing import Any

from .sharing_member import GIB, Told

WORKERS, MODELS, ZIPF = 4, 12, 1.1
MOST = 20  # GiB of the heaviest model
SECONDS_A_GIB = 0.001  # of a load: a second or so, and all of this a thousand times as fast
BUDGET = 160 * GIB
RATE, PERIOD = 500, 1.0  # requests a second, and after how many the popular ones are others


@dataclass(frozen=True)
class Traffic:
    """How unequally busy the processes are: the n-th has n ** -exponent of the first's requests."""

    name: str
    exponent: float


TRAFFICS = (
    Traffic("all as busy", 0.0),
    Traffic("one busier than the others", 1.0),
    Traffic("one busy at a time", 3.0),
)
JUDGED = TRAFFICS[-1]


@dataclass(frozen=True)
class Work:
    """Of each process, its models (bytes, seconds a load) and its requests (when, which)."""

    models: list[list[tuple[float, float]]]
    requests: list[list[tuple[float, int]]]


@dataclass(frozen=True)
class Paid:
    """What was paid for the uses of all processes."""

    loads: int
    seconds: float
    uses: int

    @property
    def each(self) -> float:
        """Load seconds a use."""
        return self.seconds / self.uses


def drawn(traffic: Traffic, seed: int, periods: int) -> Work:
    """Draw the work; the same for the same seed."""
    draw = random.Random(seed)
    models = [[_model(draw) for _ in range(MODELS)] for _ in range(WORKERS)]
    ranked = [[*range(MODELS)] for _ in range(WORKERS)]
    work = Work(models, [[] for _ in range(WORKERS)])
    busy = draw.sample(range(WORKERS), WORKERS)
    for period in range(periods):
        busy = [*busy[1:], busy[0]]
        for ranks in ranked:
            draw.shuffle(ranks)
        at = period * PERIOD
        while (at := at + draw.expovariate(RATE)) < (period + 1) * PERIOD:
            [worker] = draw.choices(busy, cum_weights=_shares(WORKERS, traffic.exponent))
            [rank] = draw.choices(range(MODELS), cum_weights=_shares(MODELS, ZIPF))
            work.requests[worker].append((at, ranked[worker][rank]))
    return work


def _model(draw: random.Random) -> tuple[float, float]:
    weight = MOST ** draw.random()
    return weight * GIB, weight * SECONDS_A_GIB * draw.uniform(0.5, 1.5)


def _shares(count: int, exponent: float) -> list[float]:
    return [*accumulate((rank + 1) ** -exponent for rank in range(count))]


def served(work: Work, *, shared: bool) -> Paid:
    """Have the processes do their work, under one budget or with a part of it each."""
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        node = Path(folder, "node") if shared else None
        budget = BUDGET if shared else BUDGET / WORKERS
        members = [stack.enter_context(Told(node, budget)) for _ in range(WORKERS)]
        for member in members:
            member.tell("rest")  # it is there
        begin = time.monotonic() + 0.1
        for member, models, requests in zip(members, work.models, work.requests, strict=True):
            member.begin("serve", models, requests, begin)
        answers: list[dict[str, Any]] = [member.answer() for member in members]
        loads, seconds, uses = (
            sum(answer[what] for answer in answers) for what in ("loads", "paid", "uses")
        )
        return Paid(loads, seconds, uses)
