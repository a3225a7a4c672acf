"""What has to make room is parked, and comes back as the very object."""

from __future__ import annotations

import gc
import pickle
import threading
import weakref
from pathlib import Path
from typing import Any

import pytest
from parked import UNIT, Machine, Model, Rig, parked

from warmcache import (
    CapacityError,
    DiskTier,
    HostTier,
    MemoryCache,
    RemovalCause,
    WarmMissError,
    clear_all,
    no_load,
    warm,
)
from warmcache._core.drivers.threads import run
from warmcache._core.plans.share import give
from warmcache._process.janitor import janitor
from warmcache.memory import HostMemoryCache
from warmcache.probes.probe import Sample
from warmcache.testing import FakeProbe, assert_consistent

pytestmark = pytest.mark.usefixtures("machine")
CAP = 5.0
SIZE, EXPLICIT, CLOSED = RemovalCause.SIZE, RemovalCause.EXPLICIT, RemovalCause.CLOSED


@pytest.fixture
def rig() -> Rig:
    return Rig(budget=16, host=32)


# -- there and back ----------------------------------------------------------------------------


def test_what_makes_room_is_parked_and_comes_back_as_the_very_object(rig: Rig) -> None:
    load = rig.loader()
    a = load("a")
    b = load("b")
    assert load("a") is a
    assert ["a", "b"] == rig.loads
    assert ["a", "b"] == rig.parks
    assert ["a"] == rig.unparks
    assert load("b") is b
    assert [] == rig.torn_down() == rig.removals
    assert_consistent(rig.cache)
    assert 12 * UNIT == rig.device.allocated() == rig.cache.stats().live


def test_its_device_is_free_before_the_next_load_begins(rig: Rig) -> None:
    load = rig.loader()
    load("a")
    rig.before_park = lambda model: rig.loads.append("parks")
    load("b")
    assert ["a", "parks", "b"] == rig.loads
    assert 12 * UNIT == rig.device.allocated()


def test_its_room_is_reserved_before_it_comes_back(rig: Rig) -> None:
    load = rig.loader()
    rig.cache[load.cache_key("a")] = rig.make("a")  # of which no load has told what it takes
    rig.cache.relieve(1)
    load("b", 1)
    reserved: list[float] = []
    rig.before_unpark = lambda model: reserved.append(rig.cache.stats().loading)
    load("a")
    assert [12 * UNIT] == reserved


def test_uses_age_and_hits_go_on(rig: Rig) -> None:
    load = rig.loader()
    load("a"), load("a")
    rig.now = 5.0
    load("b"), load("a"), load("a")
    entry = next(each for each in rig.cache.entries() if each.state == "live")
    assert (4, 5.0) == (entry.uses, entry.age)
    assert 2 == rig.cache.stats().hits


def test_what_comes_back_counts_as_what_came_last() -> None:
    rig = Rig(budget=30, host=100, order="fifo")
    load = rig.loader()
    for name in "abca":
        load(name)
    assert {"a": "live", "b": "parked", "c": "live"} == rig.states
    load("d")
    assert {"a", "d"} == {name for name, state in rig.states.items() if state == "live"}


def test_what_comes_back_is_a_miss_and_no_load(rig: Rig) -> None:
    heard: list[Any] = []
    rig = Rig(on_load=heard.append)
    load = parked(rig)
    load("a")
    stats = rig.cache.stats()
    assert (3, 2, 2, 0) == (stats.misses, stats.loads, len(heard), stats.load_failures)
    assert stats.host is not None
    assert (2, 1) == (stats.host.parks, stats.host.unparks)


def test_what_is_leased_is_never_parked(rig: Rig) -> None:
    load = rig.loader()
    with load.lease("a"), pytest.raises(CapacityError):
        load("b")
    assert [] == rig.parks
    load("b")
    assert ["a"] == rig.parks


def test_a_lease_brings_it_back(rig: Rig) -> None:
    load = parked(rig)
    with load.lease("a") as a:
        assert rig.models[0] is a
        assert {"a": "live", "b": "parked"} == rig.states
    assert ["a", "b"] == rig.loads


def test_a_lease_of_the_cache_brings_it_back(rig: Rig) -> None:
    load = parked(rig)
    with rig.cache.lease(load.cache_key("a")) as a:
        assert rig.models[0] is a and a.blocks
    with pytest.raises(KeyError), rig.cache.lease(load.cache_key("nobody")):
        pass


