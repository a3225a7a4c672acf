"""What one budget for all processes of a node pays: ``python -m benchmarks.sharing`` from the root.

Writes ``docs/sharing.png`` and what is between the markers of ``docs/sharing.md``, unless
``--quick``. It takes about two and a half minutes.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from statistics import mean, median
from typing import Any

import warmcache
from warmcache._progress import progress_bar
from warmcache._sizes import format_size

from . import machine
from .paged import COLOURS, canvas, parser, publish, same_hit, save
from .report import piped, targets, where
from .sharing_latencies import (
    ASK,
    CHURNERS,
    GRANT,
    HITS,
    LIMITS,
    OURS,
    TITLES,
    hits,
    latencies,
    system_calls_of_hits,
)
from .sharing_traffic import (
    BUDGET,
    JUDGED,
    MODELS,
    PERIOD,
    RATE,
    TRAFFICS,
    WORKERS,
    ZIPF,
    Paid,
    Traffic,
    drawn,
    served,
)
from .targets import Verdict
from .timing import Line, Settings, duration

RATIO = 0.55  # of load seconds, to reach
CONTENDERS = ("one budget", f"split in {WORKERS}")
_LEGEND: dict[str, Any] = dict(loc="outside lower left", ncols=2, frameon=False, fontsize=8)
Results = dict[tuple[Traffic, str], list[Paid]]


@dataclass(frozen=True)
class Size:
    """How much is measured."""

    traffics: Sequence[Traffic] = TRAFFICS
    seeds: int = 3
    periods: int = 4
    rounds: int = 21
    hits: Settings = field(default_factory=Settings)


QUICK = Size((JUDGED,), 1, 1, 1, Settings.quick())


@dataclass(frozen=True)
class Found:
    """All that was measured; ``calls`` is None where system calls cannot be counted."""

    paid: Results
    latencies: dict[str, list[float]]
    hit: Line
    calls: int | None


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, print, and write the page and the picture."""
    options = parser("sharing", "sharing").parse_args(arguments)
    size = QUICK if options.quick else Size()
    found = measured(size)
    publish(options, page(found, size), partial(draw, found))


def measured(size: Size) -> Found:
    """Measure everything; both ways of sharing in turns, so that both are hit alike."""
    paid: Results = {(traffic, name): [] for traffic in size.traffics for name in CONTENDERS}
    jobs = [
        (traffic, seed, name)
        for seed in range(size.seeds)
        for traffic in size.traffics
        for name in (CONTENDERS if seed % 2 else CONTENDERS[::-1])
    ]
    with progress_bar(len(jobs) + size.rounds, "serving") as tell:
        for traffic, seed, name in jobs:
            work = drawn(traffic, seed, size.periods)
            paid[traffic, name].append(served(work, shared=name == CONTENDERS[0]))
            tell(advance=1)
        times = latencies(size.rounds, lambda done: tell(advance=1, description="asking"))
    return Found(paid, times, hits(size.hits), system_calls_of_hits())


# -- what came of it ------------------------------------------------------------------------


def ratio(paid: Results, traffic: Traffic) -> float:
    """Return the load seconds under one budget to those of split ones, over all seeds."""
    ours, theirs = (sum(each.seconds for each in paid[traffic, name]) for name in CONTENDERS)
    return ours / theirs


def judge(found: Found) -> list[Verdict]:
    """Return the verdict on every target."""
    share = ratio(found.paid, JUDGED)
    calls = "" if found.calls is None else f"{found.calls} in {HITS:,} hits"
    return [
        Verdict(
            f"load seconds a use, {JUDGED.name}: at most {RATIO} of those of split budgets",
            f"{share:.2f}",
            share <= RATIO,
        ),
        *(_in_time(name, times) for name, times in found.latencies.items()),
        same_hit(found.hit, OURS, "node="),
        Verdict(
            "a hit makes no system call", calls, None if found.calls is None else not found.calls
        ),
    ]


