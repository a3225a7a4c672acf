"""Event loops that stand still, for a synchronous call on their thread waits for room.

While one does, nothing can be torn down on it. So a call that waits for a teardown on its own
loop waits for ever, and so do two that wait for teardowns on each other's.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable
from typing import Any

_behind: dict[Any, frozenset[Any]] = {}  # the loops that stand still, and those they wait for


def loop_here() -> Any:
    """Return the loop that runs in this thread, or None."""
    asyncio = sys.modules.get("asyncio")  # who has not imported it runs no loop
    try:
        return None if asyncio is None else asyncio.get_running_loop()
    except RuntimeError:
        return None


def for_ever(loop: Any, others: Iterable[Any]) -> bool:
    """Have ``loop`` stand still until all ``others`` have got on; whether that is for ever.

    The edge first, the search second: of two that begin at the same moment, at least one sees it.
    """
    _behind[loop] = frozenset(others)
    seen, pending = set(), [loop]
    while pending:
        each = pending.pop()
        if each not in _behind:
            return False  # it goes on, and somebody behind it then
        if each not in seen:
            seen.add(each)
            pending.extend(_behind.get(each, ()))
    go_on()  # it will be refused
    return True


def go_on() -> None:
    """Have the loop of this thread, if it stood still, go on."""
    if _behind:
        _behind.pop(loop_here(), None)
