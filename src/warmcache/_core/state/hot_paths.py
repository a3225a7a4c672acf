"""The tables that generated hit paths look up, and what empties all of them at once.

A hit path asks nobody whether it may: that would cost every hit. So whatever has to be seen by
every call (a scope such as ``disabled()``, a fork) empties the tables, and every call takes
the slow path, which does ask. While any of ``SCOPES`` is alive they stay empty.
"""

from __future__ import annotations

import weakref
from typing import Any

from warmcache._process.after_fork import in_child
from warmcache._process.fork_safe_lock import ForkSafeLock

SCOPES: set[int] = set()  # that are alive, in whatever context, by number
_all: weakref.WeakSet[HotEntries] = weakref.WeakSet()
_guard = ForkSafeLock()  # of _all


class HotEntries:
    """Raw arguments to live entries: ``table`` is what a generated hit path looks up.

    A plain dict, for it is subscripted without a call; inside of what can be referenced weakly,
    and has no warm object with it where a function that closes over it is pickled.
    """

    __slots__ = ("__weakref__", "ref", "table")

    def __init__(self) -> None:
        self.table: dict[Any, Any] = {}
        self.ref = weakref.ref(self)
        with _guard.lock:
            _all.add(self)

    def __reduce__(self) -> tuple[object, ...]:
        return HotEntries, ()


def switch_off_for(scope: object) -> None:
    """Have every call take the slow path for as long as ``scope`` lives."""
    SCOPES.add(id(scope))
    weakref.finalize(scope, SCOPES.discard, id(scope)).atexit = False
    with _guard.lock:
        all_hot = list(_all)
    for hot in all_hot:
        hot.table.clear()


@in_child
def _empty_all() -> None:
    """Have every call in a forked child take the slow path: what is warm is its parent's."""
    for hot in list(_all):
        hot.table.clear()
