"""What is parked is what pays, and what saves most stays."""

from __future__ import annotations

import gc
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace
from typing import Any

import pytest
from parked import UNIT, Machine, Rig

from warmcache import HostMemoryCache, HostTier, MemoryCache, RemovalCause
from warmcache._core.state import host_ledger
from warmcache._core.state.entry import Entry, Provenance, Source, new_entry
from warmcache._core.state.host_ledger import HostLedger, price_of
from warmcache._core.state.parked_bytes import ParkedBytes
from warmcache._parking.parking import HostIsFullError
from warmcache._parking.slabs import Slabs
from warmcache._process.at_exit import close_now
from warmcache._process.janitor import janitor
from warmcache.testing import FakeProbe, assert_consistent

pytestmark = pytest.mark.usefixtures("machine")
SIZE = RemovalCause.SIZE


def host_stats(rig: Rig) -> Any:
    return rig.cache.stats().host


def to_and_fro(rig: Rig, load: Any, times: int) -> None:
    for _ in range(times):
        load("a"), load("b")


def taking(rig: Rig, units: int) -> Callable[[Any], Any]:
    """Return what parks a value, and says then that it takes so much on the host."""

    def park(model: Any) -> Any:
        there: Any = rig.park(model)
        there.nbytes = units * UNIT
        return there

    return park


# -- is it worth it ----------------------------------------------------------------------------


def test_what_comes_back_hardly_faster_than_it_loads_twice_is_parked_no_more() -> None:
    rig = Rig(host=HostTier(100 * UNIT, below=0.5))
    rig.seconds = {"load": 10.0, "unpark": 5.0}
    load = rig.loader()
    load("a"), load("b"), load("a")
    assert {"a": "live", "b": "parked"} == rig.states, "once may be chance"
    load("b"), load("a"), load("b")
    assert ["a", "b", "a", "b"] == rig.parks
    assert ["a"] == rig.torn_down(), "twice is not"
    to_and_fro(rig, load, 3)
    parks = rig.parks.count("a")
    to_and_fro(rig, load, 2)
    assert parks == rig.parks.count("a")
    assert host_stats(rig).not_worth > 0
    assert "a" in rig.loads[2:]
    assert_consistent(rig.cache)


def test_a_share_below_is_worth_it() -> None:
    rig = Rig(host=HostTier(100 * UNIT, below=0.5))
    rig.seconds = {"load": 10.0, "unpark": 4.9}
    to_and_fro(rig, rig.loader(), 5)
    assert ["a", "b"] == rig.loads
    assert 0 == host_stats(rig).not_worth


def test_a_quick_return_in_between_starts_the_count_anew() -> None:
    rig = Rig(host=HostTier(100 * UNIT, below=0.5))
    load = rig.loader()
    for unpark in (9.0, 1.0, 9.0, 1.0, 9.0, 1.0):
        rig.seconds = {"load": 10.0, "unpark": unpark}
        to_and_fro(rig, load, 1)
    assert ["a", "b"] == rig.loads


def test_what_is_known_of_keys_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(host_ledger, "_KNOWN", 3)
    rig = Rig(host=1000)
    load = rig.loader()
    for name in "abcdefgh":
        load(name)
    host = rig.cache._store.host
    assert host is not None
    assert 3 == len(host._costs)


# -- who goes when it is full ------------------------------------------------------------------


def test_when_the_host_is_full_what_parking_saves_least_goes_to_its_teardown() -> None:
    rig = Rig(budget=16, host=26)
    load = rig.loader()
    for name, seconds in (("dear", 1e7), ("cheap", 1.0), ("middling", 1e6), ("other", 1e6)):
        rig.seconds["load"] = seconds
        load(name)
    assert ["cheap"] == rig.torn_down()
    assert {"dear": "parked", "middling": "parked", "other": "live"} == rig.states
    [removal] = rig.removals
    assert (SIZE, "host") == (removal.cause, removal.tier)
    assert_consistent(rig.cache)


def test_the_newcomer_goes_itself_if_it_saves_least() -> None:
    rig = Rig(budget=16, host=13)
    load = rig.loader()
    for name, seconds in (("dear", 1e7), ("cheap", 1.0), ("other", 1e6)):
        rig.seconds["load"] = seconds
        load(name)
    assert ["cheap"] == rig.torn_down()
    assert {"dear": "parked", "other": "live"} == rig.states
    [removal] = rig.removals
    assert (SIZE, None) == (removal.cause, removal.tier)
    assert 1 == host_stats(rig).full


