"""What is done aside: in a thread, while a task waits for it without blocking its loop."""

from __future__ import annotations

import asyncio
import gc
import threading
import weakref
from typing import Any

import pytest
from gates import Gate

from warmcache import warm
from warmcache._core.drivers.aside import NoThreadError, aside
from warmcache._core.drivers.mending import mend
from warmcache.testing import assert_consistent

CAP = 5.0


class Thing:
    """What can be referred to weakly."""


async def test_it_gives_what_the_work_gives_or_raises_what_that_raises() -> None:
    assert threading.current_thread() is not await aside(threading.current_thread, "warmcache-x")

    def fail() -> None:
        raise OSError("no")

    with pytest.raises(OSError, match="no"):
        await aside(fail, "warmcache-x")


async def test_nothing_of_it_is_kept() -> None:
    found = await aside(Thing, "warmcache-x")
    reference = weakref.ref(found)
    del found
    assert reference() is None

    def fail(thing: Thing) -> None:
        raise OSError(thing)

    gc.disable()
    try:
        thing = Thing()
        reference = weakref.ref(thing)
        try:
            await aside(lambda thing=thing: fail(thing), "warmcache-x")  # type: ignore[misc]
        except OSError:
            pass
        del thing
        for each in threading.enumerate():  # which has the work until it has ended
            if "warmcache-x" == each.name:
                each.join(CAP)
        assert reference() is None
    finally:
        gc.enable()


@pytest.mark.race
async def test_what_nobody_waits_for_is_handed_on_once_in_a_thread() -> None:
    gate, handed_on = Gate(), threading.Event()
    found: list[Any] = []

    def work() -> str:
        gate.wait()
        return "done"

    def unclaimed(value: str) -> None:
        found.append((value, threading.current_thread()))
        handed_on.set()

    task = asyncio.create_task(aside(work, "warmcache-x", unclaimed=unclaimed))
    await asyncio.to_thread(gate.until_reached)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    gate.open()
    assert await asyncio.to_thread(handed_on.wait, CAP)
    [(value, thread)] = found
    assert "done" == value and threading.current_thread() is not thread


async def test_who_cannot_have_a_thread_is_told_so(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_: Any) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", fail)
    with pytest.raises(NoThreadError, match="can't start new thread"):
        await aside(lambda: pytest.fail("it was done"), "warmcache-x")


@pytest.mark.race
async def test_who_mends_on_the_loops_thread_leaves_alone_what_is_torn_down_aside() -> None:
    gate = Gate()

    @warm(maxsize=2, teardown=lambda _: gate.wait())
    async def connect(name: str) -> object:
        return object()

    await connect("a")
    removing = asyncio.create_task(connect.evict("a"))
    await asyncio.to_thread(gate.until_reached)
    mend(connect.cache._view)
    assert 1 == connect.cache.stats().dying, "its room is not free before it has returned"
    gate.open()
    await asyncio.wait_for(removing, CAP)
    assert 0 == connect.cache.stats().dying
    assert_consistent(connect.cache)
