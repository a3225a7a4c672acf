"""``warmcache simulate``: what policies would pay on a trace, and which to take."""

from __future__ import annotations

import importlib
import importlib.util
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from warmcache._sizes import parse_size
from warmcache.errors import WarmcacheError

from .replay import Outcome, check, replay
from .trace_file import Trace, TraceError, read_trace

_CLOSE = 1.01  # a policy that pays at most 1 % more is as good


class SimulationError(WarmcacheError, ValueError):
    """It cannot be simulated as asked; one line says why."""


@dataclass(frozen=True, slots=True)
class Budget:
    """Bytes, or a share of all that a trace asks for."""

    bytes: float | None = None
    share: float | None = None

    @classmethod
    def parse(cls, text: str) -> Budget:
        """Return what ``"20%"`` or ``"4GiB"`` means. Raises ValueError."""
        text = text.strip()
        if not text.endswith("%"):
            budget = cls(bytes=parse_size(text))
        else:
            try:
                budget = cls(share=float(text[:-1]) / 100)
            except ValueError:
                raise ValueError(f"{text!r} is no percentage") from None
        if not 0 < (budget.bytes or budget.share or 0) < float("inf"):
            raise ValueError(f"a budget must be more than nothing, got {text!r}")
        return budget

    def of(self, trace: Trace) -> int:
        """Return its whole bytes."""
        amount = self.bytes if self.bytes is not None else trace.footprint * (self.share or 0)
        return int(amount)


@dataclass(frozen=True, slots=True)
class Recommendation:
    """What to take, and why: lines for people."""

    policy: str
    budget: float
    why: tuple[str, ...]


def simulate(
    path: Path, budgets: Sequence[Budget], policies: Sequence[str], plot: Path | None
) -> int:
    """Replay the trace in ``path``, print what each policy pays, and what to take.

    Raises:
        TraceError: there is no trace.
        ReplayError: a policy is unknown, or wants more than a ``maxsize``.
        SimulationError: the plot cannot be drawn.
    """
    for policy in policies:
        check(policy)
    if plot is not None:
        _check_plot(plot)
    trace = read_trace(path)
    if not trace.footprint:
        raise TraceError(f"{path}: nothing in it has a size, so any budget holds it all")
    sizes = sorted({budget.of(trace) for budget in budgets})
    print(
        f"{trace.name}: {len(trace):,} requests for {len(trace.sizes):,} keys of "
        f"{in_bytes(trace.footprint)} in all, which take "
        f"{sum(map(trace.seconds.__getitem__, trace.keys)):,.0f} s to load if nothing is kept"
    )
    outcomes = _replayed(trace, sizes, policies)
    print()
    print("\n".join(table(outcomes)))
    chosen = recommend(trace, outcomes)
    print()
    print("\n".join(chosen.why))
    if plot is not None:
        draw(trace, outcomes, chosen, plot)
        print(f"the curve is in {plot}")
    return 0


def _replayed(trace: Trace, budgets: Sequence[int], policies: Sequence[str]) -> list[Outcome]:
    jobs = [(policy, budget) for budget in budgets for policy in policies]
    with _progress(len(jobs) * len(trace)) as (say, tell):
        outcomes = []
        for policy, budget in jobs:
            say(f"{policy} with {in_bytes(budget)}")
            outcomes.append(replay(trace, policy, budget, tell))
    return outcomes


@contextmanager
def _progress(total: int) -> Iterator[tuple[Callable[[str], object], Callable[[int], object]]]:
    """Show a bar where there are a terminal and rich; give what to tell it."""
    if not sys.stderr.isatty() or importlib.util.find_spec("rich") is None:
        yield lambda text: None, lambda done: None
        return
    rich: Any = importlib.import_module("rich.progress")
    console = importlib.import_module("rich.console").Console(stderr=True)
    with rich.Progress(console=console, transient=True) as bar:
        task = bar.add_task("", total=total)
        yield (
            lambda text: bar.update(task, description=text),
            lambda done: bar.advance(task, done),
        )


# -- the table -------------------------------------------------------------------------


def table(outcomes: Sequence[Outcome]) -> list[str]:
    """Return the lines of a table: a row for each budget and policy."""
    against = "lru" if any(outcome.policy == "lru" for outcome in outcomes) else outcomes[0].policy
    head = ["budget", "policy", "load seconds", f"/ {against}", "misses", "bytes", "evictions"]
    rows = [head]
    for outcome in outcomes:
        base = next(o for o in outcomes if (o.policy, o.budget) == (against, outcome.budget))
        ratio = outcome.load_seconds / base.load_seconds if base.load_seconds else 1.0
        rows.append(
            [
                f"{outcome.share:.1%} {in_bytes(outcome.budget)}",
                outcome.policy,
                f"{outcome.load_seconds:,.0f}",
                f"{ratio:.2f}",
                f"{outcome.miss_ratio:.1%}",
                f"{outcome.byte_miss_ratio:.1%}",
                f"{outcome.evictions:,}",
            ]
        )
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [
        "  ".join(
            cell.ljust(width) if column < 2 else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        )
        for row in rows
    ]


