"""The watcher: what a device that runs full leads to, and what it does not."""

from __future__ import annotations

import threading
import weakref
from itertools import pairwise
from types import SimpleNamespace
from typing import Any

import pytest

from warmcache import RemovalCause, warm
from warmcache._process.janitor import janitor
from warmcache.memory import MemoryCache
from warmcache.memory import watcher as _watcher
from warmcache.memory.footprint import Footprint
from warmcache.memory.watermarks import Act, Watermarks
from warmcache.testing import FakeProbe

GiB = 2**30
NEVER = 3600.0  # seconds until the janitor looks: here the tests do


class Rig:
    """Models of 1 GiB on a device of 10, and the looks of a watcher."""

    def __init__(self, models: str = "abcdef", *, caching: bool = False, **options: Any) -> None:
        self.probe = FakeProbe(10 * GiB, caching=caching)
        self.now = 0.0
        janitor.drain(5.0)  # a look that an earlier test asked for would come in between
        settings: dict[str, Any] = dict(
            headroom=0, poll=NEVER, min_residency=0, confirm=0, timer=lambda: self.now
        )
        self.cache: MemoryCache[Any, Any] = MemoryCache(
            8 * GiB,
            probe=self.probe,
            give_back=self.probe.empty_cache,
            **{**settings, **options},
        )

        @warm(cache=self.cache, size="1GiB")
        def load(name: str) -> Any:
            return self.probe.block(GiB)

        self.load = load
        for name in models:
            load(name)

    def look(self, times: int = 1) -> str:
        """Have the watcher look; return who is resident then."""
        for _ in range(times):
            self.cache.expire_now()
        return "".join(name for name in "abcdefgh" if self.load.contains(name))


def test_below_the_high_mark_nothing_happens() -> None:
    rig = Rig()
    rig.probe.foreign = 3 * GiB
    assert "abcdef" == rig.look(10)
    assert 0 == rig.probe.emptied


def test_one_sample_above_the_high_mark_is_not_enough() -> None:
    rig = Rig()
    for _ in range(5):
        rig.probe.foreign = 4 * GiB
        rig.look()
        rig.probe.foreign = 0
        rig.look()
    assert ("abcdef", 0) == (rig.look(), rig.probe.emptied)


def test_the_allocators_reserve_goes_first_and_may_be_all_that_has_to() -> None:
    rig = Rig(caching=True)
    rig.probe.allocate(GiB)
    rig.probe.release(GiB)
    rig.probe.foreign = 3 * GiB - 1
    assert ("abcdef", 1) == (rig.look(10), rig.probe.emptied)


def test_idle_victims_go_one_at_a_time_until_the_low_mark() -> None:
    rig = Rig()
    rig.probe.foreign = 4 * GiB
    seen = [rig.look() for _ in range(6)]
    assert ["abcdef", "abcdef", "bcdef", "cdef", "cdef", "cdef"] == seen
    assert {RemovalCause.PRESSURE: 2} == rig.cache.stats().removals


def test_leased_entries_are_left_alone() -> None:
    rig = Rig("ab")
    with rig.load.lease("a"), rig.load.lease("b"):
        rig.probe.foreign = 8 * GiB
        assert "ab" == rig.look(10)
        assert 1 == rig.probe.emptied, "and the allocator is not emptied again and again"


def test_an_entry_younger_than_min_residency_is_no_victim_of_pressure() -> None:
    rig = Rig("ab", min_residency=10)
    rig.now += 5
    rig.load("c")
    rig.now += 5
    rig.probe.foreign = 7 * GiB
    assert "c" == rig.look(10)
    rig.probe.foreign = 9 * GiB
    assert "c" == rig.look(10)
    rig.probe.foreign = 0
    rig.look()
    rig.now += 5
    rig.probe.foreign = 9 * GiB
    assert "" == rig.look(10)


def test_pressure_of_others_does_not_drain_the_cache(caplog: pytest.LogCaptureFixture) -> None:
    rig = Rig()
    rig.probe.foreign = 4 * GiB
    rig.probe.lag = float("inf")  # nothing that is torn down comes back
    assert "bcdef" == rig.look(20)
    (said,) = [text for text in caplog.messages if "evicting gave nothing back" in text]
    assert "a fake device is 100 % full, but not by what is cached here" in said


def test_memory_that_only_falls_to_pieces_is_not_evicted_for() -> None:
    rig = Rig(caching=True)
    rig.probe.fragmented = 10 * GiB  # no more than pieces is left of whatever dies
    rig.probe.foreign = 4 * GiB
    assert "bcdef" == rig.look(20)
    rig.probe.fragmented = 0
    rig.probe.foreign = 5 * GiB
    assert GiB == rig.probe.sample().reserved
    rig.cache.relieve(0)
    assert ("cdef", 0) == (rig.look(0), rig.probe.sample().reserved)


def test_entries_of_no_known_weight_are_not_drained_either() -> None:
    rig = Rig("", footprint=lambda value: None)
    for name in "abcdef":
        rig.cache[name] = object()
    rig.probe.foreign = 10 * GiB
    rig.look(20)
    assert list("bcdef") == list(rig.cache)


