"""What routing pays on a real Dask cluster: ``python -m benchmarks.routing`` from the root.

Writes ``docs/routing-dask.png`` and what is between the markers of ``docs/routing-dask.md``,
unless ``--small``. It takes about five minutes, most of them in sleeping tasks.
"""

from __future__ import annotations

import logging
import random
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from importlib.metadata import version
from itertools import accumulate
from pathlib import Path
from statistics import mean
from typing import Any

from distributed import Client, LocalCluster, as_completed

import warmcache.dask as wd
from warmcache._progress import track

from . import machine
from .paged import GREY, ORANGE, canvas, parser, publish, save
from .report import piped, where
from .routing_tasks import LOAD, LOADERS, USE, infer, loads

MODELS, TASKS, ZIPF, IN_FLIGHT = 6, 120, 1.1, 2  # the last one: a worker, in the window
TARGETS = (0.25, 0.6)  # of loads and of makespan


@dataclass(frozen=True)
class Scenario:
    """A cluster, and how tasks are submitted to it."""

    workers: int
    keeps: int
    how: str

    def __str__(self) -> str:
        return f"{self.workers} workers that keep {self.keeps}, {self.how}"


@dataclass(frozen=True)
class Outcome:
    """Loads of all workers, and seconds from the first submit to the last result."""

    loads: int
    makespan: float


