"""The caches miss exactly what libcachesim, an independent simulator, misses."""

from __future__ import annotations

import importlib
from typing import Any

import pytest
from replays import trace

from warmcache._simulation.replay import replay

pytestmark = [pytest.mark.oracle, pytest.mark.traces]


@pytest.mark.parametrize("share", [0.05, 0.1, 0.2, 0.4])
@pytest.mark.parametrize("name", ["azfunc2019_100apps", "synth_hub60", "semi_azpop300"])
@pytest.mark.parametrize("policy", ["LRU", "FIFO"])
def test_as_many_misses_as_in_libcachesim(policy: str, name: str, share: float) -> None:
    theirs: Any = importlib.import_module("libcachesim")
    asked_for = trace(name)
    budget = int(asked_for.footprint * share)
    numbers = {key: number for number, key in enumerate(asked_for.sizes, 1)}
    cache = getattr(theirs, policy)(budget, hashpower=12)
    misses = 0
    for key in asked_for.keys:
        asked = theirs.Request(obj_size=int(asked_for.sizes[key]), obj_id=numbers[key])
        misses += not cache.get(asked)
    assert misses == replay(asked_for, policy.lower(), budget).misses
