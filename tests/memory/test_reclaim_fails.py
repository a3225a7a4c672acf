"""A ``reclaim`` that fails: it is logged, and nobody else fails for it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from rigs import GiB, Rig, ask, blocks

from warmcache import RemovalCause, warm
from warmcache.memory import MemoryCache
from warmcache.testing import FakeProbe, assert_consistent


def failing() -> None:
    raise OSError("the allocator does not answer")


def test_a_load_that_wants_room_does_not_fail_for_it(caplog: pytest.LogCaptureFixture) -> None:
    rig = Rig(confirm=0, footprint=blocks, reclaim=failing)
    load = rig.loader(size="5GiB")
    rig.cache._view.meter.linger = lambda store: None  # type: ignore[union-attr]  # we look
    held = load("held", 5)
    load.evict("held", 5)
    rig.cache.expire_now()
    load("idle", 5)
    assert (5, 1) == (rig.gib("zombies"), rig.cache.stats().teardown_failures)
    caplog.clear()
    assert load("b", 5) is load("b", 5)
    assert 2 == caplog.text.count("reclaim failed"), "for the garbage, and after the teardown"
    assert not load.contains("idle", 5) and held.blocks
    assert_consistent(rig.cache)


def test_a_load_that_ran_out_of_memory_is_tried_again_all_the_same(
    caplog: pytest.LogCaptureFixture,
) -> None:
    rig = Rig(reclaim=failing)
    tries: list[int] = []

    @warm(cache=rig.cache, size_hint="1GiB")
    def load() -> Any:
        tries.append(1)
        if len(tries) == 1:
            raise MemoryError("tried to allocate 1 GiB")
        return rig.probe.block(GiB)

    assert load() is load()
    assert [1, 1] == tries
    assert "the allocator does not answer" in caplog.text
    assert 1 == rig.cache.stats().teardown_failures


async def test_an_async_load_that_ran_out_of_memory_is_tried_again_all_the_same() -> None:
    rig = Rig(reclaim=failing)
    tries: list[int] = []

    @warm(cache=rig.cache, size_hint="1GiB")
    async def load() -> Any:
        tries.append(1)
        if len(tries) == 1:
            raise MemoryError("tried to allocate 1 GiB")
        return rig.probe.block(GiB)

    assert await load() is await load()
    assert 1 == rig.cache.stats().teardown_failures


def test_out_of_relieve_it_reaches_the_caller_once_the_entries_are_gone() -> None:
    rig = Rig(reclaim=failing)
    load = rig.loader(size="2GiB")
    ask(load, "a", 2)
    with pytest.raises(OSError, match="does not answer"):
        rig.cache.relieve("1GiB")
    assert not load.contains("a", 2)
    assert 2 == rig.cache.stats().teardown_failures, "after the teardown, and at the end"
    assert_consistent(rig.cache)


@pytest.mark.parametrize("option", ["reclaim", "give_back"])
def test_the_watcher_goes_on_evicting(option: str) -> None:
    probe = FakeProbe(10 * GiB)
    options: dict[str, Callable[[], None]] = {option: failing}
    cache: MemoryCache[str, Any] = MemoryCache(
        *(8 * GiB, lambda block: block.nbytes),
        **dict(probe=probe, headroom=0, poll=3600, min_residency=0, confirm=0, **options),  # type: ignore[arg-type]
    )
    for key in "abc":
        cache[key] = probe.block(GiB)
    probe.foreign = 7 * GiB
    for _ in range(9):
        assert cache.expire_now() is not None
    assert {RemovalCause.PRESSURE: 2} == cache.stats().removals


def test_an_interrupt_in_it_reaches_whoever_called_it() -> None:
    def interrupted() -> None:
        raise KeyboardInterrupt

    rig = Rig(reclaim=interrupted)
    with pytest.raises(KeyboardInterrupt):
        rig.cache.relieve(1)
    assert_consistent(rig.cache)
