"""Interleaved rounds, and ratios taken round by round."""

from __future__ import annotations

import gc
import itertools
import math
import random
import statistics
import time
from collections.abc import Callable, Hashable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, TypeVar

Name = TypeVar("Name", bound=Hashable)
_UNROLLED = 8  # operations per turn of a timed loop: the loop itself costs 1 ns a time then


@dataclass(frozen=True)
class Settings:
    """How long to measure, and how large.

    ``seconds`` is what one measurement of a hit takes: so short that on a busy machine
    most are over before another process gets the processor. Mappings and misses are measured
    for ``mapping_seconds``: a large mapping, and the code of a miss, first have to come back into
    the processor's caches, which the others have used meanwhile. ``slow_rounds`` are for what
    takes longer still.
    """

    rounds: int = 501
    mapping_rounds: int = 151
    slow_rounds: int = 31
    seconds: float = 0.0005
    mapping_seconds: float = 0.004
    thread_seconds: float = 0.05
    sizes: tuple[int, ...] = (100, 10_000, 1_000_000)
    limits: tuple[int, int] = (1_000, 1_000_000)
    weighed: tuple[int, ...] = (100, 2_000, 10_000, 100_000)
    tick: Callable[[str, float], None] = lambda title, done: None

    @classmethod
    def quick(cls) -> Settings:
        """Return settings for a check that everything runs: the figures mean little."""
        return cls(7, 5, 3, 2e-4, 5e-4, 5e-3, (100, 1_000), (100, 2_000), (50, 100, 500))


@dataclass(frozen=True)
class Line:
    """One row of the table: seconds per operation, by contender and round.

    ``reference`` holds what each contender's samples are divided by: those of one
    contender for all of them, or each one's own. ``details`` is told beside the ratio.
    ``amount`` says a sample in words, of rows that are not of time.
    """

    id: str
    title: str
    against: str
    samples: Mapping[str, list[float]]
    reference: Mapping[str, list[float]]
    details: Mapping[str, str] = field(default_factory=dict)
    amount: Callable[[float], str] = lambda seconds: duration(seconds)

    @classmethod
    def beside(
        cls, id: str, title: str, against: str, samples: Mapping[str, list[float]], **options: Any
    ) -> Line:
        """Return a row in which the contender ``against`` is 1.0."""
        return cls(id, title, against, samples, dict.fromkeys(samples, samples[against]), **options)

    def seconds(self, name: str) -> float:
        """Return the median time of one operation."""
        return statistics.median(self.samples[name])

    def ratio(self, name: str) -> float:
        """Return the median over the rounds of the contender's time to its reference's."""
        return statistics.median(_ratios(self.samples[name], self.reference[name]))

    def spread(self, name: str) -> tuple[float, float]:
        """Return the quartiles of those ratios."""
        ratios = _ratios(self.samples[name], self.reference[name])
        if len(ratios) < 2:
            return ratios[0], ratios[0]
        low, _, high = statistics.quantiles(ratios, n=4, method="inclusive")
        return low, high

    def times_slower(self, name: str, than: str) -> float:
        """Return the median over the rounds of one contender's time to another's."""
        return statistics.median(_ratios(self.samples[name], self.samples[than]))


def duration(seconds: float) -> str:
    """Return a time per operation in the unit that suits it."""
    for unit, scale in (("s", 1.0), ("ms", 1e-3), ("µs", 1e-6)):
        if seconds >= scale:
            return f"{seconds / scale:.3g} {unit}"
    return f"{seconds / 1e-9:.0f} ns"


def _ratios(samples: list[float], reference: list[float]) -> list[float]:
    return [one / other for one, other in zip(samples, reference, strict=True)]


def interleave(
    measures: Mapping[Name, Callable[[], float]],
    rounds: int,
    *,
    tick: Callable[[float], None] = lambda done: None,
    seed: int = 0,
) -> dict[Name, list[float]]:
    """Call every measure once a round, in an order shuffled each time.

    A first round goes unrecorded: it warms up caches and the interpreter.
    """
    shuffle = random.Random(seed).shuffle
    order = list(measures)
    samples: dict[Name, list[float]] = {name: [] for name in measures}
    for round_ in range(rounds + 1):
        shuffle(order)
        for name in order:
            sample = measures[name]()
            if round_:
                samples[name].append(sample)
        tick((round_ + 1) / (rounds + 1))
    return samples


def looped(
    code: str, names: Mapping[str, Any], *, unrolled: int = _UNROLLED
) -> Callable[[int], float]:
    """Return a function that runs ``code`` at least ``n`` times; seconds for each.

    ``names`` are its local variables, so that looking them up costs next to nothing.
    With ``await`` or ``async`` in it the function returned is a coroutine function.
    """
    define = "async def" if "await " in code or "async " in code else "def"
    body = "".join(f"        {code}\n" for _ in range(unrolled))
    source = (
        f"def outer({', '.join(names)}, _clock, _repeat):\n"
        f"  {define} timed(n):\n"
        f"    turns = -(-n // {unrolled})\n"
        f"    again = _repeat(None, turns)\n"
        f"    start = _clock()\n"
        f"    for _ in again:\n{body}"
        f"    return (_clock() - start) / (turns * {unrolled})\n"
        f"  return timed\n"
    )
    return _outer(source)(**names, _clock=time.perf_counter, _repeat=itertools.repeat)


def over_keys(code: str, names: Mapping[str, Any]) -> Callable[..., float]:
    """Return a function of ``(keys, values)`` that runs ``code`` for each pair of ``k``, ``v``.

    All keys get one value before the next turn begins. Returns seconds for each.
    """
    source = (
        f"def outer({', '.join(names)}, _clock):\n"
        f"  def timed(keys, values):\n"
        f"    start = _clock()\n"
        f"    for v in values:\n"
        f"      for k in keys:\n"
        f"        {code}\n"
        f"    return (_clock() - start) / (len(keys) * len(values))\n"
        f"  return timed\n"
    )
    return _outer(source)(**names, _clock=time.perf_counter)


def _outer(source: str) -> Callable[..., Any]:
    namespace: dict[str, Any] = {}
    exec(compile(source, "<timed loop>", "exec"), namespace)
    return namespace["outer"]


def enough(timed: Callable[[int], float], seconds: float) -> int:
    """Return how many operations take about ``seconds``."""
    n = 16
    timed(n)  # loads what will be warm from now on
    while (each := timed(n)) * n < seconds / 4 and n < 10_000_000:
        n = math.ceil(n * min(8, max(2, seconds / max(each * n, 1e-9) / 2)))
    return max(16, math.ceil(seconds / each))


@contextmanager
def no_collector() -> Iterator[None]:
    """Keep the garbage collector from running inside."""
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


@contextmanager
def frozen_collector() -> Iterator[None]:
    """Have the collector pass over what there is now: no contender pays for another's.

    It still runs, over what is made inside.
    """
    gc.collect()
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()
        gc.collect()
