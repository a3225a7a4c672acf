"""What loads have taken before, by key, so that the next one reserves the right room."""

from __future__ import annotations

import hashlib
import json
import math
import os
import uuid
from collections import deque
from collections.abc import Hashable
from pathlib import Path
from typing import Any, TypeAlias

from warmcache._log import log
from warmcache._private_files import private
from warmcache._process.fork_safe_lock import ForkSafeLock
from warmcache.keys import shown

_KEPT = 8  # loads of a key whose weights are remembered
_KEYS = 1_000  # for each circumstances
_LONG = 200  # characters of a key that are worth keeping as they are

_Loads: TypeAlias = "dict[str, deque[tuple[float, float]]]"
_MISREAD = (ValueError, TypeError, AttributeError, RecursionError)


class Learned:
    """The weights and load seconds of the last loads of each key; they outlive eviction.

    Keys are known by their text, so nothing is kept alive. With a ``path`` they are kept
    in a small JSON file from one process to the next, under the ``circumstances`` that
    they hold for: device, framework and version. The file may be shared: each writes
    what it has learned into what the others have left there. (Of two processes that do
    so at the very same moment, one is forgotten until its next load.) Only its owner may read
    it, for keys are the arguments of calls; a symbolic link is followed. A file that means
    nothing is set aside with a warning; trouble with it is never an error. Safe from any
    thread.
    """

    def __init__(self, path: str | os.PathLike[str] | None, circumstances: str) -> None:
        self._path = None if path is None else Path(path)
        self._circumstances = circumstances
        self._lock = ForkSafeLock()
        self._loads: _Loads = {}
        self._merge()

    def weight(self, key: Hashable, most: float = math.inf) -> float | None:
        """Return the most that any of the last loads of ``key`` took; None: none is known.

        Of what is larger than ``most``, which can never be had, only a load can tell whether it
        is so still.
        """
        text = _text(key)
        with self._lock.lock:
            loads = self._loads.get(text, ()) if text is not None else ()
            return max((weight for weight, _ in loads if weight <= most), default=None)

    def note(self, key: Hashable, weight: float, seconds: float) -> None:
        """Remember one load, the oldest keys making place for new ones."""
        text = _text(key)
        if text is None:
            return
        with self._lock.lock:
            loads = self._loads.pop(text, None) or deque(maxlen=_KEPT)
            loads.append((weight, seconds))
            self._loads[text] = loads
            if len(self._loads) > _KEYS:
                del self._loads[next(iter(self._loads))]
        if self._path is not None:
            with _writing.lock:
                everything = self._merge()
                if self._path is not None:  # it could be read, or is not there yet
                    self._write(Path(os.path.realpath(self._path)), everything)

    def _merge(self) -> dict[str, Any]:
        """Take over what others have learned meanwhile; return all that the file has."""
        found = {} if self._path is None else self._read(Path(os.path.realpath(self._path)))
        with self._lock.lock:
            for text, loads in found.get(self._circumstances, {}).items():
                if len(self._loads) < _KEYS:
                    self._loads.setdefault(text, loads)
            mine = {text: list(loads) for text, loads in self._loads.items()}
        return {**found, self._circumstances: mine}

    def _read(self, path: Path) -> dict[str, Any]:
        try:
            found = dict(json.loads(path.read_text(encoding="utf-8")))
            mine = found.get(self._circumstances, {}).items()
            found[self._circumstances] = {text: _checked(loads) for text, loads in mine}
            return found
        except FileNotFoundError:
            pass
        except _MISREAD as error:
            _set_aside(path, error)
        except OSError as error:
            self._do_without(path, "read", error)
        return {}

    def _write(self, path: Path, everything: dict[str, Any]) -> None:
        part = path.with_name(f"{path.name}.{uuid.uuid4().hex}.part")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with open(part, "x", encoding="utf-8", opener=private) as file:
                file.write(json.dumps(everything))
            part.replace(path)  # readers see the old file or the new one
        except OSError as error:
            self._do_without(path, "written", error)
            part.unlink(missing_ok=True)

    def _do_without(self, path: Path, done: str, error: OSError) -> None:
        if self._path is not None:
            log().warning("%s cannot be %s (%s): sizes are not kept", path, done, error)
        self._path = None


_writing = ForkSafeLock()  # one cache of this process after the other


def _set_aside(path: Path, error: Exception) -> None:
    aside = path.with_name(path.name + ".broken")
    log().warning("%s means nothing (%s): it is set aside as %s", path, error, aside.name)
    try:
        path.chmod(0o600)
        path.replace(aside)
    except OSError as trouble:
        log().warning("%s cannot be set aside: %s", path, trouble)


def _checked(loads: Any) -> deque[tuple[float, float]]:
    pairs = [(float(weight), float(seconds)) for weight, seconds in loads]
    if not all(0 <= weight < math.inf and 0 <= seconds < math.inf for weight, seconds in pairs):
        raise ValueError("a weight or a time is out of range")
    return deque(pairs, maxlen=_KEPT)


def _text(key: Hashable) -> str | None:
    """Return what ``key`` is known by; None where it cannot be told."""
    try:
        text = shown(key)
    except Exception as error:
        log().debug("a key that has no text is not learned: %s", error)
        return None
    return text if len(text) <= _LONG else hashlib.sha256(text.encode()).hexdigest()
