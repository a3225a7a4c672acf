"""Spans of time as people write and read them: ``"7d"`` to seconds, and back."""

from __future__ import annotations

import re

_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 7 * 86_400}
_MOST = 10_000 * 366 * 86_400  # seconds
_TEXT = re.compile(r"\s*(\d{1,18}(?:\.\d*)?|\.\d+)\s*([smhdw])\s*", re.ASCII)


def parse_duration(text: str) -> float:
    """Return a span of time in seconds: ``"7d"`` is 604,800.

    Units are ``s``, ``m`` (minutes), ``h``, ``d`` and ``w``.

    Raises:
        ValueError: the text is none, or more than ten thousand years.
    """
    match = _TEXT.fullmatch(text)
    if match is None:
        raise ValueError(
            f"{text[:40]!r} is no span of time; write it as '90s', '30m', '12h', '7d' or '2w'"
        )
    seconds = float(match[1]) * _UNITS[match[2]]
    if seconds > _MOST:
        raise ValueError(f"{text[:40]!r} is more than ten thousand years")
    return seconds


def format_duration(seconds: float) -> str:
    """Return a span of time for people, in the largest unit that it has one of: ``"3 d"``.

    What has not passed yet is none. Weeks are told as days.
    """
    seconds = max(0.0, seconds)
    for unit in "dhm":
        if seconds >= _UNITS[unit]:
            return f"{int(seconds // _UNITS[unit]):,} {unit}"
    return f"{int(seconds)} s"
