"""Bytes that several entries have are charged once: to whom, and what becomes of it as they go."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from typing import Any

import pytest
from rigs import GiB, Model, Rig, blocks, meter_of
from sharers import Parts, Sharer, union

import warmcache
from warmcache import CapacityError, RemovalCause, warm
from warmcache._core.drivers.mending import mend
from warmcache._core.state.sharing import share_of
from warmcache.memory import meter
from warmcache.memory.footprint import Footprint
from warmcache.testing import ManualClock, assert_consistent

CAP = 5.0


@pytest.fixture(autouse=True)
def consistent(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Sharer]]:
    """Have each cache of a test be consistent at its end."""
    made: list[Sharer] = []
    begin = Sharer.__init__
    monkeypatch.setattr(
        Sharer, "__init__", lambda self, **options: (made.append(self), begin(self, **options))[1]
    )
    yield made
    for each in made:
        assert_consistent(each.cache)


def pair(**options: Any) -> tuple[Sharer, Sharer]:
    one = Sharer(**options)
    return one, Sharer(probe=one.probe, **options)


# -- who is charged --------------------------------------------------------------------


def test_a_base_under_two_adapters_is_charged_once_to_who_has_had_it_longest() -> None:
    rig = Sharer()
    base = rig.block(8)
    for name in "abc":
        rig.warm(name, base, rig.block(1))
    assert {"a": 9, "b": 1, "c": 1} == rig.weights()
    assert 11 == rig.gib("live") == union(rig.cache) / GiB


def test_what_shares_nothing_weighs_all_of_it() -> None:
    rig = Sharer()
    rig.warm("a", rig.block(2))
    rig.warm("b", rig.block(3))
    assert {"a": 2, "b": 3} == rig.weights()


def test_it_is_charged_once_over_all_caches_of_a_device() -> None:
    a, b = pair()
    base = a.block(8)
    a.warm("a", base, a.block(1))
    b.warm("b", base, b.block(1))
    assert ({"a": 9}, {"b": 1}) == (a.weights(), b.weights())
    other = Sharer()  # on a device of its own
    other.warm("c", base)
    assert {"c": 8} == other.weights()


def test_what_is_handed_in_is_charged_once_too_under_however_many_keys() -> None:
    rig = Sharer()
    value = Parts(rig.block(4))
    rig.cache["x"] = rig.cache["y"] = value
    rig.warm("a", *value.blocks, rig.block(1))
    assert [4, 0, 1] == [each.weight / GiB for each in rig.cache.entries()]


def test_a_value_that_is_handed_in_again_is_weighed_anew_beside_what_it_has_inherited() -> None:
    rig = Sharer()
    base = rig.block(4)
    value = Parts(base, rig.block(1))
    rig.cache["x"], rig.cache["y"] = Parts(base), value
    value.blocks.append(rig.block(2))
    rig.cache["y"] = value
    assert [4, 3] == [each.weight / GiB for each in rig.cache.entries()]
    del rig.cache["x"]
    assert [7] == [each.weight / GiB for each in rig.cache.entries()]


def test_a_second_load_of_what_is_warm_reserves_only_what_is_its_own() -> None:
    reserved: list[float] = []
    rig = Sharer()
    base = rig.block(8)

    @warm(cache=rig.cache)
    def adapter(name: str) -> Parts:
        reserved.append(rig.cache.stats().loading / GiB)
        return Parts(base, rig.block(1))

    rig.warm("base", base)
    adapter.warm_up(["a"])
    adapter.evict("a")
    adapter.warm_up(["a"])
    assert 1 == reserved[1]


def test_values_whose_size_was_said_are_not_looked_into() -> None:
    rig = Sharer()
    base = rig.block(4)

    @warm(cache=rig.cache, size="5GiB")
    def said() -> Parts:
        return Parts(base)

    @warm(cache=rig.cache, size=lambda value: 5 * GiB)
    def asked() -> Parts:
        return Parts(base)

    rig.warm("a", base)
    said(), asked()
    rig.cache[said.cache_key()] = Parts(base)
    assert [4, 5, 5] == sorted(each.weight / GiB for each in rig.cache.entries())
    assert [False, False, True] == sorted(
        share_of(each) is not None for each in rig.cache._store.live.values()
    )


def test_a_footprint_whose_parts_are_more_than_itself_shares_nothing() -> None:
    rig = Sharer(footprint=lambda value: Footprint(GiB, blocks(value).parts, ()))
    base = rig.block(4)
    rig.warm("a", base)
    rig.warm("b", base)
    assert {"a": 1, "b": 1} == rig.weights()


def test_what_grew_is_charged_beside_what_others_have() -> None:
    rig = Rig(budget=16 * GiB, footprint=blocks)
    base: list[Any] = []

    @warm(cache=rig.cache)
    def load(name: str) -> Parts:
        if not base:
            base.append(rig.probe.block(4 * GiB))
        value = Parts(*base)
        value.unseen = [rig.probe.block(2 * GiB)]  # type: ignore[attr-defined]
        return value

    load.warm_up([*"ab"])
    base.clear()
    assert [(6, "allocator"), (2, "allocator")] == [
        (each.weight / GiB, each.weighed_by) for each in rig.cache.entries()
    ]
    load.evict("a")
    assert [6] == [each.weight / GiB for each in rig.cache.entries()]
    assert 6 * GiB == rig.probe.allocated()
    assert_consistent(rig.cache)


# -- as they go ------------------------------------------------------------------------


def test_when_the_first_goes_the_charge_moves_and_only_what_nobody_has_is_freed() -> None:
    rig = Sharer()
    base = rig.block(8)
    for name in "abc":
        rig.warm(name, base, rig.block(1))
    rig.evict("b")
    assert {"a": 9, "c": 1} == rig.weights()
    rig.evict("a")
    assert {"c": 9} == rig.weights()
    del base
    rig.evict("c")
    assert 0 == rig.committed() == (rig.probe.allocated() or 0)


def test_a_charge_moves_to_another_cache() -> None:
    a, b = pair()
    base = a.block(8)
    a.warm("a", base, a.block(1))
    b.warm("b", base, b.block(1))
    a.evict("a")
    assert (0, 9) == (a.committed(), b.committed())
    assert_consistent(a.cache), assert_consistent(b.cache)


DOORS: dict[str, Callable[[Sharer, ManualClock], object]] = {
    "evicted": lambda rig, clock: rig.cache.evict(key="a"),
    "deleted": lambda rig, clock: rig.cache.__delitem__("a"),
    "replaced": lambda rig, clock: rig.cache.__setitem__("a", Parts()),
    "expired": lambda rig, clock: (clock.advance(10), rig.cache.expire_now()),
    "detached": lambda rig, clock: rig.cache.detach("a"),
    "cleared": lambda rig, clock: rig.cache.clear(),
    "relieved": lambda rig, clock: rig.cache.relieve(1),
    "closed": lambda rig, clock: rig.cache.close(),
}


@pytest.mark.parametrize("door", DOORS)
def test_by_whatever_door_it_leaves_its_share_goes_to_the_heir(door: str) -> None:
    clock = ManualClock()
    one = Sharer(timer=clock, idle_ttl=10)
    two = Sharer(probe=one.probe)
    base = one.block(4)
    one.cache["a"] = Parts(base, one.block(1))
    two.cache["b"] = Parts(base, two.block(1))
    two.cache["c"] = Parts(base)
    DOORS[door](one, clock)
    assert {"b": 5, "c": 0} == {e.key: e.weight / GiB for e in two.cache.entries()}
    assert (0, 5) == (one.committed(), two.committed())
    del two.cache["b"]
    assert 4 == two.committed()


async def test_what_async_loaders_gave_and_async_teardowns_end_is_charged_once_too() -> None:
    rig = Sharer(confirm=60)
    base = rig.block(4)

    closed, weights = asyncio.Event(), list[Any]()

    async def close(value: Parts) -> None:
        weights.append(rig.weights())
        closed.set()

    @warm(cache=rig.cache, size_hint=0, teardown=close)
    async def load(name: str) -> Parts:
        return Parts(base, *[rig.block(1)] * (name == "a"))

    await load("a"), await load("b")
    assert {"a": 5, "b": 0} == rig.weights()
    async with load.lease("b"):
        await load.evict("a")
        await asyncio.wait_for(closed.wait(), CAP)
    assert {"a": 1, "b": 4} == weights[0], "the heir is charged before the teardown ends"
    await load("b")
    assert {"b": 4} == {name: weight for name, weight in rig.weights().items() if weight != 1}


def test_what_is_retired_under_a_lease_keeps_its_charge_until_that_ends() -> None:
    rig = Sharer()
    base = rig.block(4)
    rig.warm("a", base, rig.block(1))
    rig.warm("b", base)
    with rig.load.lease("a"):
        rig.evict("a")
        assert (5, {"b": 0}) == (rig.gib("retired"), {"b": rig.weights()["b"]})
        with rig.load.lease("b"):
            pass
    assert {"b": 4} == rig.weights()


def test_an_heir_that_is_leased_or_retired_is_charged_as_such() -> None:
    rig = Sharer()
    base = rig.block(4)
    for name in "abc":
        rig.warm(name, base)
    with rig.load.lease("b"):
        rig.evict("a")
        assert (4, 0) == (rig.gib("live"), rig.cache._store.ledger.idle)
    with rig.load.lease("b"):
        rig.evict("b")
        with rig.load.lease("c"):
            assert 4 == rig.gib("retired")
    assert {"c": 4} == rig.weights()


def test_who_was_never_charged_and_goes_leaves_the_charge_where_it_is() -> None:
    rig = Sharer()
    base = rig.block(4)
    for name in "abc":
        rig.warm(name, base, rig.block(1))
    rig.evict("c")
    rig.evict("b")
    assert {"a": 5} == rig.weights()


def test_what_is_larger_than_the_budget_is_refused_and_shares_nothing_any_more() -> None:
    rig = Sharer(confirm=0)
    rig.probe.total = 64 * GiB
    base = rig.block(4)
    with pytest.raises(CapacityError):
        rig.warm("a", base, rig.block(14))
    rig.warm("b", base)
    assert {"b": 4} == rig.weights() and 4 == rig.committed()


def test_a_limit_is_that_of_ones_own_bytes() -> None:
    rig = Sharer()
    base = rig.block(12)
    rig.warm("a", base)
    rig.warm("b", base, rig.block(3))
    assert {"a": 12, "b": 3} == rig.weights()


class ByRank(warmcache.Cache[Any, Any]):
    """Ranks by seconds a byte, and has that recorded."""

    def rank(self, entry: Any) -> float:
        return float(entry.load_seconds / entry.weight)


@pytest.mark.parametrize("order", ["cost", "gdsf", ByRank])
@pytest.mark.parametrize("leased", [False, True])
def test_the_order_follows_what_an_heir_weighs(order: Any, leased: bool) -> None:
    clock = ManualClock()
    rig = Sharer(order=order, timer=clock)
    base = rig.block(4)
    values = {
        "a": (1000, [base]),
        "b": (8, [base, rig.block(1)]),  # 8 seconds a GiB, and 1.6 once the base is charged to it
        "c": (16, [rig.block(4)]),
        "d": (1, [rig.block(4)]),
    }

    @warm(cache=rig.cache, size_hint=0)
    def load(name: str) -> Parts:
        seconds, blocks = values.pop(name)
        clock.advance(seconds)
        return Parts(*blocks)

    load.warm_up([*values])
    assert ["d"] == [each.key[1] for each in rig.cache.evict(1)]  # from now on ranks are recorded
    if leased:
        with load.lease("b"):
            load.evict("a")
    else:
        load.evict("a")
    if order == "cost":  # which is on a leash, by what LRU would have room for
        choice: Any = rig.cache._store.order
        known = choice.choice.known.residents
        assert all(entry.weight == record.size for entry, record in known.items())
    assert ["b", "c"] == [key[1] for key in rig.cache.victims()]
    assert ["b", "c"] == [each.key[1] for each in rig.cache.evict(2)]


# -- room ------------------------------------------------------------------------------


def test_more_goes_where_others_had_of_what_went_and_the_load_is_not_refused() -> None:
    rig = Sharer(order="lru", wait=0)
    base = rig.block(8)
    rig.warm("a", base)
    rig.warm("b", base, rig.block(4))
    del base
    needed: list[float] = []

    @warm(cache=rig.cache, size="10GiB")
    def large() -> Parts:
        needed.append((rig.probe.sample().free or 0) / GiB)
        return Parts(rig.block(10))

    large()
    assert [16] == needed
    assert {RemovalCause.SIZE: 2} == rig.cache.stats().removals


def test_no_more_goes_than_is_needed() -> None:
    rig = Sharer(order="lru", wait=0)
    base = rig.block(8)
    rig.warm("a", base, rig.block(4))
    rig.warm("b", base)
    rig.warm("c", rig.block(2))
    rig.cache.relieve("4GiB")
    assert {"b": 8, "c": 2} == rig.weights()


def test_relief_goes_on_until_as_much_is_free() -> None:
    rig = Sharer(order="lru")
    base = rig.block(8)
    for name in "abc":
        rig.warm(name, base)
    rig.warm("d", rig.block(4))
    del base
    assert 8 * GiB == rig.cache.relieve("8GiB")
    assert {"d": 4} == rig.weights()


@pytest.mark.parametrize("elsewhere", [False, True])
def test_what_others_had_is_not_taken_for_room_that_the_device_does_not_show(
    elsewhere: bool,
) -> None:
    """Else it would be said to be in vain to evict more."""
    a, b = pair(order="lru", wait=0)
    b = b if elsewhere else a
    base = a.block(8)
    for name in "ab":
        a.warm(name, base)
    del base
    a.probe.foreign = 2 * GiB
    made: list[str] = []

    @warm(cache=b.cache, size="8GiB")
    def load() -> Parts:
        made.append("made")
        return Parts(b.block(8))

    load()
    assert ["made"] == made and 2 == sum(a.cache.stats().removals.values())


# -- what is expected back -----------------------------------------------------------------


def test_no_byte_is_expected_back_that_another_entry_has(caplog: pytest.LogCaptureFixture) -> None:
    rig = Sharer(confirm=60)
    value = Parts(rig.block(4))
    rig.cache["a"] = value
    rig.cache["b"] = Parts(value.blocks[0], inside=value)  # a pipeline that has the whole of it
    del value
    del rig.cache["a"]
    assert (0, 0, 4) == (rig.gib("dying"), rig.gib("zombies"), rig.gib("live"))
    assert not rig.cache._store.lingering and not caplog.text


def test_of_what_is_held_outside_only_what_no_entry_has_becomes_a_zombie() -> None:
    rig = Sharer(confirm=0)
    base = rig.block(4)
    rig.warm("a", base, rig.block(2))
    kept = rig.load("a")
    rig.warm("b", base)
    rig.evict("a")
    rig.cache.expire_now()
    assert (2, 4) == (rig.gib("zombies"), rig.gib("live"))
    del kept
    assert (0, 4) == (rig.gib("zombies"), rig.gib("live"))


def test_an_entry_takes_over_what_a_zombie_was_charged_with() -> None:
    rig = Sharer(confirm=0)
    base = rig.block(4)
    rig.warm("a", base, rig.block(2))
    kept = rig.load("a")
    rig.evict("a")
    rig.cache.expire_now()
    assert 6 == rig.gib("zombies")
    rig.warm("b", base)
    assert (2, 4) == (rig.gib("zombies"), rig.gib("live"))
    rig.evict("b")  # which nobody else has charge of by now: it is still held outside
    rig.cache.expire_now()
    assert 6 == rig.gib("zombies")
    del kept
    assert 4 == rig.gib("zombies")
    del base
    assert 0 == rig.gib("zombies")


def test_a_zombie_looked_at_by_nobody_is_not_charged_twice() -> None:
    """What an heir of its bytes leaves behind is that one's zombie, and no longer the first's."""
    rig = Sharer(confirm=0)
    meter_of(rig).linger = lambda store: None
    base = rig.block(4)
    rig.warm("a", base)
    rig.evict("a")
    rig.cache.expire_now()
    rig.warm("b", base)
    rig.evict("b")
    rig.cache.expire_now()
    assert 4 == rig.gib("zombies") == rig.committed()


def test_what_a_load_took_over_while_it_lingered_is_not_waited_for() -> None:
    rig = Sharer(confirm=60)
    meter_of(rig).linger = lambda store: None
    base = rig.block(4)
    rig.warm("a", base)
    rig.evict("a")
    assert 4 == rig.gib("dying")
    rig.warm("b", base)
    rig.cache.expire_now()
    assert (0, 4) == (rig.gib("dying"), rig.committed())


def test_of_a_value_whose_size_was_said_nothing_is_expected_back_that_entries_have() -> None:
    rig = Sharer(confirm=60)
    base = rig.block(4)

    @warm(cache=rig.cache, size="4GiB")
    def said() -> Parts:
        return Parts(base)

    said()
    rig.warm("b", base)
    said.evict()
    assert (0, 4) == (rig.gib("dying"), rig.committed())


class Opaque(Model):
    """A value of which nothing is seen."""


def test_the_holder_that_is_named_is_the_entry_that_has_it(
    caplog: pytest.LogCaptureFixture,
) -> None:
    rig = Rig(confirm=0)

    @warm(cache=rig.cache, size="4GiB")
    def base() -> Opaque:
        return Opaque(rig.probe, 4 * GiB)

    @warm(cache=rig.cache, size="1GiB")
    def pipeline(name: str) -> Parts:
        return Parts(base=base())

    pipeline.warm_up(["p"])
    base.evict()
    rig.cache.expire_now()
    assert "4.0 GiB are still held, by pipeline('p'), which is warm; they stay" in caplog.text
    assert "until that lets go: evict that, too" in caplog.text
    pipeline.evict("p")
    assert 0 == rig.gib("zombies")


# -- threads, interrupts, forks --------------------------------------------------------------


@pytest.mark.race
def test_an_heir_in_another_cache_is_charged_before_who_leaves_is_charged_less(
    start: Callable[..., Future[Any]],
) -> None:
    a, b = pair()
    base = a.block(8)
    a.warm("a", base)
    b.warm("b", base)
    with b.cache._store.lock:
        leaving = start(a.evict, "a")
        while a.load.contains("a") or not shares(b)[0].owned:
            assert not leaving.done()
        assert 8 == a.committed()
        # Nor does it hold a lock of its own cache meanwhile.
        assert ["dying"] == [each.state for each in start(a.cache.entries).result(CAP)]
    leaving.result(CAP)
    assert (0, 8) == (a.committed(), b.committed())


def shares(rig: Sharer) -> list[Any]:
    return [share_of(entry) for entry in rig.cache._store.live.values()]


@pytest.mark.race
@pytest.mark.parametrize("elsewhere", [False, True])
def test_an_heir_that_goes_before_it_is_charged_passes_the_charge_on(
    elsewhere: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    a, b = pair()
    b = b if elsewhere else a
    base = a.block(8)
    a.warm("a", base, a.block(1))
    b.warm("b", base, b.block(2))
    a.warm("c", base)
    charge_anew, waiting = meter.charge_anew, ["b"]

    def late(changed: Any) -> None:
        if changed and waiting:
            b.evict(waiting.pop())
        charge_anew(changed)

    monkeypatch.setattr(meter, "charge_anew", late)
    a.evict("a")
    assert {"c": 8} == a.weights() and 8 == a.committed() + (b.committed() if elsewhere else 0)


@pytest.mark.race
def test_a_load_whose_bytes_are_freed_before_it_is_charged_is_charged_with_them(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    rig = Sharer()
    base = rig.block(8)
    rig.warm("a", base, rig.block(1))
    weigh = meter.MemoryMeter.weigh

    def weigh_and_evict(self: Any, *args: Any) -> float:
        weight = weigh(self, *args)
        if weight == GiB:
            rig.evict("a")
        return weight

    monkeypatch.setattr(meter.MemoryMeter, "weigh", weigh_and_evict)
    rig.warm("b", base, rig.block(1))
    rig.cache.expire_now()
    assert {"b": 9} == rig.weights() and 9 == rig.committed()


@pytest.mark.race
def test_what_is_handed_in_is_charged_with_what_was_freed_before_it_arrived(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    rig = Sharer()
    base = rig.block(8)
    rig.warm("a", base)
    examine = meter.MemoryMeter.examine

    def examine_and_evict(*args: Any) -> None:
        examine(*args)
        rig.evict("a")

    monkeypatch.setattr(meter.MemoryMeter, "examine", examine_and_evict)
    rig.cache["b"] = Parts(base, rig.block(1))
    assert_consistent(rig.cache)
    assert [9] == [each.weight / GiB for each in rig.cache.entries() if each.state == "live"]
    rig.cache.expire_now()
    assert 9 == rig.committed()


def test_a_charge_that_moves_to_a_load_under_way_is_reserved_for_it() -> None:
    rig = Sharer(order="lru")
    rig.probe.total = 64 * GiB
    base = rig.block(8)
    reserved: list[float] = []

    def tear_down(value: Parts) -> None:
        rig.evict("a")
        reserved.append(rig.gib("loading"))
        assert_consistent(rig.cache)

    @warm(cache=rig.cache, teardown=tear_down)
    def victim() -> Parts:
        return Parts(rig.block(4))

    victim()
    rig.warm("a", base)
    rig.warm("b", base, rig.block(6))  # which is more than was reserved: the victim makes it up
    assert [14] == reserved and not rig.cache.stats().teardown_failures
    assert {"b": 14} == rig.weights() and 14 == rig.committed()


@pytest.mark.race
def test_threads_that_load_and_evict_what_they_share_leave_nothing_charged(
    start: Callable[..., Future[Any]],
) -> None:
    a, b = pair(confirm=60)
    a.probe.total = 1024 * GiB  # so that what is dead need not be shown by the device
    bases = [a.block(0.25) for _ in range(3)]  # so that nobody waits for room
    barrier = threading.Barrier(4)

    def work(rig: Sharer, number: int) -> None:
        barrier.wait(CAP)
        for turn in range(20):
            key = f"{number}-{turn % 3}"
            rig.cache[key] = Parts(*bases[turn % 3 :], rig.block(0.03125))
            if turn % 2:
                del rig.cache[key]

    jobs = [start(work, rig, number) for number, rig in enumerate([a, b, a, b])]
    for job in jobs:
        job.result(CAP)
    assert union(a.cache, b.cache) / GiB == a.gib("live") + b.gib("live")
    for rig in (a, b):
        rig.cache.clear()
    bases.clear()
    for rig in (a, b):
        rig.cache.expire_now()
    assert 0 == a.committed() == b.committed() == a.probe.allocated()


def test_what_an_interrupt_left_uncharged_is_charged_by_who_mends(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    rig = Sharer()
    base = rig.block(8)
    rig.warm("a", base)
    rig.warm("b", base, rig.block(1))

    def interrupted(changed: Any) -> None:
        if changed:
            monkeypatch.setattr(meter, "charge_anew", charge_anew)
            raise KeyboardInterrupt

    charge_anew = meter.charge_anew
    monkeypatch.setattr(meter, "charge_anew", interrupted)
    with pytest.raises(KeyboardInterrupt):
        rig.evict("a")
    mend(rig.cache._view)
    assert {"b": 9} == rig.weights() and 9 == rig.committed()


@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_a_forked_child_begins_anew() -> None:
    rig = Sharer()
    base = rig.block(4)
    rig.warm("a", base)
    reading, writing = os.pipe()
    child = os.fork()
    if not child:
        try:
            rig.warm("b", base)
            os.write(writing, f"{rig.weights()} {rig.committed()}".encode())
        finally:
            os._exit(0)
    os.close(writing)
    with os.fdopen(reading) as told:
        assert "{'b': 4.0} 4.0" == told.read()
    os.waitpid(child, 0)
    rig.warm("c", base)
    assert {"a": 4, "c": 0} == rig.weights()


@pytest.mark.parametrize("first", ["evicted", "loaded"])
def test_what_is_given_away_is_charged_to_who_was_torn_down_and_has_it_still(first: str) -> None:
    rig = Sharer(confirm=0)
    base = rig.block(4)
    rig.warm("a", base, rig.block(2))
    kept = rig.cache.peek(rig.load.cache_key("a"))
    if first == "loaded":
        rig.warm("b", base, rig.block(1))
    rig.evict("a")
    if first == "evicted":
        rig.warm("b", base, rig.block(1))
    rig.cache.expire_now()
    assert (2, 5) == (rig.gib("zombies"), rig.gib("live"))
    del base
    rig.cache.detach(rig.load.cache_key("b"))
    rig.cache.expire_now()
    assert 6 == rig.gib("zombies") == rig.committed()
    del kept
    rig.cache.expire_now()
    assert 0 == rig.gib("zombies") == rig.committed()
