"""What a run ran on, with which versions."""

from __future__ import annotations

import os
import platform
from pathlib import Path

from .contenders import ALL, missing


def described() -> list[tuple[str, str]]:
    """Return the machine, the interpreter and the libraries, as pairs to print."""
    versions = {
        kind.distribution: kind.version() for kind in ALL if kind.distribution and kind.installed()
    }
    load = (
        f", load average {os.getloadavg()[0]:.1f} at the end" if hasattr(os, "getloadavg") else ""
    )
    facts = [
        ("CPU", f"{_processor()}, {_cores()} cores{load}"),
        ("System", f"{platform.system()} {platform.machine()}"),
        (
            "Python",
            f"{platform.python_implementation()} {platform.python_version()}, "
            f"{platform.python_compiler()}",
        ),
        ("Libraries", ", ".join(f"{name} {version}" for name, version in versions.items())),
    ]
    absent = missing()
    return [*facts, ("Not installed", ", ".join(absent))] if absent else facts


def place() -> list[tuple[str, str]]:
    """Return the machine and the interpreter alone."""
    return [fact for fact in described() if fact[0] not in ("Libraries", "Not installed")]


def _cores() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor() or "unknown"
    models = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return models[0] if models else platform.processor() or "unknown"