def test_what_is_larger_than_the_host_has_at_all_costs_nobody_his_place() -> None:
    rig = Rig(budget=32, host=16)
    load = rig.loader()
    load("small", 10), load("large", 30), load("other", 30)
    assert ["large"] == rig.torn_down()
    assert "parked" == rig.states["small"]
    assert ["small"] == rig.parks


def test_what_comes_back_is_not_what_goes_for_whom_it_displaces() -> None:
    rig = Rig(budget=16, host=13)
    load = rig.loader()
    a = load("a")
    load("b")  # a is parked
    assert load("a") is a, "b has to go, and to the host there is no way but over a"
    assert ["b"] == rig.torn_down()
    assert_consistent(rig.cache)


def test_what_it_says_it_takes_is_what_it_is_charged_with() -> None:
    rig = Rig(budget=16, host=26)
    rig.units_there = 5
    load = rig.loader()
    for name in "abcd":
        load(name)
    assert 15 * UNIT == host_stats(rig).bytes
    assert [] == rig.removals
    assert_consistent(rig.cache)


def test_more_than_was_expected_is_made_up_for_afterwards() -> None:
    rig = Rig(budget=16, host=26)
    load = rig.loader(park=(taking(rig, 20), rig.unpark))
    load("a"), load("b")
    assert 20 * UNIT == host_stats(rig).bytes
    load("c")
    assert host_stats(rig).bytes <= 26 * UNIT
    assert 1 == len(rig.removals)
    load("d")
    assert_consistent(rig.cache)
    assert host_stats(rig).bytes <= 26 * UNIT


def test_more_than_there_is_at_all_is_torn_down() -> None:
    rig = Rig(budget=16, host=26)
    load = rig.loader(park=(taking(rig, 200), rig.unpark))
    load("a"), load("b")
    assert ["a"] == rig.torn_down()
    assert 0 == host_stats(rig).bytes
    assert 12 * UNIT == rig.cache.stats().live == rig.device.allocated()
    assert_consistent(rig.cache)


def test_what_goes_already_is_not_asked_for_again() -> None:
    rig = Rig(budget=40, host=24)
    load = rig.loader()
    load("a"), load("b")
    rig.cache.relieve(24 * UNIT)
    load("c"), load("d")
    reached, opened = threading.Event(), threading.Event()
    close = rig.models[0].close

    def closes() -> None:
        reached.set()
        assert opened.wait(5)
        close()

    rig.models[0].close = closes  # type: ignore[method-assign]
    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(rig.cache.relieve, 1)
        assert reached.wait(5)
        rig.cache.relieve(1)
        opened.set()
        first.result(5)
    assert {"c": "parked", "d": "parked"} == rig.states
    assert ["a", "b"] == rig.torn_down()
    stats = host_stats(rig)
    assert (4, 0, 24 * UNIT) == (stats.parks, stats.full, stats.bytes)
    assert_consistent(rig.cache)


def test_what_turns_out_too_large_costs_nobody_his_place_again() -> None:
    rig = Rig(budget=40, host=26)
    host: Any = rig.cache._view.meter.host  # type: ignore[union-attr]
    park = host.copy_out

    def needs_more(entry: Any, remains: Any) -> Any:
        if entry.value.name == "large":
            raise HostIsFullError("it takes more", 30 * UNIT)
        return park(entry, remains)

    host.copy_out = needs_more
    load = rig.loader()
    load("a"), load("b")
    rig.cache.relieve(24 * UNIT)
    load("large")
    rig.cache.relieve(1)
    assert {"b": "parked"} == rig.states
    load("c")
    rig.cache.relieve(1)
    load("large")
    rig.cache.relieve(1)
    assert {"b": "parked", "c": "parked"} == rig.states
    stats = host_stats(rig)
    assert (3, 2, {}) == (stats.parks, stats.full, dict(stats.failures))
    assert_consistent(rig.cache)


def test_what_is_copied_and_cannot_stay_counts_as_full_and_not_as_parked() -> None:
    rig = Rig(budget=16, host=26)
    load = rig.loader(park=(taking(rig, 200), rig.unpark))
    load("a"), load("b")
    assert (0, 1) == (host_stats(rig).parks, host_stats(rig).full)


