"""Sizes and weights as people write and read them: ``"3GiB"`` to a number, and back."""

from __future__ import annotations

import math
import os
from collections.abc import Callable
from typing import TypeAlias

SizeHint: TypeAlias = float | str | os.PathLike[str] | Callable[..., float | str | os.PathLike[str]]

MIB = 2**20
_UNITS = {"": 1, "B": 1}
for _power, _letter in enumerate("KMGT", 1):
    _UNITS[f"{_letter}B"] = 1000**_power
    _UNITS[f"{_letter}IB"] = 1024**_power
_MOST = 2**80  # bytes
_TEXT = r"\s*(\d+(?:\.\d*)?|\.\d+)\s*([a-zA-Z]*)\s*"


def parse_size(size: float | str) -> float:
    """Return ``size`` as a number of bytes: ``"1.5GiB"`` is 1,610,612,736.

    Units are ``B``, ``KB MB GB TB`` (powers of 1000) and ``KiB MiB GiB TiB`` (powers
    of 1024); a number is returned as it is.

    Raises:
        ValueError: the text is not a size, or it is negative or not a number.
    """
    if isinstance(size, str):
        import re  # which a number need not wait for

        match = re.fullmatch(_TEXT, size)
        unit = _UNITS.get(match[2].upper()) if match else None
        if match is None or unit is None:
            raise ValueError(f"{size!r} is not a size; write it as 3000000, '3MB' or '2.5GiB'")
        number = float(match[1]) * unit
        if number > _MOST:
            raise ValueError(f"{size[:40]!r} is more than any memory has")
        return int(number) if number.is_integer() else number
    if math.isnan(size) or size < 0:
        raise ValueError(f"a size must not be negative, got {size!r}")
    return size


def file_size(size: float | str | os.PathLike[str]) -> float:
    """Return ``size`` as bytes, where a path means the size of its file or folder.

    Raises:
        ValueError: it is neither a size nor a path.
        OSError: there is nothing at the path.
    """
    if not isinstance(size, os.PathLike):
        return parse_size(size)
    from pathlib import Path

    path = Path(size)
    if path.is_dir():
        return sum(file.stat().st_size for file in path.rglob("*") if file.is_file())
    return path.stat().st_size


def format_size(nbytes: float) -> str:
    """Return bytes for people: ``"1.5 GiB"``.

    :func:`parse_size` reads it as what it was, to half a percent; so it may be typed, too.
    """
    for unit, scale in (("GiB", 2**30), ("MiB", MIB), ("KiB", 2**10)):
        if nbytes >= scale:
            number = nbytes / scale
            return f"{round(number, 2 if number < 10 else 1)} {unit}"
    return f"{nbytes:.0f} B"


def format_weight(weight: float) -> str:
    """Return a weight for people: as bytes from 1 MiB on; below, it may be a count of entries."""
    return format_size(weight) if MIB <= weight < math.inf else format_number(weight)


def two_digits(number: float) -> str:
    """Return what is not negative for people: whole from 10 on, else to two significant digits."""
    if number >= 9.95 or not number:
        return f"{number:,.0f}"
    return f"{number:.{max(0, 1 - math.floor(math.log10(number)))}f}"


def format_seconds(seconds: float) -> str:
    """Return seconds for people: ``"0.06 s"``, and less than ten milliseconds as these."""
    if not 0 <= seconds < math.inf:
        return f"{seconds} s"
    if seconds >= 9.95:
        return f"{seconds:,.0f} s"
    if seconds >= 0.0095 or not seconds:
        return f"{round(seconds, 2):g} s"
    return f"{two_digits(seconds * 1e3)} ms" if seconds >= 1e-5 else f"{seconds * 1e6:.1f} µs"


def format_number(weight: float) -> str:
    """Return a weight that is no number of bytes."""
    return f"{weight:,.12g}"
