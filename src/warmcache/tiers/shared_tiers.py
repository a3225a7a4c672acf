"""Tiers by name: loaders say ``disk="models"``, and one place says where that is."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from warmcache import _checks as checks
from warmcache._process.fork_safe_lock import ForkSafeLock
from warmcache._suggestions import nearest
from warmcache._tracebacks import one_frame

from .disk_tier import DiskTier

_guard = ForkSafeLock()
_tiers: dict[str, tuple[DiskTier, dict[str, Any]]] = {}
_of_paths: dict[Path, DiskTier] = {}


@one_frame
def disk(name: str, path: str | os.PathLike[str] | None = None, **options: Any) -> DiskTier:
    """Define or return the disk tier called ``name``, which loaders share: ``disk=name``.

    Args:
        name: what loaders say.
        path: its folder. Without it, the one that was defined is returned.
        options: those of :class:`DiskTier`.

    Raises:
        ValueError: it is defined otherwise already; or not yet, and no path was given.
    """
    checks.text("name", name, "the name of the tier")
    if path is None and not options:
        return named_tier(name)
    if path is None:
        raise checks.value_error("path", "the folder of the tier", path)
    said = {"path": str(Path(path).expanduser().absolute()), **options}
    with _guard.lock:
        known = _tiers.get(name)
    if known is None:
        made = DiskTier(path, **options)
        with _guard.lock:
            known = _tiers.setdefault(name, (made, said))
    if known[1] != said:
        raise ValueError(f"disk tier {name!r} is defined already, as {known[1]}, and not {said}")
    return known[0]


def named_tier(name: str) -> DiskTier:
    """Return the tier of that name.

    Raises:
        ValueError: nobody has defined it.
    """
    with _guard.lock:
        known = _tiers.get(name)
        names = [*_tiers]
    if known is None:
        hint = nearest(name, names)
        raise ValueError(
            f"no disk tier is called {name!r}{hint}: define it, warmcache.disk({name!r}, path=...)"
        )
    return known[0]


def find_tier(said: DiskTier | str | os.PathLike[str]) -> DiskTier:
    """Return the tier that ``disk=`` means: itself, one by name, or that of a path.

    Raises:
        PermissionError: the folder is another user's, or others may write to it.
        ValueError: nobody has defined one of that name.
    """
    if isinstance(said, DiskTier):
        return said
    if isinstance(said, str) and not is_path(said):
        return named_tier(said)
    path = Path(said).expanduser().absolute()
    with _guard.lock:
        known = _of_paths.get(path)
    if known is None:
        made = DiskTier(path)
        with _guard.lock:
            known = _of_paths.setdefault(path, made)
    return known


def is_path(said: str) -> bool:
    """Whether a text is a path, and no name."""
    return said.startswith(("~", ".")) or os.sep in said
