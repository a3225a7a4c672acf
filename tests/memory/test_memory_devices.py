"""Which device a memory cache means, what it sees there, how it gives memory back; defaults."""

from __future__ import annotations

import subprocess
import sys
import threading
import weakref
from types import SimpleNamespace
from typing import Any

import pytest
from rigs import GiB, Model

from warmcache import GPUMemoryCache, HostMemoryCache, warm
from warmcache.memory import MemoryCache
from warmcache.testing import FakeProbe

CAP = 5.0
UUID = "GPU-11111111-aaaa-bbbb-cccc-000000000001"


class Array:
    """An array on a card, as CuPy and Numba have them."""

    def __init__(self, card: int, nbytes: int = GiB) -> None:
        self.device = SimpleNamespace(id=card)
        self.nbytes = nbytes

    @property
    def __cuda_array_interface__(self) -> dict[str, Any]:
        shape = (self.nbytes,)
        return dict(data=(4096, False), shape=shape, strides=None, typestr="|u1", version=3)


def weighed(cache: Any, card: int) -> tuple[float, str | None]:
    """Return what an array on ``card`` weighs in ``cache``, and how that is known."""
    warm(cache=cache)(lambda: Array(card))()
    (entry,) = cache.entries()
    return entry.weight, entry.weighed_by


# -- the right card --------------------------------------------------------------------


@pytest.mark.parametrize("card", [0, 1, 3])
def test_a_gpu_cache_has_the_name_of_its_card(card: int) -> None:
    probe = FakeProbe(16 * GiB)
    assert f"cuda:{card}" == GPUMemoryCache(device=card, probe=probe, poll=0).device


def test_a_gpu_cache_sees_what_lies_on_its_card_and_nothing_else() -> None:
    for card, seen in [(1, (GiB, "footprint")), (0, (0, None)), (2, (0, None))]:
        cache: Any = GPUMemoryCache(8 * GiB, device=1, probe=FakeProbe(16 * GiB), poll=0)
        assert seen == weighed(cache, card)


def test_a_card_with_a_uuid_is_seen_once_its_number_is_known() -> None:
    probe = FakeProbe(16 * GiB)
    probe.index = 2  # type: ignore[attr-defined]
    for card, seen in [(2, (GiB, "footprint")), (0, (0, None))]:
        cache: Any = GPUMemoryCache(8 * GiB, device=UUID, probe=probe, poll=0)
        assert seen == weighed(cache, card)


def test_a_host_cache_is_named_cpu_and_sees_nothing_that_lies_on_a_card() -> None:
    cache: Any = HostMemoryCache(8 * GiB, probe=FakeProbe(16 * GiB), poll=0)
    assert "cpu" == cache.device
    assert (0, None) == weighed(cache, 0)


# -- memory is given back --------------------------------------------------------------


