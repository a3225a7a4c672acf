"""The caches miss exactly what libcachesim, an independent simulator, misses."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

import pytest

from warmcache._replay import replay
from warmcache._traces import read_trace

TRACES = Path(__file__).parent / "traces"
pytestmark = pytest.mark.oracle


@pytest.mark.parametrize("share", [0.05, 0.1, 0.2, 0.4])
@pytest.mark.parametrize("name", ["azfunc2019_100apps", "synth_hub60", "semi_azpop300"])
@pytest.mark.parametrize("policy", ["LRU", "FIFO"])
def test_as_many_misses_as_in_libcachesim(policy: str, name: str, share: float) -> None:
    theirs: Any = importlib.import_module("libcachesim")
    trace = read_trace(TRACES / f"{name}.csv.gz")
    budget = int(trace.footprint * share)
    numbers = {key: number for number, key in enumerate(trace.sizes, 1)}
    cache = getattr(theirs, policy)(budget, hashpower=12)
    misses = 0
    for key in trace.keys:
        asked = theirs.Request(obj_size=int(trace.sizes[key]), obj_id=numbers[key])
        misses += not cache.get(asked)
    assert misses == replay(trace, policy.lower(), budget).misses
