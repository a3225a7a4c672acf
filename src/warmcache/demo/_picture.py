"""The timeline: memory by model against the budget, and when each model was warm."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from warmcache._sizes import format_size

from ._checks import Outcome
from ._journal import Gone, Load
from ._libraries import library
from ._status import colours

_MIB = 2**20
_INK = "#333333"
_FAINT = "#999999"
_LOADING = "#bbbbbb"


def draw(outcome: Outcome, path: Path) -> None:
    """Write the timeline of a run as a PNG."""
    figure_class = library("matplotlib.figure").Figure
    library("matplotlib.backends.backend_agg")
    style = {"font.size": 10, "text.color": _INK, "axes.edgecolor": _FAINT}
    with library("matplotlib").rc_context(style):
        figure = figure_class(figsize=(14, 8), dpi=130, layout="constrained")
        memory, lanes = figure.subplots(2, 1, sharex=True, height_ratios=(5, 4))
        _memory(memory, outcome)
        _lanes(lanes, outcome)
        lanes.set_xlim(0, outcome.seconds)
        lanes.set_xlabel("seconds")
        figure.savefig(path, format="png")


def _memory(axes: Any, outcome: Outcome) -> None:
    """Stack the bytes of the models, the budget above them."""
    samples, options = outcome.journal.samples, outcome.options
    at = [sample.at for sample in samples]
    floor = [0.0] * len(samples)
    for name, colour in colours(outcome.specs).items():
        top = [
            low + sample.weights.get(name, 0.0) / _MIB
            for low, sample in zip(floor, samples, strict=True)
        ]
        axes.fill_between(at, floor, top, step="post", color=colour, linewidth=0, label=name)
        floor = top
    budget = options.budget / _MIB
    axes.axhline(budget, color="#c00000", linewidth=1.5, linestyle="--")
    axes.annotate(
        f"budget {format_size(options.budget)}",
        (1, budget),
        xycoords=("axes fraction", "data"),
        xytext=(-6, 4),
        textcoords="offset points",
        ha="right",
        color="#c00000",
    )
    axes.set_ylim(0, 1.1 * budget)
    axes.set_ylabel("MiB committed to models")
    axes.set_title(_title(outcome), loc="left", fontsize=12)
    axes.legend(*_top_first(axes), loc="center left", bbox_to_anchor=(1, 0.5), frameon=False)
    axes.spines[["top", "right"]].set_visible(False)


def _top_first(axes: Any) -> tuple[list[Any], list[str]]:
    handles, labels = axes.get_legend_handles_labels()
    return handles[::-1], labels[::-1]


def _title(outcome: Outcome) -> str:
    total = sum(spec.weight for spec in outcome.specs)
    return (
        f"{len(outcome.specs)} models of {format_size(total)} in "
        f"{format_size(outcome.options.budget)}: {len(outcome.requests)} requests, "
        f"{outcome.options.crew}, policy {outcome.options.policy}"
    )


def _lanes(axes: Any, outcome: Outcome) -> None:
    """Draw a lane for each model: grey while it loads, its colour while it is warm."""
    loads: dict[str, list[Load]] = defaultdict(list)
    gone: dict[str, list[Gone]] = defaultdict(list)
    for load in outcome.journal.loads:
        loads[load.name].append(load)
    for removal in outcome.journal.gone:
        gone[removal.name].append(removal)
    names = [spec.name for spec in outcome.specs]
    for lane, name in enumerate(names):
        _lane(axes, lane, loads[name], gone[name], colours(outcome.specs)[name])
        _parked(axes, lane, outcome.journal.parked_spans(name))
    axes.set_yticks(range(len(names)), [f"{name}  {_times(loads[name])}" for name in names])
    axes.set_ylim(-0.6, len(names) - 0.4)
    axes.tick_params(axis="y", length=0)
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.plot([], [], "s", color=_LOADING, markersize=7, label="loading")
    axes.plot([], [], "^", color=_INK, markersize=5, label="loaded")
    if outcome.on_disk is not None:
        axes.plot([], [], "^", color=_INK, mfc="white", markersize=5, label="read from disk")
    if outcome.stats.host is not None:
        axes.plot([], [], "s", color=_INK, mfc="white", markersize=7, label="parked")
    axes.plot([], [], "v", color="#c00000", markersize=5, label="evicted")
    axes.legend(loc="center left", bbox_to_anchor=(1, 0.5), frameon=False)


def _times(loads: Sequence[Load]) -> str:
    read = sum(load.from_disk for load in loads)
    from_disk = f", {read} from disk" if read else ""
    return f"({len(loads)} load{'' if len(loads) == 1 else 's'}{from_disk})"


def _parked(axes: Any, lane: int, spans: Sequence[tuple[float, float]]) -> None:
    """Hollow out a lane where the model was parked."""
    widths = [(start, end - start) for start, end in spans]
    axes.broken_barh(widths, (lane - 0.19, 0.38), color="white", linewidth=0)


def _lane(axes: Any, lane: int, loads: Sequence[Load], gone: Sequence[Gone], colour: str) -> None:
    axes.axhline(lane, color="#eeeeee", linewidth=1, zorder=0)
    # The n-th removal ends what the n-th load began.
    warm = [(load.ended, end.at - load.ended) for load, end in zip(loads, gone, strict=False)]
    loading = [(load.began, load.seconds) for load in loads]
    evicted = [end.at for end in gone if end.evicted]
    axes.broken_barh(loading, (lane - 0.25, 0.5), color=_LOADING, linewidth=0)
    axes.broken_barh(warm, (lane - 0.25, 0.5), color=colour, linewidth=0)
    for from_disk, fill in ((False, _INK), (True, "white")):
        ended = [load.ended for load in loads if load.from_disk is from_disk]
        axes.plot(ended, [lane - 0.38] * len(ended), "^", color=_INK, mfc=fill, markersize=4)
    axes.plot(evicted, [lane + 0.38] * len(evicted), "v", color="#c00000", markersize=4)