def _in_time(name: str, times: list[float]) -> Verdict:
    """Judge the median of what a busy machine disturbs, and else the worst."""
    usual = name in (GRANT, ASK)
    found = median(times) if usual else max(times)
    which = "the median" if usual else "each"
    target = f"{TITLES[name]}: {which} at most {duration(LIMITS[name])}"
    return Verdict(target, duration(found), found <= LIMITS[name])


def page(found: Found, size: Size) -> str:
    """Return what stands between the markers."""
    a, b = CONTENDERS
    head = ["", f"load seconds a use, {a}", b, "ratio", f"loads, {a}", b]
    rounds = len(found.latencies[GRANT])
    parts = [
        "## Load seconds a use",
        f"{WORKERS} processes of {MODELS} models each, {format_size(BUDGET)} for all; {RATE:g} "
        f"requests a second, models by Zipf {ZIPF}; who is busy and what is popular changes every "
        f"{PERIOD:g} s. {size.seeds} runs of {size.periods * PERIOD:g} s each way, in turns; in "
        "brackets the range.",
        piped([head, *(_row(found.paid, traffic) for traffic in size.traffics)]),
        "## Seconds until there is room",
        f"{rounds} rounds, in each of which all are measured, in an order drawn anew.",
        piped([["", "median", "worst"], *(_times(*each) for each in found.latencies.items())]),
        "## Targets",
        piped(targets(judge(found))),
        *where(_facts()),
    ]
    return "\n\n".join(parts)


def _row(paid: Results, traffic: Traffic) -> list[str]:
    both = [paid[traffic, name] for name in CONTENDERS]
    costs = [_ranged([duration(paid.each) for paid in sorted(each, key=_each)]) for each in both]
    loads = [f"{sum(paid.loads for paid in each):,}" for each in both]
    return [traffic.name, *costs, f"**{ratio(paid, traffic):.2f}**", *loads]


def _each(paid: Paid) -> float:
    return paid.each


def _ranged(texts: list[str]) -> str:
    return f"{texts[len(texts) // 2]} ({texts[0]} to {texts[-1]})"


def _times(name: str, times: list[float]) -> list[str]:
    return [TITLES[name], duration(median(times)), duration(max(times))]


def _facts() -> list[tuple[str, str]]:
    return [*machine.place(), ("Libraries", f"warmcache {warmcache.__version__}")]


def draw(found: Found, path: Path) -> None:
    """Draw load seconds as bars, both ways beside each other, and each wait for room as a dot."""
    picture = canvas(11, 3.6)
    costs, waits = picture.subplots(1, 2, width_ratios=(1, 1.1))
    traffics = [*dict.fromkeys(traffic for traffic, _ in found.paid)]
    for place, (name, colour) in enumerate(zip(CONTENDERS, COLOURS, strict=True)):
        numbers = [1e3 * mean(map(_each, found.paid[traffic, name])) for traffic in traffics]
        at = [number + place * 0.4 for number in range(len(traffics))]
        bars = costs.barh(at, numbers, height=0.38, color=colour, label=name)
        costs.bar_label(bars, [f" {number:.2g}" for number in numbers], fontsize=8)
    costs.set_yticks([number + 0.2 for number in range(len(traffics))], [t.name for t in traffics])
    costs.set_title("Milliseconds of loading a use")
    costs.margins(x=0.12)
    picture.legend(*costs.get_legend_handles_labels(), **_LEGEND)
    for place, (name, times) in enumerate(found.latencies.items()):
        waits.plot(times, [place] * len(times), "o", color=COLOURS[0], markersize=4, alpha=0.4)
        waits.plot([LIMITS[name]] * 2, [place - 0.3, place + 0.3], color="#334155", linewidth=1.5)
    waits.set_yticks(range(len(found.latencies)), [_SHORT[name] for name in found.latencies])
    waits.set_xscale("log")
    waits.set_title("Seconds until there is room; lines: the targets")
    save(picture, path)


_SHORT = dict(
    zip(
        TITLES,
        (
            "nobody else there",
            "an idle owner gives",
            "owner of 90 % killed",
            "killed inside the gate",
            f"90 % beside {CHURNERS} that load",
        ),
        strict=True,
    )
)


if __name__ == "__main__":
    sys.exit(main())
