"""What a loader opens may be exclusive: it never runs beside a teardown of its own key."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any

import pytest
from gates import CAP, Gate, waiting

import warmcache
from warmcache import MemoryCache, warm
from warmcache.testing import FakeProbe, assert_consistent

pytestmark = pytest.mark.race

Start = Callable[..., Future[Any]]


class Port:
    """What only one at a time may open, or close."""

    def __init__(self) -> None:
        self.busy = False
        self.log: list[str] = []

    def work(self, what: str, meanwhile: Callable[[], object] = lambda: None) -> None:
        assert not self.busy, f"{what} beside {self.log[-1]}"
        self.busy = True
        self.log.append(what)
        meanwhile()
        self.busy = False


def on_device(limit: int) -> dict[str, Any]:
    probe = FakeProbe(total=limit)
    return {
        "cache": MemoryCache(
            limit, lambda value: 1, probe=probe, poll=0, headroom=0, give_back=lambda: None
        )
    }


KINDS: list[Callable[[int], dict[str, Any]]] = [
    lambda limit: {"policy": "lru", "maxsize": limit},
    on_device,
]


@pytest.fixture(params=KINDS, ids=["counted", "metered"])
def limited(request: pytest.FixtureRequest) -> Any:
    return request.param


@pytest.mark.parametrize("fails", [False, True])
def test_what_a_lease_kept_goes_once_the_loader_of_its_key_has_returned(
    limited: Any, start: Start, *, fails: bool
) -> None:
    port, gate, opened = Port(), Gate(), 0

    @warm(**limited(2), teardown=lambda value: port.work(f"close {value}"))
    def load(name: str) -> str:
        nonlocal opened
        opened += 1
        port.work(f"open {opened}", gate.wait if opened == 2 else lambda: None)
        if fails and opened == 2:
            raise OSError(name)
        return f"{name}{opened}"

    with load.lease("a"):
        assert load.evict("a")
        second = start(load, "a")
        gate.until_reached()
    assert ["open 1", "open 2"] == port.log, "the lease has ended, the loader has not"
    assert_consistent(load.cache)
    gate.open()
    if fails:
        with pytest.raises(OSError, match="a"):
            second.result(CAP)
    else:
        assert "a2" == second.result(CAP)
    assert ["open 1", "open 2", "close a1"] == port.log
    assert_consistent(load.cache)
    load.cache.close()
    assert 0 == load.cache.currsize


def test_a_lease_that_ends_before_the_loader_begins_has_its_teardown_waited_for(
    limited: Any, start: Start
) -> None:
    port, tear_down, load_gate = Port(), Gate(), Gate()
    slow = iter([tear_down.wait])

    @warm(
        **limited(3),
        teardown=lambda value: port.work(f"close {value}", next(slow, lambda: None)),
    )
    def load(name: str) -> str:
        port.work(f"open {name}")
        return name

    @warm(cache=load.cache, teardown=lambda value: load_gate.wait())
    def other(name: str) -> str:
        return name

    other("x"), other("y")
    held = load.lease("a")
    held.__enter__()
    load.evict("a")
    second = start(load, "a")  # which evicts "x" for it
    load_gate.until_reached()
    third = start(held.__exit__, None, None, None)
    tear_down.until_reached()
    load_gate.open()
    while not load.cache._store.ledger.waiting:
        tear_down.arrived.wait(0.001)
        assert not second.done()
    tear_down.open()
    third.result(CAP)
    assert "a" == second.result(CAP)
    assert ["open a", "close a", "open a"] == port.log


def test_several_old_values_go_after_one_load(start: Start) -> None:
    port, gate, opened = Port(), Gate(), 0

    @warm(policy="lru", maxsize=3, teardown=lambda value: port.work(f"close {value}"))
    def load(name: str) -> int:
        nonlocal opened
        opened += 1
        port.work(f"open {opened}", gate.wait if opened == 3 else lambda: None)
        return opened

    with load.lease("a"):
        load.evict("a")
        with load.lease("a"):
            load.evict("a")
            third = start(load, "a")
            gate.until_reached()
    assert ["open 1", "open 2", "open 3"] == port.log
    gate.open()
    assert 3 == third.result(CAP)
    assert {"close 1", "close 2"} == set(port.log[3:])


def test_a_lease_that_outlives_the_load_ends_as_ever(start: Start) -> None:
    torn_down: list[int] = []
    count = iter(range(1, 9))

    @warm(policy="lru", maxsize=2, teardown=torn_down.append)
    def load(name: str) -> int:
        return next(count)

    with load.lease("a"):
        load.evict("a")
        assert 2 == start(load, "a").result(CAP)
        assert [] == torn_down
    assert [1] == torn_down


def test_who_lacks_the_room_waits_for_the_load_that_keeps_it(start: Start) -> None:
    gate, torn_down = Gate(), []
    count = iter(range(1, 9))

    @warm(policy="lru", maxsize=2, teardown=torn_down.append, wait=0)
    def load(name: str) -> int:
        number = next(count)
        if number == 2:
            gate.wait()
        return number

    with load.lease("a"):
        load.evict("a")
        second = start(load, "a")
        gate.until_reached()
    other = start(load, "b")  # not refused: loads end by themselves
    waiting(load.cache, 1)
    gate.open()
    assert (2, 3) == (second.result(CAP), other.result(CAP))
    assert [1] == torn_down


def test_what_a_loader_asks_for_may_have_the_room_of_what_its_load_keeps(start: Start) -> None:
    gate, torn_down, opened = Gate(), [], 0

    @warm(policy="lru", maxsize=2, teardown=torn_down.append, wait=0)
    def load(name: str) -> str:
        nonlocal opened
        opened += 1
        if opened == 2:
            gate.wait()
            base("tokenizer")
        return f"{name}{opened}"

    @warm(cache=load.cache)
    def base(name: str) -> str:
        assert ["a1"] == torn_down
        return name

    with load.lease("a"):
        load.evict("a")
        second = start(load, "a")
        gate.until_reached()
    gate.open()
    assert "a2" == second.result(CAP)
    assert_consistent(load.cache)


def test_a_loader_that_joins_another_load_gives_it_the_room(start: Start) -> None:
    gate, torn_down, opened = Gate(), [], 0

    @warm(policy="lru", maxsize=2, teardown=torn_down.append, wait=CAP)
    def load(name: str) -> str:
        nonlocal opened
        opened += 1
        if opened == 2:
            gate.wait()
            base("tokenizer")
        return f"{name}{opened}"

    @warm(cache=load.cache)
    def base(name: str) -> str:
        return name

    with load.lease("a"):
        load.evict("a")
        second = start(load, "a")
        gate.until_reached()
    first = start(base, "tokenizer")
    waiting(load.cache, 1)
    assert [] == torn_down
    gate.open()
    assert ("a2", "tokenizer") == (second.result(CAP), first.result(CAP))
    assert ["a1"] == torn_down[:1]


def test_a_loader_that_asks_for_its_own_key_is_told_so_though_the_old_value_has_expired(
    start: Start,
) -> None:
    gate, opened = Gate(), 0
    clock = warmcache.testing.ManualClock()

    @warm(policy="ttl", maxsize=2, ttl=10, timer=clock, teardown=lambda value: None)
    def load(name: str) -> str:
        nonlocal opened
        opened += 1
        if opened == 2:
            gate.wait()
            return load(name)
        return name

    with load.lease("a"):
        clock.advance(20)
        second = start(load, "a")
        gate.until_reached()
    gate.open()
    with pytest.raises(warmcache.LoadCycleError):
        second.result(CAP)
    load.cache.close()


def test_a_task_that_ends_a_lease_leaves_the_teardown_to_the_load() -> None:
    log: list[str] = []

    async def tear_down(value: str) -> None:
        log.append(f"close {value}")

    async def main() -> None:
        begun, go_on, opened = asyncio.Event(), asyncio.Event(), 0

        @warm(policy="lru", maxsize=2, teardown=tear_down)
        async def load(name: str) -> str:
            nonlocal opened
            opened += 1
            number = opened
            log.append(f"open {number}")
            if number == 2:
                begun.set()
                await go_on.wait()
                log.append("opened 2")
            return f"{name}{number}"

        async with load.lease("a"):
            await load.evict("a")
            second = asyncio.create_task(load("a"))
            await begun.wait()
        assert ["open 1", "open 2"] == log
        go_on.set()
        assert "a2" == await second
        assert ["open 1", "open 2", "opened 2", "close a1"] == log

        opened = 1
        async with load.lease("a"):
            await load.evict("a")
            begun.clear(), go_on.clear()
            third = asyncio.create_task(load("a"))
            await begun.wait()
        third.cancel()
        with pytest.raises(asyncio.CancelledError):
            await third
        assert "open 2" == log[-1], "the load goes on in a task of its own"
        go_on.set()
        assert "a2" == await load("a")
        await load.cache_clear()
        assert ["opened 2", "close a2", "close a2"] == log[-3:]

    asyncio.run(main())
