"""The functions that are running now, in all threads, and what their variables are."""

from __future__ import annotations

import sys
import threading
import types
from collections.abc import Iterator
from typing import Any

from warmcache._code_flags import OPTIMIZED
from warmcache._ours import is_ours

ALONE = 3  # references to a snapshot: the frame's, ours, and that of who counts them


def frames() -> Iterator[tuple[int, types.FrameType]]:
    """Yield the frames of running functions that are not ours, and the number of the thread."""
    frame: types.FrameType | None
    for number, frame in sys._current_frames().items():
        while frame is not None:
            # Those that are not optimized have their variables in a dictionary.
            if frame.f_code.co_flags & OPTIMIZED and not is_of_ours(frame):
                yield number, frame
            frame = frame.f_back  # at last None: a frame must not refer to itself


def variables(frame: types.FrameType) -> list[tuple[str, Any]]:
    """Return the variables of ``frame``, and leave no snapshot of them in it.

    Before 3.13 it keeps what it is asked for. It is emptied, unless somebody else has it, as what
    ``locals()`` gave; and not asked for where there may be a debugger, which writes it back.
    """
    if sys.version_info >= (3, 13):
        return list(frame.f_locals.items())
    if sys.gettrace() is not None or threading.gettrace() is not None or frame.f_trace is not None:
        return []
    snapshot = frame.f_locals
    found = list(snapshot.items())
    if frame.f_code.co_flags & OPTIMIZED and sys.getrefcount(snapshot) <= ALONE:
        snapshot.clear()
    return found


def is_of_ours(frame: types.FrameType) -> bool:
    """Whether a frame is of this package."""
    return is_ours(frame.f_globals.get("__name__"))
