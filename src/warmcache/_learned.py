"""What loads have taken before, by key, so that the next one reserves the right room."""

from __future__ import annotations

import hashlib
import json
import logging
import os
import threading
from collections import deque
from collections.abc import Hashable
from pathlib import Path
from typing import Any, TypeAlias

from ._fork import join

_KEPT = 8  # loads of a key whose weights are remembered
_KEYS = 10_000
_LONG = 200  # characters of a key that are worth keeping as they are

_Loads: TypeAlias = "dict[str, deque[tuple[float, float]]]"

log = logging.getLogger("warmcache")


class Learned:
    """The weights and load seconds of the last loads of each key; they outlive eviction.

    Keys are known by their text, so nothing is kept alive. With a ``path`` they are kept
    in a small JSON file from one process to the next, under the ``circumstances`` that
    they hold for: device, framework and version. A file that cannot be read is set
    aside with a warning. Safe from any thread.
    """

    def __init__(self, path: str | os.PathLike[str] | None, circumstances: str) -> None:
        self._path = None if path is None else Path(path)
        self._circumstances = circumstances
        self._lock = threading.Lock()
        self._loads: _Loads = {}
        self._others: dict[str, Any] = {}  # what the file has for other circumstances
        if self._path is not None:
            self._read(self._path)
        join(self)

    def begin_anew(self) -> None:
        """Have a lock of its own in a forked child, which may go on with what is known."""
        self._lock = threading.Lock()

    def weight(self, key: Hashable) -> float | None:
        """Return the most that any of the last loads of ``key`` took; None: none is known."""
        with self._lock:
            loads = self._loads.get(_text(key))
            return max(weight for weight, _ in loads) if loads else None

    def note(self, key: Hashable, weight: float, seconds: float) -> None:
        """Remember one load, the oldest keys making place for new ones."""
        with self._lock:
            text = _text(key)
            loads = self._loads.pop(text, None) or deque(maxlen=_KEPT)
            loads.append((weight, seconds))
            self._loads[text] = loads
            if len(self._loads) > _KEYS:
                del self._loads[next(iter(self._loads))]
            if self._path is not None:
                self._write(self._path)

    def _read(self, path: Path) -> None:
        try:
            self._others = dict(json.loads(path.read_text(encoding="utf-8")))
            mine = self._others.pop(self._circumstances, {})
            self._loads = {key: _checked(loads) for key, loads in mine.items()}
        except FileNotFoundError:
            return
        except (OSError, ValueError, TypeError, AttributeError) as error:
            self._others = {}
            aside = path.with_name(path.name + ".broken")
            log.warning("%s cannot be read (%s): it is set aside as %s", path, error, aside.name)
            try:
                path.replace(aside)
            except OSError as trouble:
                log.warning("%s cannot be set aside: %s", path, trouble)

    def _write(self, path: Path) -> None:
        mine = {key: list(loads) for key, loads in self._loads.items()}
        part = path.with_name(f"{path.name}.{os.getpid()}.part")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            part.write_text(json.dumps({**self._others, self._circumstances: mine}), "utf-8")
            part.replace(path)  # readers see the old file or the new one
        except OSError as error:
            log.warning("%s cannot be written (%s): sizes are not kept", path, error)
            self._path = None


def _checked(loads: Any) -> deque[tuple[float, float]]:
    pairs = [(float(weight), float(seconds)) for weight, seconds in loads]
    if not all(weight >= 0 and seconds >= 0 for weight, seconds in pairs):
        raise ValueError("a weight or a time is negative")
    return deque(pairs, maxlen=_KEPT)


def _text(key: Hashable) -> str:
    text = repr(key)
    return text if len(text) <= _LONG else hashlib.sha256(text.encode()).hexdigest()
