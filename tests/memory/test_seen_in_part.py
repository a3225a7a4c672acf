"""Values of which only a part is seen: a small array beside memory of a C library's."""

from __future__ import annotations

import ctypes
import gc
import sys
import threading
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from rigs import GiB, Model, Rig

from warmcache import RemovalCause, warm
from warmcache.memory import HostMemoryCache
from warmcache.memory.footprint import Footprint
from warmcache.testing import FakeProbe, assert_consistent

CAP = 5.0
MiB = 2**20


class Forest:
    """A small array, and what is not seen."""

    def __init__(self, probe: FakeProbe, hidden: float, seen: float = 1 / 1024) -> None:
        self.thresholds = np.zeros(int(seen * MiB), np.uint8)
        self.hidden = probe.block(int((hidden + seen) * MiB))


def machine(budget: str = "300MiB", **options: Any) -> HostMemoryCache[Any, Any]:
    probe = FakeProbe(16 * GiB)
    return HostMemoryCache(budget, probe=probe, poll=0, headroom=0, confirm=0, **options)


def forests(cache: HostMemoryCache[Any, Any], **options: Any) -> Any:
    @warm(cache=cache, **options)
    def load(name: str, hidden: float = 200, seen: float = 1 / 1024) -> Forest:
        return Forest(cache.probe, hidden, seen)  # type: ignore[arg-type]

    return load


def weights(cache: Any) -> list[tuple[int, str | None]]:
    return [(round(entry.weight / MiB), entry.weighed_by) for entry in cache.entries()]


# -- it counts -------------------------------------------------------------------------


def test_what_is_not_seen_of_a_value_counts_and_makes_others_go() -> None:
    cache = machine()
    load = forests(cache)
    for name in "abcd":
        load(name)
        assert (cache.probe.allocated() or 0) < 2 * 201 * MiB
    assert [(200, "allocator")] == weights(cache)
    assert {RemovalCause.SIZE: 3} == cache.stats().removals
    assert_consistent(cache)


def test_it_counts_on_a_device_whose_figures_are_exact() -> None:
    rig = Rig(footprint=lambda model: Footprint(16, (), ()))
    rig.loader()("a", 3)
    assert [(3 * 1024, "allocator")] == weights(rig.cache)


def test_it_counts_where_only_the_device_tells() -> None:
    rig = Rig(footprint=lambda model: Footprint(16, (), ()))
    rig.probe.allocated = lambda: None  # type: ignore[method-assign]
    rig.loader()("a", 3)
    assert [(3 * 1024, "device")] == weights(rig.cache)


def test_it_is_told_once_a_loader(caplog: pytest.LogCaptureFixture) -> None:
    cache = machine("1GiB")
    load = forests(cache)
    load("a"), load("b")
    (said,) = caplog.messages
    assert said.startswith("load('a', ") and said.endswith(
        " weighs 200.0 MiB by its allocator, which is used, but 1,024 by its footprint"
    )


def test_it_is_learned_and_reserved_the_next_time() -> None:
    cache = machine()
    reserved: list[float] = []

    @warm(cache=cache)
    def load() -> Forest:
        reserved.append(cache.stats().loading)
        return Forest(cache.probe, 200)  # type: ignore[arg-type]

    load()
    load.evict()
    load()
    assert [300, 200] == [round(each / MiB) for each in reserved]


def test_a_size_that_was_said_is_believed() -> None:
    cache = machine()
    forests(cache, size="1MiB")("a")
    assert [(1, "size")] == weights(cache)


@pytest.mark.parametrize(
    ("seen", "hidden", "expected"),
    [
        (0, 15, (0, "footprint")),  # less than 16 MiB
        (0, 17, (17, "allocator")),
        (80, 19, (80, "footprint")),  # less than a fifth
        (80, 21, (101, "allocator")),
    ],
)
def test_what_may_be_noise_does_not_count(
    seen: int, hidden: int, expected: tuple[int, str]
) -> None:
    cache = machine()
    forests(cache)("a", hidden, seen or 1 / 1024)
    assert [expected] == weights(cache)


# -- what is not the value's -----------------------------------------------------------


def test_what_an_import_takes_is_not_the_values(monkeypatch: pytest.MonkeyPatch) -> None:
    cache = machine()
    held: list[Any] = []

    @warm(cache=cache)
    def load(name: str) -> Forest:
        for number in range(400 if not held else 0):
            monkeypatch.setitem(sys.modules, f"a_library_{number}", ModuleType("a_library"))
        held.append(cache.probe.block(180 * MiB) if not held else None)  # type: ignore[attr-defined]
        return Forest(cache.probe, 1)  # type: ignore[arg-type]

    load("a"), load("b")
    assert 2 * [(0, "footprint")] == weights(cache)


def test_what_a_value_hides_beside_an_import_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    cache = machine()

    @warm(cache=cache)
    def load() -> Forest:
        monkeypatch.setitem(sys.modules, "a_library", ModuleType("a_library"))
        return Forest(cache.probe, 200)  # type: ignore[arg-type]

    load()
    assert [(200, "allocator")] == weights(cache)


