"""The traces that lie beside the tests, what policies pay on them, and loads without a loader."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

from warmcache._simulation.replay import Outcome, put_loaded, replay
from warmcache._simulation.trace_file import Trace, read_trace

TRACES = Path(__file__).parents[1] / "traces"


@cache
def trace(name: str) -> Trace:
    return read_trace(TRACES / f"{name}.csv.gz")


@cache
def paid(name: str, policy: str, share: float) -> Outcome:
    """Return what ``policy`` makes of a trace with that share of its footprint."""
    return replay(trace(name), policy, int(trace(name).footprint * share))


def store(cache: Any, key: Any, weight: float = 1, seconds: float = 1) -> None:
    """Load ``key`` into ``cache`` as ``@warm`` would."""
    put_loaded(cache, key, weight, seconds, 0)


def on_a_long_leash(cache: Any) -> Any:
    """Have ``cache`` choose by rank alone, as if LRU had paid a lot by now; return it."""
    cache._store.order.choice.leash.lru = 1e12
    return cache
