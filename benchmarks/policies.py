"""What policies pay on the traces that lie beside the tests: ``python -m benchmarks.policies``.

Writes ``docs/policies.md`` and ``docs/policies.png``. Nothing in it is a time that was
measured: the same code gives the same figures everywhere.
"""

from __future__ import annotations

import argparse
import importlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from warmcache._progress import track
from warmcache._simulation.offline_bound import offline_bound
from warmcache._simulation.replay import Outcome, replay
from warmcache._simulation.trace_file import Trace, read_trace

ROOT = Path(__file__).resolve().parents[1]
TRACES = ROOT / "tests" / "traces"
NAMES = ("azfunc2019_100apps", "semi_azpop300", "synth_hub60")
SHARES = (0.05, 0.1, 0.2, 0.4)
POLICIES = ("lru", "fifo", "lfu", "gdsf", "cost")
Results = dict[tuple[str, float, str], Outcome]
Bounds = dict[tuple[str, float], float]

_HEAD = """\
# What policies pay

Load seconds relative to LRU with the same memory: a policy is judged by the seconds that loads
take, not by how often it hits, since objects differ in size and in what they take to load. Budgets
are shares of the sizes of all keys together. These are replays through the cache classes
themselves, by `python -m benchmarks.policies`; what the traces are and whom to thank for them is in
`tests/traces/README.md`. The last column is what no policy can go below, though it knew all that
will be asked for: a [bound](howto/simulate.md#what-nobody-pays-less-than), which itself may be out
of reach.

"""
_TAIL = """
![Load seconds over memory, one panel a trace](policies.png)

LRU and FIFO miss exactly what [libcachesim](https://pypi.org/project/libcachesim/), an independent
simulator, misses; the tests compare them. `"cost"` pays less than LRU on each of these, at each
budget. No policy can do so on every trace there might be: where what was asked for last is all that
matters, as with bursts of calls for one thing that is then never asked for again, LRU pays less.
There `"cost"` pays a percent or two more than LRU and no more, for it is on a
[leash](design/order.md#a-policy-on-a-leash). [Replay your own](howto/simulate.md).
"""


def main(arguments: Sequence[str] | None = None) -> None:
    """Replay, and write the page and the picture."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.policies", description=__doc__)
    parser.add_argument("--out", type=Path, default=ROOT / "docs", help="a folder")
    parser.add_argument("--traces", nargs="+", default=NAMES, choices=NAMES)
    chosen = parser.parse_args(arguments)
    traces = {name: read_trace(TRACES / f"{name}.csv.gz") for name in chosen.traces}
    jobs = [(name, share, policy) for name in traces for share in SHARES for policy in POLICIES]
    results = {
        (name, share, policy): replay(traces[name], policy, int(traces[name].footprint * share))
        for name, share, policy in track(jobs, "replaying")
    }
    bounds = {
        (name, share): offline_bound(trace, int(trace.footprint * share))
        for name, trace in traces.items()
        for share in SHARES
    }
    page = _HEAD + "\n".join(table(traces, results, bounds)) + "\n" + _TAIL
    (chosen.out / "policies.md").write_text(page, encoding="utf-8")
    draw(traces, results, bounds, chosen.out / "policies.png")


def table(traces: dict[str, Trace], results: Results, bounds: Bounds) -> list[str]:
    """Return the lines of a table: a row a trace and budget."""
    rows = [
        "| trace | memory | LRU's load seconds | " + " | ".join(POLICIES[1:]) + " | at least |",
        "|---|---|---|" + "---|" * len(POLICIES),
    ]
    for name in traces:
        for share in SHARES:
            seconds = {policy: results[name, share, policy].load_seconds for policy in POLICIES}
            ratios = {policy: seconds[policy] / seconds["lru"] for policy in POLICIES[1:]}
            cells = [
                f"**{ratio:.2f}**" if ratio == min(ratios.values()) else f"{ratio:.2f}"
                for ratio in ratios.values()
            ]
            first = [name, f"{share:.0%}", f"{seconds['lru']:,.0f}"]
            least = f"{bounds[name, share] / seconds['lru']:.2f}"
            rows.append("| " + " | ".join([*first, *cells, least]) + " |")
    return rows


def draw(traces: dict[str, Trace], results: Results, bounds: Bounds, path: Path) -> None:
    """Draw the curves of load seconds over memory, a panel a trace."""
    figure_class: Any = importlib.import_module("matplotlib.figure").Figure
    figure = figure_class(figsize=(4.4 * len(traces), 3.8), dpi=110, layout="constrained")
    panels = figure.subplots(1, len(traces), squeeze=False)[0]
    for panel, (name, trace) in zip(panels, traces.items(), strict=True):
        most = sum(map(trace.seconds.__getitem__, trace.keys))
        for policy in POLICIES:
            line = [results[name, share, policy].load_seconds / most for share in SHARES]
            panel.plot([100 * share for share in SHARES], line, marker="o", label=policy)
        least = [bounds[name, share] / most for share in SHARES]
        panel.plot([100 * share for share in SHARES], least, "--", color="gray", label="at least")
        panel.set_title(name, loc="left", fontsize=10)
        panel.set_xlabel("memory, % of the bytes of all keys")
        panel.set_ylim(bottom=0)
        panel.grid(alpha=0.3)
        panel.spines[["top", "right"]].set_visible(False)
    panels[0].set_ylabel("load seconds / those of keeping nothing")
    panels[-1].legend(frameon=False)
    figure.savefig(path, metadata={"Software": None})


if __name__ == "__main__":
    main()
