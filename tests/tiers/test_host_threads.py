"""Threads that want, remove and park one key at one time: one copy, and nothing lost."""

from __future__ import annotations

import random
import threading
from concurrent.futures import Future, ThreadPoolExecutor, wait
from typing import Any

import pytest
from parked import Model, Rig

from warmcache import MemoryCache, WarmMissError, no_load
from warmcache.testing import assert_consistent

pytestmark = [pytest.mark.race, pytest.mark.usefixtures("machine")]
CAP = 5.0


class Gate:
    """Holds up who passes it until it is opened."""

    def __init__(self) -> None:
        self.reached, self.opened = threading.Event(), threading.Event()

    def __call__(self, model: Model) -> None:
        self.reached.set()
        assert self.opened.wait(CAP)


@pytest.fixture
def pool() -> Any:
    with ThreadPoolExecutor(40) as pool:
        yield pool


def test_32_threads_want_a_parked_key_and_have_it_back_once(pool: ThreadPoolExecutor) -> None:
    rig = Rig()
    load = rig.loader()
    load("a"), load("b")
    rig.before_unpark = gate = Gate()
    first = pool.submit(load, "a")
    assert gate.reached.wait(CAP)
    others = [pool.submit(load, "a") for _ in range(31)]
    flight = next(iter(rig.cache._store.flights.values()))
    while len(flight.joined) < 32:
        pass
    gate.opened.set()
    assert {id(rig.models[0])} == {id(each.result(CAP)) for each in (first, *others)}
    assert (["a"], ["a", "b"]) == (rig.unparks, rig.loads)
    entry = next(each for each in rig.cache.entries() if each.state == "live")
    assert 1 + 32 == entry.uses
    assert 31 == rig.cache.stats().joined
    assert_consistent(rig.cache)


def test_who_wants_what_is_being_parked_waits_and_has_it_back(pool: ThreadPoolExecutor) -> None:
    rig = Rig()
    load = rig.loader()
    a = load("a")
    rig.before_park = gate = Gate()
    parking = pool.submit(rig.cache.relieve, 1)
    assert gate.reached.wait(CAP)
    wanted = pool.submit(load, "a")
    while not rig.cache._store.flights:
        pass
    assert ["dying", "loading"] == [each.state for each in rig.cache.entries()]
    assert not wanted.done()
    gate.opened.set()
    assert wanted.result(CAP) is a
    parking.result(CAP)
    assert (["a"], ["a"], ["a"]) == (rig.loads, rig.parks, rig.unparks)
    assert_consistent(rig.cache)


@pytest.mark.parametrize("first", ["no_load", "lease"])
def test_who_may_load_does_so_where_who_was_first_may_not(
    first: str, pool: ThreadPoolExecutor
) -> None:
    rig = Rig()
    load = rig.loader()
    load("a")
    gate = Gate()

    def fails(model: Model) -> None:
        gate(model)
        raise RuntimeError("it cannot be parked")

    def may_not_load() -> None:
        with pytest.raises(WarmMissError if first == "no_load" else KeyError):
            if first == "no_load":
                with no_load():
                    load("a")
            else:
                rig.cache.lease(load.cache_key("a")).__enter__()

    rig.before_park = fails
    parking = pool.submit(rig.cache.relieve, 1)
    assert gate.reached.wait(CAP)
    forbidden = pool.submit(may_not_load)
    while not rig.cache._store.flights:
        pass
    wanted = [pool.submit(load, "a") for _ in range(3)]
    flight = next(iter(rig.cache._store.flights.values()))
    while len(flight.joined) < 4:
        pass
    gate.opened.set()
    assert 1 == len({id(each.result(CAP)) for each in wanted})
    forbidden.result(CAP), parking.result(CAP)
    assert ["a", "a"] == rig.loads
    assert_consistent(rig.cache)


def test_one_copy_at_a_time_of_a_device(pool: ThreadPoolExecutor) -> None:
    rig = Rig()
    load = rig.loader()
    other = MemoryCache[Any, Any](5, probe=rig.device, host=5, headroom=0, poll=0)
    copying = [host_of(each)._copying for each in (rig.cache, other)]
    assert copying[0] is copying[1], "it is the device's, whichever cache asks"
    copies: list[bool] = []

    def is_copying(model: Model) -> None:
        copies.append(not pool.submit(copying[0].lock.acquire, blocking=False).result(CAP))

    rig.before_park = rig.before_unpark = is_copying
    load("a"), load("b"), load("a")
    assert [True, True, True] == copies
    assert copying[0].lock.acquire(blocking=False)
    copying[0].lock.release()


def host_of(cache: MemoryCache[Any, Any]) -> Any:
    assert cache._view.meter is not None
    return cache._view.meter.host


def test_no_lock_of_the_cache_is_held_while_bytes_are_copied(pool: ThreadPoolExecutor) -> None:
    rig = Rig(budget=30, host=100)
    load = rig.loader()
    load("a"), load("b")

    def others_go_on(model: Model) -> None:
        assert pool.submit(load, "b").result(CAP) is rig.models[1]

    rig.before_park = others_go_on
    with load.lease("b"):
        rig.cache.relieve(1)
    rig.before_park, rig.before_unpark = lambda model: None, others_go_on
    assert load("a") is rig.models[0]


@pytest.mark.parametrize("seed", range(4))
def test_many_threads_park_unpark_and_remove_at_random(seed: int, pool: ThreadPoolExecutor) -> None:
    rig = Rig(budget=30, host=50, wait=30)
    load = rig.loader()

    def work(number: int) -> None:
        chance = random.Random(100 * seed + number)
        for _ in range(60):
            name, act = chance.choice("abcde"), chance.random()
            if act < 0.7:
                with load.lease(name) as model:
                    assert model.blocks, "what is leased has its bytes"
            elif act < 0.8:
                load.evict(name)
            elif act < 0.9:
                rig.cache.relieve(1)
            else:
                rig.cache.entries()

    done: list[Future[None]] = [pool.submit(work, number) for number in range(8)]
    wait(done, 60)
    for each in done:
        each.result(0)
    assert_consistent(rig.cache)
    assert all(model.torn_down <= 1 for model in rig.models)
    rig.cache.close()
    assert all(model.torn_down == 1 for model in rig.models)
    assert 0 == rig.device.allocated()
    assert_consistent(rig.cache)
    assert 0 == rig.cache._store.ledger.committed