SCENARIOS = [
    Scenario(workers, keeps, how)
    for workers, keeps in ((3, 2), (2, 1))
    for how in ("burst", "window")
]
CONTENDERS = ("Dask", "warmcache")
Results = dict[tuple[Scenario, str], list[Outcome]]


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, print, and write the page and the picture."""
    options = parser("routing", "routing-dask", "--small", "few tasks").parse_args(arguments)
    logging.getLogger("distributed").setLevel(logging.ERROR)
    seeds, tasks = (1, 12) if options.quick else (3, TASKS)
    scenarios = SCENARIOS[:2] if options.quick else SCENARIOS
    results: Results = {(s, name): [] for s in scenarios for name in CONTENDERS}
    # In turns, so that what the machine does meanwhile hits both alike.
    jobs = [
        (scenario, seed, name)
        for seed in range(seeds)
        for scenario in scenarios
        for name in (CONTENDERS if seed % 2 else CONTENDERS[::-1])
    ]
    for scenario, seed, name in track(jobs, "running on Dask"):
        results[scenario, name].append(run(scenario, name, drawn(seed, tasks)))
    publish(options, page(results, tasks), partial(draw, results))


def drawn(seed: int, tasks: int) -> list[int]:
    """Return which models the tasks want, the first the most popular."""
    shares = [*accumulate((rank + 1) ** -ZIPF for rank in range(MODELS))]
    return random.Random(seed).choices(range(MODELS), cum_weights=shares, k=tasks)


# -- one run ------------------------------------------------------------------------------


def run(scenario: Scenario, name: str, models: list[int]) -> Outcome:
    """Run all tasks on a new cluster, on which nothing is warm."""
    quiet = {"dashboard_address": ":0", "silence_logs": logging.CRITICAL}
    with (
        LocalCluster(n_workers=scenario.workers, threads_per_worker=1, **quiet) as cluster,
        Client(cluster) as client,
    ):
        # Which imports what tasks import, too.
        assert [0] * scenario.workers == [*client.run(loads).values()]
        submit = partial(client.submit, pure=False)
        if name == "warmcache":
            wd.install(client)
        begun = time.perf_counter()
        if scenario.how == "burst":
            results = client.gather(_burst(client, name, scenario.keeps, models))
        else:
            submit = _marked(client) if name == "warmcache" else submit
            limit = IN_FLIGHT * scenario.workers
            results = _window(client, submit, scenario.keeps, models, limit)
        seconds = time.perf_counter() - begun
        assert sorted(models) == sorted(results)
        return Outcome(sum(client.run(loads).values()), seconds)


def _burst(client: Client, name: str, keeps: int, models: list[int]) -> Any:
    columns = [keeps] * len(models), models
    if name == "Dask":
        return client.map(infer, *columns, pure=False)
    calls = {model: partial(LOADERS[keeps], model) for model in models}
    return wd.map(client, infer, *columns, warm=[calls[model] for model in models], pure=False)


def _marked(client: Client) -> Callable[..., Any]:
    def submit(function: Callable[..., Any], keeps: int, model: int) -> Any:
        warm = partial(LOADERS[keeps], model)
        return wd.submit(client, function, keeps, model, warm=warm, pure=False)

    return submit


def _window(
    client: Client, submit: Callable[..., Any], keeps: int, models: list[int], limit: int
) -> list[int]:
    """Have so many tasks under way, and submit another one as one ends."""
    rest = iter(models[limit:])
    under_way = as_completed([submit(infer, keeps, model) for model in models[:limit]])
    results = []
    for future in under_way:
        results.append(future.result())
        model = next(rest, None)
        if model is not None:
            under_way.add(submit(infer, keeps, model))
    return results


# -- what came of it ------------------------------------------------------------------------


def page(results: Results, tasks: int) -> str:
    """Return the tables."""
    head = ["", "loads, Dask", "warmcache", "ratio", "makespan, Dask", "warmcache", "ratio"]
    parts = [
        "## Loads and makespan",
        f"{MODELS} models, {max(len(r) for r in results.values())} runs each with {tasks} tasks "
        f"of Zipf {ZIPF}, {LOAD:g} s a load, {USE:g} s a use; workers of one thread. `burst`: one "
        f"`map`; `window`: {IN_FLIGHT} tasks a worker under way. Means, and in brackets the range.",
        piped([head, *(_row(results, s) for s in _scenarios(results))]),
        "## Targets",
        "\n".join(f"- {line}" for line in judged(results)),
        *where(_facts()),
    ]
    return "\n\n".join(parts)


def _scenarios(results: Results) -> list[Scenario]:
    return [*dict.fromkeys(scenario for scenario, _ in results)]


def _row(results: Results, scenario: Scenario) -> list[str]:
    cells = [str(scenario)]
    for figure, unit in ((lambda o: o.loads, ""), (lambda o: o.makespan, " s")):
        for name in CONTENDERS:
            numbers = [figure(outcome) for outcome in results[scenario, name]]
            least, most = f"{min(numbers):.3g}", f"{max(numbers):.3g}"
            cells.append(f"{mean(numbers):.3g}{unit} ({least} to {most})")
        cells.append(f"**{_ratio(results, scenario, figure):.2f}**")
    return cells


def _ratio(results: Results, scenario: Scenario, figure: Callable[[Outcome], float]) -> float:
    """Return the ratio of the means over all seeds."""
    dask, ours = (mean(map(figure, results[scenario, name])) for name in CONTENDERS)
    return ours / dask


def judged(results: Results) -> list[str]:
    """Say of each target whether it is reached: of the cluster they were set for."""
    lines = []
    for scenario in _scenarios(results):
        if (scenario.workers, scenario.keeps) == (3, 2):
            for target, what, figure in (
                (TARGETS[0], "loads", lambda o: o.loads),
                (TARGETS[1], "makespan", lambda o: o.makespan),
            ):
                ratio = _ratio(results, scenario, figure)
                word = "reached" if ratio <= target else "missed"
                lines.append(f"{scenario}: {what} {ratio:.2f} of Dask's, {target} wanted: {word}")
    return lines


def _facts() -> list[tuple[str, str]]:
    return [*machine.place(), ("Libraries", f"distributed {version('distributed')}")]


def draw(results: Results, path: Path) -> None:
    """Draw loads and makespan as bars, both contenders beside each other."""
    scenarios = _scenarios(results)
    picture = canvas(11, 3.6)
    panels = picture.subplots(1, 2)
    rows = ("Loads", lambda o: o.loads), ("Seconds until all is done", lambda o: o.makespan)
    colours = dict(zip(CONTENDERS, (GREY, ORANGE), strict=True))
    for panel, (title, value) in zip(panels, rows, strict=True):
        for place, name in enumerate(CONTENDERS):
            numbers = [mean(map(value, results[s, name])) for s in scenarios]
            at = [number + place * 0.4 for number in range(len(scenarios))]
            bars = panel.barh(at, numbers, height=0.38, color=colours[name], label=name)
            panel.bar_label(bars, [f" {number:.3g}" for number in numbers], fontsize=8)
        panel.set_yticks([number + 0.2 for number in range(len(scenarios))], map(str, scenarios))
        panel.set_title(title)
        panel.margins(x=0.12)
    panels[0].legend(frameon=False, fontsize=8)
    save(picture, path)


if __name__ == "__main__":
    main()
