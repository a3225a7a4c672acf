"""Uses that are not in the index yet: they are written many at a time.

A use is worth no transaction. What a killed process has not written is lost, and the order of
victims a little older than it could be.
"""

from __future__ import annotations

from warmcache._process.after_fork import begins_anew_in_child
from warmcache._process.fork_safe_lock import ForkSafeLock

_MANY = 64  # keys, after which they are written


class Recency:
    """The uses of a process, by key."""

    def __init__(self) -> None:
        self._guard = ForkSafeLock()
        self._uses: dict[str, tuple[float, int]] = {}
        begins_anew_in_child(self)

    def begin_anew(self) -> None:
        """Leave to the parent what it has noted."""
        self._uses = {}

    def note(self, key: str, now: float) -> bool:
        """Note a use; return whether there are so many that they should be written."""
        with self._guard.lock:
            _, count = self._uses.get(key, (now, 0))
            self._uses[key] = now, count + 1
            return len(self._uses) >= _MANY

    def take(self) -> list[tuple[float, int, str]]:
        """Return what was noted, and forget it."""
        if not self._uses:
            return []
        with self._guard.lock:
            uses, self._uses = self._uses, {}
        return [(last, count, key) for key, (last, count) in uses.items()]
