"""Whether the run was right: the answers, the weights, the ledger, the teardowns."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from warmcache._core.state.records import Stats
from warmcache._sizes import format_size

from ._journal import Journal
from ._kept import OnDisk
from ._options import Options
from ._requests import Request
from ._spec import Answer, Spec, served


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """A run that has ended: every request was answered, then the cache was closed.

    ``stats`` are from before the cache was closed, ``rehearsal`` from before the run. ``on_disk``
    is what lay there in the end, None where nothing is kept. ``device`` is torch's name of it.
    """

    options: Options
    specs: Sequence[Spec]
    requests: Sequence[Request]
    rehearsal: Mapping[str, Answer]
    journal: Journal
    seconds: float
    stats: Stats
    on_disk: OnDisk | None = None
    device: str = "cpu"


@dataclass(frozen=True, slots=True)
class Check:
    """Something that must be so, whether it is, and what was seen."""

    claim: str
    holds: bool
    seen: str


def checks(outcome: Outcome) -> list[Check]:
    """Return all checks of a run."""
    claims = dict.fromkeys(spec.claim for spec in served(outcome.specs))
    return [
        *(_answers(outcome, claim) for claim in claims),
        _weights(outcome),
        _ledger(outcome),
        _teardowns(outcome),
    ]


def _answers(outcome: Outcome, claim: str) -> Check:
    """Every answer, those of the rehearsal too, in which each model had its turn."""
    right, total, narrowest = 0, 0, (float("inf"), "")
    names = [spec.name for spec in served(outcome.specs) if spec.claim == claim]
    for name in names:
        answers = [outcome.rehearsal[name], *outcome.journal.answers.get(name, ())]
        right += sum(answer.right for answer in answers)
        total += len(answers)
        narrowest = min(narrowest, *((answer.margin, name) for answer in answers))
    seen = f"{right} of {total} answers"
    if len(names) > 1:
        seen += f" of {len(names)} models, the narrowest by {narrowest[0]:.3f} ({narrowest[1]})"
    return Check(claim, right == total > 0, seen)


def _weights(outcome: Outcome) -> Check:
    reserved = {spec.name: spec.weight for spec in outcome.specs}
    loads = outcome.journal.loads
    same = sum(load.weight == reserved[load.name] for load in loads)
    return Check(
        "what was reserved before a load is what the model then weighs",
        same == len(loads),
        f"{same} of {len(loads)} loads",
    )


def _ledger(outcome: Outcome) -> Check:
    peak, budget = outcome.journal.peak(), outcome.options.budget
    seen = f"at most {format_size(peak)} of {format_size(budget)}"
    return Check("memory committed to models never exceeds the budget", peak <= budget, seen)


def _teardowns(outcome: Outcome) -> Check:
    loads = Counter(load.name for load in outcome.journal.loads)
    gone = Counter(removal.name for removal in outcome.journal.gone)
    failures = outcome.stats.teardown_failures
    return Check(
        "every model that was loaded left exactly once, and no teardown failed",
        loads == gone and not failures,
        f"{loads.total()} loads, {gone.total()} removals, {failures} failures",
    )
