"""The one clock of uses of the process.

Every use stamps its entry with the next tick, which is all that recency needs. The clock is a
bare closure cell, so that generated hit paths can share and advance it without a call.
"""

from __future__ import annotations

import types

USE_CLOCK = types.CellType(0)


def tick() -> int:
    """Advance the clock of uses and return its new time."""
    USE_CLOCK.cell_contents = now = USE_CLOCK.cell_contents + 1
    return now  # type: ignore[no-any-return]
