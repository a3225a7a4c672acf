"""The live view: what is warm, how memory stands against the budget, how far it is."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import cycle
from typing import TypeVar

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.panel import Panel
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from warmcache._core.state.records import EntryInfo
from warmcache._sizes import format_size

from ._status import COLOURS, Standing, Status, colours, evictions

S = TypeVar("S", Status, Standing)

_BAR = 50  # characters
_WIDTH = 78


@contextmanager
def live_view(
    console: Console, drawn: Callable[[S], RenderableType]
) -> Iterator[Callable[[S], None]]:
    """Give a function that draws a status over the one before."""
    with Live(console=console, auto_refresh=False) as live:
        yield lambda status: live.update(drawn(status), refresh=True)


def drawn(status: Status) -> RenderableType:
    """Return the status as something that rich can print."""
    options = status.options
    return Panel(
        Group(_models(status), "", _memory(status), "", _counts(status), "", progress(status)),
        title=f"warmcache demo: {len(status.specs)} models, {options.policy}, {options.crew}",
        width=_WIDTH,
    )


def drawn_of_workers(standing: Standing) -> RenderableType:
    """Return how the workers stand: a bar for each, which is as long as all may have."""
    budget, grid = standing.options.budget, Table.grid(padding=(0, 1))
    for number, (nbytes, colour) in enumerate(zip(standing.parts, cycle(COLOURS)), start=1):
        length = min(round(_BAR * nbytes / budget), _BAR)
        bar = Text("█" * length, style=colour)
        bar.append("·" * (_BAR - length), style="dim")
        grid.add_row(f"worker {number}", bar, format_size(nbytes))
    together = f"{format_size(sum(standing.parts))} of {format_size(budget)} together"
    return Panel(
        Group(grid, "", together, "", progress(standing)),
        title=f"warmcache demo: {standing.options.workers} workers, {standing.way}",
        width=_WIDTH,
    )


def progress(status: Status | Standing) -> Table:
    """Return a bar that is as long as what is done of the run."""
    total = status.options.requests
    rate = status.done / status.seconds if status.seconds else 0.0
    grid = Table.grid(padding=(0, 1))
    grid.add_row(
        ProgressBar(total, status.done, width=_BAR), f"{status.done} of {total}, {rate:.0f}/s"
    )
    return grid


def _models(status: Status) -> Table:
    table = Table(box=None, expand=True, padding=(0, 1), header_style="dim")
    table.add_column("")
    table.add_column("model", no_wrap=True)
    for title, width in (("weight", 10), ("uses", 5), ("leases", 6), ("idle", 7)):
        table.add_column(title, justify="right", width=width)
    table.add_column("state", width=8)
    entries: dict[str, list[EntryInfo]] = defaultdict(list)
    for name, entry in status.entries:
        entries[name].append(entry)
    for spec in status.specs:
        colour, weight = colours(status.specs)[spec.name], format_size(spec.weight)
        if not entries[spec.name]:
            table.add_row(" ", spec.name, weight, "", "", "", "cold", style="dim")
        for entry in entries[spec.name]:
            live = entry.state == "live"
            table.add_row(
                Text("■", style=colour),
                spec.name,
                weight,
                str(entry.uses) if live else "",
                str(entry.leases) if live and entry.leases else "",
                f"{entry.idle:.1f} s" if live and not entry.leases else "",
                Text(*_state(entry)),
            )
    return table


def _state(entry: EntryInfo) -> tuple[str, str]:
    """Return the word for an entry's state, and its style."""
    if entry.state == "live":
        return ("in use", "bold green") if entry.leases else ("warm", "green")
    return entry.state, {"loading": "yellow", "parked": "blue"}.get(entry.state, "red")


def _memory(status: Status) -> Table:
    """Return a bar that is as long as the budget, in the models' colours."""
    budget, bar, end, drawn_to = status.options.budget, Text(), 0.0, 0
    for name, entry in status.entries:
        if entry.state == "parked":
            continue
        end += entry.weight
        length = round(_BAR * end / budget) - drawn_to
        drawn_to += length
        block = "█" if entry.state == "live" else "▒"
        bar.append(block * length, style=colours(status.specs)[name])
    bar.append("·" * (_BAR - drawn_to), style="dim")
    grid = Table.grid(padding=(0, 1))
    grid.add_row(bar, f"{format_size(status.committed)} of {format_size(budget)}")
    return grid


def _counts(status: Status) -> Text:
    stats = status.stats
    text = Text()
    for label, value in (
        ("hits", str(stats.hits)),
        ("misses", str(stats.misses)),
        ("loads", str(stats.loads)),
        ("evicted", evictions(stats)),
        ("waits", str(stats.waits)),
    ):
        text.append(f"{label} ", style="dim")
        text.append(f"{value}   ")
    return text
