"""What results on disk cost, beside others: ``python -m benchmarks.disk`` from the root.

Writes ``docs/disk.png`` and what is between the markers of ``docs/disk.md``, unless ``--quick``. It
takes about a minute and a half.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

import warmcache
from warmcache._progress import progress_bar

from . import machine
from .disk_contenders import NAMES, OURS, installed
from .disk_rows import PROCESSES, Cold, Size, calls, check, cold, hits, kinds, values
from .paged import canvas, parser, publish, same_hit, save
from .report import Table, piped, significant, targets, where
from .targets import Verdict
from .timing import Line, duration

WHOLE = Size.whole()
_COLOURS = dict(zip(NAMES, ("#c2410c", "#334155", "#94a3b8", "#0f766e", "#cbd5e1"), strict=True))


@dataclass(frozen=True)
class Found:
    """All that was measured; ``checked`` in seconds, ``file_system`` where."""

    lines: dict[str, Line]
    hit: Line
    cold: Cold
    checked: float
    file_system: str


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, print, and write the page and the picture."""
    command = parser("disk", "disk")
    command.add_argument("--folder", type=Path, default=_memory(), help="where (%(default)s)")
    options = command.parse_args(arguments)
    size = Size.quick() if options.quick else WHOLE
    found = measured(size, options.folder)
    publish(options, page(found, size), partial(draw, found))


def _memory() -> Path:
    """Return a folder of a file system in memory, where there is one: what is measured is ours."""
    memory = Path("/dev/shm")
    return memory if os.access(memory, os.W_OK) else Path(tempfile.gettempdir())


def measured(size: Size, where: Path) -> Found:
    """Measure everything, all contenders in turns."""
    with progress_bar(8, "measuring") as tell:

        def begin(what: str) -> None:
            tell(advance=1, description=what)

        lines: list[Line] = []
        for what in kinds(size):
            begin(what.title)
            lines += values(where, size, what, _ignore)
        begin("calls")
        lines += calls(where, size, _ignore)
        begin("hits")
        hit = hits(where, size, _ignore)
        begin("many processes")
        wanted = cold(where, size, _ignore)
        begin("a check")
        checked = check(where, size)
    return Found({line.id: line for line in lines}, hit, wanted, checked, _file_system(where))


def _ignore(done: float) -> None:
    """Be what is told how far it is."""


def _file_system(where: Path) -> str:
    """Return what kind of file system there is, as ``df`` says it."""
    command = ["df", "--output=fstype", str(where)]
    try:
        said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
    return said.split()[-1]


# -- what came of it -------------------------------------------------------------------------------

_LIMITS = [  # of which row, beside whom, at most
    ("bytes read_bytes", "diskcache", 3.0),
    ("bytes write_bytes", "diskcache", 2.0),
    ("middle read", "permacache", 1.6),
    ("middle write", "permacache", 1.3),
    ("large write", "joblib", 1.0),
    ("large write", "diskcache", 0.35),
    ("large read_mapped", "joblib", 1.0),
]


def judge(found: Found, size: Size) -> list[Verdict]:
    """Return the verdict on every target."""
    loads = found.cold.loads
    return [
        same_hit(found.hit, OURS, "disk="),
        *(_at_most(found.lines[id], peer, limit) for id, peer, limit in _LIMITS),
        Verdict(
            f"a cold key in {PROCESSES} processes: 1 load",
            f"{max(loads)} at most, of {len(loads)} keys",
            {1} == {*loads},
        ),
        Verdict(
            "all of them have it after at most 1.15 x its load",
            f"{found.cold.ratio:.3f}",
            found.cold.ratio <= 1.15,
        ),
        Verdict(
            f"warmcache disk check of {size.entries:,} entries: at most 2 s",
            duration(found.checked),
            found.checked <= 2,
        ),
    ]


def _at_most(line: Line, peer: str, limit: float) -> Verdict:
    target = f"{line.title}: at most {limit} x {peer}"
    if peer not in line.samples:
        return Verdict(target, "", None)
    times = line.times_slower(OURS, peer)
    return Verdict(target, f"{times:.2g}", times <= limit)


def page(found: Found, size: Size) -> str:
    """Return what stands between the markers."""
    lines = [*found.lines.values()]
    parts = [
        "## Targets",
        piped(targets(judge(found, size))),
        "## Ratios",
        "Medians of the ratios of all rounds; 1.00 is diskcache, or joblib where a file is mapped.",
        piped(_table(lines, lambda line, name: significant(line.ratio(name)))),
        "## Time per operation",
        piped(_table(lines, lambda line, name: duration(line.seconds(name)))),
        *where(_facts(found)),
    ]
    return "\n\n".join(parts)


def _table(lines: Sequence[Line], cell) -> Table:  # type: ignore[no-untyped-def]
    names = [kind.name for kind in installed()]
    body = [
        [line.title, *(cell(line, name) if name in line.samples else "-" for name in names)]
        for line in lines
    ]
    return [["", *names], *body]


def _facts(found: Found) -> list[tuple[str, str]]:
    versions = [f"{kind.name} {kind.version()}" for kind in installed() if kind.name != OURS]
    ours = f"warmcache {warmcache.__version__}"
    return [
        *machine.place(),
        ("File system", found.file_system),
        ("Libraries", ", ".join([ours, *versions, f"numpy {np.__version__}"])),
    ]


def draw(found: Found, path: Path) -> None:
    """Draw the time of each operation as dots, a row each, on a logarithmic axis."""
    lines = [*found.lines.values()]
    picture = canvas(9, 4.2)
    axes = picture.subplots()
    for name in NAMES:
        at = [(line.seconds(name), row) for row, line in enumerate(lines) if name in line.samples]
        if at:
            size = 90 if name == OURS else 45
            axes.scatter(*zip(*at, strict=True), s=size, color=_COLOURS[name], label=name)
    axes.set_yticks(range(len(lines)), [line.title for line in lines])
    axes.set_xscale("log")
    axes.set_title("Seconds per operation")
    axes.grid(axis="y", color="#e2e8f0", linewidth=0.8)
    axes.set_axisbelow(True)
    picture.legend(loc="outside lower left", ncols=5, frameon=False, fontsize=8)
    save(picture, path)


if __name__ == "__main__":
    os.environ.setdefault("JOBLIB_MULTIPROCESSING", "0")
    sys.exit(main())
