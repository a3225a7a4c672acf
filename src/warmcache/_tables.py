"""Tables as plain text, and as HTML for notebooks."""

from __future__ import annotations

from collections.abc import Callable, Sequence


def aligned(rows: Sequence[Sequence[str]], *, left: int | None = None) -> str:
    """Return rows as lines whose columns are aligned, numbers to the right.

    Only the first ``left`` columns hold words; None: all of them.
    """
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    words = len(widths) if left is None else left
    lines = (
        [*map(str.ljust, row[:words], widths), *map(str.rjust, row[words:], widths[words:])]
        for row in rows
    )
    return "\n".join("  ".join(cells).rstrip() for cells in lines)


def as_html(*parts: str | Sequence[Sequence[str]]) -> str:
    """Return texts and tables, whose first row is a head, as HTML with nothing in it but text."""
    from html import escape

    return "".join(
        f"<p>{escape(part)}</p>" if isinstance(part, str) else _table(part, escape)
        for part in parts
    )


def _table(rows: Sequence[Sequence[str]], escape: Callable[[str], str]) -> str:
    lines = []
    for number, row in enumerate(rows):
        cell = "td" if number else "th"
        lines.append("".join(f"<{cell}>{escape(text)}</{cell}>" for text in row))
    head, *body = (f"<tr>{line}</tr>" for line in lines)
    return f"<table><thead>{head}</thead><tbody>{''.join(body)}</tbody></table>"
