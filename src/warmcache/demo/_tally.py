"""The bytes that several processes have of models, and the most that was at once.

Each writes its own into a page that all of them map: more before it begins to load, less once it
has torn down. Whoever has written more adds up all, so the sum is never missed at its highest: the
last of those who write at the same time sees what the others have written.
"""

from __future__ import annotations

import mmap
import threading
from pathlib import Path

_NUMBER = 8  # bytes


class Tally:
    """One process' way to the page in the file ``path``, which is made if it is not there.

    ``at`` is the process' place among ``count``; any thread of it may add.
    """

    def __init__(self, path: Path, count: int, at: int = 0) -> None:
        self._count, self._at = count, at
        self._lock = threading.Lock()
        with path.open("a+b") as file:
            file.truncate(2 * count * _NUMBER)
            self._page = mmap.mmap(file.fileno(), 0)
        self._numbers = memoryview(self._page).cast("q")  # what each has, then what each has seen

    def add(self, nbytes: int) -> None:
        """Have so many bytes more, or fewer."""
        with self._lock:
            self._numbers[self._at] += nbytes
            if nbytes > 0:
                seen = self._count + self._at
                self._numbers[seen] = max(self._numbers[seen], sum(self.parts()))

    def parts(self) -> list[int]:
        """Return what each process has now."""
        return [*self._numbers[: self._count]]

    def peak(self) -> int:
        """Return the most that all have had together since the last :meth:`restart`."""
        return max(self._numbers[self._count :])

    def restart(self) -> None:
        """Forget the peak. Nobody may add meanwhile."""
        for seen in range(self._count, 2 * self._count):
            self._numbers[seen] = 0

    def close(self) -> None:
        """Let go of the page."""
        self._numbers.release()
        self._page.close()
