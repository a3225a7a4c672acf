"""A folder for a store, and stores in it that are closed in the end."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

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