def test_what_was_handed_in_under_a_key_of_the_loader_is_parked_like_its_own(rig: Rig) -> None:
    load = rig.loader()
    rig.cache[load.cache_key("a")] = a = rig.make("a")
    load("b")
    assert {"a": "parked", "b": "live"} == rig.states
    assert a is load("a")


def test_while_loading_is_forbidden_it_may_come_back(rig: Rig) -> None:
    load = parked(rig)
    with no_load():
        assert rig.models[0] is load("a")
        with pytest.raises(WarmMissError):
            load("c")


def test_values_without_a_say_in_it_are_torn_down_as_without_a_tier(
    rig: Rig, caplog: pytest.LogCaptureFixture
) -> None:
    load = rig.loader(park=None)
    load("a"), load("b"), load("c")
    assert ["a", "b"] == rig.torn_down()
    assert [SIZE, SIZE] == rig.causes
    assert 1 == caplog.text.count("nobody knows how to park Model: say park=(park, unpark)")
    stats = rig.cache.stats().host
    assert stats is not None
    assert {"park": 2} == stats.failures
    assert 0 == stats.bytes


# -- what is parked is not warm ----------------------------------------------------------------


def test_the_mapping_and_peek_see_live_ones_only(rig: Rig) -> None:
    load = parked(rig)
    key = load.cache_key("a")
    assert not load.contains("a")
    assert load.peek("a") is None
    assert rig.cache.peek(key) is None
    assert key not in rig.cache
    assert [load.cache_key("b")] == list(rig.cache)
    assert 1 == len(rig.cache)
    with pytest.raises(KeyError):
        rig.cache[key]


def test_entries_and_stats_show_what_is_parked(rig: Rig) -> None:
    parked(rig)
    a = next(each for each in rig.cache.entries() if each.state == "parked")
    assert (12 * UNIT, 0) == (a.weight, a.leases)
    stats = rig.cache.stats()
    assert stats.host is not None
    assert (1, 12 * UNIT, 32 * UNIT) == (stats.host.entries, stats.host.bytes, stats.host.budget)
    assert 12 * UNIT == stats.live
    assert 12 * UNIT == stats.as_dict()["host"]["bytes"]
    assert MemoryCache(5, probe=FakeProbe(10)).stats().host is None


# -- what ends it ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "door",
    [
        lambda rig, load: load.evict("a"),
        lambda rig, load: load.cache_clear(),
        lambda rig, load: rig.cache.evict(key=load.cache_key("a")),
        lambda rig, load: rig.cache.evict(where=lambda info: info.state == "parked"),
        lambda rig, load: rig.cache.evict(where=lambda info: "big" in info.tags),
        lambda rig, load: rig.cache.pop(load.cache_key("a")),
        lambda rig, load: rig.cache.__delitem__(load.cache_key("a")),
        lambda rig, load: rig.cache.clear(),
        lambda rig, load: clear_all(),
    ],
)
def test_who_removes_it_reaches_it(rig: Rig, door: Any) -> None:
    load = parked(rig, tags={"big"})
    door(rig, load)
    assert 1 == rig.models[0].torn_down
    removal = next(each for each in rig.removals if each.key[1] == "a")
    assert (EXPLICIT, 12 * UNIT, "host") == (removal.cause, removal.weight, removal.tier)
    assert "a" not in rig.states
    assert_consistent(rig.cache)
    load("a")
    assert 2 == rig.loads.count("a")


def test_what_is_torn_down_as_it_is_parked_weighs_what_it_takes_there() -> None:
    found: list[Any] = []

    def closes(model: Model) -> None:
        found.extend((each.state, each.weight) for each in rig.cache.entries())
        model.close()

    rig = Rig(teardown=closes)
    rig.units_there = 5
    load = rig.loader()
    load("a")
    rig.cache.relieve(1)
    load.evict("a")
    assert [("dying", 5 * UNIT)] == found


def test_a_removal_returns_what_was_parked(rig: Rig) -> None:
    load = parked(rig)
    [removal] = load.evict("a")
    assert "host" == removal.tier
    [removal] = load.evict("b")
    assert removal.tier is None


