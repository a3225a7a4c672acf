"""How the run stands at one moment, for those who show it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from warmcache._core.state.records import EntryInfo, Stats

from ._options import Options
from ._server import Server
from ._spec import Spec

# A colour for each model, in the picture and in the terminal.
COLOURS = (
    "#4e79a7",
    "#f28e2b",
    "#e15759",
    "#76b7b2",
    "#59a14f",
    "#edc948",
    "#b07aa1",
    "#9c755f",
    "#ff9da7",
)


def colours(specs: Iterable[Spec]) -> dict[str, str]:
    """Return a colour for each model by name."""
    return {spec.name: COLOURS[index % len(COLOURS)] for index, spec in enumerate(specs)}


@dataclass(frozen=True, slots=True)
class Status:
    """A snapshot of the run; ``entries`` are the cache's, by the model's name."""

    options: Options
    specs: Sequence[Spec]
    done: int
    seconds: float
    entries: Sequence[tuple[str, EntryInfo]]
    stats: Stats

    @classmethod
    def of(cls, server: Server, options: Options, done: int) -> Status:
        """Look at ``server`` now."""
        entries = [(server.names[entry.key], entry) for entry in server.cache.entries()]
        stats, seconds = server.cache.stats(), server.journal.now()
        return cls(options, server.specs, done, seconds, entries, stats)

    @property
    def committed(self) -> float:
        """The bytes of models that are there, being loaded, or being torn down."""
        return sum(entry.weight for _, entry in self.entries if entry.state != "parked")


@dataclass(frozen=True, slots=True)
class Standing:
    """A snapshot of a run of several workers; ``parts`` are the bytes that each of them has."""

    options: Options
    way: str
    done: int
    seconds: float
    parts: Sequence[int]


def evictions(stats: Stats) -> str:
    """Return what the cache evicted, by cause: ``"41 by size"``."""
    left = [
        f"{count} by {cause.value}"
        for cause, count in stats.removals.items()
        if count and cause.evicted
    ]
    return ", ".join(left) or "none"