def test_what_somebody_looks_into_on_the_host_is_no_room() -> None:
    rig = Rig(budget=40, host=26)
    load = rig.loader()
    load("a"), load("b")
    rig.cache.relieve(1)
    host: Any = rig.cache._view.meter.host  # type: ignore[union-attr]
    host._slabs = SimpleNamespace(looked_into=3 * UNIT, close=lambda: None)
    rig.cache.relieve(1)
    assert {"b": "parked"} == rig.states, "of 26, 3 are in use, and 12 and 12 are too much"
    assert ["a"] == rig.torn_down()


def test_the_machine_keeps_some_memory_for_itself(machine: Machine) -> None:
    rig = Rig()
    load = rig.loader()
    machine.available = 2**30 + 12 * UNIT - 1
    load("a"), load("b")
    assert ["a"] == rig.torn_down()
    assert {"short": 1} == host_stats(rig).failures
    machine.available = 2**30 + 12 * UNIT
    load("c")
    assert "parked" == rig.states["b"]
    machine.available = None
    load("d")
    assert "parked" == rig.states["c"], "what is not known is no shortage"
    assert_consistent(rig.cache)


def slabs_of(rig: Rig) -> Slabs:
    """Return the slabs of a cache, which keep 13 units for the next value."""
    parking: Any = rig.cache._view.meter.host  # type: ignore[union-attr]
    slabs: Slabs = parking._slabs
    slabs.give_back(slabs.take(13 * UNIT))
    return slabs


def test_what_is_kept_for_the_next_value_goes_where_the_machine_is_short(machine: Machine) -> None:
    rig = Rig()
    slabs = slabs_of(rig)
    load = rig.loader()
    machine.available = 2**30 + 10 * UNIT
    load("a"), load("b")
    assert "parked" == rig.states["a"], "it was counted as if others had it"
    assert 0 == slabs.kept
    load("c")
    assert ["b"] == rig.torn_down()


def test_what_is_kept_and_fits_takes_no_more(machine: Machine) -> None:
    rig = Rig()
    slabs = slabs_of(rig)
    rig.loader(park=None)("a")
    [entry] = rig.cache._store.live.values()
    parking: Any = rig.cache._view.meter.host  # type: ignore[union-attr]
    machine.available = 0
    entry.parked = ParkedBytes(12 * UNIT, None)
    assert not parking.is_short(entry)
    assert 13 * UNIT == slabs.kept
    entry.parked = ParkedBytes(2 * UNIT, None)
    assert parking.is_short(entry)
    assert 0 == slabs.kept


@pytest.mark.parametrize("end", ["close", "close_all", "collected"])
def test_a_cache_that_is_closed_or_collected_keeps_no_memory(end: str) -> None:
    rig = Rig()
    slabs = slabs_of(rig)
    rig.loader()("a")
    if end == "close":
        rig.cache.close()
    elif end == "close_all":
        close_now([rig.cache], 5, "close_all()")
    else:
        del rig.cache
        gc.collect()
        janitor.drain(5)
    assert 0 == slabs.kept


def test_locked_memory_takes_a_gpu() -> None:
    tier = HostTier(1, page_locked=True)
    with pytest.raises(ValueError, match="this cache is of the machine's memory; leave it at"):
        HostMemoryCache(host=tier)
    assert MemoryCache(1, probe=FakeProbe(1), host=tier).close() is None  # who knows


# -- the price ---------------------------------------------------------------------------------


def entry_of(key: str, seconds: float, weight: float = 1.0) -> Entry:
    return new_entry(key, object(), weight, Provenance(Source("load"), seconds), 0.0)


def test_the_price_is_what_parking_saves_a_second_and_a_byte() -> None:
    host = HostLedger(100, 0.8)
    a, b = entry_of("a", 8.0), entry_of("b", 8.0, weight=2.0)
    parked, twice_as_much = host.expected(a, "a"), host.expected(b, "b")
    before = price_of(a, parked, 0.0)
    assert before == 2 * price_of(b, twice_as_much, 0.0)
    host.begin(a, parked)
    host.came_back(a, 6.0)
    assert before == 4 * price_of(a, parked, 0.0), "of eight seconds, two are saved"
    a.base_uses = 3
    assert 3 * before == 4 * price_of(a, parked, 0.0)
