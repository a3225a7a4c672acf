"""Loads are counted, logged and told alike, at once or by their plan, in threads and on loops."""

from __future__ import annotations

import asyncio
import gc
import logging
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import nullcontext
from typing import Any

import pytest
from by_plan import by_plan
from gates import CAP, Gate, waiting

from warmcache import CapacityError, Load, LRUCache, MemoryCache, Removal, warm
from warmcache._process.janitor import janitor
from warmcache.testing import FakeBlock, FakeProbe, ManualClock

MIB = 2**20


class Way:
    """One way in which a loader is carried out; ``call`` waits for what it gives."""

    def __init__(self, *, is_async: bool, planned: bool) -> None:
        self.is_async, self.planned = is_async, planned

    def loader(self, make: Callable[[str], Any], **options: Any) -> Any:
        if not self.is_async:

            @warm(**options)
            def load(name: str) -> Any:
                return make(name)

            return load

        @warm(loop_bound=False, **options)  # each call of ``call`` has a loop of its own
        async def load(name: str) -> Any:  # type: ignore[no-redef]
            await asyncio.sleep(0)
            return make(name)

        return load

    def call(self, load: Any, *args: Any) -> Any:
        with by_plan() if self.planned else nullcontext():
            if not self.is_async:
                return load(*args)

            async def main() -> Any:
                return await load(*args)

            return asyncio.run(main())


WAYS = {
    "at once": Way(is_async=False, planned=False),
    "by plan": Way(is_async=False, planned=True),
    "at once on a loop": Way(is_async=True, planned=False),
    "by plan on a loop": Way(is_async=True, planned=True),
}


@pytest.fixture(params=WAYS.values(), ids=WAYS)
def way(request: pytest.FixtureRequest) -> Way:
    return request.param  # type: ignore[no-any-return]


@pytest.fixture
def debug(caplog: pytest.LogCaptureFixture) -> Iterator[Callable[[], list[str]]]:
    gc.collect()  # or what an earlier test has dropped is let go, and logged, in this one
    assert [] == janitor.drain(CAP)
    with caplog.at_level(logging.DEBUG, logger="warmcache"):
        yield lambda: [record.getMessage() for record in caplog.records]


def failing(name: str) -> list[str]:
    if name == "bad":
        raise ValueError("no such thing")
    return [name]


def test_who_listens_is_told_of_each_load(way: Way) -> None:
    told: list[Load] = []
    load = way.loader(
        lambda name: [name],
        **dict(maxsize=3, on_load=told.append, tags=["text"], size=2, timer=ManualClock()),
    )
    assert ["a"] == way.call(load, "a")
    assert [Load(load.cache_key("a"), 0.0, 2, None, frozenset({"text"}))] == told
    assert ("load('a')", "load") == (told[0].call, told[0].loader)


def test_a_hit_is_no_load(way: Way) -> None:
    told: list[Load] = []
    load = way.loader(lambda name: [name], maxsize=3, on_load=told.append)
    way.call(load, "a"), way.call(load, "a")
    assert 1 == len(told)


def test_it_is_told_while_it_is_there_and_leased_and_no_lock_is_held(way: Way) -> None:
    seen: list[Any] = []

    def look(told: Load) -> None:
        def in_another_thread() -> None:
            (entry,) = load.cache.entries()
            seen.append((entry.state, entry.leases))

        thread = threading.Thread(target=in_another_thread)
        thread.start()
        thread.join(CAP)

    load = way.loader(lambda name: [name], maxsize=3, on_load=look)
    way.call(load, "a")
    assert [("live", 1)] == seen


def test_what_is_removed_as_it_is_told_is_torn_down_after_its_caller_has_it(way: Way) -> None:
    torn: list[Any] = []
    load = way.loader(
        lambda name: [name],
        **dict(maxsize=3, teardown=torn.append),
        on_load=lambda told: torn.append(load.cache.evict(key=told.key)[0].call),
    )
    way.call(load, "a")
    assert ["load('a')", ["a"]] == torn


