"""A Ctrl-C once a task or another loop has a teardown lets nothing go before that is over."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from warmcache import warm
from warmcache._core.drivers import async_teardown
from warmcache._core.state.loading_threads import LOADING
from warmcache._core.state.one_shot import OneShot
from warmcache.testing import assert_consistent

CAP = 5.0

pytestmark = pytest.mark.race


class Interrupt(KeyboardInterrupt):
    """What is raised in the midst of our own code."""


def test_a_task_of_this_loop_keeps_it() -> None:
    class Interrupting(dict[Any, Any]):
        def pop(self, *args: Any) -> Any:
            thread.handed = left
            raise Interrupt

    told: list[str] = []
    go = asyncio.Event()

    async def teardown(value: Any) -> None:
        await go.wait()
        told.append("torn down")

    async def main() -> None:
        nonlocal thread, left
        load("a")
        thread = LOADING[threading.get_ident()]
        with ThreadPoolExecutor(1) as other:  # while the loop stands still
            other.submit(load.evict, "a").result(CAP)
        left, thread.handed = thread.handed, Interrupting(thread.handed)
        with pytest.raises(Interrupt):
            load("b")  # which has the teardown of "a" started, on this loop
        load("c")
        assert [] == told
        go.set()
        while load.cache.stats().dying:  # noqa: ASYNC110  # nobody tells of it
            await asyncio.sleep(0)
        assert ["torn down", "gone"] == told
        assert_consistent(load.cache)

    thread: Any = None
    left: dict[Any, Any] = {}
    load: Any = warm(
        maxsize=3,
        teardown=teardown,
        teardown_in="loading-thread",
        on_removal=lambda _: told.append("gone"),
    )(lambda name: [name])
    asyncio.run(main())


@pytest.mark.parametrize("on_a_loop", [False, True])
def test_another_loop_keeps_it_though_it_has_not_begun(
    on_a_loop: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[str] = []
    held, go, over = threading.Event(), threading.Event(), threading.Event()

    async def teardown(value: Any) -> None:
        told.append("torn down")

    def on_removal(removal: Any) -> None:
        told.append("gone")
        over.set()

    async def load_and_stand_still() -> None:
        await load("a")
        held.set()
        assert go.wait(CAP)

    async def wait_for_the_end() -> None:
        await asyncio.to_thread(over.wait, CAP)

    def interrupted(function: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: Any, **options: Any) -> Any:
            result = function(*args, **options)
            if threading.current_thread() is threading.main_thread():
                raise Interrupt
            return result

        return call

    async def clear() -> None:
        load.cache.clear()

    async def main() -> None:
        await load_and_stand_still()
        await wait_for_the_end()

    @warm(maxsize=3, teardown=teardown, on_removal=on_removal)
    async def load(name: str) -> list[str]:
        return [name]

    with ThreadPoolExecutor(1) as other:
        loop = other.submit(asyncio.run, main())
        assert held.wait(CAP)
        with monkeypatch.context() as patched, pytest.raises(Interrupt):
            if on_a_loop:
                patched.setattr(async_teardown, "move", interrupted(async_teardown.move))
                asyncio.run(clear())
            else:
                patched.setattr(OneShot, "wait", interrupted(OneShot.wait))
                load.cache.clear()
        assert ([], 1) == (told, load.cache.stats().dying)
        go.set()
        loop.result(CAP)
    assert ["torn down", "gone"] == told
    assert_consistent(load.cache)
