"""What can never fit, what can never be had, and which device is meant."""

from __future__ import annotations

import importlib.metadata
import weakref
from pathlib import Path
from typing import Any

import pytest

from warmcache import CapacityError, LRUCache, warm
from warmcache.errors import ProbeUnavailable
from warmcache.memory import Footprint, GPUMemoryCache, HostMemoryCache, MemoryCache, retry_on_oom
from warmcache.testing import FakeProbe, ManualClock, assert_consistent

GiB = 2**30
IMPOSSIBLE = "CUDA out of memory. Tried to allocate 1862.65 GiB."


def cache_of(total: float, budget: Any, **options: Any) -> MemoryCache[Any, Any]:
    settings: dict[str, Any] = dict(headroom=0, poll=0, wait=60, confirm=0)
    return MemoryCache(budget, probe=FakeProbe(int(total * GiB)), **{**settings, **options})


# -- what can never fit ------------------------------------------------------------


def test_what_the_device_can_never_hold_is_refused_at_once_before_anything_is_evicted() -> None:
    cache = cache_of(8, "12GiB", headroom="1GiB")
    cache["a"] = cache["b"] = "held"
    load = warm(cache=cache, size=lambda value: 0, size_hint=None)(lambda: "small")
    load()
    with pytest.raises(CapacityError, match=r"needs 7.5 GiB of 12.0 GiB: more than the 7.0 GiB"):
        warm(cache=cache, size="7.5GiB")(lambda: "large")()
    assert 3 == len(cache)
    assert 0 == cache.stats().waits
    assert_consistent(cache)


def test_what_fits_beside_the_headroom_to_the_byte_is_loaded() -> None:
    cache = cache_of(8, "12GiB", headroom="1GiB")
    assert "large" == warm(cache=cache, size="7GiB")(lambda: "large")()


def test_a_hint_beyond_the_device_is_cut_to_what_it_has() -> None:
    cache = cache_of(8, "12GiB", headroom="1GiB")
    assert "small" == warm(cache=cache, size_hint="9GiB")(lambda: "small")()


def test_a_device_whose_size_is_not_known_refuses_only_what_the_budget_does() -> None:
    cache = cache_of(8, 12 * GiB)
    cache.probe.unknown = True  # type: ignore[attr-defined]
    assert "large" == warm(cache=cache, size="9GiB")(lambda: "large")()


def test_an_error_tells_apart_what_is_too_large_for_the_cache_and_for_the_device() -> None:
    cache = cache_of(8, "4GiB")
    with pytest.raises(CapacityError, match="more than the whole cache; raise its budget"):
        warm(cache=cache, size="9GiB")(lambda: "large")()
    with pytest.raises(CapacityError, match="raise its maxsize"):
        warm(cache=LRUCache("4GiB"), size="9GiB")(lambda: "large")()


# -- what can never be had ---------------------------------------------------------


def full(**options: Any) -> MemoryCache[Any, Any]:
    cache = cache_of(16, "16GiB", **options)
    for name in "abcd":
        warm(cache=cache, size="1GiB")(lambda name: name)(name)
    return cache


def test_a_load_that_wants_more_than_the_device_has_evicts_nothing() -> None:
    cache, tries = full(), []

    @warm(cache=cache, size="1GiB")
    def load() -> None:
        tries.append(None)
        raise RuntimeError(IMPOSSIBLE)

    with pytest.raises(RuntimeError) as caught:
        load()
    assert (1, 4) == (len(tries), len(cache))
    assert "4.0 GiB live" in caught.value.__notes__[0]


def test_a_function_that_wants_more_than_the_device_has_evicts_nothing() -> None:
    cache, tries = full(), []

    @retry_on_oom(cache)
    def infer() -> None:
        tries.append(None)
        raise RuntimeError(IMPOSSIBLE)

    with pytest.raises(RuntimeError) as caught:
        infer()
    assert (1, 4) == (len(tries), len(cache))
    assert "4.0 GiB live" in caught.value.__notes__[0]


def test_a_function_that_lacks_memory_to_the_last_is_told_where_it_went() -> None:
    cache, tries = full(), []

    @retry_on_oom(cache)
    def infer() -> None:
        tries.append(len(cache))
        raise MemoryError

    with pytest.raises(MemoryError) as caught:
        infer()
    assert [4, 3, 2] == tries
    assert [note.count("2.0 GiB live") for note in caught.value.__notes__] == [1]


def test_loads_inside_of_one_another_do_not_multiply_their_tries() -> None:
    cache, tries = full(), []

    @warm(cache=cache, size="1GiB")
    def inner() -> None:
        tries.append("inner")
        raise MemoryError

    @warm(cache=cache, size="1GiB")
    def outer() -> None:
        tries.append("outer")
        inner()

    with pytest.raises(MemoryError) as caught:
        outer()
    assert ["outer", "inner", "inner", "inner"] == tries
    assert 1 == len(caught.value.__notes__)


