"""Memory caches of real torch modules: on the machine everywhere, on a GPU where there is one."""

from __future__ import annotations

from typing import Any

import pytest

from warmcache import CapacityError, GPUMemoryCache, HostMemoryCache, RemovalCause, warm
from warmcache.testing import assert_consistent

MiB = 2**20
WIDTH = 1024  # a layer of it takes 4 MiB and a bit


@pytest.fixture(
    params=[
        pytest.param("cpu", marks=pytest.mark.models),
        pytest.param("cuda:0", marks=pytest.mark.gpu),
    ]
)
def device(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def cache(device: str) -> Any:
    kind: Any = HostMemoryCache if device == "cpu" else GPUMemoryCache
    cache = kind("25MiB", poll=0, wait=0, confirm=0.05, headroom=0)
    yield cache
    cache.close()


def layers(device: str, count: int) -> Any:
    import torch

    return torch.nn.Sequential(*(torch.nn.Linear(WIDTH, WIDTH) for _ in range(count))).to(device)


def weight(count: int) -> int:
    return 4 * WIDTH * (WIDTH + 1) * count


def test_a_module_weighs_what_its_tensors_do_on_the_device(device: str, cache: Any) -> None:
    @warm(cache=cache)
    def load(count: int) -> Any:
        return layers(device, count)

    load(3)
    (entry,) = cache.entries()
    assert (weight(3), "footprint") == (entry.weight, entry.weighed_by)


def test_what_is_torn_down_comes_back_and_what_is_held_stays_charged(
    device: str, cache: Any, caplog: pytest.LogCaptureFixture
) -> None:
    @warm(cache=cache)
    def load(name: str, count: int) -> Any:
        return layers(device, count)

    @warm(cache=cache, size="16MiB")
    def load_large() -> Any:
        return layers(device, 4)

    kept = [load("kept", 3)]
    load("other", 2)
    load.evict("other", 2)
    assert weight(3) == cache.stats().live and not cache.stats().dying
    load.evict("kept", 3)
    with pytest.raises(CapacityError, match="torn down, but still held outside"):
        load_large()
    assert "still held, by kept[0] in" in caplog.text
    weights = [kept.pop()[0].weight]
    cache.expire_now()
    assert 0.3 < cache.stats().zombies / weight(3) < 0.4, "one matrix of three is held"
    weights.clear()
    cache.expire_now()
    assert 0 == cache.stats().zombies
    load_large()
    assert_consistent(cache)


def test_a_module_in_a_cycle_comes_back_too(device: str, cache: Any) -> None:
    @warm(cache=cache)
    def load(name: str) -> Any:
        module = layers(device, 3)
        module.hook = lambda: module  # as many a library does
        return module

    load("a")
    load.evict("a")
    assert 0 == cache.stats().dying + cache.stats().zombies


def test_a_load_that_runs_out_of_memory_is_tried_again(device: str, cache: Any) -> None:
    import torch

    tries: list[int] = []

    @warm(cache=cache)
    def load(name: str) -> Any:
        tries.append(len(cache))
        if name == "large" and len(tries) == 2:
            if device == "cpu":  # whose allocator fails only beyond what the machine has at all
                raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 MiB")
            torch.empty(cache.probe.sample().total, dtype=torch.uint8, device=device)
        return layers(device, 1)

    load("small")
    load("large")
    assert [0, 1, 0] == tries
    assert {RemovalCause.PRESSURE: 1} == cache.stats().removals


def test_a_tensor_that_no_such_device_could_hold_is_not_tried_again(
    device: str, cache: Any
) -> None:
    import torch

    tries: list[str] = []

    @warm(cache=cache)
    def load(name: str) -> Any:
        tries.append(name)
        return torch.empty(2**50, device=device) if name == "large" else layers(device, 1)

    load("small")
    with pytest.raises(RuntimeError, match="llocate"):
        load("large")
    assert (["small", "large"], 1) == (tries, len(cache))


@pytest.mark.gpu
def test_the_device_has_back_what_was_torn_down() -> None:
    import torch

    with GPUMemoryCache("2GiB", poll=0) as cache:

        @warm(cache=cache)
        def load(name: str) -> Any:
            return torch.empty(256 * MiB, dtype=torch.uint8, device="cuda:0")

        load("warm-up")
        cache.clear()
        before = cache.probe.sample().free
        for name in "abcd":
            load(name)
            load.evict(name)
        after = cache.probe.sample().free
    assert before is not None and after is not None
    assert after >= before - 64 * MiB