def test_closing_tears_it_down_as_it_is(rig: Rig) -> None:
    load = parked(rig)
    found: list[Any] = []
    close = rig.models[0].close
    rig.models[0].close = lambda: (found.append(rig.models[0].blocks), close())  # type: ignore
    rig.cache.close()
    assert [[]] == found
    assert [1, 1] == [model.torn_down for model in rig.models]
    assert [CLOSED, CLOSED] == rig.causes
    assert 0 == rig.device.allocated()
    assert_consistent(rig.cache)
    assert load is not None


def test_a_cache_that_is_collected_takes_what_is_parked_along(rig: Rig) -> None:
    parked(rig).evict("b")
    a, done = rig.models[0], threading.Event()
    rig.cache = None  # type: ignore[assignment]
    gc.collect()
    janitor.defer(done.set)
    assert done.wait(CAP)
    assert 1 == a.torn_down


def test_what_has_ended_is_torn_down_where_it_lies() -> None:
    rig = Rig(ttl=10.0)
    load = parked(rig)
    rig.now = 9.0
    assert rig.models[0] is load("a")
    load("b")
    rig.now = 11.0
    rig.cache.expire()
    assert ["a", "b"] == sorted(rig.torn_down())
    assert {RemovalCause.EXPIRED} == {*rig.causes}
    assert 0 == rig.cache.stats().host.bytes  # type: ignore[union-attr]


def test_what_is_idle_for_too_long_ends_while_it_is_parked() -> None:
    rig = Rig(idle_ttl=10.0)
    load = parked(rig)
    rig.now = 11.0
    assert rig.models[0] is not load("a")
    assert [1, 1, 0] == [model.torn_down for model in rig.models]


@pytest.mark.parametrize("watched", [False, True])
def test_what_ends_as_it_comes_back_is_not_served_but_loaded_anew(watched: bool) -> None:
    rig = Rig(ttl=10.0)
    load = parked(rig)

    def ends(model: Model) -> None:
        rig.now = 10.0
        if watched:
            rig.cache.expire()

    rig.before_unpark = ends
    again = load("a")
    assert again is not rig.models[0]
    assert ["a", "b", "a"] == rig.loads
    assert 1 == rig.models[0].torn_down
    causes = {each.key[1]: (each.cause, each.tier) for each in rig.removals}
    assert (RemovalCause.EXPIRED, None) == causes["a"], "it was on the device"
    assert 0 == rig.cache.stats().host.unparks  # type: ignore[union-attr]
    assert 3 == rig.cache.stats().misses, "of one call, one miss"
    assert_consistent(rig.cache)


def test_what_ends_as_a_lease_has_it_back_is_not_there() -> None:
    rig = Rig(ttl=10.0)
    load = parked(rig)
    rig.before_unpark = lambda model: setattr(rig, "now", 10.0)
    with pytest.raises(KeyError), rig.cache.lease(load.cache_key("a")):
        pass
    assert 1 == rig.models[0].torn_down
    assert_consistent(rig.cache)


def test_what_was_idle_for_long_is_in_use_as_it_comes_back() -> None:
    rig = Rig(idle_ttl=10.0)
    load = parked(rig)
    rig.now = 9.0
    rig.before_unpark = lambda model: (setattr(rig, "now", 11.0), rig.cache.expire())
    assert rig.models[0] is load("a")
    assert "live" == rig.states["a"]
    assert_consistent(rig.cache)


def test_the_janitor_comes_when_it_ends(rig: Rig) -> None:
    rig = Rig(ttl=10.0)
    parked(rig)
    assert 10.0 == rig.cache._seconds_left()
    rig.cache.evict()
    assert 10.0 == rig.cache._seconds_left()


def test_a_value_handed_in_takes_its_place(rig: Rig) -> None:
    load = parked(rig)
    rig.cache[load.cache_key("a")] = new = rig.make("new", 2)
    assert 1 == rig.models[0].torn_down
    assert [RemovalCause.REPLACED] == rig.causes
    assert new is load("a")
    assert_consistent(rig.cache)


def test_the_parked_object_itself_handed_in_again_is_that_entry(rig: Rig) -> None:
    load = parked(rig)
    a = rig.models[0]
    rig.cache[load.cache_key("a")] = a
    assert a is load("a")
    assert 0 == a.torn_down
    assert 1 == rig.unparks.count("a")
    assert_consistent(rig.cache)