def test_garbage_of_a_load_is_not_the_values() -> None:
    cache = machine()

    @warm(cache=cache)
    def load() -> Forest:
        scratch: list[Any] = [cache.probe.block(150 * MiB)]  # type: ignore[attr-defined]
        scratch.append(scratch)
        return Forest(cache.probe, 1)  # type: ignore[arg-type]

    gc.disable()
    try:
        load()
    finally:
        gc.enable()
    assert [(0, "footprint")] == weights(cache)


@pytest.mark.race
@pytest.mark.parametrize("another_cache", [False, True])
def test_what_another_load_takes_meanwhile_is_not_the_values(another_cache: bool) -> None:
    cache = machine("2GiB")
    other = HostMemoryCache[Any, Any]("2GiB", probe=cache.probe, poll=0, headroom=0)
    loading, go_on = threading.Event(), threading.Event()

    @warm(cache=cache, size_hint="1MiB")
    def slow() -> Forest:
        loading.set()
        assert go_on.wait(CAP)
        return Forest(cache.probe, 0)  # type: ignore[arg-type]

    thread = threading.Thread(target=slow)
    thread.start()
    assert loading.wait(CAP)
    quick = forests(other if another_cache else cache, size_hint="1MiB")
    quick("a")
    go_on.set()
    thread.join(CAP)
    assert {(0, "footprint")} == {*weights(cache), *weights(other)}


def test_growth_beyond_the_budget_is_not_counted_and_told(
    caplog: pytest.LogCaptureFixture,
) -> None:
    cache = machine()
    load = forests(cache)
    load("a", 400), load("b", 400)
    assert 2 * [(0, "footprint")] == weights(cache)
    (said,) = caplog.messages
    assert "was loaded this process grew by 400.0 MiB, more than the whole budget" in said
    assert "say size=" in said


def test_who_has_said_the_size_is_not_told_to_say_it(caplog: pytest.LogCaptureFixture) -> None:
    cache = machine()
    forests(cache, size="1MiB")("a", 400)
    assert [] == caplog.messages


# -- what is known of a loader ---------------------------------------------------------


@pytest.mark.race
def test_a_load_beside_others_is_charged_as_its_like_once_that_is_known_to_hide_something() -> None:
    cache = machine("2GiB")
    load = forests(cache)
    load("first")
    loading, go_on = threading.Event(), threading.Event()

    @warm(cache=cache, size="1MiB")
    def slow() -> int:
        loading.set()
        assert go_on.wait(CAP)
        return 0

    thread = threading.Thread(target=slow)
    thread.start()
    assert loading.wait(CAP)
    load("second")
    go_on.set()
    thread.join(CAP)
    assert [(200, "allocator"), (200, "guess"), (1, "size")] == weights(cache)


def test_the_device_has_to_show_what_was_never_seen_of_a_value() -> None:
    rig = Rig(budget=12 * GiB, confirm=CAP, footprint=lambda model: Footprint(16, (), ()))
    load = rig.loader()
    load("a", 3)
    rig.probe.lag = float("inf")
    load.evict("a", 3)
    assert 3 == rig.gib("dying")
    rig.probe.settle()
    rig.cache.expire_now()
    assert 0 == rig.gib("dying")


# -- on this machine -------------------------------------------------------------------

libc = ctypes.CDLL(None)
libc.malloc.restype, libc.malloc.argtypes = ctypes.c_void_p, [ctypes.c_size_t]
libc.free.argtypes = [ctypes.c_void_p]


class Native:
    """Memory that only C knows, beside an array."""

    def __init__(self, nbytes: int) -> None:
        self.array = np.zeros(16, np.uint8)
        self.address = libc.malloc(nbytes)
        ctypes.memset(self.address, 1, nbytes)

    def close(self) -> None:
        libc.free(self.address)


def test_memory_of_a_c_library_is_counted_and_given_back() -> None:
    cache = HostMemoryCache[Any, Any]("300MiB", poll=0, headroom=0)
    before = cache.probe.allocated() or 0

    @warm(cache=cache, teardown="close")
    def load(name: str) -> Native:
        return Native(100 * MiB)

    for name in "abcdef":
        load(name)
        assert ((cache.probe.allocated() or 0) - before) < 350 * MiB
    assert all(90 < size < 110 and "allocator" == way for size, way in weights(cache))
    assert 2 <= len(cache) <= 3
    cache.close()


def test_what_the_c_library_keeps_of_a_load_is_not_the_values() -> None:
    cache = HostMemoryCache[Any, Any]("300MiB", poll=0, headroom=0)

    @warm(cache=cache)
    def load() -> list[Any]:
        pieces = [bytes(1000) for _ in range(100_000)]  # 100 MB, and each page of it is held
        return [np.zeros(16, np.uint8), pieces[::1000]]

    load()
    assert [(0, "footprint")] == weights(cache)


def test_models_are_still_seen_whole() -> None:
    rig = Rig(footprint=lambda model: Footprint(3 * GiB, (), ()))
    assert isinstance(rig.loader()("a", 3), Model)
    assert [(3 * 1024, "footprint")] == weights(rig.cache)
