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
_tables: weakref.WeakSet[HotEntries] = weakref.WeakSet()
_guard = ForkSafeLock()  # of _tables


class HotEntries(dict[Any, Any]):
    """Raw arguments to live entries: what a generated hit path looks up.

    A dict of its own type so that it can be referenced weakly and so that pickling a
    function that closes over it never carries a warm object.
    """

    __slots__ = ("__weakref__", "ref")
    __hash__ = object.__hash__  # type: ignore[assignment]

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.ref = weakref.ref(self)
        with _guard.lock:
            _tables.add(self)

    def __reduce__(self) -> tuple[object, ...]:
        return HotEntries, ()


def switch_off_for(scope: object) -> None:
    """Have every call take the slow path for as long as ``scope`` lives."""
    SCOPES.add(id(scope))
    weakref.finalize(scope, SCOPES.discard, id(scope)).atexit = False
    with _guard.lock:
        tables = list(_tables)
    for table in tables:
        table.clear()


@in_child
def _empty_all() -> None:
    """Have every call in a forked child take the slow path: what is warm is its parent's."""
    for table in list(_tables):
        table.clear()