def test_what_is_not_valid_any_more_is_torn_down_and_loaded_anew(rig: Rig) -> None:
    valid = [True]
    load = rig.loader(validate=lambda model: bool(model.blocks) and valid[0])
    a = load("a")
    load("b")
    assert load("a") is a, "it is asked on the device, and not of what is parked"
    load("b")
    valid[0] = False
    assert load("a") is not a
    assert RemovalCause.INVALID in rig.causes
    assert 1 == a.torn_down


# -- pressure ----------------------------------------------------------------------------------


def test_what_is_asked_for_under_pressure_is_parked(rig: Rig) -> None:
    load = rig.loader()
    a = load("a")
    assert 12 * UNIT == rig.cache.relieve(1)
    assert {"a": "parked"} == rig.states
    assert 0 == rig.device.allocated()
    assert load("a") is a


def test_the_watcher_parks() -> None:
    rig = Rig(900, 2000, poll=3600, high=0.5, low=0.4, min_residency=0, confirm=0)
    load = rig.loader()
    load("a", 300), load("b", 300)
    for _ in range(20):
        rig.cache.expire_now()
    assert {"a": "parked", "b": "live"} == rig.states
    assert [] == rig.removals


def test_another_cache_on_the_device_has_it_parked() -> None:
    rig = Rig(budget=900, host=2000)
    load = rig.loader()
    a = load("a", 700)
    other = MemoryCache[Any, Any](900 * UNIT, probe=rig.device, headroom=0, poll=0, wait=0)

    @warm(cache=other, size=600 * UNIT)
    def load_other(name: str) -> Any:
        return rig.device.block(600 * UNIT)

    block = load_other("b")
    assert {"a": "parked"} == rig.states
    other.clear()
    del block
    assert load("a", 700) is a


def test_what_is_removed_by_count_is_torn_down(rig: Rig) -> None:
    rig.loader()("a")
    rig.cache.evict(1)
    assert [EXPLICIT] == rig.causes
    assert [] == rig.parks


# -- the disk below ----------------------------------------------------------------------------


class ByName:
    """Keeps the name of a model on disk, and whether it was parked."""

    def __init__(self, rig: Rig) -> None:
        self.rig = rig
        self.dumped: list[tuple[str, bool]] = []

    def dump(self, value: Model, folder: Path) -> None:
        self.dumped.append((value.name, not value.blocks))
        (folder / "name").write_text(value.name)

    def load(self, folder: Path, name: str, units: int = 12) -> Model:
        model = Model(self.rig.device, (folder / "name").read_text(), units)
        self.rig.models.append(model)
        return model


def test_what_goes_from_a_full_host_goes_to_the_disk_where_that_is_said(tier: DiskTier) -> None:
    rig = Rig(budget=16, host=13)
    codec = ByName(rig)
    load = rig.loader(disk=tier, codec=codec, name="load", code=False, persist="evict")
    for name in "abc":
        load(name)
    assert {"b": "parked", "c": "live"} == rig.states
    assert [("a", True)] == codec.dumped, "it is written as it is"
    assert "a" == load("a").name
    assert ["a", "b", "c"] == rig.loads
    assert_consistent(rig.cache)


def test_a_key_is_looked_for_on_the_device_then_the_host_then_the_disk(
    rig: Rig, tier: DiskTier
) -> None:
    load = rig.loader(disk=tier, codec=ByName(rig), name="load", code=False)
    a = load("a")
    load("b")
    with no_load():
        assert load("a") is a
    assert 0 == tier.stats().hits
    load.evict("a")
    with no_load():
        again = load("a")
    assert ("a", 1, ["a", "b"]) == (again.name, tier.stats().hits, rig.loads)
    assert again is not a
    with no_load(), pytest.raises(WarmMissError):
        load("c")
    assert_consistent(rig.cache)


# -- options -----------------------------------------------------------------------------------


def test_options_that_are_wrong_are_refused_at_decoration(rig: Rig) -> None:
    def load(name: str) -> None: ...

    with pytest.raises(TypeError, match="no option 'host'"):
        warm(policy="lru", maxsize=2, host="1GiB")(load)
    with pytest.raises(TypeError, match="did you mean 'host'"):
        warm(policy="ram", budget=2**20, hots="1GiB")(load)
    with pytest.raises(TypeError, match="park must be a pair of functions"):
        warm(policy="ram", budget=2**20, host="1GiB", park=max)(load)
    with pytest.raises(TypeError, match="park must be a pair of functions"):
        warm(policy="ram", budget=2**20, host="1GiB", park=(max,))(load)
    with pytest.raises(TypeError, match="each takes one argument"):
        warm(policy="ram", budget=2**20, host="1GiB", park=(lambda: 1, str))(load)
    with pytest.raises(TypeError, match="say host=, too"):
        warm(policy="ram", budget=2**20, park=(str, str))(load)
    with pytest.raises(ValueError, match="host must be a size or a fraction"):
        warm(policy="ram", budget=2**20, host="much")(load)


