"""The tables, in a terminal and in Markdown, and where the Markdown goes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from warmcache._tables import aligned

from .contenders import NAMES
from .targets import Verdict
from .timing import Line

BEGIN = "<!-- results: begin -->"
END = "<!-- results: end -->"
Facts = Sequence[tuple[str, str]]
Table = list[list[str]]


def ratios(lines: Sequence[Line]) -> Table:
    """Return the table of ratios, its head first."""
    return _table(lines, lambda line, name: _ratio(line, name), ("1.00 is", lambda x: x.against))


def times(lines: Sequence[Line]) -> Table:
    """Return the table of median times per operation, its head first."""
    return _table(lines, lambda line, name: line.amount(line.seconds(name)))


def _table(
    lines: Sequence[Line],
    cell: Callable[[Line, str], str],
    *more: tuple[str, Callable[[Line], str]],
) -> Table:
    names = [name for name in NAMES if any(name in line.samples for line in lines)]
    head = ["row", *(title for title, _ in more), *names]
    body = [
        [
            line.title,
            *(text(line) for _, text in more),
            *(cell(line, name) if name in line.samples else "-" for name in names),
        ]
        for line in lines
    ]
    return [head, *body]


def _ratio(line: Line, name: str) -> str:
    detail = line.details.get(name)
    return f"{significant(line.ratio(name))}{f' ({detail})' if detail else ''}"


def significant(ratio: float) -> str:
    """Return a ratio with two decimals, or none where it has three digits before them."""
    return f"{ratio:.2f}" if ratio < 100 else f"{ratio:,.0f}"


def as_text(lines: Sequence[Line], verdicts: Sequence[Verdict], facts: Facts) -> str:
    """Return the whole report for a terminal."""
    parts = [
        "Ratios (median of the ratios of all rounds; lower is better)",
        aligned(ratios(lines), left=1),
        "Time per operation (median)",
        aligned(times(lines), left=1),
        "Targets",
        _judged(verdicts),
        "\n".join(f"{name}: {text}" for name, text in facts),
    ]
    return "\n\n".join(parts)


def _judged(verdicts: Sequence[Verdict]) -> str:
    known = [v for v in verdicts if v.reached is not None]
    texts = [f"{v.word:<7}  {v.target}: {v.found}" for v in known]
    if len(known) < len(verdicts):
        texts.append(f"{len(verdicts) - len(known)} targets need rows that were not run in full")
    return "\n".join(texts)


def as_markdown(lines: Sequence[Line], verdicts: Sequence[Verdict], facts: Facts) -> str:
    """Return what stands between the markers of the page."""
    parts = [
        "## Targets",
        piped(targets(verdicts)),
        "## Ratios",
        piped(ratios(lines)),
        "## Time per operation",
        piped(times(lines)),
        *where(facts),
    ]
    return "\n\n".join(parts)


def where(facts: Facts) -> list[str]:
    """Return the head and the list of what it was measured on."""
    return ["## Where", "\n".join(f"- {name}: {text}" for name, text in facts)]


def targets(verdicts: Sequence[Verdict]) -> Table:
    """Return the table of what was to be reached, its head first."""
    return [["target", "found", ""], *([v.target, v.found, v.word] for v in verdicts)]


def piped(table: Table) -> str:
    head, *body = (["".join(text.replace("|", r"\|")) for text in row] for row in table)
    rule = [":--", *("--:" for _ in head[1:])]
    return "\n".join(f"| {' | '.join(row)} |" for row in [head, rule, *body])


def write_between(path: Path, text: str) -> None:
    """Replace what stands between the markers in ``path`` by ``text``, and nothing else.

    Raises:
        ValueError: the markers are not there, once each and in their order.
    """
    page = path.read_text(encoding="utf-8")
    before, begin, rest = page.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end or BEGIN in rest or END in before or END in after:
        raise ValueError(f"{path.name} must contain {BEGIN} and then {END}, once each")
    path.write_text(f"{before}{BEGIN}\n\n{text}\n\n{END}{after}", encoding="utf-8")