def in_bytes(amount: float) -> str:
    """Return a number of bytes as people, and ``maxsize``, write it."""
    for unit, scale in (("GB", 1e9), ("MB", 1e6), ("KB", 1e3)):
        if amount >= scale:
            number = amount / scale
            return f"{number:.0f}{unit}" if number >= 100 else f"{number:.3g}{unit}"
    return f"{amount:.0f}B"


# -- what to take ----------------------------------------------------------------------


def recommend(trace: Trace, outcomes: Sequence[Outcome]) -> Recommendation:
    """Choose a policy and a budget.

    The budget is the knee of the curve of the best policy at each: of load seconds
    over bytes, drawn from nothing kept to everything kept, the point furthest below
    the straight line between those two. There more memory begins to save less than it
    did on average. The policy is the one that pays least there; of those within 1 %,
    the one named first.
    """
    worst = sum(map(trace.seconds.__getitem__, trace.keys))
    least = sum(trace.seconds.values())  # each key once
    best: list[Outcome] = []
    for budget in sorted({outcome.budget for outcome in outcomes}):
        here = [outcome for outcome in outcomes if outcome.budget == budget]
        lowest = min(outcome.load_seconds for outcome in here)
        best.append(next(o for o in here if o.load_seconds <= lowest * _CLOSE))

    def gain(outcome: Outcome) -> float:
        saved = (worst - outcome.load_seconds) / ((worst - least) or 1)
        return saved - min(1.0, outcome.share)

    knee = max(best, key=gain)
    if all(outcome.load_seconds >= worst for outcome in best):
        reason = "try larger ones" if worst > least else "nothing is asked for twice"
        why = [f"no policy and no budget of these saves anything: {reason}"]
        return Recommendation(knee.policy, knee.budget, tuple(why))
    why = [
        f'take policy="{knee.policy}", maxsize="{in_bytes(knee.budget)}" '
        f"({knee.share:.1%} of all): {knee.load_seconds:,.0f} s of loads, "
        f"{knee.load_seconds / worst:.0%} of what keeping nothing costs"
    ]
    rivals = [o for o in outcomes if o.budget == knee.budget and o is not knee]
    if rivals:
        said = ", ".join(f"{o.policy} {o.load_seconds:,.0f} s" for o in rivals)
        why.append(f"  the policy: it pays least there, or 1 % more at most ({said})")
    if len(best) > 1:
        why.append("  the budget: the knee of the curve" + _beside(best, best.index(knee)))
    return Recommendation(knee.policy, knee.budget, tuple(why))


def _beside(best: Sequence[Outcome], at: int) -> str:
    """Return what the next smaller and larger budget would change."""
    parts = []
    if at > 0:
        less = best[at - 1]
        more = less.load_seconds - best[at].load_seconds
        parts.append(f"{in_bytes(less.budget)} would cost {more:,.0f} s more")
    if at + 1 < len(best):
        next_one = best[at + 1]
        saved = best[at].load_seconds - next_one.load_seconds
        parts.append(f"{in_bytes(next_one.budget)} would save {max(0.0, saved):,.0f} s more")
    return "".join(f"; {part}" for part in parts)


# -- the curve -------------------------------------------------------------------------


def draw(trace: Trace, outcomes: Sequence[Outcome], chosen: Recommendation, path: Path) -> None:
    """Write the curves of load seconds over budgets as a picture."""
    figure = _library("matplotlib.figure").Figure(figsize=(8, 5), dpi=120, layout="constrained")
    axes = figure.subplots()
    curve(axes, outcomes, chosen)
    axes.set_title(f"{trace.name}: {len(trace):,} requests, {len(trace.sizes)} keys", loc="left")
    try:
        figure.savefig(path)
    except OSError as error:
        raise SimulationError(f"--plot: cannot write {path}: {error.strerror or error}") from None


def _check_plot(path: Path) -> None:
    """Fail before the work is done, not after it."""
    known = _library("matplotlib.figure").Figure().canvas.get_supported_filetypes()
    if path.suffix.removeprefix(".").lower() not in known:
        raise SimulationError(f"--plot: {path} must end in one of: {', '.join(sorted(known))}")
    if not path.parent.is_dir():
        raise SimulationError(f"--plot: there is no folder {path.parent}")


def curve(axes: Any, outcomes: Sequence[Outcome], chosen: Recommendation) -> None:
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
        raise SimulationError(
            f"--plot needs {error.name}, which is not installed: pip install 'warmcache[plot]'"
        ) from None
