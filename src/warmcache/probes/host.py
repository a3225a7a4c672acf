"""The machine's own memory, within what a container may use of it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from .probe import Sample

_UNLIMITED = 2**60  # cgroup v1 writes its "no limit" as a number near 2**63
_RESIDENT = 1  # the place of the resident pages in statm


@dataclass(frozen=True, slots=True)
class _Layout:
    """What a version of cgroups calls its files."""

    limits: tuple[str, ...]
    usage: str
    reclaimable: str  # in memory.stat: file pages that the kernel drops when it needs room


# Above memory.high nothing is killed, but the process is slowed until it is of no use.
_V2 = _Layout(("memory.max", "memory.high"), "memory.current", "inactive_file")
_V1 = _Layout(("memory.limit_in_bytes",), "memory.usage_in_bytes", "total_inactive_file")


@dataclass(frozen=True, slots=True)
class _Mount:
    """Where a hierarchy of cgroups is seen, and which part of it."""

    layout: _Layout
    root: PurePosixPath
    point: Path


class HostProbe:
    """The memory of the machine, or what the tightest cgroup leaves of it to this process.

    The limits of all cgroups that can be seen count, from the process' own to the
    outermost: ``total`` is the least of them and of the machine's memory, and ``free``
    the least that any of them has left. File pages that the kernel can drop count as
    free. Where there is no ``/proc``, psutil is asked, if it is installed.

    Args:
        root: the folder that holds ``proc`` and ``sys``; tests bring one of their own.
    """

    name = "this machine's memory"

    def __init__(self, root: str | Path = "/") -> None:
        self._root = Path(root)
        self._mounts = list(self._find_mounts())

    @property
    def device_id(self) -> str:
        """What caches of the same memory have in common: the machine, and this process' cgroup."""
        memberships = _read(self._root / "proc/self/cgroup").splitlines()
        own = [_membership(memberships, mount.layout) for mount in self._mounts]
        return ":".join(["host", str(self._root), *[str(each) for each in own if each is not None]])

    def sample(self) -> Sample:
        rooms = [room for room in (self._machine(), *self._cgroups()) if room is not None]
        totals = [total for total, _ in rooms if total is not None]
        frees = [free for _, free in rooms if free is not None]
        total, free = min(totals, default=None), min(frees, default=None)
        used = None if total is None or free is None else max(total - free, 0)
        return Sample(total=total, free=free, used=used)

    def allocated(self) -> int | None:
        """Return the bytes of this process in physical memory (RSS), mapped files included."""
        statm = _read(self._root / "proc/self/statm")
        try:
            return int(statm.split()[_RESIDENT]) * os.sysconf("SC_PAGE_SIZE")
        except (IndexError, ValueError):
            psutil = self._psutil()
            return None if psutil is None else int(psutil.Process().memory_info().rss)

    def _machine(self) -> tuple[int | None, int | None]:
        figures = _table(_read(self._root / "proc/meminfo"))
        if "MemTotal" in figures:
            return _kib(figures.get("MemTotal")), _kib(figures.get("MemAvailable"))
        psutil = self._psutil()
        if psutil is None:
            return None, None
        memory = psutil.virtual_memory()
        return int(memory.total), int(memory.available)

    def _psutil(self) -> Any:
        """Return psutil, if there is no /proc and it is installed."""
        if (self._root / "proc/meminfo").exists():
            return None
        try:
            import psutil  # pyright: ignore[reportMissingModuleSource]
        except ImportError:
            return None
        return psutil

    def _cgroups(self) -> Iterator[tuple[int, int | None]]:
        """Yield the limit of every cgroup that holds this process, and what it has left."""
        memberships = _read(self._root / "proc/self/cgroup").splitlines()
        for mount in self._mounts:
            own = _membership(memberships, mount.layout)
            if own is None:
                continue
            # A process may be told a path of which its container shows only the end.
            below = own.relative_to(mount.root) if own.is_relative_to(mount.root) else None
            folder = mount.point if below is None else mount.point / below
            while folder.is_relative_to(mount.point):
                room = _room(folder, mount.layout)
                if room is not None:
                    yield room
                folder = folder.parent

    def _find_mounts(self) -> Iterator[_Mount]:
        for line in _read(self._root / "proc/self/mountinfo").splitlines():
            before, _, after = line.partition(" - ")
            fields, (kind, *more) = before.split(), after.split() or [""]
            v1 = kind == "cgroup" and "memory" in more[-1].split(",")
            if len(fields) > 4 and (v1 or kind == "cgroup2"):
                point = self._root / _unescaped(fields[4]).lstrip("/")
                root = PurePosixPath(_unescaped(fields[3]))
                yield _Mount(_V1 if v1 else _V2, root, point)


def _membership(lines: list[str], layout: _Layout) -> PurePosixPath | None:
    """Return the path of this process' cgroup: ``4:memory:/a/b``, or ``0::/a/b`` in v2."""
    for line in lines:
        number, _, rest = line.partition(":")
        controllers, _, path = rest.partition(":")
        found = "memory" in controllers.split(",") if layout is _V1 else number == "0"
        if found and ".." not in path:
            return PurePosixPath(path)
        if found:  # it is outside of what its namespace shows
            return PurePosixPath("/")
    return None


def _room(folder: Path, layout: _Layout) -> tuple[int, int | None] | None:
    """Return a cgroup's limit and what it has left; None if it has no limit."""
    limits = [_number(_read(folder / name)) for name in layout.limits]
    limit = min((limit for limit in limits if limit is not None), default=_UNLIMITED)
    if limit >= _UNLIMITED:
        return None
    usage = _number(_read(folder / layout.usage))
    if usage is None:
        return limit, None
    reclaimable = _number(_table(_read(folder / "memory.stat")).get(layout.reclaimable, "")) or 0
    return limit, max(limit - max(usage - reclaimable, 0), 0)


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""


def _table(text: str) -> dict[str, str]:
    """Return a file of ``name value`` lines as a dict."""
    rows = (line.split() for line in text.splitlines())
    return {row[0].rstrip(":"): row[1] for row in rows if len(row) > 1}


def _number(text: str) -> int | None:
    text = text.strip()
    return int(text) if text.isdecimal() else None


def _kib(text: str | None) -> int | None:
    number = _number(text or "")
    return None if number is None else number * 1024


def _unescaped(path: str) -> str:
    r"""Return a path of mountinfo, which writes a space as ``\040``."""
    for code, character in (("\\040", " "), ("\\011", "\t"), ("\\012", "\n"), ("\\134", "\\")):
        path = path.replace(code, character)
    return path
