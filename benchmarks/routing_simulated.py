"""What routing pays, simulated: ``python -m benchmarks.routing_simulated`` from the root.

Writes ``docs/routing.png`` and what is between the markers of ``docs/routing.md``, unless
``--small``, which runs everything in a few seconds to see that it runs.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

from warmcache._progress import track

from . import machine
from .paged import canvas, parser, publish
from .report import piped, where
from .routing_contenders import CONTENDERS
from .routing_world import Outcome, Scenario, simulate

MAIN = Scenario(
    name="main", workers=1000, models=10_000, requests=1_000_000, zipf=0.9, failures=100
)
_FEW = Scenario(models=6, alike=True, requests=120, zipf=1.1, use=0.05, load=0.15, seeds=20)
_MIDDLE = Scenario(requests=50_000, failures=10)
EXPONENTS = (0.0, 0.6, 0.9, 1.1, 1.4)
ZIPFS = [
    dataclasses.replace(_MIDDLE, name=f"Zipf {exponent}" if exponent else "uniform", zipf=exponent)
    for exponent in EXPONENTS
]
OTHERS = [
    *ZIPFS,
    dataclasses.replace(_MIDDLE, name="hardly busy (3 %)", busy=0.03),
    dataclasses.replace(_MIDDLE, name="4 slots a worker", slots=4, keeps=20),
    dataclasses.replace(_MIDDLE, name="reports every 5 s", reports_every=5.0),
    dataclasses.replace(_MIDDLE, name="room for 1 model in 6", keeps=5.0, models=3000),
    dataclasses.replace(_MIDDLE, name="a load costs 1 use", use=1.0, load=1.0),
    dataclasses.replace(_MIDDLE, name="a load costs 100 uses", use=0.05, load=5.0),
    dataclasses.replace(_FEW, name="3 x 2 for 6, at once", workers=3, keeps=2, busy=0),
    dataclasses.replace(_FEW, name="3 x 2 for 6, arriving", workers=3, keeps=2, busy=0.7),
    dataclasses.replace(_FEW, name="2 x 1 for 6, at once", workers=2, keeps=1, busy=0),
    dataclasses.replace(_FEW, name="2 x 1 for 6, arriving", workers=2, keeps=1, busy=0.7),
]
Results = dict[tuple[str, str], Outcome]
_OURS = ("Router", "Backlog")
_COLOURS = {"Router": "#f59e0b", "Backlog": "#c2410c"}
_GREYS = ("#0f172a", "#475569", "#64748b", "#94a3b8", "#cbd5e1")


def main(arguments: Sequence[str] | None = None) -> None:
    """Simulate, print, and write the page and the picture."""
    command = parser("routing_simulated", "routing", "--small", "small sizes")
    options = command.parse_args(arguments)
    scenarios = [MAIN, *OTHERS]
    if options.quick:
        scenarios = [_smaller(scenario) for scenario in scenarios]
    jobs = [(scenario, name) for scenario in scenarios for name in CONTENDERS]
    results = {
        (scenario.name, name): simulate(scenario, CONTENDERS[name])
        for scenario, name in track(jobs, "simulating")
    }
    publish(options, page(scenarios, results), partial(draw, results))


def _smaller(scenario: Scenario) -> Scenario:
    workers, models = min(scenario.workers, 10), min(scenario.models, 100)
    return dataclasses.replace(
        scenario,
        workers=workers,
        models=models,
        requests=min(scenario.requests, 400),
        failures=min(scenario.failures, 2),
        away=2.0,
        seeds=1,
    )


def page(scenarios: Sequence[Scenario], results: Results) -> str:
    """Return the tables."""
    parts = [
        "## A thousand workers",
        _described(scenarios[0]),
        piped(main_table(results)),
        "## Other parameters",
        "Loads, relative to least loaded:",
        piped(_compared(scenarios, results, lambda o, base: o.loads / base.loads)),
        "Seconds from arrival to end, median:",
        piped(_compared(scenarios, results, lambda o, _: o.median)),
        "Seconds from arrival to end, 99th percentile:",
        piped(_compared(scenarios, results, lambda o, _: o.p99)),
        *where(machine.described()),
    ]
    return "\n\n".join(parts)


def _described(s: Scenario) -> str:
    return (
        f"{s.workers:,} workers, {s.models:,} models, {s.requests:,} requests, Zipf {s.zipf}, "
        f"{s.failures} failures of {s.away:g} seconds; room for {s.keeps:g} models of mean size; "
        f"{s.use:g} s a use, {s.load:g} s a load, on average."
    )


def main_table(results: Results) -> list[list[str]]:
    base = results["main", "least loaded"]
    head = ["", "loads", "of least loaded", "makespan, s", "median, s", "p99, s"]
    head += ["busiest / mean", "decision, µs", "upkeep, µs"]
    rows = [head]
    for name in CONTENDERS:
        o = results["main", name]
        counts = [f"{o.loads:,.0f}", f"{o.loads / base.loads:.3f}", f"{o.makespan:,.0f}"]
        times = [_short(o.median), _short(o.p99), f"{o.busiest:.2f}"]
        costs = [f"{o.decision:.1f}", f"{o.upkeep:.1f}"]
        rows.append([f"**{name}**" if name in _OURS else name, *counts, *times, *costs])
    return rows


def _compared(scenarios: Sequence[Scenario], results: Results, figure: Any) -> list[list[str]]:
    rows = [["", *CONTENDERS]]
    for scenario in scenarios[1:]:
        base = results[scenario.name, "least loaded"]
        figures = [figure(results[scenario.name, name], base) for name in CONTENDERS]
        texts = [_short(number) for number in figures]
        least = texts[figures.index(min(figures))]
        cells = [f"**{text}**" if text == least else text for text in texts]
        rows.append([scenario.name, *cells])
    return rows


def _short(number: float) -> str:
    return f"{number:.2f}" if number < 100 else f"{number:,.0f}"


# -- the picture ------------------------------------------------------------------------


def draw(results: Results, path: Path) -> None:
    """Draw the main run as bars, and what the exponent changes as lines."""
    figure = canvas(13, 7.6)
    panels = figure.subplots(2, 3)
    bars: list[tuple[str, Any]] = [
        ("Loads", lambda o: o.loads),
        ("99th percentile, seconds from arrival to end", lambda o: o.p99),
        ("Microseconds a request: decision and upkeep", lambda o: o.decision + o.upkeep),
    ]
    lines: list[tuple[str, Any]] = [
        ("Loads a request", "loads"),
        ("Median, seconds from arrival to end", "median"),
        ("Busiest worker / mean", "busiest"),
    ]
    for panel, (title, value) in zip(panels[0], bars, strict=True):
        _bars(panel, title, {name: value(results["main", name]) for name in CONTENDERS})
    for panel, (title, field) in zip(panels[1], lines, strict=True):
        _lines(panel, title, field, results)
    figure.suptitle(
        f"Top: {MAIN.workers:,} workers, {MAIN.models:,} models, {MAIN.requests:,} requests, "
        f"Zipf {MAIN.zipf}. Bottom: {_MIDDLE.workers} workers, {_MIDDLE.models:,} models, "
        f"{_MIDDLE.requests:,} requests, by popularity. Lower is better; all scales logarithmic.",
        fontsize=10,
    )
    panels[1][2].legend(frameon=False, fontsize=8)
    figure.savefig(path, metadata={"Software": None})


def _bars(panel: Any, title: str, values: dict[str, float]) -> None:
    names = [*values][::-1]
    numbers = [values[name] for name in names]
    colours = [_COLOURS.get(name, "#94a3b8") for name in names]
    bars = panel.barh(names, numbers, color=colours)
    panel.set_xscale("log")
    panel.set_xlim(min(numbers) / 2, max(numbers) * 4)
    panel.bar_label(bars, [f" {number:,.3g}" if number < 1000 else f" {number:,.0f}"
                           for number in numbers], fontsize=8)  # fmt: skip
    _tidy(panel, title)


def _lines(panel: Any, title: str, field: str, results: Results) -> None:
    for number, name in enumerate(CONTENDERS):
        values = [getattr(results[scenario.name, name], field) for scenario in ZIPFS]
        if field == "loads":
            values = [value / _MIDDLE.requests for value in values]
        ours = name in _OURS
        panel.plot(
            EXPONENTS,
            values,
            marker="o" if ours else "sv^Dx"[number],
            markersize=4,
            color=_COLOURS.get(name) or _GREYS[number],
            linewidth=2.4 if ours else 1.1,
            zorder=3 if ours else 2,
            label=name,
        )
    panel.set_yscale("log")
    panel.set_xlabel("Zipf exponent (0: all models alike popular)", fontsize=8)
    panel.set_xticks(EXPONENTS)
    panel.grid(alpha=0.3)
    _tidy(panel, title)


def _tidy(panel: Any, title: str) -> None:
    panel.set_title(title, loc="left", fontsize=9)
    panel.tick_params(labelsize=8)
    panel.spines[["top", "right"]].set_visible(False)


if __name__ == "__main__":
    main()
