"""The curve of what budgets save."""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from warmcache._extras import how_to_install
from warmcache.errors import WarmcacheError

from .recommend import Recommendation
from .replay import Outcome
from .trace_file import Trace


class PictureError(WarmcacheError, ValueError):
    """The picture cannot be drawn; one line says why."""


def draw(trace: Trace, outcomes: Sequence[Outcome], chosen: Recommendation, path: Path) -> None:
    """Write the curves of load seconds over budgets as a picture."""
    figure = _library("matplotlib.figure").Figure(figsize=(8, 5), dpi=120, layout="constrained")
    axes = figure.subplots()
    _curve(axes, outcomes, chosen)
    axes.set_title(f"{trace.name}: {len(trace):,} requests, {len(trace.sizes)} keys", loc="left")
    try:
        figure.savefig(path)
    except OSError as error:
        raise PictureError(f"--plot: cannot write {path}: {error.strerror or error}") from None


def check_picture(path: Path) -> None:
    """Fail before the work is done, not after it."""
    known = _library("matplotlib.figure").Figure().canvas.get_supported_filetypes()
    if path.suffix.removeprefix(".").lower() not in known:
        raise PictureError(f"--plot: {path} must end in one of: {', '.join(sorted(known))}")
    if not path.parent.is_dir():
        raise PictureError(f"--plot: there is no folder {path.parent}")


def _curve(axes: Any, outcomes: Sequence[Outcome], chosen: Recommendation) -> None:
    """Draw one line a policy, and a ring around what is recommended."""
    for policy in dict.fromkeys(outcome.policy for outcome in outcomes):
        line = [outcome for outcome in outcomes if outcome.policy == policy]
        axes.plot(
            [100 * outcome.share for outcome in line],
            [outcome.load_seconds for outcome in line],
            marker="o",
            label=policy,
        )
    knee = next(o for o in outcomes if (o.policy, o.budget) == (chosen.policy, chosen.budget))
    axes.plot(
        [100 * knee.share],
        [knee.load_seconds],
        "o",
        markersize=14,
        markerfacecolor="none",
        markeredgecolor="black",
    )
    axes.set_xlabel("budget, % of the bytes of all keys")
    axes.set_ylabel("load seconds paid")
    axes.set_ylim(bottom=0)
    axes.set_xlim(left=0)
    axes.grid(alpha=0.3)
    axes.legend(frameon=False)
    axes.spines[["top", "right"]].set_visible(False)


def _library(name: str) -> Any:
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        raise PictureError(
            f"--plot needs {error.name}, which is not installed: {how_to_install('plot')}"
        ) from None
