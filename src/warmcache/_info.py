"""What a bug report needs: versions, what is installed of the extras, the devices."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import re
import sys
from pathlib import Path
from typing import Any

from ._process.gil import FREE_THREADED
from ._tables import aligned
from .memory.report import survey

_PACKAGE = "warmcache"
_NEEDS = re.compile(r"([\w.-]+)[^;]*;.*\bextra == ['\"]([\w-]+)['\"]")
_BESIDE = ("torch", "numpy", "ipython")  # what it works with, though no extra brings it
_VARIABLES = ("WARMCACHE", "CUDA_", "PYTHON_GIL", "PYTORCH_")  # and all that begin so


def info(version: str) -> str:
    """Return it as lines for people."""
    rows = [
        ("warmcache", f"{version}, in {Path(__file__).parent}"),
        ("Python", f"{platform.python_version()} ({platform.python_implementation()}), {_gil()}"),
        ("system", platform.platform()),
        ("cachetools", _installed("cachetools")),
        *((name, found) for name in _BESIDE if (found := _installed(name)) != _MISSING),
        *sorted(_extras().items()),
        *((f"${name}", value) for name, value in sorted(_environment().items())),
    ]
    devices = survey()
    problem = [] if devices.problem is None else [str(devices.problem)]
    return "\n\n".join([aligned(rows), "\n".join([devices.text, *problem])])


_MISSING = "not installed"


def _installed(name: str) -> str:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return _MISSING


def _extras() -> dict[str, str]:
    """Return by extra what there is of it."""
    try:
        needed = importlib.metadata.requires(_PACKAGE) or []
    except importlib.metadata.PackageNotFoundError:  # it is run from its sources
        return {}
    extras: dict[str, list[str]] = {}
    for found in filter(None, map(_NEEDS.match, needed)):
        name, extra = found.groups()
        extras.setdefault(f"[{extra}]", []).append(f"{name} {_installed(name)}")
    return {extra: ", ".join(sorted(names)) for extra, names in extras.items()}


def _environment() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if name.startswith(_VARIABLES)}


def _gil() -> str:
    if not FREE_THREADED:
        return "with the GIL"
    is_on: Any = getattr(sys, "_is_gil_enabled", bool)  # since 3.13
    return "built without the GIL" + (", which is on" if is_on() else "")
