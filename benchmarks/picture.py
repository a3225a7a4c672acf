"""The picture: bars of ratios, one panel a row, on a logarithmic scale."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from .contenders import NAMES, OURS
from .report import significant
from .timing import Line, duration

_SHOWN = (
    "hit-1",
    "hit-3-1",
    "hit-async",
    "threads",
    "get-10000",
    "insert-1000000",
    "set-10000",
    "miss",
    "import",
)
_OURS, _OTHERS, _ONE = "#c2410c", "#94a3b8", "#334155"


def draw(lines: Mapping[str, Line], path: Path) -> None:
    """Draw the rows worth a look among ``lines`` into ``path``."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    shown: Sequence[Line] = [lines[id] for id in _SHOWN if id in lines] or list(lines.values())[:9]
    across = min(3, len(shown))
    down = -(-len(shown) // across)
    figure, axes = pyplot.subplots(
        down, across, figsize=(5.2 * across, 3.2 * down), squeeze=False, layout="constrained"
    )
    for axis in axes.flat[len(shown) :]:
        axis.remove()
    for axis, line in zip(axes.flat, shown, strict=False):
        _panel(axis, line)
    figure.suptitle(
        "Time relative to the dashed line (logarithmic, lower is better); in brackets, the time",
        fontsize=11,
    )
    figure.savefig(path, dpi=110, metadata={"Software": None})
    pyplot.close(figure)


def _panel(axis: Any, line: Line) -> None:
    from matplotlib.ticker import FuncFormatter, NullFormatter

    names = [name for name in NAMES if name in line.samples]
    names.sort(key=line.ratio, reverse=True)
    ratios = [line.ratio(name) for name in names]
    left = min(0.5, min(ratios) / 1.5)
    colours = [_OURS if name == OURS else _OTHERS for name in names]
    bars = axis.barh(names, [ratio - left for ratio in ratios], left=left, color=colours)
    axis.set_xscale("log")
    axis.set_xlim(left, max(max(ratios), 1.0) * (max(max(ratios), 1.0) / left) ** 0.55)
    labels = [
        f" {significant(r)}  ({duration(line.seconds(n))})"
        for n, r in zip(names, ratios, strict=True)
    ]
    axis.axvline(1.0, color=_ONE, linestyle="--", linewidth=1)
    for label in axis.bar_label(bars, labels, fontsize=8):
        label.set_bbox({"facecolor": "white", "edgecolor": "none", "pad": 0.5})
    axis.set_title(f"{line.title}\n1 = {line.against}", fontsize=9)
    axis.xaxis.set_major_formatter(FuncFormatter(lambda x, _: f"{x:g}"))
    axis.xaxis.set_minor_formatter(NullFormatter())
    axis.tick_params(labelsize=8)
    axis.spines[["top", "right"]].set_visible(False)
    for label in axis.get_yticklabels():
        label.set_fontweight("bold" if label.get_text() == OURS else "normal")
