"""``policy="auto"``: the GPU where there is one, else the machine, and a word about that."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from fakenvml import GIB, FakeNvml

from warmcache import LRUCache, ProbeUnavailable, warm
from warmcache.memory import AutoMemoryCache, GPUMemoryCache
from warmcache.probes import HostProbe, TorchProbe

OTHER = "GPU-22222222-aaaa-bbbb-cccc-000000000002"


def test_auto_takes_the_gpu_where_there_is_one(
    fake: FakeNvml, caplog: pytest.LogCaptureFixture
) -> None:
    fake.add(total=80 * GIB)
    load = warm(policy="auto", poll=0)(lambda name: object())
    cache = load.cache
    assert isinstance(cache, AutoMemoryCache)
    assert isinstance(cache.probe, TorchProbe)
    assert ("cuda:0", 72 * GIB) == (cache.device, cache.budget)
    assert [] == caplog.messages


def test_auto_takes_the_card_that_was_named(fake: FakeNvml) -> None:
    fake.add(total=80 * GIB)
    fake.add(OTHER, total=40 * GIB, bus=1)
    for device in (1, OTHER):
        cache: AutoMemoryCache[str, object] = AutoMemoryCache(0.5, device=device, poll=0)
        assert 20 * GIB == cache.budget


def test_a_budget_of_a_card_goes_with_any_policy(fake: FakeNvml) -> None:
    fake.add(total=80 * GIB)
    fake.add(OTHER, total=40 * GIB, bus=1)
    options = {"policy": "lru", "budget": "20GiB", "ttl": 60, "poll": 0}
    for device, name in ((0, "cuda:0"), ("cuda:1", "cuda:1"), (OTHER, None)):
        cache = warm(device=device, **options)(lambda name: object()).cache
        assert isinstance(cache, GPUMemoryCache) and isinstance(cache, LRUCache)
        assert (name, 20 * GIB, 60) == (cache.device, cache.budget, cache.ttl)
    assert "cuda:0" == warm(**options)(lambda name: object()).cache.device, "the first, if any"
    assert 36 * GIB == warm(policy="lru", device=1, poll=0)(lambda name: object()).cache.budget


def test_without_a_gpu_a_budget_is_of_the_machine_unless_a_card_is_named(fake: FakeNvml) -> None:
    cache = warm(policy="lru", budget=GIB, poll=0)(lambda name: object()).cache
    assert isinstance(cache.probe, HostProbe)
    with pytest.raises(ProbeUnavailable, match="the driver shows no GPU"):
        warm(policy="lru", budget=GIB, device=0)(lambda name: object())


def test_without_a_gpu_auto_takes_the_machine_and_who_asked_for_a_gpu_is_told(
    fake: FakeNvml,
) -> None:
    cache: AutoMemoryCache[str, object] = AutoMemoryCache(GIB, poll=0)
    assert isinstance(cache.probe, HostProbe)
    assert "cpu" == cache.device
    with pytest.raises(ProbeUnavailable, match="the driver shows no GPU"):
        GPUMemoryCache(GIB)


def test_that_there_is_no_gpu_is_said_once_a_process(fake: FakeNvml, library: Path) -> None:
    script = """
from warmcache import warm
from warmcache.memory import AutoMemoryCache

for _ in range(2):
    AutoMemoryCache("1GiB", poll=0)
    warm(policy="auto", budget="1GiB", poll=0)(lambda name: object())
"""
    ran = subprocess.run(
        [sys.executable, "-c", script],
        env={**os.environ, **fake.environ(library)},
        capture_output=True,
        text=True,
        timeout=50,
        check=True,
    )
    (said,) = ran.stderr.splitlines()
    assert re.fullmatch(r"no GPU \(.+\): budgets are of the machine.s memory", said)