def test_a_gpu_cache_empties_torchs_reserve_once_a_value_that_was_torn_down_is_dead(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    probe, value = FakeProbe(16 * GiB, caching=True), []
    dead: list[bool] = []

    def empty_cache() -> None:
        dead.append(value[0]() is None)
        probe.empty_cache()

    cuda = SimpleNamespace(
        is_initialized=lambda: True,
        is_current_stream_capturing=lambda: False,
        empty_cache=empty_cache,
    )
    monkeypatch.setitem(sys.modules, "torch", SimpleNamespace(cuda=cuda, __version__="2"))
    cache: Any = GPUMemoryCache(8 * GiB, probe=probe, poll=0, confirm=0)

    @warm(cache=cache, size=GiB)
    def load() -> Model:
        model = Model(probe, GiB)
        value.append(weakref.ref(model))
        return model

    load()
    assert [] == dead
    load.evict()
    assert [True] == dead
    assert 0 == probe.sample().reserved


def test_a_capture_of_a_cuda_graph_is_not_broken_by_a_teardown(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def empty_cache() -> None:
        pytest.fail("the capture is broken")

    cuda = SimpleNamespace(
        is_initialized=lambda: True,
        is_current_stream_capturing=lambda: True,
        empty_cache=empty_cache,
    )
    monkeypatch.setitem(sys.modules, "torch", SimpleNamespace(cuda=cuda, __version__="2"))
    cache: Any = GPUMemoryCache(8 * GiB, probe=FakeProbe(16 * GiB), poll=0)
    cache["x"] = object()
    (removal,) = cache.evict(key="x")
    assert ("x", 0) == (removal.key, cache.stats().teardown_failures)


def test_a_gpu_cache_has_cupys_pool_return_its_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    freed: list[None] = []
    pool = SimpleNamespace(free_all_blocks=lambda: freed.append(None))
    cupy = SimpleNamespace(get_default_memory_pool=lambda: pool)
    monkeypatch.setitem(sys.modules, "cupy", cupy)
    cache: Any = GPUMemoryCache(8 * GiB, probe=FakeProbe(16 * GiB), poll=0)
    cache["x"] = object()
    cache.evict(key="x")
    assert [None] == freed


def test_the_machine_has_back_what_the_c_library_would_keep() -> None:
    # 64 MiB in pieces too small for maps of their own, under one more that stays: unless it
    # is told to, the C library keeps them all.
    script = """
from warmcache.memory import HostMemoryCache
from warmcache.probes import HostProbe

cache = HostMemoryCache("1GiB", poll=0, headroom=0)
cache["x"] = [b"x" * (65_000 + n) for n in range(1_000)]
stays, probe = [b"x" * (65_000 + n) for n in range(10)], HostProbe()
before = probe.allocated()
cache.evict(key="x")
print(before - probe.allocated())
"""
    ran = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=50, check=True
    )
    assert int(ran.stdout) > 50_000_000


# -- what holds unless it is said otherwise ----------------------------------------------


@pytest.mark.parametrize(("total", "headroom"), [(80, 1.0), (20, 1.0), (10, 0.5), (4, 0.2)])
def test_headroom_is_a_gib_or_a_twentieth_of_a_small_device(total: int, headroom: float) -> None:
    cache: MemoryCache[Any, Any] = MemoryCache(probe=FakeProbe(total * GiB), poll=0)
    assert headroom * GiB == cache.headroom


def test_headroom_is_a_gib_where_the_size_of_the_device_is_not_known() -> None:
    probe = FakeProbe(0)
    probe.unknown = True
    assert GiB == MemoryCache(GiB, probe=probe, poll=0).headroom


def test_the_usual_headroom_stays_free_too() -> None:
    probe = FakeProbe(10 * GiB)
    cache: Any = MemoryCache(10 * GiB, probe=probe, poll=0)
    load = warm(cache=cache, size="2.4GiB")(lambda name: Model(probe, int(2.4 * GiB)))
    for name in "abcde":
        load(name)
    assert 3 == len(cache), "four would leave 0.4 GiB"


def test_the_watcher_looks_every_second() -> None:
    cache: MemoryCache[Any, Any] = MemoryCache(GiB, probe=FakeProbe(4 * GiB))
    assert 1 == cache.expire_now()


def test_the_watcher_looks_though_nobody_touches_the_cache() -> None:
    looked = threading.Event()

    class Probe(FakeProbe):
        def sample(self) -> Any:
            looked.set()
            return super().sample()

    cache: MemoryCache[Any, Any] = MemoryCache(GiB, probe=Probe(4 * GiB), poll=0.01)
    for _ in range(3):
        looked.clear()
        assert looked.wait(CAP)
    cache.close()


def test_the_watcher_leaves_what_is_younger_than_ten_seconds_alone() -> None:
    now, probe = [0.0], FakeProbe(10 * GiB)
    # The janitor looks in an hour: here the test does.
    cache: Any = MemoryCache(8 * GiB, probe=probe, poll=3600.0, confirm=0, timer=lambda: now[0])
    cache["x"] = object()
    probe.foreign = 10 * GiB
    now[0] = 9.9
    for _ in range(5):
        cache.expire_now()
    assert "x" in cache
    probe.foreign = 0
    cache.expire_now()  # relief: the next round begins at once
    probe.foreign = 10 * GiB
    now[0] = 10.0
    for _ in range(5):
        cache.expire_now()
    assert "x" not in cache
