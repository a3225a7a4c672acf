"""Which functions a traceback goes through."""

from __future__ import annotations

import os
import traceback

_OURS = os.sep + "warmcache" + os.sep
_GENERATED = "warm:"  # the file of a hit path


def frames_of(error: BaseException) -> list[str]:
    """Return the functions that the traceback of ``error`` goes through, ours in brackets."""
    found = []
    for frame in traceback.extract_tb(error.__traceback__):
        is_ours = frame.filename.startswith(_GENERATED) or _OURS in frame.filename
        found.append(f"[{frame.name}]" if is_ours else frame.name)
    return found
