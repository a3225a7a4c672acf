"""Ways to remove what an async loader has warm, and what is removed by itself."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

from gated import CAP, until

from warmcache import RemovalCause
from warmcache.testing import assert_consistent

Remove = Callable[[Any], Coroutine[Any, Any, None]]


async def evict(case: Any) -> None:
    await case.load.evict("a")


async def make_room(case: Any) -> None:
    await case.load("b")


async def clear(case: Any) -> None:
    case.cache.clear()
    await until(lambda: not case.cache.entries())


async def clear_in_a_thread(case: Any) -> None:
    await asyncio.to_thread(case.cache.clear)


async def end_the_lease(case: Any) -> None:
    async with case.load.lease("a"):
        await case.load.evict("a")


REMOVALS = [evict, make_room, clear, clear_in_a_thread, end_the_lease]


async def removed_early(load: Any, caplog: Any) -> None:
    """Check that what has ended by itself is removed, and that the next call loads anew."""
    await until_removed(load)
    assert {RemovalCause.INVALID: 1} == load.cache.stats().removals
    assert "its client has crashed" in caplog.text
    assert_consistent(load.cache)


async def until_removed(load: Any) -> None:
    async with asyncio.timeout(CAP):
        while load.cache.entries():  # noqa: ASYNC110  # the janitor's thread removes it
            await asyncio.sleep(0.001)
