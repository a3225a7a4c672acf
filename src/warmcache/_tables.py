"""Tables as plain text."""

from __future__ import annotations

from collections.abc import Sequence


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