def test_what_runs_out_of_memory_may_be_asked_for_by_what_is_not_measured() -> None:
    cache, tries = full(), []

    @warm(cache=cache, size="1GiB")
    def inner() -> None:
        tries.append("inner")
        raise MemoryError

    @warm
    def outer() -> None:
        inner()

    def teardown(value: str) -> None:
        outer()

    victims = LRUCache[str, str](1, teardown=teardown)
    victims["a"] = "a"
    with pytest.raises(ExceptionGroup) as caught:
        victims.close()
    assert [MemoryError] == [type(error) for error in caught.value.exceptions]
    assert ["inner"] * 3 == tries


def test_a_load_tries_again_by_itself_when_one_inside_of_it_got_what_it_needed() -> None:
    clock = ManualClock()
    cache, tries = full(timer=clock), []

    @warm(cache=cache, size="1GiB")
    def inner() -> str:
        tries.append("inner")
        if tries.count("inner") < 3:
            raise MemoryError
        clock.advance(60)  # so that it is the last to go
        return "inner"

    @warm(cache=cache, size="1GiB")
    def outer() -> str:
        tries.append("outer")
        inner()
        if tries.count("outer") < 2:
            raise MemoryError
        return "outer"

    assert "outer" == outer()
    assert ["outer", "inner", "inner", "inner", "outer"] == tries


# -- what is another's -------------------------------------------------------------


def test_growth_of_the_machine_beyond_the_budget_is_another_s_and_bars_no_key() -> None:
    probe = FakeProbe(64 * GiB)
    cache: HostMemoryCache[Any, Any] = HostMemoryCache("1GiB", probe=probe, poll=0, headroom=0)
    held = []

    @warm(cache=cache)
    def load() -> str:
        if not held:
            held.append(probe.block(2 * GiB))  # as another thread might, meanwhile
        return "small"

    assert "small" == load()
    load.evict()
    assert "small" == load()
    assert_consistent(cache)


def test_a_key_whose_text_cannot_be_had_is_loaded_like_any_other() -> None:
    class Shy:
        def __repr__(self) -> str:
            raise RuntimeError("no")

    load = warm(cache=cache_of(8, "4GiB"), size="1GiB")(lambda key: "value")
    key = Shy()
    assert "value" == load(key)
    assert load.contains(key)


def test_sizes_are_learned_for_one_device_and_one_version_of_torch(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def known(device: str, version: str | None) -> bool:
        def installed(name: str) -> str:
            if version is None:
                raise importlib.metadata.PackageNotFoundError(name)
            return version

        monkeypatch.setattr(importlib.metadata, "version", installed)
        probe = FakeProbe(8 * GiB, name=device)
        cache: MemoryCache[Any, Any] = MemoryCache(
            "4GiB", probe=probe, headroom=0, poll=0, learn=tmp_path / "sizes.json"
        )
        reserved: list[float] = []

        @warm(cache=cache)
        def load() -> Any:
            reserved.append(cache.stats().loading)
            return probe.block(GiB)

        load()
        return reserved == [GiB]

    places = [("one", "2.13.0"), ("one", "2.14.0"), ("other", "2.13.0"), ("one", None)]
    assert [False] * 4 == [known(*place) for place in places]
    assert [True] * 4 == [known(*place) for place in places]


def test_a_zombie_that_a_running_function_holds_is_said_to_be_held_by_one(
    caplog: pytest.LogCaptureFixture,
) -> None:
    cache = cache_of(
        8, "4GiB", footprint=lambda value: Footprint(GiB, ((weakref.ref(value), GiB),), ())
    )

    class Model:
        pass

    load = warm(cache=cache, size="1GiB")(Model)
    model = load()
    load.evict()
    cache.expire_now()
    assert GiB == cache.stats().zombies
    assert "by model in test_a_zombie_that_a_running_function_holds" in caplog.text
    del model


# -- which device ------------------------------------------------------------------


@pytest.mark.parametrize(
    ("device", "index", "expected"),
    [
        (1, None, "cuda:1"),
        ("cuda:1", None, "cuda:1"),
        ("cuda", None, "cuda:0"),
        ("GPU-1111", 1, "cuda:1"),
        ("GPU-1111", None, None),
        (0, 3, "cuda:3"),  # the probe knows better
    ],
)
def test_the_device_is_called_what_torch_calls_it(
    device: int | str, index: int | None, expected: str | None
) -> None:
    probe = FakeProbe(8 * GiB)
    probe.index = index  # type: ignore[attr-defined]
    cache: GPUMemoryCache[Any, Any] = GPUMemoryCache(device=device, probe=probe, poll=0)
    assert expected == cache.device


def test_what_is_no_gpu_is_refused_with_a_probe_too() -> None:
    with pytest.raises(ValueError, match="device must be a GPU.*'nonsense'"):
        GPUMemoryCache(device="nonsense", probe=FakeProbe(8 * GiB))


def test_a_gpu_that_is_not_there_is_an_error_at_once() -> None:
    with pytest.raises(ProbeUnavailable):
        GPUMemoryCache(device="GPU-no-such-card")
