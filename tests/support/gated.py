"""What the tests of ``async`` loaders share: a loader that waits to be told to load."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from warmcache import warm

CAP = 5.0


class Model:
    def __init__(self, name: Any = None) -> None:
        self.name = name


class Gate:
    """A loader that loads when it is told to."""

    def __init__(self, **options: Any) -> None:
        self.loading = asyncio.Event()
        self.go = asyncio.Event()
        self.loads = 0
        self.load: Any = warm(**{"policy": "lru", "maxsize": 4, **options})(self.make)

    async def make(self, name: Any) -> Model:
        self.loads += 1
        self.loading.set()
        await self.go.wait()
        return Model(name)


async def until(claim: Callable[[], object]) -> None:
    """Let other tasks run until ``claim`` holds."""
    async with asyncio.timeout(CAP):
        while not claim():  # noqa: ASYNC110
            await asyncio.sleep(0)


def in_loop(work: Callable[[], Any]) -> Any:
    return asyncio.run(asyncio.wait_for(work(), CAP))
