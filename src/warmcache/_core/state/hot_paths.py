"""The tables that generated hit paths look up, and the switch that empties all of them."""

from __future__ import annotations

import threading
import weakref
from typing import Any

from warmcache._process.after_fork import in_child


class HotEntries(dict[Any, Any]):
    """Raw arguments to live entries: what a generated hit path looks up.

    A dict of its own type so that it can be referenced weakly and so that pickling a
    function that closes over it never carries a warm object.
    """

    __slots__ = ("__weakref__",)
    __hash__ = object.__hash__  # type: ignore[assignment]

    def __reduce__(self) -> tuple[object, ...]:
        return HotEntries, ()


_alive: set[int] = set()
_hot_paths: weakref.WeakSet[HotEntries] = weakref.WeakSet()
_guard = threading.Lock()  # of _hot_paths


@in_child
def _empty_hot_paths() -> None:
    """Have every call in a forked child take the slow path: what is warm is its parent's."""
    global _guard
    _guard = threading.Lock()
    for hot in list(_hot_paths):
        hot.clear()


def hot_paths_off() -> bool:
    """Whether some scope is alive, so that nothing may be put on a hit path."""
    return bool(_alive)


def adopt(hot: HotEntries) -> None:
    """Have ``hot`` emptied whenever a scope begins."""
    with _guard:
        _hot_paths.add(hot)
