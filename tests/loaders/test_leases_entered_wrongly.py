"""Who enters a lease by the wrong statement is told the right one; who holds one has a name."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack, ExitStack
from typing import Any

import pytest

from warmcache import CapacityError, LRUCache, disabled, warm

CAP = 5.0


class Made:
    def close(self) -> None: ...


@warm(policy="lru", maxsize=2)
def load(name: str) -> Made:
    return Made()


@warm(policy="lru", maxsize=2)
async def connect(name: str) -> Made:
    return Made()


async def test_with_over_a_lease_of_an_async_loader_says_async_with() -> None:
    await connect("warm")
    for name in ("cold", "warm"):
        with pytest.raises(TypeError, match="is entered by `async with`, in an async function"):
            with connect.lease(name):
                pytest.fail("it was entered")
        with ExitStack() as stack, pytest.raises(TypeError, match="by `async with`"):
            stack.enter_context(connect.lease(name))


async def test_async_with_over_a_lease_of_another_loader_says_with_and_alease() -> None:
    cache: LRUCache[str, int] = LRUCache(1)
    cache["a"] = 1
    for lease in (load.lease("a"), cache.lease("a")):
        with pytest.raises(TypeError, match=r"entered by `with`; .*`async with load\.alease"):
            async with lease:  # type: ignore[attr-defined]
                pytest.fail("it was entered")
        async with AsyncExitStack() as stack:
            with pytest.raises(TypeError, match="by `with`"):
                await stack.enter_async_context(lease)  # type: ignore[arg-type]


async def test_so_it_is_inside_disabled() -> None:
    with disabled():
        with pytest.raises(TypeError, match="by `async with`"):
            with connect.lease("a"):
                pytest.fail("it was entered")
        with pytest.raises(TypeError, match="by `with`"):
            async with load.lease("a"):  # type: ignore[attr-defined]
                pytest.fail("it was entered")


def test_a_lease_that_was_entered_wrongly_can_be_entered_rightly() -> None:
    async def main() -> Any:
        lease: Any = connect.lease("a")
        with pytest.raises(TypeError):
            lease.__enter__()
        async with lease as made:
            return made

    assert isinstance(asyncio.run(main()), Made)


async def test_an_error_about_room_names_the_tasks_that_hold_leases() -> None:
    cache: LRUCache[Any, Any] = LRUCache(1, wait=0.01)

    @warm(cache=cache)
    async def fetch(name: str) -> Made:
        return Made()

    held, over = asyncio.Event(), asyncio.Event()

    async def hold() -> None:
        async with fetch.lease("a"):
            held.set()
            await over.wait()

    holder = asyncio.create_task(hold(), name="the holder")
    await asyncio.wait_for(held.wait(), CAP)
    with pytest.raises(
        CapacityError, match=r"fetch\('a'\) leased by task 'the holder' in thread 'MainThread'"
    ):
        await fetch("b")
    over.set()
    await holder
    cache.close()


async def test_an_error_about_room_names_the_task_that_loads() -> None:
    cache: LRUCache[Any, Any] = LRUCache(1, wait=0.01)
    begun, over = asyncio.Event(), asyncio.Event()

    @warm(cache=cache, size=1)
    async def fetch(name: str) -> Made:
        begun.set()
        await over.wait()
        return Made()

    loading = asyncio.create_task(fetch("a"), name="the loading one")
    await asyncio.wait_for(begun.wait(), CAP)
    with pytest.raises(CapacityError) as refused:
        cache["b"] = Made()  # which blocks the loop, and so waits for it in vain
    assert "fetch('a') being loaded by task 'the loading one' in thread" in str(refused.value)
    over.set()
    await loading
    cache.close()
