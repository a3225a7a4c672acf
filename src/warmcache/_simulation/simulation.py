"""``warmcache.simulate``: what policies would pay on a trace, and which to take."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any, NamedTuple, overload

from warmcache._progress import progress_bar
from warmcache._sizes import two_digits
from warmcache._tables import aligned, as_html
from warmcache._tracebacks import one_frame
from warmcache.caches.cache import Cache

from .budget import Budget
from .offline_bound import offline_bound
from .picture import check_picture, draw
from .recommend import Recommendation, recommend
from .replay import Outcome, check_policy, name_of, replay
from .trace_file import Trace, TraceError, read_trace

POLICIES = ("lru", "gdsf", "cost")
BUDGETS = ("5%", "10%", "20%", "40%")

_BOUND = "load seconds that no policy goes below, though it knew all requests; and those of LRU"


class Limits(NamedTuple):
    """Between what load seconds lie with one budget."""

    least: float  # that any policy can pay
    lru: float


class Simulation(Sequence[Outcome]):
    """What policies would have paid on a trace: an :class:`Outcome` for each, with each budget.

    A sequence of rows, which shows itself as a table, in a notebook too. ``as_dict()`` gives
    the columns, as ``pandas.DataFrame`` takes them.

    Attributes:
        policy: the policy to take.
        maxsize: the limit to take, as a cache's option: ``"4.5 GiB"``, or a number of entries.
        why: lines that say so, and why.
    """

    def __init__(
        self,
        trace: Trace,
        outcomes: Sequence[Outcome],
        limits: dict[float, Limits],
        chosen: Recommendation,
    ) -> None:
        self._trace = trace
        self._outcomes = tuple(outcomes)
        self._limits = limits
        self._chosen = chosen
        self.policy = chosen.policy
        self.maxsize: str | int = (
            int(chosen.budget) if trace.counts else trace.in_words(chosen.budget)
        )
        self.why = chosen.why

    @overload
    def __getitem__(self, index: int) -> Outcome: ...
    @overload
    def __getitem__(self, index: slice) -> tuple[Outcome, ...]: ...
    def __getitem__(self, index: int | slice) -> Outcome | tuple[Outcome, ...]:
        return self._outcomes[index]

    def __len__(self) -> int:
        return len(self._outcomes)

    def as_dict(self) -> dict[str, list[Any]]:
        """Return the columns by name, of plain types: ``pandas.DataFrame(it.as_dict())``.

        Those of each :class:`Outcome`, and of its budget ``least_load_seconds``, which no policy
        goes below, and ``lru_load_seconds``.
        """
        columns = {each.name: [getattr(o, each.name) for o in self] for each in fields(Outcome)}
        limits = [self._limits[outcome.budget] for outcome in self]
        columns["least_load_seconds"] = [each.least for each in limits]
        columns["lru_load_seconds"] = [each.lru for each in limits]
        return columns

    def plot(self, path: str | os.PathLike[str]) -> None:
        """Write the curves of load seconds over budgets as a picture (extra ``plot``).

        Raises:
            WarmcacheError: matplotlib is not installed, or cannot write a file of that name.
        """
        check_picture(Path(path))
        draw(self._trace, self._outcomes, self._chosen, Path(path))

    def __repr__(self) -> str:
        trace, rows = self._trace, table(self._trace, self._outcomes)
        return "\n\n".join(
            [
                heading(trace),
                aligned(rows, left=2),
                f"{_BOUND}\n{aligned(bounds(trace, self._limits), left=1)}",
                "\n".join(self.why),
            ]
        )

    def _repr_html_(self) -> str:
        return as_html(
            heading(self._trace),
            table(self._trace, self._outcomes),
            _BOUND,
            bounds(self._trace, self._limits),
            *self.why,
        )


@one_frame
def simulate(
    path: str | os.PathLike[str],
    policies: str | type[Cache[Any, Any]] | Iterable[str | type[Cache[Any, Any]]] = POLICIES,
    budgets: float | str | Iterable[float | str] = BUDGETS,
    ttl: float | None = None,
) -> Simulation:
    """Replay a recorded trace under several policies and budgets; nothing is loaded.

    Args:
        path: the trace, as ``record=`` and :meth:`Cache.record` write it.
        policies: those that need no more than a ``maxsize``: names, or cache classes.
        budgets: each bytes (``"8GiB"``, a number), or a number of entries where the trace is of a
            cache that counts them; or a share of all that is asked for (``"20%"``, or a float
            up to 1.0).
        ttl: seconds that what is kept lives; for ever without it.

    Raises:
        ValueError: there is no such trace or policy, or a budget makes no sense. It is a
            :class:`WarmcacheError`, too, where it is for the trace or a policy.
    """
    named = [policies] if isinstance(policies, str | type) else list(policies)
    given = [budgets] if isinstance(budgets, str | int | float) else list(budgets)
    if not named or not given:
        raise ValueError("there must be at least one policy and one budget to simulate")
    for policy in named:
        check_policy(policy, ttl)
    limits = [Budget.of_any(each) for each in given]
    trace = read_trace(Path(path))
    if not trace.footprint:
        raise TraceError(f"{path}: nothing in it has a size, so any budget holds it all")
    outcomes = _replayed(trace, sorted({each.of(trace) for each in limits}), named, ttl)
    chosen = recommend(trace, outcomes)
    return Simulation(trace, outcomes, _limits(trace, outcomes, ttl), chosen)


def _replayed(
    trace: Trace,
    budgets: Sequence[int],
    policies: Sequence[str | type[Cache[Any, Any]]],
    ttl: float | None,
) -> list[Outcome]:
    different = {name_of(policy): policy for policy in policies}.values()
    jobs = [(policy, budget) for budget in budgets for policy in different]
    with progress_bar(len(jobs) * len(trace)) as tell:
        outcomes = []
        for policy, budget in jobs:
            tell(description=f"{name_of(policy)} with {trace.in_words(budget)}")
            outcomes.append(replay(trace, policy, budget, lambda done: tell(advance=done), ttl))
    return outcomes


def _limits(trace: Trace, outcomes: Sequence[Outcome], ttl: float | None) -> dict[float, Limits]:
    limits = {}
    for budget in dict.fromkeys(outcome.budget for outcome in outcomes):
        here = [outcome for outcome in outcomes if outcome.budget == budget]
        lru = next((o for o in here if o.policy == "lru"), None)
        lru = lru or replay(trace, "lru", budget, ttl=ttl)
        limits[budget] = Limits(offline_bound(trace, budget), lru.load_seconds)
    return limits


# -- what is shown ---------------------------------------------------------------------


def heading(trace: Trace) -> str:
    """Return what the trace is, in a line."""
    size = "" if trace.counts else f" of {trace.in_words(trace.footprint)} in all"
    seconds = two_digits(sum(map(trace.seconds.__getitem__, trace.keys)))
    return (
        f"{trace.name}: {len(trace):,} requests for {len(trace.sizes):,} keys{size}, which take "
        f"{seconds} s to load if nothing is kept"
    )


def bounds(trace: Trace, limits: dict[float, Limits]) -> list[list[str]]:
    """Return between what each budget can pay: what is least possible, and what LRU pays."""
    rows = [[_budgets(trace), "at least", "/ lru", "lru"]]
    for budget, (least, lru) in limits.items():
        ratio = least / lru if lru else 1.0
        name = f"{budget / trace.footprint:.1%} {trace.in_words(budget)}"
        rows.append([name, two_digits(least), f"{ratio:.2f}", two_digits(lru)])
    return rows


def table(trace: Trace, outcomes: Sequence[Outcome]) -> list[list[str]]:
    """Return a row for each budget and policy, below a row of names."""
    against = "lru" if any(outcome.policy == "lru" for outcome in outcomes) else outcomes[0].policy
    head = [_budgets(trace), "policy", "load seconds", f"/ {against}", "misses", "bytes"]
    rows = [[*head, "evictions"]]
    for outcome in outcomes:
        base = next(o for o in outcomes if (o.policy, o.budget) == (against, outcome.budget))
        ratio = outcome.load_seconds / base.load_seconds if base.load_seconds else 1.0
        rows.append(
            [
                f"{outcome.share:.1%} {trace.in_words(outcome.budget)}",
                outcome.policy,
                two_digits(outcome.load_seconds),
                f"{ratio:.2f}",
                f"{outcome.miss_ratio:.1%}",
                f"{outcome.byte_miss_ratio:.1%}",
                f"{outcome.evictions:,}",
            ]
        )
    if trace.counts:  # a miss is as large as any other
        rows = [[*row[:5], *row[6:]] for row in rows]
    return rows


def _budgets(trace: Trace) -> str:
    return "entries" if trace.counts else "budget"
