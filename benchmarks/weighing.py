"""What the policies cost that weigh load seconds: a store, a miss, and the longest miss."""

from __future__ import annotations

import gc
import itertools
import time
from collections.abc import Callable
from functools import partial
from typing import Any

from .contenders import OURS, Warmcache
from .mappings import inserting
from .timing import Line, Settings, enough, frozen_collector, interleave, looped

_CHUNK = 500  # misses of which the longest counts, once a round


def insert_weighing(settings: Settings) -> list[Line]:
    """Storing a new key in a full cache that weighs costs, beside the same under LRU."""
    small = settings.limits[0]
    samples = _inserts(settings, "gdsf", (small,)) | _inserts(settings, "cost", settings.weighed)
    low, high = settings.weighed[1], settings.weighed[-1]
    growth = Line(
        f"growth-cost-{high}",
        f"growth of that under cost from {low:,} to {high:,}",
        f"its own at {low:,}",
        {OURS: samples["cost", high]},
        {OURS: samples["cost", low]},
    )
    titles = [("gdsf", small), *(("cost", limit) for limit in settings.weighed)]
    return [
        *(
            _beside_lru(
                f"insert-{policy}-{limit}",
                f"insert with eviction under {policy}, {limit:,} entries",
                samples[policy, limit],
                samples[f"lru beside {policy}", limit],
            )
            for policy, limit in titles
        ),
        growth,
    ]


def _inserts(
    settings: Settings, policy: str, limits: tuple[int, ...]
) -> dict[tuple[str, int], list[float]]:
    measures = {
        (title, limit): inserting(Warmcache(), Warmcache().mapping(limit, name), limit, settings)
        for limit in limits
        for title, name in ((f"lru beside {policy}", "lru"), (policy, policy))
    }
    with frozen_collector():
        tick = partial(settings.tick, f"insert with eviction under {policy}")
        return interleave(measures, settings.slow_rounds, tick=tick)


def miss_weighing(settings: Settings) -> list[Line]:
    """A call that loads (at once) and evicts under cost, and the longest of many, beside LRU."""
    sizes = (settings.weighed[1], settings.weighed[-1])
    return [line for limit in sizes for line in _misses(settings, limit)]


def _misses(settings: Settings, limit: int) -> list[Line]:
    title = f"miss with eviction under cost, {limit:,} entries"
    full = {policy: _full(policy, limit) for policy in ("lru", "cost")}
    timed = {
        policy: looped("f(next(keys))", {"f": f, "keys": itertools.count(limit)})
        for policy, f in full.items()
    }
    with frozen_collector():
        measures = {
            policy: partial(one, enough(one, settings.mapping_seconds))
            for policy, one in timed.items()
        }
        tick = partial(settings.tick, title)
        samples = interleave(measures, settings.slow_rounds, tick=tick)
        new = itertools.count(10**9)
        longest = {policy: partial(_longest, f, new) for policy, f in full.items()}
        pauses = interleave(longest, settings.slow_rounds, tick=tick)
    return [
        _beside_lru(f"miss-cost-{limit}", title, samples["cost"], samples["lru"]),
        _beside_lru(
            f"pause-cost-{limit}",
            f"longest of {_CHUNK} misses under cost, {limit:,} entries",
            pauses["cost"],
            pauses["lru"],
        ),
    ]


def _beside_lru(id: str, title: str, samples: list[float], lru: list[float]) -> Line:
    return Line(id, title, "its own under LRU", {OURS: samples}, {OURS: lru})


def _full(policy: str, limit: int) -> Callable[[int], object]:
    import warmcache

    @warmcache.warm(policy=policy, maxsize=limit)
    def load(key: int) -> object:
        return object()

    for key in range(limit):
        load(key)
    return load


def _longest(load: Callable[[Any], object], new: Any) -> float:
    """Return the longest of some misses, by this thread's own time, without the collector."""
    clock, longest = time.thread_time, 0.0
    gc.disable()
    try:
        for key in itertools.islice(new, _CHUNK):
            start = clock()
            load(key)
            longest = max(longest, clock() - start)
    finally:
        gc.enable()
    return longest
