"""What memory caches are told when they are made, and tell in the table of devices."""

from __future__ import annotations

from typing import Any

import pytest
from rigs import GiB, Rig

import warmcache
from warmcache.memory import MemoryCache
from warmcache.testing import FakeProbe, ManualClock


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (dict(budget=-1), "budget must be a size or a fraction, 0 or more, got -1"),
        (dict(budget=float("inf")), "budget must be a size or a fraction.*got inf"),
        (dict(budget="much"), "budget must be a size or a fraction, got 'much'"),
        (dict(low=0.95), "0 < low <= high <= 1"),
        (dict(high=1.5), "high must be a fraction"),
        (dict(poll=-1), "poll must be seconds, 0 or more, got -1"),
        (dict(headroom="x"), "headroom must be a size or a fraction, got 'x'"),
    ],
)
def test_bad_arguments_are_refused(options: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Rig(**options)


def test_a_budget_is_bytes_or_text_or_a_fraction_of_the_device() -> None:
    probe = FakeProbe(10 * GiB)
    for budget, expected in [(GiB, 1), ("2GiB", 2), (0.5, 5), (None, 9)]:
        assert expected * GiB == MemoryCache(budget, probe=probe, poll=0).budget
    probe.unknown = True
    with pytest.raises(ValueError, match="must be given in bytes"):
        MemoryCache(0.5, probe=probe)


def test_ages_go_by_the_timer() -> None:
    clock = ManualClock()
    rig = Rig(timer=clock)
    rig.loader()("a")
    clock.advance(7)
    assert 7 == rig.cache.entries()[0].age


def test_the_table_of_devices_tells_what_each_cache_of_the_process_holds() -> None:
    rig = Rig()
    rig.probe.name = "this test's card"
    rig.loader()("a", 3)
    (line,) = [line for line in warmcache.devices_table().splitlines() if rig.probe.name in line]
    assert "MemoryCache this test's card 1 3.0 GiB 12.0 GiB" == " ".join(line.split())
