"""A cell is run again with other options while what its loader had is leased.

The new loader has a cache of its own, which knows nothing of the old one: so it waits.
"""

from __future__ import annotations

import asyncio
import threading
from typing import Any

import pytest
from by_value import journal
from gates import Gate, waiting
from reruns import Notebook

import warmcache

pytestmark = pytest.mark.usefixtures("a_process_that_knows_of_no_loader")

CELL = """
from warmcache import warm
@warm(maxsize=1, teardown=lambda value: note("close", value))
def load(name):
    note("load", name)
    return name
"""


class NoKey:
    __hash__ = None  # type: ignore[assignment]


OTHER_OPTIONS = {
    "another limit": "maxsize=2, wait=5",
    "no limit": "maxsize=None, wait=5",
    "nothing is kept": "maxsize=0, wait=5",
    "another policy": 'policy="fifo", maxsize=1, wait=5',
    "only another wait": "maxsize=1, wait=5",
}


def held(old: Any, gate: Gate, name: str = "a") -> threading.Thread:
    """Return the thread that has begun to lease what ``old`` loads."""

    def hold() -> None:
        with old.lease(name):
            gate.wait()

    thread = threading.Thread(target=hold, name="holder")
    thread.start()
    gate.until_reached()
    return thread


@pytest.mark.race
@pytest.mark.parametrize("options", OTHER_OPTIONS)
def test_the_first_load_waits_until_what_is_leased_is_gone(options: str) -> None:
    notebook, gate = Notebook(), Gate()
    old = notebook.run(CELL)
    holder = held(old, gate)
    new = notebook.run(CELL, "maxsize=1", OTHER_OPTIONS[options])
    loader = threading.Thread(target=new, args=["b"])
    loader.start()
    waiting(new.cache, 1)
    assert [("load", "a")] == journal
    gate.open()
    for thread in (holder, loader):
        thread.join(5)
    assert [("load", "a"), ("close", "a"), ("load", "b")] == journal[:3]


@pytest.mark.race
@pytest.mark.parametrize("kept", ["maxsize=2, wait=0", "maxsize=0, wait=0"])
def test_it_is_refused_after_its_wait_and_told_who_holds_what(kept: str) -> None:
    notebook, gate = Notebook(), Gate()
    holder = held(notebook.run(CELL), gate)
    new = notebook.run(CELL, "maxsize=1", kept)
    with pytest.raises(warmcache.CapacityError) as caught:
        new("b")
    text = str(caught.value)
    assert text.startswith("load('b') waits for what was leased before its loader was defined anew")
    assert "load('a') leased by thread 'holder' (since 0 s); release a lease" in text
    assert "maxsize" not in text  # to raise it would change nothing
    assert [("load", "a")] == journal
    gate.open()
    holder.join(5)
    new("b")
    assert [("load", "a"), ("close", "a"), ("load", "b")] == journal[:3]


def test_inside_of_such_a_lease_it_is_refused_at_once() -> None:
    notebook = Notebook()
    with notebook.run(CELL).lease("a"):
        new = notebook.run(CELL, "maxsize=1", "maxsize=2, wait=600")
        with pytest.raises(warmcache.CapacityError, match="only the caller itself could"):
            new("b")
    assert [("load", "a"), ("close", "a")] == journal
    new("b")
    assert 3 == len(journal)


@pytest.mark.race
async def test_an_async_lease_of_a_sync_loader_is_refused_likewise() -> None:
    notebook, gate = Notebook(), Gate()
    old = notebook.run(CELL)
    holder = await asyncio.to_thread(held, old, gate)
    new = notebook.run(CELL, "maxsize=1", "maxsize=2, wait=0")
    with pytest.raises(warmcache.CapacityError, match="leased by thread 'holder'"):
        await new.alease("b").__aenter__()
    gate.open()
    holder.join(5)


@pytest.mark.race
def test_what_needs_no_key_is_refused_whatever_it_is_called_with() -> None:
    notebook, gate = Notebook(), Gate()
    holder = held(notebook.run(CELL), gate)
    new = notebook.run(CELL, "maxsize=1", "maxsize=0, wait=0")
    with pytest.raises(warmcache.CapacityError, match="load\\(\\) waits for what was leased"):
        new(NoKey())
    gate.open()
    holder.join(5)


@pytest.mark.parametrize("options", ["maxsize=2, wait=5", "maxsize=0, wait=5"])
async def test_an_async_loader_waits_likewise(options: str) -> None:
    notebook = Notebook()
    cell = CELL.replace("def load", "async def load")
    old = notebook.run(cell)
    leased, done = asyncio.Event(), asyncio.Event()

    async def hold() -> None:
        async with old.lease("a"):
            leased.set()
            await done.wait()

    async with asyncio.timeout(5), asyncio.TaskGroup() as tasks:
        tasks.create_task(hold())
        await leased.wait()
        new = notebook.run(cell, "maxsize=1", options)
        loading = tasks.create_task(new("b"))
        for _ in range(10):
            await asyncio.sleep(0)
        assert 1 == new.cache.stats().waits
        assert [("load", "a")] == journal
        done.set()
        await loading
    assert [("load", "a"), ("close", "a"), ("load", "b")] == journal[:3]


async def test_an_async_loader_is_told_who_holds_what() -> None:
    notebook = Notebook()
    cell = CELL.replace("def load", "async def load")
    async with notebook.run(cell).lease("a"):
        new = notebook.run(cell, "maxsize=1", "maxsize=2, wait=600")
        with pytest.raises(warmcache.CapacityError, match="only the caller itself could"):
            await new("b")
