"""Loaders that are awaited share a node's budget, and no event loop waits for that."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from node_caches import Sharer, Value
from node_members import Member, until

from warmcache import CapacityError, warm
from warmcache.testing import FakeProbe, assert_consistent

CAP = 5.0
Others = Callable[..., Member]


@pytest.fixture
def outside(tmp_path: Path) -> Iterator[Member]:
    """Give a member of the node that has no cache: another process, to the caches."""
    member = Member(tmp_path / "device")
    yield member
    member.close()


@pytest.fixture
def here(sharer: Callable[..., Sharer]) -> Sharer:
    return sharer(probe=FakeProbe(10_000, name="device"))


def loader(here: Sharer, nbytes: int, **options: Any) -> Any:
    @warm(cache=here.cache, size=nbytes, **options)
    async def load(key: str) -> Value:
        await asyncio.sleep(0)
        return Value(key)

    return load


async def come_to_wait(outside: Member) -> None:
    """Return once somebody waits for room, having let this loop run meanwhile."""
    for _ in range(2000):
        if outside.ledger.status().waiting:
            return
        await asyncio.sleep(0.002)
    raise AssertionError("nobody waits")


async def test_an_awaited_load_has_others_give(here: Sharer, outside: Member) -> None:
    outside.load(90)
    await loader(here, 50)("a")
    assert [40] == outside.gave()
    assert 50 == here.node()[1]


async def test_a_loop_runs_on_while_a_load_waits_for_the_node(
    here: Sharer, outside: Member
) -> None:
    outside.lease(90)
    loading = asyncio.create_task(loader(here, 50)("a"))
    await come_to_wait(outside)  # which this very loop could not see, were it blocked
    outside.shrink(90)
    assert "a" == (await asyncio.wait_for(loading, CAP)).key


async def test_a_hit_of_another_key_needs_no_room_meanwhile(here: Sharer, outside: Member) -> None:
    warmed = loader(here, 10)
    await warmed("warm")
    outside.lease(90)
    loading = asyncio.create_task(loader(here, 50)("a"))
    await come_to_wait(outside)
    assert "warm" == (await warmed("warm")).key
    outside.shrink(90)
    await asyncio.wait_for(loading, CAP)


async def test_who_joins_a_load_that_waits_for_the_node_gets_what_it_loads(
    here: Sharer, outside: Member
) -> None:
    outside.lease(90)
    load = loader(here, 50)
    both = [asyncio.create_task(load("a")) for _ in range(2)]
    await come_to_wait(outside)
    outside.shrink(90)
    one, other = await asyncio.wait_for(asyncio.gather(*both), CAP)
    assert one is other


async def test_all_leased_is_an_error_that_names_the_process(here: Sharer, outside: Member) -> None:
    outside.lease(90)
    here.cache._view.wait = 0.1
    with pytest.raises(CapacityError, match="process .* has 90"):
        await loader(here, 50)("a")
    assert 90 == here.node()[1]


def test_a_loop_that_ends_leaves_nobody_waiting_and_nothing_granted(
    here: Sharer, outside: Member
) -> None:
    outside.lease(90)
    here.cache._view.wait = 600.0
    load = loader(here, 50)

    async def main() -> None:
        asyncio.create_task(load("a"))  # noqa: RUF006
        await come_to_wait(outside)

    asyncio.run(main())
    until(lambda: not outside.ledger.status().waiting)
    until(lambda: all(each.daemon for each in threading.enumerate() if "node" in each.name))
    outside.shrink(90)
    until(lambda: 0 == here.node()[1])
    assert "granted" == outside.lease(100)
    assert_consistent(here.cache)


@pytest.mark.race
def test_what_is_granted_as_its_loop_ends_is_given_back(
    here: Sharer, outside: Member, monkeypatch: pytest.MonkeyPatch
) -> None:
    member = here.cache._view.meter.member  # type: ignore[union-attr]
    ended, granted = threading.Event(), threading.Event()
    grow = member._ledger.grow

    def late(*args: Any, **options: Any) -> Any:
        refused = grow(*args, **options)
        granted.set()
        assert ended.wait(CAP)
        return refused

    async def main() -> None:
        asyncio.create_task(loader(here, 50)("a"))  # noqa: RUF006
        assert await asyncio.to_thread(granted.wait, CAP)

    with monkeypatch.context() as within:
        within.setattr(member._ledger, "grow", late)
        asyncio.run(main())
        assert 50 == here.node()[1]
        ended.set()
        until(lambda: not member._at_it)
    assert "granted" == outside.lease(100)
    assert 100 == outside.status()[1]
    assert not member._agreed and not member._asking


async def test_a_load_that_is_cancelled_goes_on_for_whoever_asks_next(
    here: Sharer, outside: Member
) -> None:
    outside.lease(90)
    load = loader(here, 50)
    loading = asyncio.create_task(load("a"))
    await come_to_wait(outside)
    loading.cancel()
    with pytest.raises(asyncio.CancelledError):
        await loading
    outside.shrink(90)
    assert "a" == (await asyncio.wait_for(load("a"), CAP)).key
    assert 1 == here.cache.stats().loads


async def test_a_load_that_fails_gives_back_what_was_granted(here: Sharer, outside: Member) -> None:
    @warm(cache=here.cache, size=90)
    async def load() -> None:
        raise OSError("no such model")

    with pytest.raises(OSError, match="no such model"):
        await load()
    assert "granted" == await asyncio.to_thread(outside.lease, 100)


async def test_what_is_torn_down_on_the_loop_goes_for_others(here: Sharer, outside: Member) -> None:
    torn_down: list[str] = []
    loop = asyncio.get_running_loop()

    async def teardown(value: Value) -> None:
        await asyncio.sleep(0)
        assert loop is asyncio.get_running_loop()
        torn_down.append(value.key)

    await loader(here, 90, teardown=teardown)("a")
    assert "granted" == await asyncio.to_thread(outside.lease, 50)
    assert ["a"] == torn_down


@pytest.mark.race
async def test_a_loop_does_not_wait_for_the_gate_to_tell_what_it_has_removed(
    here: Sharer, outside: Member
) -> None:
    await loader(here, 40)("a")
    entered, go_on = threading.Event(), threading.Event()

    def held(picture: object) -> None:
        entered.set()
        go_on.wait(CAP)

    holder = threading.Thread(target=outside.ledger._member.inside, args=(held,))
    holder.start()
    assert entered.wait(CAP)
    here.cache.clear()
    assert holder.is_alive()
    go_on.set()
    holder.join(CAP)
    until(lambda: 0 == here.node()[1])
