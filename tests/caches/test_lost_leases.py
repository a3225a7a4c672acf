"""A lease that is collected without its end is ended by the janitor, and says so."""

from __future__ import annotations

import asyncio
import gc
import threading
import warnings
from collections.abc import Callable
from typing import Any

import pytest

from warmcache import LRUCache, disabled, warm
from warmcache._core.drivers import event_loop
from warmcache._process.janitor import janitor
from warmcache.caches import lease as lease_module


class Value:
    def __init__(self, name: object = None) -> None:
        self.name = name
        self.closed_in: list[str] = []

    def close(self) -> None:
        self.closed_in.append(threading.current_thread().name)


def what_the_janitor_had_to_do() -> None:
    done = threading.Event()
    janitor.defer(done.set)
    assert done.wait(5)


def lost(lose: Callable[[], Any]) -> list[str]:
    """Run ``lose``, and return what was said of leases that were lost in it."""
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        lose()
        gc.collect()
        what_the_janitor_had_to_do()
    assert {ResourceWarning} >= {each.category for each in said}
    return [str(each.message) for each in said]


def loader(**options: Any) -> Any:
    return warm(maxsize=2, teardown="close", wait=5, **options)(lambda name: Value(name))


def leases(load: Any) -> int:
    return sum(entry.leases for entry in load.cache.entries())


def test_what_was_leased_is_idle_again_and_the_key_is_named() -> None:
    load = loader()
    for _ in range(2):  # a load, and a hit
        (said,) = lost(lambda: load.lease("a").__enter__())
        assert "a lease of <lambda>('a') was collected without its end; enter it in a" in said
        assert 0 == leases(load)
    assert not load("a").closed_in


def test_what_was_removed_meanwhile_is_torn_down_by_the_janitor() -> None:
    load = loader()
    value = load("a")

    def lose() -> None:
        lease = load.lease("a")
        lease.__enter__()
        load.evict("a")
        assert not value.closed_in

    assert 1 == len(lost(lose))
    assert ["warmcache-janitor"] == value.closed_in


def test_one_in_a_cycle_is_found_by_the_collector() -> None:
    load = loader()

    def lose() -> None:
        cycle: list[Any] = [load.lease("a")]
        cycle[0].__enter__()
        cycle.append(cycle)

    assert 1 == len(lost(lose))
    assert 0 == leases(load)


def test_one_of_a_bare_cache_is_ended_too() -> None:
    cache: LRUCache[str, int] = LRUCache(1)
    cache["a"] = 1
    assert ["a lease of 'a' was"] == [
        said[:18] for said in lost(lambda: cache.lease("a").__enter__())
    ]
    assert 0 == cache.entries()[0].leases


def test_one_that_was_async_is_ended_too() -> None:
    @warm(maxsize=1, teardown="close", loop_bound=False)
    async def load(name: str) -> Value:
        return Value(name)

    async def lose() -> None:
        await load.lease("a").__aenter__()

    assert 1 == len(lost(lambda: asyncio.run(lose())))
    assert 0 == load.cache.entries()[0].leases


def test_one_inside_disabled_is_torn_down_too() -> None:
    load, values = loader(), []

    def lose() -> None:
        with disabled():
            values.append(load.lease("a").__enter__())

    (said,) = lost(lose)
    assert "loaded for no cache was collected without its end" in said
    assert ["warmcache-janitor"] == values[0].closed_in


@pytest.mark.parametrize("how", ["never entered", "ended", "failed", "closed", "detached", "twice"])
def test_nothing_is_said_of_one_that_holds_nothing(how: str) -> None:
    load = loader()

    def lose() -> None:
        lease = load.lease("a")
        if how == "never entered":
            return
        if how == "failed":
            load.cache.close()
            with pytest.raises(RuntimeError):
                lease.__enter__()
            return
        lease.__enter__()
        if how == "closed":
            for job in load.cache.close_at_exit(5):
                job.let_go()
        elif how == "detached":
            load.cache.detach(load.cache_key("a"))
        else:
            lease.__exit__(None, None, None)
            if how == "twice":
                lease.__exit__(None, None, None)

    assert [] == lost(lose)


def test_one_kept_is_not_lost_though_nobody_refers_to_the_loader() -> None:
    load = loader()
    lease = load.lease("a")
    value = lease.__enter__()
    assert [] == lost(lambda: load.evict("a"))
    assert not value.closed_in
    lease.__exit__(None, None, None)
    assert 1 == len(value.closed_in)


def interrupted(*_: Any) -> Any:
    raise KeyboardInterrupt


def test_a_lease_is_over_though_an_interrupt_comes_before_its_end_has_begun(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    load = loader()
    monkeypatch.setattr(lease_module, "release", interrupted)
    with pytest.raises(KeyboardInterrupt):
        with load.lease("a"):
            pass
    assert (1, 0) == (len(load.cache), leases(load))


def test_an_async_lease_is_over_though_an_interrupt_comes_before_its_end_has_begun(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    @warm(policy="lru", maxsize=2, loop_bound=False)
    async def load(name: str) -> list[str]:
        return [name]

    async def use() -> None:
        async with load.lease("a"):
            monkeypatch.setattr(event_loop, "release_async", interrupted)

    with pytest.raises(KeyboardInterrupt):
        asyncio.run(use())
    assert (1, 0) == (len(load.cache), leases(load))
