"""What has happened, counted, and said in the log the first time."""

from __future__ import annotations

from collections import Counter

from warmcache._log import log
from warmcache._process.after_fork import begins_anew_in_child
from warmcache._process.fork_safe_lock import ForkSafeLock
from warmcache._texts import short_text_of


class Tally:
    """Counts by kind, and which kinds were said; a forked child begins from nothing."""

    def __init__(self) -> None:
        self._guard = ForkSafeLock()
        self.begin_anew()
        begins_anew_in_child(self)

    def begin_anew(self) -> None:
        """Count from nothing, in a forked child."""
        self._counts: Counter[str] = Counter()
        self._said: set[str] = set()

    def add(self, kind: str, number: int = 1) -> None:
        """Count what has happened."""
        with self._guard.lock:
            self._counts[kind] += number

    def counts(self) -> Counter[str]:
        """Return how often what has happened; 0 for what has not."""
        with self._guard.lock:
            return self._counts.copy()

    def say(self, kind: str, text: str, *args: object, error: Exception | None = None) -> None:
        """Log a warning, the first of its kind, and last in it what an ``error`` says.

        Unless that is of the system, so does where it was raised.
        """
        with self._guard.lock:
            if kind in self._said:
                return
            self._said.add(kind)
        log().warning(text, *args, *([] if error is None else [_said_by(error)]))


def _said_by(error: Exception) -> str:
    said = short_text_of(error)
    if isinstance(error, OSError):
        return said
    from traceback import format_exception  # which takes long to import, and is rarely wanted

    return f"{said}\n{''.join(format_exception(error)).rstrip()}"
