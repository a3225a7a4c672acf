"""What a traceback shows of an asynchronous loader's error: no more than of another's."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import numpy
import pytest
from frames import frames_of

from warmcache import warm


@warm
async def load_async(name: Any) -> Any:
    raise OSError


@warm
async def generate_async(name: str) -> Any:
    raise OSError
    yield


class AsyncModels:
    @warm
    async def method(self, name: str) -> Any:
        raise OSError


async def hold_async(load: Any, *args: Any) -> None:
    async with load.lease(*args):
        pass


ASYNC: dict[str, tuple[Callable[[], Any], list[str]]] = {
    "a function": (lambda: load_async("a"), ["[load_async]", "load_async"]),
    "a generator": (lambda: generate_async("a"), ["[generate_async]", "generate_async"]),
    "a method": (lambda: AsyncModels().method("a"), ["[method]", "method"]),
    "a lease": (
        lambda: hold_async(load_async, "a"),
        ["hold_async", "[_enter]", "load_async"],
    ),
    "warming up": (lambda: load_async.warm_up(["a"]), ["[warm_up]", "load_async"]),
    "no key": (lambda: load_async(numpy.zeros(3)), ["[load_async]"]),
    "no key to evict": (lambda: load_async.evict(numpy.zeros(3)), ["[evict]"]),
}


@pytest.mark.parametrize("how", ASYNC)
async def test_an_asynchronous_loader_shows_no_more(how: str) -> None:
    call, expected = ASYNC[how]
    with pytest.raises(Exception) as caught:
        await call()
    assert expected == frames_of(caught.value)[1:]


async def test_tasks_that_joined_a_load_see_no_frames_of_others() -> None:
    go = asyncio.Event()

    @warm
    async def slow(name: str) -> None:
        await go.wait()
        raise OSError(name)

    async def ask() -> list[str]:
        try:
            await slow("a")
        except OSError as error:
            return frames_of(error)
        return []

    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(ask()) for _ in range(3)]
        for _ in range(3):
            await asyncio.sleep(0)  # until each has asked
        go.set()
    assert 2 == slow.cache.stats().waits
    assert [["ask", "[slow]", "slow"]] * 3 == [task.result() for task in tasks]
