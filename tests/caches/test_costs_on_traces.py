"""What cost and gdsf pay on recorded traces, beside lru and another simulator."""

from __future__ import annotations

from typing import Any

import pytest
from replays import paid, trace

import warmcache
from warmcache import GDSFCache
from warmcache._simulation.replay import replay


@pytest.mark.traces
@pytest.mark.parametrize(
    ("name", "policy", "share", "most"),
    [
        ("azfunc2019_100apps", "cost", 0.1, 0.57),
        ("azfunc2019_100apps", "cost", 0.2, 0.37),
        ("azfunc2019_100apps", "gdsf", 0.2, 0.37),
        ("synth_hub60", "cost", 0.2, 0.85),
        ("synth_hub60", "cost", 0.4, 0.80),
    ],
)
def test_it_pays_at_most_this_share_of_what_lru_pays(
    name: str, policy: str, share: float, most: float
) -> None:
    ours, lru = paid(name, policy, share), paid(name, "lru", share)
    assert ours.load_seconds <= most * lru.load_seconds


@pytest.mark.traces
@pytest.mark.parametrize("share", [0.05, 0.1, 0.2, 0.4])
@pytest.mark.parametrize("name", ["azfunc2019_100apps", "semi_azpop300", "synth_hub60"])
def test_cost_never_pays_more_than_lru(name: str, share: float) -> None:
    assert paid(name, "cost", share).load_seconds < paid(name, "lru", share).load_seconds


@pytest.mark.oracle
@pytest.mark.traces
@pytest.mark.parametrize(
    ("name", "share", "restarts", "kept"),
    [
        ("azfunc2019_100apps", 0.1, 0.65, 0.73),
        ("azfunc2019_100apps", 0.2, 0.36, 0.51),
        ("synth_hub60", 0.2, 1.01, 0.95),
        ("synth_hub60", 0.4, 1.06, 0.86),
    ],
)
def test_gdsf_pays_what_another_simulator_says(
    name: str, share: float, restarts: float, kept: float
) -> None:
    class Keeping(GDSFCache[Any, Any]):
        def __init__(self, maxsize: float) -> None:
            super().__init__(maxsize, keep_uses=True)

    lru = paid(name, "lru", share).load_seconds
    assert restarts == round(paid(name, "gdsf", share).load_seconds / lru, 2)
    warmcache.policies.register("keeping")(Keeping)
    try:
        keeping = replay(trace(name), "keeping", int(trace(name).footprint * share))
    finally:
        warmcache.policies.unregister("keeping")
    assert abs(kept - keeping.load_seconds / lru) < 0.02


def test_the_traces_are_those_that_the_reference_names() -> None:
    counts = {"azfunc2019_100apps": (35_261, 100), "synth_hub60": (40_000, 60)}
    counts |= {"semi_azpop300": (137_614, 287)}
    assert counts == {name: (len(trace(name)), len(trace(name).sizes)) for name in counts}
