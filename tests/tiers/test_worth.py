"""What is worth keeping, and what is forgotten as reading it takes longer than its load did."""

from __future__ import annotations

from typing import Any

import pytest

from warmcache import DiskTier, warm
from warmcache.tiers import worth
from warmcache.tiers.worth import Worth

_has_read = Worth.has_read  # as it is where no fixture is


@pytest.fixture(autouse=True)
def everything_pays(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worth, "_MARGIN", 2.0)


def test_a_load_must_take_more_than_twice_what_the_disk_does() -> None:
    it = Worth()
    disk = it.writing.of(1e6) + it.reading.of(1e6)
    assert it.pays(2.01 * disk, 1e6) and not it.pays(1.99 * disk, 1e6)


def test_what_it_takes_is_learned() -> None:
    it = Worth()
    usual = it.reading.of(1000)
    for _ in range(40):
        it.reading.took(1000, 10 * usual)
    assert 9 * usual < it.reading.of(1000) < 11 * usual
    for _ in range(40):
        it.reading.took(1000, 0.0)  # a clock that saw nothing pass
    assert 0 < it.reading.of(1000) < usual


def test_one_slow_read_among_quick_ones_is_not_slower_than_the_load() -> None:
    it = Worth()
    usual = it.reading.of(1000)
    assert not _has_read(it, 1000, 5 * usual, instead_of=3 * usual)
    slower = [_has_read(it, 1000, 5 * usual, instead_of=3 * usual) for _ in range(10)]
    assert slower[-1]
    assert not _has_read(it, 1000, 2 * usual, instead_of=3 * usual)


def test_what_loads_as_quickly_is_not_kept(tier: DiskTier) -> None:
    load: Any = warm(disk=tier, name="load", maxsize=0)(lambda: 1)
    load(), load()
    assert (2, 0) == (tier.stats().not_worth, tier.stats().writes)


def test_what_turns_out_slower_to_read_is_forgotten(
    tier: DiskTier, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worth, "_MARGIN", -1.0)
    monkeypatch.setattr(Worth, "has_read", lambda *_, instead_of: True)
    load: Any = warm(disk=tier, name="load", maxsize=0)(lambda: 1)
    assert 1 == load() == load()
    stats = tier.stats()
    assert (1, 1, 0) == (stats.slower, stats.writes, stats.entries)
