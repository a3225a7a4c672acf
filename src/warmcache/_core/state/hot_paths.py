"""The tables that generated hit paths look up, and what empties all of them at once.

A hit path asks nobody whether it may: that would cost every hit. So whatever has to be seen by
every call (a scope such as ``disabled()``, a fork) empties the tables, and every call takes
the slow path, which does ask. While any of ``SCOPES`` is alive they stay empty.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable
from functools import partial
from typing import Any

from warmcache._process.after_fork import in_child
from warmcache._process.fork_safe_lock import ForkSafeLock

SCOPES: set[int] = set()  # that are alive, in whatever context, by number
_all: weakref.WeakSet[HotEntries] = weakref.WeakSet()
_guard = ForkSafeLock()  # of _all
_NO_HIT = (AttributeError, TypeError, KeyError)  # what the code of a hit takes for a miss


class HotEntries:
    """Raw arguments to live entries: ``table`` is what a generated hit path looks up.

    A plain dict, for it is subscripted without a call; inside of what can be referenced weakly,
    and has no warm object with it where a function that closes over it is pickled.

    Of few arguments it is a dict of dicts: ``levels`` are the places of their parts in a raw key,
    the outermost first. Then a hit builds, hashes and compares no tuple. Where there are none, the
    raw key is looked up as it is. Threads may put and take away at once: at worst what is put
    then is not found, and put again by the next call.

    There an argument meets what other calls have in its place, whatever else they differ in. What
    it cannot be compared with takes the slow path, which compares whole keys.

    ``get`` takes raw arguments, and returns the entry that a hit with them finds, or None.
    """

    __slots__ = ("__weakref__", "get", "levels", "ref", "table")

    def __init__(self, levels: tuple[int, ...] = ()) -> None:
        self.table: dict[Any, Any] = {}
        self.levels = levels
        self.get: Callable[[Any], Any] = self.table.get
        if levels:
            self.get = partial(_found, self.table, levels)
        self.ref = weakref.ref(self)
        with _guard.lock:
            _all.add(self)

    def put(self, raw: Any, entry: Any) -> None:
        """Have hits with these raw arguments find ``entry``."""
        if not self.levels:
            self.table[raw] = entry
            return
        table = self.table
        try:
            for place in self.levels[:-1]:
                table = table.setdefault(raw[place], {})
            table[raw[self.levels[-1]]] = entry
        except _NO_HIT:
            pass

    def drop(self, raw: Any, entry: Any) -> None:
        """Have hits with these raw arguments not find ``entry`` any more, if they did."""
        if not self.levels:
            if self.table.get(raw) is entry:
                self.table.pop(raw, None)
            return
        found: Any = self.table
        way: list[tuple[dict[Any, Any], Any]] = []
        try:
            for place in self.levels:
                way.append((found, raw[place]))
                found = found.get(raw[place])
                if found is None:
                    return
            if found is entry:
                for table, part in reversed(way):  # and each that is empty then
                    table.pop(part, None)
                    if table:
                        return
        except Exception:  # as it was compared: it may be there, and has to leave
            self.table.clear()

    def __reduce__(self) -> tuple[object, ...]:
        return HotEntries, ()


def _found(table: dict[Any, Any], levels: tuple[int, ...], raw: Any) -> Any:
    found: Any = table
    try:
        for place in levels:
            found = found.get(raw[place])
            if found is None:
                return None
    except _NO_HIT:
        return None
    return found


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
