"""Folders for stores, stores that are closed in the end, packages that a test writes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from written_packages import Packages

from warmcache._disk.store import DiskStore

Open = Callable[..., DiskStore]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "store"


@pytest.fixture
def opened(folder: Path) -> Iterator[Open]:
    made: list[DiskStore] = []

    def make(**options: Any) -> DiskStore:
        made.append(DiskStore(folder, **options))
        return made[-1]

    yield make
    for each in made:
        each.close()


@pytest.fixture
def store(opened: Open) -> DiskStore:
    return opened()


@pytest.fixture
def packages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Packages:
    """Packages named ``app`` that a test writes and imports; none is left."""
    return Packages(tmp_path, monkeypatch)
