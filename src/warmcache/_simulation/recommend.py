"""Which policy to take, and with what budget."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from warmcache import policies
from warmcache._sizes import two_digits

from .replay import Outcome
from .trace_file import Trace

_CLOSE = 1.01  # a policy that pays at most 1 % more is as good


@dataclass(frozen=True, slots=True)
class Recommendation:
    """What to take, and why: lines for people."""

    policy: str
    budget: float
    why: tuple[str, ...]


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
    best = _best_at_each_budget(outcomes)

    def gain(outcome: Outcome) -> float:
        saved = (worst - outcome.load_seconds) / ((worst - least) or 1)
        return saved - min(1.0, outcome.share)

    knee = max(best, key=gain)
    if any(outcome.load_seconds < worst for outcome in best):
        why = _reasons(trace, knee, best, outcomes, worst)
    else:
        reason = "try larger ones" if worst > least else "nothing is asked for twice"
        why = [f"no policy and no budget of these saves anything: {reason}"]
    return Recommendation(knee.policy, knee.budget, tuple(why))


def _best_at_each_budget(outcomes: Sequence[Outcome]) -> list[Outcome]:
    best = []
    for budget in sorted({outcome.budget for outcome in outcomes}):
        here = [outcome for outcome in outcomes if outcome.budget == budget]
        lowest = min(outcome.load_seconds for outcome in here)
        best.append(next(o for o in here if o.load_seconds <= lowest * _CLOSE))
    return best


def _reasons(
    trace: Trace,
    knee: Outcome,
    best: Sequence[Outcome],
    outcomes: Sequence[Outcome],
    worst: float,
) -> list[str]:
    maxsize = int(knee.budget) if trace.counts else f'"{trace.in_words(knee.budget)}"'
    policy = f'"{knee.policy}"' if knee.policy in policies.registry else knee.policy
    why = [
        f"take policy={policy}, maxsize={maxsize} "
        f"({knee.share:.1%} of all): {two_digits(knee.load_seconds)} s of loads, "
        f"{knee.load_seconds / worst:.0%} of what keeping nothing costs"
    ]
    rivals = [o for o in outcomes if o.budget == knee.budget and o is not knee]
    if rivals:
        said = ", ".join(f"{o.policy} {two_digits(o.load_seconds)} s" for o in rivals)
        why.append(f"  the policy: it pays least there, or 1 % more at most ({said})")
    if len(best) > 1:
        why.append("  the budget: the knee of the curve" + _beside(trace, best, best.index(knee)))
    return why


def _beside(trace: Trace, best: Sequence[Outcome], at: int) -> str:
    """Return what the next smaller and larger budget would change."""
    parts = []
    if at > 0:
        less = best[at - 1]
        more = less.load_seconds - best[at].load_seconds
        parts.append(f"{trace.in_words(less.budget)} would cost {two_digits(more)} s more")
    if at + 1 < len(best):
        next_one = best[at + 1]
        saved = two_digits(max(0.0, best[at].load_seconds - next_one.load_seconds))
        parts.append(f"{trace.in_words(next_one.budget)} would save {saved} s more")
    return "".join(f"; {part}" for part in parts)
