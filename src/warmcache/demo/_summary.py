"""What the demo says at the end; every number was measured in the run it is about."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from rich.console import Console
from rich.table import Table

from warmcache._sizes import format_size

from ._checks import Check, Outcome
from ._compare import Paid, certain_entries, cold_start, lru_cache
from ._journal import Load, Move
from ._requests import PERIOD
from ._status import evictions
from ._workers import Way


def show(outcome: Outcome, checks: list[Check], console: Console) -> None:
    """Print the tables of a run and its checks."""
    for table in (models(outcome), totals(outcome), checked(checks)):
        console.print()
        console.print(table)
    console.print()
    console.print(explained(outcome), style="dim", highlight=False)
    console.print()


def models(outcome: Outcome) -> Table:
    """Return a row for each model: weight, requests, loads, removals."""
    disk, host = outcome.on_disk is not None, outcome.stats.host is not None
    columns = [*(("from disk", "seconds a read") if disk else ())]
    columns += ("unparks", "seconds each") if host else ()
    table = _table("model", "weight", "requests", "loads", "seconds a load", *columns, "evicted")
    journal = outcome.journal
    requests = Counter(request.model for request in outcome.requests)
    loads = Counter(load.name for load in journal.loads)
    evicted = Counter(gone.name for gone in journal.gone if gone.evicted)
    seconds = journal.mean_seconds()
    for spec in outcome.specs:
        name = spec.name
        table.add_row(
            name,
            format_size(spec.weight),
            str(requests[name]) if spec.answer is not None else "",
            str(loads[name]),
            f"{seconds[name]:.3f}" if name in seconds else "",
            *(_counted(name, [e for e in journal.loads if e.from_disk]) if disk else ()),
            *(_counted(name, journal.unparks) if host else ()),
            str(evicted[name]),
        )
    return table


def _counted(name: str, times: Sequence[Load] | Sequence[Move]) -> tuple[str, str]:
    """Return how many are of that model, and what one took."""
    seconds = [each.seconds for each in times if each.name == name]
    return (str(len(seconds)), f"{sum(seconds) / len(seconds):.3f}") if seconds else ("", "")


def totals(outcome: Outcome) -> Table:
    """Return what the whole run came to, beside what other ways would have paid."""
    options, stats, journal = outcome.options, outcome.stats, outcome.journal
    paid, cold, counted = compared(outcome)
    table = _pairs()
    table.add_row(
        "served",
        f"{len(outcome.requests)} requests in {outcome.seconds:.1f} s: "
        f"{len(outcome.requests) / outcome.seconds:.1f} requests/s, "
        f"{options.crew}, {options.policy}",
    )
    table.add_row(
        "leases",
        f"{stats.hits} hits, {stats.misses} misses, {stats.waits} waits; "
        f"evicted: {evictions(stats)}",
    )
    table.add_row("load seconds paid", f"{paid.seconds:.2f} in {paid.loads} loads")
    add_parked(table, outcome)
    seconds = paid.seconds + sum(move.seconds for move in (*journal.parks, *journal.unparks))
    for label, other in (
        ("  a cold start per request", cold),
        (f"  lru_cache(maxsize={_maxsize(outcome)})", counted),
    ):
        ratio = other.seconds / seconds
        table.add_row(
            label, f"{other.seconds:.2f} in {other.loads} loads: {ratio:.2f} times as much"
        )
    add_kept(table, [outcome])
    table.add_row(
        "memory of models",
        f"at most {format_size(journal.peak())} of {format_size(options.budget)}; "
        f"all of them weigh {format_size(sum(spec.weight for spec in outcome.specs))}",
    )
    growth = journal.resident_growth()
    if growth is not None:
        before, most = growth
        table.add_row(
            "memory of the process",
            f"{format_size(before)} before the first request, at most "
            f"{format_size(most)}: {format_size(most - before)} more",
        )
    return table


def add_parked(table: Table, outcome: Outcome) -> None:
    """Add what came back instead of being loaded, what that saved, and what is parked."""
    host, unparks = outcome.stats.host, outcome.journal.unparks
    if host is None:
        return
    took = sum(move.seconds for move in unparks)
    instead = sum(move.instead for move in unparks)
    parking = sum(move.seconds for move in outcome.journal.parks)
    table.add_row(
        "unparked instead",
        f"{len(unparks)} times in {took:.2f} s, for which loads had taken {instead:.2f} s",
    )
    table.add_row(
        "parked for that",
        f"{host.parks} times in {parking:.2f} s: {instead - took - parking:.2f} s saved",
    )
    models = f"{host.entries} model{'' if host.entries == 1 else 's'}"
    size = f"{format_size(host.bytes)} of {format_size(host.budget)}"
    table.add_row("  in the end", f"{models}, {size}")
    reasons = (
        (host.not_worth, "come back hardly quicker than they load"),
        (host.full, "found no room"),
        (sum(host.failures.values()), "could not be"),
    )
    torn = ", ".join(f"{count} that {why}" for count, why in reasons if count)
    table.add_row("  torn down instead", torn or "none")


def add_kept(table: Table, outcomes: Sequence[Outcome]) -> None:
    """Add what of the runs was converted, what came from disk, and what lies there."""
    last = outcomes[-1]
    if last.on_disk is None:
        return
    kept = {spec.name for spec in last.specs if spec.saved is not None}
    journals = [outcome.journal for outcome in outcomes]
    loads = [load for each in journals for load in (*each.before, *each.loads)]
    converted = [load for load in loads if load.name in kept and not load.from_disk]
    read = [load for load in loads if load.from_disk]
    took = sum(load.seconds for load in read)
    instead = sum(load.instead or 0.0 for load in read)
    names = ", ".join(dict.fromkeys(load.name for load in converted))
    seconds = sum(load.seconds for load in converted)
    table.add_row("converted", f"{names}, in {seconds:.2f} s" if converted else "nothing")
    table.add_row(
        "read from disk instead",
        f"{len(read)} loads in {took:.2f} s, for which loaders had taken {instead:.2f} s: "
        f"{instead - took:.2f} s saved",
    )
    size = format_size(last.on_disk.bytes)
    table.add_row("on disk", f"{last.on_disk.models} models, {size}, in {last.options.disk}")


def show_both(ways: list[Way], results: list[tuple[str, Check]], console: Console) -> None:
    """Print what each way of dividing the budget came to, and the checks of both."""
    named = [Check(f"{way}: {each.claim}", each.holds, each.seen) for way, each in results]
    kept = _pairs()
    add_kept(kept, [way.outcome for way in ways])
    for table in (divided(ways), *([kept] if kept.row_count else []), checked(named)):
        console.print()
        console.print(table)
    console.print()
    console.print(explained_of_workers(ways), style="dim", highlight=False)
    console.print()


def divided(ways: list[Way]) -> Table:
    """Return a row for each way: loads, load seconds, the peak."""
    table = _table("", "loads", "load seconds", "a use", "evicted", "peak", "took")
    for way in ways:
        outcome, journal = way.outcome, way.outcome.journal
        paid = sum(load.seconds for load in journal.loads)
        table.add_row(
            way.name,
            str(len(journal.loads)),
            f"{paid:.2f}",
            f"{1000 * paid / len(outcome.requests):.1f} ms",
            str(sum(gone.evicted for gone in journal.gone)),
            format_size(journal.peak()),
            f"{outcome.seconds:.1f} s",
        )
    return table


def explained_of_workers(ways: list[Way]) -> str:
    """Return what the figures of several workers are."""
    options = ways[0].outcome.options
    return (
        f"{options.workers} worker processes served the same {options.requests} requests twice, "
        f"at most {options.threads} at a time: first under one budget for all, then with a part "
        f"of it each. Every {PERIOD} requests another worker is the busy one; each has popular "
        "models of its own. The peak is the most bytes of models that all workers had together "
        "at once, those being loaded or torn down included."
        + (_ABOUT_DISK if ways[0].outcome.on_disk else "")
    )


def checked(checks: list[Check]) -> Table:
    """Return a row for each check."""
    table = Table(box=None, show_header=False, padding=(0, 2, 0, 0))
    for check in checks:
        verdict = "[bold green]right[/]" if check.holds else "[bold red]WRONG[/]"
        table.add_row(verdict, f"{check.claim}: {check.seen}")
    return table


def compared(outcome: Outcome) -> tuple[Paid, Paid, Paid]:
    """Return what was paid, and what cold starts and ``lru_cache`` would have paid."""
    loads, seconds = outcome.journal.loads, outcome.journal.mean_seconds()
    paid = Paid(len(loads), sum(load.seconds for load in loads))
    cold = cold_start(outcome.requests, outcome.specs, seconds)
    counted = lru_cache(outcome.requests, outcome.specs, seconds, _maxsize(outcome))
    return paid, cold, counted


def explained(outcome: Outcome) -> str:
    """Return what the compared figures are."""
    count = _maxsize(outcome)
    largest = "the largest model" if count == 1 else f"the {count} largest models"
    return (
        "A cold start per request loads everything that the request uses, each at the mean "
        "of the seconds that its loads took in this run. lru_cache counts entries, not "
        f"bytes: {count} is the most that surely fits {format_size(outcome.options.budget)}, "
        f"which {largest} would fill. A real functools.lru_cache replayed the same requests in "
        "the same order, one at a time, each miss charged with that mean; what models need "
        "beside them (the tokenizer) it loads once and keeps, and that takes no entry. "
        "The memory of the process includes what libraries, loads and requests need for their "
        "work: a load maps the whole fp32 file until it has made the form that it keeps."
        + (f"{_ABOUT_DISK} The other ways are charged with that." if outcome.on_disk else "")
        + (_ABOUT_HOST if outcome.stats.host else "")
        + (_WITHOUT_GPU if outcome.stats.host and outcome.device == "cpu" else "")
    )


_ABOUT_DISK = (
    " Kept on disk are models that are quantized, for that takes most of their load. What is said "
    "of those converted and read includes the rehearsal; what a load would have taken is what it "
    "took when the model was converted, in this run or an earlier one."
)


_ABOUT_HOST = (
    " What came back instead of being loaded is compared with what the model's last load took; how "
    "many times as much the other ways take is of loads and moves together."
)
_WITHOUT_GPU = (
    " Models are in the machine's memory here, and what is parked is in another part of it. So "
    "parking saves no memory: a budget as large as both would need no moves. It shows what these "
    "take beside loads."
)


def _maxsize(outcome: Outcome) -> int:
    return certain_entries(outcome.specs, outcome.options.budget)


def _pairs() -> Table:
    table = Table(box=None, show_header=False, padding=(0, 2, 0, 0))
    table.add_column(no_wrap=True)
    table.add_column()
    return table


def _table(first: str, *others: str) -> Table:
    table = Table(box=None, header_style="dim", padding=(0, 2, 0, 0))
    table.add_column(first)
    for title in others:
        table.add_column(title, justify="right")
    return table
