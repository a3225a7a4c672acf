"""Which boot of the machine this is: what was renamed before another one may be torn."""

from __future__ import annotations

from functools import cache
from pathlib import Path

_FILE = Path("/proc/sys/kernel/random/boot_id")


@cache
def boot_id() -> str:
    """Return a text that is another one after a reboot; "" where the system does not say."""
    try:
        return _FILE.read_text(encoding="ascii").strip()
    except OSError:
        return ""