def test_what_a_listener_raises_is_logged_and_the_caller_has_its_value(
    way: Way, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(told: Load) -> None:
        raise OSError("disk full")

    load = way.loader(lambda name: [name], maxsize=3, on_load=fail)
    assert ["a"] == way.call(load, "a")
    assert "on_load failed on load('a')" in caplog.text and "disk full" in caplog.text


def test_a_ctrl_c_in_a_listener_reaches_the_caller_and_leaves_nothing_leased() -> None:
    def interrupted(told: Load) -> None:
        raise KeyboardInterrupt

    for planned in (False, True):
        load = WAYS["at once"].loader(lambda name: [name], maxsize=3, on_load=interrupted)
        with by_plan() if planned else nullcontext(), pytest.raises(KeyboardInterrupt):
            load("a")
        assert [0] == [entry.leases for entry in load.cache.entries()]
        assert ["a"] == load("a")


def test_a_listener_may_load(way: Way) -> None:
    told: list[str] = []

    @warm(maxsize=2)
    def other(name: str) -> list[str]:
        return [name]

    load = way.loader(
        lambda name: [name],
        **dict(maxsize=3, on_load=lambda load: told.append(other(load.call)[0])),
    )
    way.call(load, "a")
    assert ["load('a')"] == told


def test_a_listener_that_is_async_is_refused() -> None:
    async def listen(told: Load) -> None: ...

    with pytest.raises(TypeError, match="on_load"):
        LRUCache(3, on_load=listen)


def test_a_failed_load_is_counted_and_told_to_nobody(way: Way) -> None:
    told: list[Load] = []
    load = way.loader(failing, maxsize=3, on_load=told.append)
    with pytest.raises(ValueError):
        way.call(load, "bad")
    stats = load.cache.stats()
    assert (1, 0, 1) == (stats.load_failures, stats.loads, stats.misses) and not told
    way.call(load, "good")
    assert (1, 1) == (load.cache.stats().load_failures, load.cache.stats().loads)


def test_what_was_loaded_and_is_too_large_is_a_failed_load() -> None:
    @warm(maxsize=3, size=lambda value: 4)
    def load(name: str) -> list[str]:
        return [name]

    with pytest.raises(CapacityError):
        load("a")
    assert 1 == load.cache.stats().load_failures


def test_what_is_refused_before_its_loader_is_called_is_no_failed_load(way: Way) -> None:
    load = way.loader(lambda name: [name], maxsize=3, size=4)
    with pytest.raises(CapacityError):
        way.call(load, "a")
    assert 0 == load.cache.stats().load_failures


def test_out_of_memory_for_good_is_one_failed_load() -> None:
    tries: list[str] = []

    @warm(cache=MemoryCache("1GiB", probe=FakeProbe(2**31)))
    def load(name: str) -> None:
        tries.append(name)
        raise MemoryError

    with pytest.raises(MemoryError):
        load("a")
    assert 1 == load.cache.stats().load_failures and tries


@pytest.mark.race
def test_who_joins_is_neither_a_hit_nor_a_miss(start: Callable[..., Future[Any]]) -> None:
    gate = Gate()

    @warm(maxsize=3)
    def load(name: str) -> list[str]:
        gate.wait()
        return [name]

    first = start(load, "a")
    gate.until_reached()
    others = [start(load, "a") for _ in range(3)]
    waiting(load.cache, 3)
    gate.open()
    assert 1 == len({id(call.result(CAP)) for call in [first, *others]})
    stats = load.cache.stats()
    assert (0, 1, 3, 1) == (stats.hits, stats.misses, stats.joined, stats.loads)
    assert (0, 1) == load.cache_info()[:2]


@pytest.mark.race
@pytest.mark.parametrize("planned", [False, True], ids=["at once", "by plan"])
async def test_tasks_that_join_are_counted_as_such(planned: bool) -> None:
    told: list[Load] = []

    @warm(maxsize=3, on_load=told.append)
    async def load(name: str) -> list[str]:
        await asyncio.sleep(0)
        return [name]

    with by_plan() if planned else nullcontext():
        await asyncio.gather(*(load("a") for _ in range(4)))
    stats = load.cache.stats()
    assert (0, 1, 3) == (stats.hits, stats.misses, stats.joined) and 1 == len(told)


def test_a_load_is_logged_with_its_seconds_and_weight(way: Way, debug: Any) -> None:
    clock = ManualClock()

    def make(name: str) -> list[str]:
        clock.advance(0.06)
        return [name]

    way.call(way.loader(make, maxsize="1GiB", size="86.7MiB", timer=clock), "a")
    assert ["loaded load('a') in 0.06 s, 86.7 MiB"] == debug()


def test_what_a_weight_was_taken_from_is_logged(debug: Any) -> None:
    probe = FakeProbe(2**32)

    @warm(cache=MemoryCache("1GiB", probe=probe, timer=ManualClock()))
    def load(name: str) -> FakeBlock:
        return probe.block(2 * MIB)

    load("a")
    (entry,) = load.cache.entries()
    assert [f"loaded load('a') in 0 s, 2.0 MiB ({entry.weighed_by})"] == debug()


def test_an_eviction_is_logged_with_for_whom_and_what_that_needs(way: Way, debug: Any) -> None:
    load = way.loader(lambda name: [name], maxsize=3, size=2, timer=ManualClock())
    way.call(load, "a"), way.call(load, "b")
    assert "evicted load('a') (size) for load('b'): 2 needed, 1 free" in debug()


def test_a_teardown_is_logged_before_it_begins(way: Way, debug: Any) -> None:
    load = way.loader(
        *[lambda name: [name]],
        **dict(maxsize=1, timer=ManualClock()),
        teardown=lambda value: logging.getLogger("warmcache").debug("in it"),
    )
    way.call(load, "a"), way.call(load, "b")
    assert [
        "loaded load('a') in 0 s, 1",
        "tearing down load('a') (size)",
        "in it",
        "evicted load('a') (size) for load('b'): 1 needed, 0 free",
        "loaded load('b') in 0 s, 1",
    ] == debug()
    load.cache.close()


def test_a_removal_that_nobody_needed_is_logged_by_its_cause(debug: Any) -> None:
    cache: LRUCache[str, int] = LRUCache(2)
    cache["a"] = 1
    del cache["a"]
    assert ["removed 'a' (explicit)"] == debug()


def test_a_failed_load_is_logged(way: Way, debug: Any) -> None:
    load = way.loader(failing, maxsize=1, timer=ManualClock())
    with pytest.raises(ValueError):
        way.call(load, "bad")
    assert ["failed to load load('bad') after 0 s: ValueError('no such thing')"] == debug()


def test_a_removal_says_for_whose_load_it_was(way: Way) -> None:
    removed: list[Removal] = []
    load = way.loader(lambda name: [name], maxsize=1, on_removal=removed.append)
    way.call(load, "a"), way.call(load, "b"), load.cache.clear()
    assert ["load('b')", None] == [removal.wanted_by for removal in removed]
    assert "load('b')" == removed[0].as_dict()["wanted_by"]


def test_a_removal_says_for_which_key_of_the_mapping_it_was() -> None:
    removed: list[Removal] = []
    # Both stay, for one that is dropped has what is left in it torn down, and that is told, too.
    caches: list[LRUCache[Any, Any]] = [LRUCache(1, on_removal=removed.append) for _ in range(2)]
    for cache, planned in zip(caches, (False, True), strict=True):
        with by_plan() if planned else nullcontext():
            cache["a"] = 1
            cache[None] = 2
            cache[None] = 3
    assert ["None", None] * 2 == [removal.wanted_by for removal in removed]


def test_a_removal_under_pressure_says_whose_load_ran_out_of_memory() -> None:
    removed: list[Removal] = []
    tries: list[str] = []
    probe = FakeProbe(2**32)

    @warm(cache=MemoryCache("2GiB", probe=probe, on_removal=removed.append))
    def load(name: str) -> FakeBlock:
        tries.append(name)
        if ["a", "b"] == tries:
            raise MemoryError
        return probe.block(MIB)

    for name in "ab":
        load(name)
    assert [("pressure", "load('b')")] == [(each.cause, each.wanted_by) for each in removed]


SILENT = """
import sys
from warmcache import warm

@warm(maxsize=1, teardown=lambda value: None)
def load(name):
    return [name]

load("a"), load("b")
assert "logging" not in sys.modules, "it was imported for nobody"
"""


def test_nothing_is_imported_for_lines_that_nobody_reads() -> None:
    subprocess.run([sys.executable, "-c", SILENT], check=True, timeout=30)


def test_nothing_is_logged_at_another_level(way: Way, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, logger="warmcache"):
        load = way.loader(lambda name: [name], maxsize=1)
        way.call(load, "a"), way.call(load, "b")
    assert [] == caplog.records
