"""The command: ``python -m benchmarks [--quick] [--only ROW] [--write]``."""

from __future__ import annotations

import argparse
import dataclasses
import sys
from collections.abc import Sequence
from pathlib import Path

from . import machine, picture, report
from .rows import GROUPS
from .targets import judge
from .timing import Line, Settings

DOCS = Path(__file__).resolve().parent.parent / "docs"


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, print, and write the page and the picture when asked to or all was run."""
    options = _parser().parse_args(arguments)
    chosen = [name for name in GROUPS if not options.only or name in options.only]
    lines = _measured(chosen, Settings.quick() if options.quick else Settings())
    by_id = {line.id: line for line in lines}
    verdicts, facts = judge(by_id), machine.described()
    print(report.as_text(lines, verdicts, facts))
    if options.write or not (options.quick or options.only):
        report.write_between(DOCS / "benchmarks.md", report.as_markdown(lines, verdicts, facts))
        picture.draw(by_id, DOCS / "benchmarks.png")
        print("\nWritten to docs/benchmarks.md and docs/benchmarks.png")
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks",
        description="Measure warmcache beside its peers. A whole run writes docs/benchmarks.md "
        "and docs/benchmarks.png; one with --quick or --only writes with --write alone.",
        epilog="rows: "
        + "; ".join(f"{name}: {(run.__doc__ or '').rstrip('.')}" for name, run in GROUPS.items()),
    )
    parser.add_argument("--quick", action="store_true", help="few rounds and small sizes")
    parser.add_argument(
        "--only", action="append", choices=GROUPS, metavar="ROW", help="only this; may be repeated"
    )
    parser.add_argument("--write", action="store_true", help="write what was measured into docs/")
    return parser


def _measured(chosen: Sequence[str], settings: Settings) -> list[Line]:
    lines = []
    for number, name in enumerate(chosen):

        def tick(title: str, done: float, number: int = number) -> None:
            _show_progress(f"{number + 1}/{len(chosen)} {title}", done)

        lines += GROUPS[name](dataclasses.replace(settings, tick=tick))
    _clear_progress()
    return lines


def _show_progress(title: str, done: float, width: int = 24) -> None:
    if sys.stderr.isatty():
        bar = "#" * round(done * width)
        print(f"\r\x1b[K[{bar:<{width}}] {title}", end="", file=sys.stderr, flush=True)


def _clear_progress() -> None:
    if sys.stderr.isatty():
        print("\r\x1b[K", end="", file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
