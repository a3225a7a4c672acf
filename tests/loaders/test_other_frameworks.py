"""What a framework other than asyncio is told that awaits an async loader."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from typing import Any

import pytest

from warmcache import disabled, warm

loaded: list[str] = []


@warm(teardown=lambda _: None, loop_bound=False)
async def load(name: str) -> str:
    loaded.append(name)
    return name


@warm
async def generate(name: str) -> AsyncIterator[str]:
    loaded.append(name)
    yield name


async def lease(loader: Any) -> None:
    async with loader.lease("a"):
        raise AssertionError


async def in_disabled(inner: Callable[[], Any]) -> Any:
    with disabled():
        return await inner()


ACTS: dict[str, Callable[[], Coroutine[Any, Any, Any]]] = {
    "call": lambda: load("a"),
    "lease": lambda: lease(load),
    "warm_up": lambda: load.warm_up(["a"]),
    "generator": lambda: generate("a"),
    "generator's lease": lambda: lease(generate),
    "disabled": lambda: in_disabled(lambda: load("a")),
    "disabled generator": lambda: in_disabled(lambda: generate("a")),
    "disabled lease": lambda: in_disabled(lambda: lease(load)),
}


@pytest.mark.parametrize("act", ACTS)
def test_it_is_told_that_asyncio_is_needed_before_anything_is_loaded(act: str) -> None:
    loaded.clear()
    with pytest.raises(RuntimeError, match="event loop of asyncio.* such as trio"):
        ACTS[act]().send(None)  # as any framework does
    assert [] == loaded


def test_a_hit_needs_no_loop() -> None:
    asyncio.run(load("b"))
    with pytest.raises(StopIteration, match="b"):
        load("b").send(None)
