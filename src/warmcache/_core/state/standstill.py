"""What stands still while a synchronous call waits: the loop of its thread, and its loads.

While a loop stands still, nothing is torn down on it. So a call that waits for a teardown on its
own loop waits for ever; and so do two whose loops wait for each other's teardowns, or a load that
waits for a teardown on a loop whose thread waits for that load. Along these edges it is found.
"""

from __future__ import annotations

import sys
from collections.abc import Collection
from typing import Any

from .flights import CHAIN, Flight

_behind: dict[Any, frozenset[Any]] = {}  # loops and flights that stand still, and behind which


def loop_here() -> Any:
    """Return the loop that runs in this thread, or None."""
    asyncio = sys.modules.get("asyncio")  # who has not imported it runs no loop
    try:
        return None if asyncio is None else asyncio.get_running_loop()
    except RuntimeError:
        return None


def standing_here() -> list[Any]:
    """Return what stands still while this thread waits."""
    flights = [link for link in CHAIN.get() if isinstance(link, Flight)]
    loop = loop_here()
    return flights if loop is None else [loop, *flights]


def for_ever(standing: Collection[Any], others: Collection[Any]) -> bool:
    """Have ``standing`` wait until all ``others`` have got on; whether that is for ever.

    The edge first, the search second: of two that begin at the same moment, at least one sees it.
    """
    if not standing or not others:
        return False
    for each in standing:
        _behind[each] = frozenset(others)
    seen, pending = set(), [*others]
    while pending:
        each = pending.pop()
        if getattr(each, "ended", False):
            return False  # though who waits for it may not have heard of it yet
        if each not in seen:
            seen.add(each)
            onward = _behind.get(each)
            if onward is None:
                return False  # it goes on, and then who is behind it
            pending.extend(onward)
    go_on(standing)  # it is not going to wait
    return True


def go_on(standing: Collection[Any] | None = None) -> None:
    """Have what stood still, by default what did in this thread, go on."""
    if _behind:
        for each in standing_here() if standing is None else standing:
            _behind.pop(each, None)