def test_the_budget_is_bytes_text_or_a_fraction_of_the_machine(machine: Machine) -> None:
    def budget(host: Any) -> float:
        stats = MemoryCache(5, probe=FakeProbe(10), host=host).stats().host
        assert stats is not None
        return stats.budget

    assert 1000 == budget(1000)
    assert 2**30 == budget("1GiB")
    assert 2**49 == budget(0.5) == budget(HostTier(0.5))


def test_a_tier_of_the_machines_own_memory_is_a_tier(machine: Machine) -> None:
    cache = HostMemoryCache("1MiB", host="1GiB", headroom=0, poll=0)

    @warm(cache=cache, size="1MiB", park=(lambda it: (it,), lambda it: it[0]))
    def load(name: str) -> list[str]:
        return [name]

    a = load("a")
    load("b")
    assert load("a") is a


def test_what_is_wrong_with_a_budget_is_said_of_the_machine_and_not_of_a_device(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(ValueError, match="host must be .* as 0.5 for half of the machine's memory"):
        MemoryCache(5, probe=FakeProbe(10), host=1.5)
    with pytest.raises(ValueError, match="budget must be .* half of the machine's memory"):
        HostTier(1.5)
    monkeypatch.setattr(machine, "sample", lambda: Sample(None, None, None, None))
    with pytest.raises(ValueError, match="in bytes: the size of the machine's memory is not known"):
        MemoryCache(5, probe=FakeProbe(10), host=0.5)


def test_a_tier_shows_what_was_said_of_it_and_stays_as_it_is() -> None:
    assert "HostTier('1GiB')" == repr(HostTier("1GiB", below=0.8))
    tier = HostTier(0.5, page_locked=False, retain=True, below=0.5)
    assert "HostTier(0.5, page_locked=False, retain=True, below=0.5)" == repr(tier)
    with pytest.raises(AttributeError, match=r"make another, HostTier\(..., retain=...\)"):
        tier.retain = False
    assert tier.retain


def test_equal_tiers_define_the_same_cache() -> None:
    assert HostTier("1GiB") == HostTier("1GiB", below=0.8)
    assert HostTier("1GiB") != HostTier("1GiB", below=0.7)
    assert 1 == len({HostTier("1GiB"), HostTier("1GiB")})
    again = pickle.loads(pickle.dumps(HostTier(0.5, retain=True, below=0.5)))
    assert HostTier(0.5, retain=True, below=0.5) == again


def test_nothing_keeps_a_parked_value_once_it_is_gone(rig: Rig) -> None:
    load = parked(rig)
    gone = weakref.ref(rig.models.pop(0))
    load.evict("a")
    gc.collect()
    assert gone() is None


# -- beside others ------------------------------------------------------------------------------


def test_what_comes_back_inside_of_a_load_is_none_of_that_loads_growth() -> None:
    device = FakeProbe(1000 * UNIT)
    rig = Rig(budget=100)
    cache = MemoryCache[Any, Any](
        100 * UNIT, probe=device, host=1000 * UNIT, headroom=0, poll=0, order="lru"
    )
    rig.device, rig.cache = device, cache
    inner = rig.loader()

    @warm(cache=cache)
    def outer(name: str) -> Any:
        inner("a")
        return device.block(3 * UNIT)

    inner("a")
    cache.relieve(1)
    assert {"a": "parked"} == rig.states
    outer("b")
    assert [3 * UNIT] == [each.weight for each in cache.entries() if each.key[1] == "b"]  # type: ignore[index]


def test_what_the_node_asks_for_is_parked(rig: Rig) -> None:
    load = rig.loader()
    a = load("a")
    view = rig.cache._view
    assert 12 * UNIT == run(give(view, 1, None, RemovalCause.NODE), view)
    assert {"a": "parked"} == rig.states
    assert load("a") is a
