"""``warmcache simulate``: what policies would pay on a trace, and which to take."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from warmcache._progress import progress_bar
from warmcache._sizes import format_size
from warmcache._tables import aligned

from .budget import Budget
from .offline_bound import offline_bound
from .picture import check_picture, draw
from .recommend import recommend
from .replay import Outcome, check_policy, replay
from .trace_file import Trace, TraceError, read_trace


def simulate(
    path: Path,
    budgets: Sequence[Budget],
    policies: Sequence[str],
    plot: Path | None,
    ttl: float | None = None,
) -> int:
    """Replay the trace in ``path``, print what each policy pays, and what to take.

    Values live for ``ttl`` seconds.

    Raises:
        TraceError: there is no trace.
        ReplayError: a policy is unknown, or wants more than a ``maxsize``.
        PictureError: the plot cannot be drawn.
    """
    for policy in policies:
        check_policy(policy, ttl)
    if plot is not None:
        check_picture(plot)
    trace = read_trace(path)
    if not trace.footprint:
        raise TraceError(f"{path}: nothing in it has a size, so any budget holds it all")
    sizes = sorted({budget.of(trace) for budget in budgets})
    print(
        f"{trace.name}: {len(trace):,} requests for {len(trace.sizes):,} keys of "
        f"{format_size(trace.footprint)} in all, which take "
        f"{sum(map(trace.seconds.__getitem__, trace.keys)):,.0f} s to load if nothing is kept"
    )
    outcomes = _replayed(trace, sizes, policies, ttl)
    print()
    print(table(outcomes))
    print()
    print(bounds(trace, outcomes, ttl))
    chosen = recommend(trace, outcomes)
    print()
    print("\n".join(chosen.why))
    if plot is not None:
        draw(trace, outcomes, chosen, plot)
        print(f"the curve is in {plot}")
    return 0


def _replayed(
    trace: Trace, budgets: Sequence[int], policies: Sequence[str], ttl: float | None
) -> list[Outcome]:
    jobs = [(policy, budget) for budget in budgets for policy in policies]
    with progress_bar(len(jobs) * len(trace)) as tell:
        outcomes = []
        for policy, budget in jobs:
            tell(description=f"{policy} with {format_size(budget)}")
            outcomes.append(replay(trace, policy, budget, lambda done: tell(advance=done), ttl))
    return outcomes


def bounds(trace: Trace, outcomes: Sequence[Outcome], ttl: float | None = None) -> str:
    """Return between what each budget can pay: what is least possible, and what LRU pays."""
    rows = [["budget", "at least", "/ lru", "lru"]]
    for budget in dict.fromkeys(outcome.budget for outcome in outcomes):
        here = [outcome for outcome in outcomes if outcome.budget == budget]
        lru = next((o for o in here if o.policy == "lru"), None)
        lru = lru or replay(trace, "lru", budget, ttl=ttl)
        least = offline_bound(trace, budget)
        ratio = least / lru.load_seconds if lru.load_seconds else 1.0
        name = f"{lru.share:.1%} {format_size(budget)}"
        rows.append([name, f"{least:,.0f}", f"{ratio:.2f}", f"{lru.load_seconds:,.0f}"])
    return (
        "load seconds that no policy goes below, though it knew all requests; and those of LRU\n"
        f"{aligned(rows, left=1)}"
    )


def table(outcomes: Sequence[Outcome]) -> str:
    """Return a row for each budget and policy."""
    against = "lru" if any(outcome.policy == "lru" for outcome in outcomes) else outcomes[0].policy
    head = ["budget", "policy", "load seconds", f"/ {against}", "misses", "bytes", "evictions"]
    rows = [head]
    for outcome in outcomes:
        base = next(o for o in outcomes if (o.policy, o.budget) == (against, outcome.budget))
        ratio = outcome.load_seconds / base.load_seconds if base.load_seconds else 1.0
        rows.append(
            [
                f"{outcome.share:.1%} {format_size(outcome.budget)}",
                outcome.policy,
                f"{outcome.load_seconds:,.0f}",
                f"{ratio:.2f}",
                f"{outcome.miss_ratio:.1%}",
                f"{outcome.byte_miss_ratio:.1%}",
                f"{outcome.evictions:,}",
            ]
        )
    return aligned(rows, left=2)
