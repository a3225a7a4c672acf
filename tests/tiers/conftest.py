"""A disk on which everything is worth keeping, and what counts the calls of a loader."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from parked import Machine

from warmcache import DiskTier
from warmcache.memory import host_parking
from warmcache.tiers import worth


@pytest.fixture(autouse=True)
def everything_pays(monkeypatch: pytest.MonkeyPatch) -> None:
    """Loads of tests take no time: keep what they give, and do not find that reading is slower."""
    monkeypatch.setattr(worth, "_MARGIN", -1.0)
    monkeypatch.setattr(worth.Worth, "has_read", lambda *_, instead_of: False)


@pytest.fixture
def tier(tmp_path: Path) -> Iterator[DiskTier]:
    made = DiskTier(tmp_path / "tier")
    yield made
    made.close()


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> Machine:
    """The machine's memory, as host tiers see it from now on."""
    machine = Machine()
    monkeypatch.setattr(host_parking, "HostProbe", lambda: machine)
    return machine