def test_a_teardown_that_takes_long_leaves_the_driver_as_much_time(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    now = [0.0]
    monkeypatch.setattr(_watcher, "time", SimpleNamespace(monotonic=lambda: now[0]))
    rig = Rig(
        confirm=2,
        teardown=lambda block: now.__setitem__(0, now[0] + 60),
        footprint=lambda block: Footprint(GiB, ((weakref.ref(block), GiB),), ()),
    )
    rig.probe.foreign = 4 * GiB
    rig.probe.lag = 2  # samples
    for _ in range(20):
        now[0] += 0.9
        rig.look()
    assert "cdef" == rig.look(0)


def test_a_reserve_that_comes_back_late_spares_the_entries() -> None:
    rig = Rig(caching=True, confirm=60)
    rig.probe.allocate(GiB)
    rig.probe.release(GiB)
    rig.probe.lag = 3  # samples
    rig.probe.foreign = 3 * GiB - 1
    assert ("abcdef", 1) == (rig.look(10), rig.probe.emptied)


@pytest.mark.race
def test_two_threads_do_not_look_at_once() -> None:
    rig, inside, go = Rig(), threading.Event(), threading.Event()
    sample = rig.probe.sample

    def slow() -> Any:
        inside.set()
        assert go.wait(5)
        return sample()

    rig.probe.sample = slow  # type: ignore[method-assign]
    rig.probe.foreign = 4 * GiB
    first = threading.Thread(target=rig.look)
    first.start()
    assert inside.wait(5)
    rig.probe.sample = sample  # type: ignore[method-assign]
    assert "abcdef" == rig.look(10)
    go.set()
    first.join(5)
    assert not first.is_alive()
    assert "abcdef" == rig.look(1) and 1 == rig.probe.emptied


def test_a_closed_cache_is_not_looked_after() -> None:
    rig = Rig()
    assert rig.cache.expire_now() is not None
    rig.cache.close()
    samples = rig.probe.samples
    assert rig.cache.expire_now() is None
    assert samples == rig.probe.samples


def test_an_unknown_device_evicts_nothing() -> None:
    rig = Rig()
    rig.probe.foreign = 4 * GiB
    rig.probe.unknown = True
    assert "abcdef" == rig.look(10)


# -- the decisions alone ---------------------------------------------------------------


def decisions(used: list[float], *, evicts: bool = True, reserve: int | None = 0) -> list[Act]:
    """Return what is done about a device of 100, one look a second."""
    pressure, acts = Watermarks(0.9, 0.8, poll=1, patience=2), []
    for now, bytes_used in enumerate(used):
        acts.append(pressure.look(now, 100, int(bytes_used), reserve))
        if acts[-1] is Act.EVICT and evicts:
            pressure.evicted(now, 10, int(bytes_used))
        elif acts[-1] is Act.EVICT:
            pressure.nothing_idle(now)
    return acts


REST, FLUSH, EVICT = Act.REST, Act.FLUSH, Act.EVICT


@pytest.mark.parametrize(
    ("used", "expected"),
    [
        ([95, 95, 95, 85, 79, 85], [REST, FLUSH, EVICT, EVICT, REST, REST]),
        ([95, 95, 89, 89], [REST, FLUSH, REST, REST]),
        ([95, 80, 95, 80], [REST, REST, REST, REST]),
        ([95, 95, 95, 95, 85, 75], [REST, FLUSH, EVICT, REST, EVICT, REST]),  # a slow driver
        ([95] * 9, [REST, FLUSH, EVICT, REST, REST, REST, FLUSH, EVICT, REST]),
    ],
)
def test_rounds_of_pressure(used: list[float], expected: list[Act]) -> None:
    assert expected == decisions(used)


@pytest.mark.parametrize("reserve", [None, 10])
@pytest.mark.parametrize(
    ("used", "expected"),
    [
        ([95, 95, 95, 85, 85], [REST, FLUSH, REST, REST, REST]),  # the reserve was enough
        ([95, 95, 95, 93, 85, 79], [REST, FLUSH, REST, EVICT, EVICT, REST]),  # it was not
        ([95, 95, 95, 95, 85, 79], [REST, FLUSH, REST, EVICT, EVICT, REST]),  # never shown
    ],
)
def test_a_driver_has_time_to_show_what_the_allocator_gave_back(
    used: list[float], expected: list[Act], reserve: int | None
) -> None:
    assert expected == decisions(used, reserve=reserve)


def test_rounds_that_do_not_help_come_ever_more_rarely_up_to_a_minute() -> None:
    acts = decisions([95] * 1000)
    rounds = [now for now, act in enumerate(acts) if act is EVICT]
    gaps = [later - earlier for earlier, later in pairwise(rounds)]
    assert gaps == sorted(gaps) and gaps[0] < gaps[-1] and 60 <= gaps[-1] < 70


def test_rounds_without_a_victim_come_ever_more_rarely() -> None:
    flushes = decisions([95] * 1000, evicts=False).count(FLUSH)
    assert 5 < flushes < 30


def test_what_helps_makes_the_next_round_prompt_again() -> None:
    acts = decisions([95] * 40 + [50] + [95, 95, 95])
    assert [FLUSH, EVICT] == acts[-2:]
