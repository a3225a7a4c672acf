"""What tests of memory caches share: threads that are waited for; caches that share a node."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from node_caches import CacheProcess, Sharer
from node_members import Member, processes

from warmcache._node import ledger, membership


@pytest.fixture
def start() -> Iterator[Callable[..., Future[Any]]]:
    with ThreadPoolExecutor(8) as pool:
        yield pool.submit


@pytest.fixture
def sharer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Sharer]]:
    """Give what makes caches of one node in this process; warnings begin anew."""
    monkeypatch.setattr(ledger, "_told", [])
    monkeypatch.setattr(membership, "_told", [])
    made: list[Sharer] = []

    def make(**options: Any) -> Sharer:
        made.append(Sharer(tmp_path, **options))
        return made[-1]

    yield make
    for each in made:
        each.close()


@pytest.fixture
def other(tmp_path: Path) -> Iterator[Callable[..., CacheProcess]]:
    """Give what makes caches of that node in processes of their own; these are killed."""
    with processes(CacheProcess) as begin:
        yield lambda **options: begin(tmp_path, **options)


@pytest.fixture
def member(tmp_path: Path) -> Iterator[Callable[..., Member]]:
    """Give what makes members of the node that have no cache: other processes, to the caches."""
    made: list[Member] = []

    def make(**options: Any) -> Member:
        made.append(Member(tmp_path / "device", **options))
        return made[-1]

    yield make
    for each in made:
        each.close()
