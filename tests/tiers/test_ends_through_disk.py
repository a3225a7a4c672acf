"""Times count from the load, through the disk, in whatever way it is said when a value ends."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import pytest

from warmcache import DiskTier, LRUCache, TLRUCache, TTLCache, warm
from warmcache.tiers import disk_tier

HOUR = timedelta(hours=1)
ENDS: dict[str, Callable[[], dict[str, Any]]] = {
    "seconds": lambda: {"policy": "lru", "maxsize": 8, "ttl": 3600},
    "a span": lambda: {"cache": LRUCache(8, timer=datetime.now), "ttl": HOUR},
    "a span of the cache": lambda: {"cache": TTLCache(8, HOUR, timer=datetime.now)},
    "a function": lambda: {
        "policy": "tlru",
        "maxsize": 8,
        "ttu": lambda key, value, now: now + 3600,
    },
    "of the value": lambda: {"cache": TLRUCache(8, lambda key, value, now: now + value[1])},
}


@pytest.mark.parametrize("batch", [None, "names"])
@pytest.mark.parametrize("ends", ENDS)
def test_a_value_is_used_as_long_as_is_said(
    ends: str, batch: str | None, tier: DiskTier, monkeypatch: pytest.MonkeyPatch
) -> None:
    loads: list[object] = []

    @warm(disk=tier, name="load", code=False, batch=batch, **ENDS[ends]())
    def load(names: Any) -> Any:
        loads.append(names)
        return ["value", 3600] if batch is None else [["value", 3600] for _ in names]

    def again_after(seconds: float) -> int:
        load.cache.clear()
        monkeypatch.setattr(disk_tier.time, "time", lambda: loaded + seconds)
        load("a" if batch is None else ["a"])
        return len(loads)

    loaded = time.time()
    assert 1 == again_after(0)
    assert 1 == again_after(3000)
    assert 2 == again_after(3700)


async def test_so_it_is_on_an_event_loop(tier: DiskTier, monkeypatch: pytest.MonkeyPatch) -> None:
    loads: list[str] = []

    @warm(disk=tier, name="load", code=False, loop_bound=False, **ENDS["of the value"]())
    async def load(name: str) -> list[object]:
        loads.append(name)
        return [name, 3600]

    await load("a")
    await load.cache_clear()
    loaded = time.time()
    monkeypatch.setattr(disk_tier.time, "time", lambda: loaded + 3700)
    await load("a")
    assert ["a", "a"] == loads
