"""What benchmarks share that have a page of their own: the command, its end, the picture."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Any

from .report import write_between
from .targets import Verdict
from .timing import Line

DOCS = Path(__file__).resolve().parents[1] / "docs"
COLOURS = ORANGE, GREY = "#c2410c", "#94a3b8"  # ours, and what it is beside
SAME = 0.03  # of a hit's time, apart


def parser(name: str, page: str, quick: str = "--quick", less: str = "little") -> Any:
    """Return the parser of the command ``benchmarks.name``, which writes ``page.md`` in docs."""
    found = argparse.ArgumentParser(prog=f"python -m benchmarks.{name}")
    said = f"{less}; writes into --out alone"
    found.add_argument(quick, action="store_true", help=said, dest="quick")
    found.add_argument("--out", type=Path, help=f"a folder with a {page}.md that has markers")
    found.set_defaults(page=page)
    return found


def publish(options: argparse.Namespace, text: str, draw: Callable[[Path], object]) -> None:
    """Print what stands between the markers, and write it and the picture where that was said."""
    print(text)
    out = options.out or (None if options.quick else DOCS)
    if out is not None:
        write_between(out / f"{options.page}.md", text)
        draw(out / f"{options.page}.png")


def same_hit(line: Line, ours: str, option: str) -> Verdict:
    """Judge whether a hit takes with an ``option`` what it takes without."""
    low, high = line.spread(ours)
    hit = line.ratio(ours)
    return Verdict(
        f"a hit with {option}: within {SAME} of one without",
        f"{hit:.3f} (quartiles {low:.3f} to {high:.3f})",
        abs(hit - 1) <= SAME,
    )


def canvas(width: float, height: float) -> Any:
    """Return an empty picture."""
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), dpi=110, layout="constrained")


def save(figure: Any, path: Path) -> None:
    """Write a picture of panels whose rows are read from the top."""
    for panel in figure.axes:
        panel.invert_yaxis()
        title = panel.get_title()
        panel.set_title("")
        panel.set_title(title, loc="left", fontsize=10)
        panel.tick_params(labelsize=8)
        panel.spines[["top", "right"]].set_visible(False)
    figure.savefig(path, metadata={"Software": None})
