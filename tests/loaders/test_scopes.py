"""``disabled()`` and ``no_load()``: seen by their context, and by nobody else."""

from __future__ import annotations

import asyncio
import contextvars
import gc
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

import warmcache
from warmcache import WarmcacheError, WarmMissError, disabled, no_load, warm

CAP = 5.0


class Model:
    def __init__(self, name: Any) -> None:
        self.name = name
        self.closed = 0

    def close(self) -> None:
        self.closed += 1


def loader(**options: Any) -> Any:
    return warm(**{"policy": "lru", "maxsize": 4, "teardown": "close", **options})(
        lambda name: Model(name)
    )


def elsewhere(work: Callable[[], Any]) -> Any:
    """Run ``work`` in a thread, whose context is its own."""
    found: list[Any] = []
    thread = threading.Thread(target=lambda: found.append(work()))
    thread.start()
    thread.join(CAP)
    return found[0]


def calls_made_by(work: Callable[[], Any]) -> int:
    """Return how many Python functions ``work`` ran."""
    entered: list[str] = []

    def note(frame: Any, event: str, _: Any) -> None:
        if event == "call":
            entered.append(frame.f_code.co_name)

    previous = sys.getprofile()
    sys.setprofile(note)
    try:
        work()
    finally:
        sys.setprofile(previous)
    return len(entered)


# -- disabled ----------------------------------------------------------------------


def test_every_call_loads_afresh_and_the_caller_owns_the_value() -> None:
    load = loader()
    model = load("a")
    before = load.cache_info(), load.cache.stats()
    with disabled():
        fresh = [load("a"), load("a"), load("b")]
        assert load.contains("a") and load.peek("a") is model

    assert 4 == len({id(x) for x in (model, *fresh)}) and ["a", "a", "b"] == [x.name for x in fresh]
    assert before == (load.cache_info(), load.cache.stats()) and not load.contains("b")
    assert load("a") is model
    load.cache.clear()
    gc.collect()
    assert ([0, 0, 0], 1) == ([x.closed for x in fresh], model.closed)


def test_a_lease_in_there_tears_its_own_value_down_as_it_ends() -> None:
    load = loader()
    model = load("a")
    with disabled():
        with load.lease("a") as leased:
            assert leased is not model and 0 == leased.closed
        with pytest.raises(KeyError), load.lease("a") as failed:
            raise KeyError
    assert (1, 1, 0) == (leased.closed, failed.closed, model.closed)
    assert [0] == [entry.leases for entry in load.cache.entries()]


def test_what_is_larger_than_the_cache_or_cannot_be_a_key_loads_in_there() -> None:
    load = loader(maxsize=1, size=5)
    with disabled():
        assert [1] == load([1]).name
        with load.lease({2}) as model:
            assert {2} == model.name


def test_a_failure_in_there_ends_the_scope() -> None:
    load = loader()
    with pytest.raises(KeyError), disabled():
        raise KeyError
    assert load("a") is load("a")


def test_scopes_nest_and_end_one_by_one() -> None:
    load = loader()
    model = load("a")
    with disabled():
        with disabled():
            assert load("a") is not model
        assert load("a") is not model
        with no_load(), pytest.raises(WarmMissError, match="forbidden"):
            load("a")
        assert load("a") is not model
    assert load("a") is model
    with no_load():
        with disabled(), pytest.raises(WarmMissError), load.lease("a"):
            pass
        assert load("a") is model


def test_a_lease_awaits_an_async_teardown_in_a_loop_of_its_own() -> None:
    torn_down: list[str] = []

    async def close(model: Model) -> None:
        await asyncio.sleep(0)
        torn_down.append(model.name)

    load = loader(teardown=close)
    with disabled(), load.lease("a") as model:
        assert ("a", []) == (model.name, torn_down)
    assert ["a"] == torn_down


async def test_a_lease_inside_a_running_loop_leaves_an_async_teardown_to_it() -> None:
    closed = asyncio.Event()

    async def close(model: Model) -> None:
        closed.set()

    with disabled(), loader(teardown=close).lease("a"):
        pass
    assert await asyncio.wait_for(closed.wait(), CAP)


def test_a_loader_made_in_there_is_disabled_too_and_warm_afterwards() -> None:
    with disabled():
        load = loader()
        assert load("a") is not load("a")
    assert load("a") is load("a")
    with disabled():
        assert load("a") is not load("a")


GENERATOR = """
import warmcache

@warmcache.warm
def load(name):
    yield name
    print("down", name)

with warmcache.disabled():
    print(load("a"))
    with load.lease("b") as value:
        print(value)
print("end")
"""


def test_what_a_generator_yielded_in_there_is_torn_down_as_the_process_ends() -> None:
    done = subprocess.run(
        [sys.executable, "-c", GENERATOR], capture_output=True, text=True, timeout=60, check=True
    )
    assert ["a", "b", "down b", "end", "down a"] == done.stdout.splitlines()


# -- no_load -----------------------------------------------------------------------


def test_a_miss_is_an_error_and_a_hit_is_not() -> None:
    load = loader()
    model = load("a")
    with no_load():
        assert load("a") is model
        with load.lease("a") as leased:
            assert leased is model
        for use in (lambda: load("b"), load.lease("b").__enter__, lambda: load.warm_up(["b"])):
            with pytest.raises(WarmMissError, match=r"\('b'\) is not warm, and loading is") as e:
                use()
            assert isinstance(e.value, LookupError) and isinstance(e.value, WarmcacheError)
        assert not load.contains("b")
    assert "b" == load("b").name


def test_a_value_that_is_no_longer_valid_is_a_miss() -> None:
    load = loader(validate=lambda model: not model.name)
    model = load("a")
    with no_load(), pytest.raises(WarmMissError):
        load("a")
    assert 1 == model.closed and not load.contains("a")


def test_a_load_that_is_allowed_may_not_allow_the_loads_inside_it_less() -> None:
    inner = loader()
    outer = warm(lambda name: inner(name))
    with no_load(), pytest.raises(WarmMissError):
        outer("a")
    assert outer("a") is inner("a")


# -- whose context it is -----------------------------------------------------------


@pytest.mark.parametrize("scope", [disabled, no_load])
def test_another_thread_is_not_in_the_scope(scope: Any) -> None:
    load = loader()
    model = load("a")
    with scope():
        assert elsewhere(lambda: load("a")) is model
        assert elsewhere(lambda: load("b")).name == "b"
        assert elsewhere(lambda: load("b")) is load.peek("b")


def test_hits_of_other_threads_do_not_leak_into_the_scope() -> None:
    load = loader()
    model = load("a")
    with disabled():
        for _ in range(3):
            assert elsewhere(lambda: load("a")) is model
            assert load("a") is not model
    assert (3, 1) == load.cache_info()[:2]


def test_a_copied_context_is_in_the_scope_though_the_scope_has_ended() -> None:
    load = loader()
    model = load("a")
    with disabled():
        inside = contextvars.copy_context()

    for _ in range(3):  # hits outside must not warm the path that the inside uses
        assert load("a") is model is load("a")
        assert inside.run(load, "a") is not model
        assert elsewhere(lambda: inside.run(load, "a")) is not model
    assert (6, 1) == load.cache_info()[:2]


@pytest.mark.race
async def test_a_task_that_outlives_the_scope_it_was_started_in_stays_in_it() -> None:
    load = loader()
    model = load("a")
    go = asyncio.Event()

    async def work() -> list[Any]:
        await go.wait()
        return [load("a"), load("a")]

    with disabled():
        task = asyncio.create_task(work())
    assert load("a") is model
    go.set()
    fresh = await asyncio.wait_for(task, CAP)

    assert 3 == len({id(x) for x in (model, *fresh)})
    assert load("a") is model and (2, 1) == load.cache_info()[:2]


@pytest.mark.race
async def test_a_scope_held_across_an_await_is_not_in_other_tasks() -> None:
    load = loader()
    model = load("a")
    inside, done = asyncio.Event(), asyncio.Event()

    async def scoped() -> Any:
        with no_load():
            inside.set()
            await done.wait()
            with pytest.raises(WarmMissError):
                load("c")

    task = asyncio.create_task(scoped())
    await inside.wait()
    assert "b" == load("b").name and load("a") is model
    done.set()
    await asyncio.wait_for(task, CAP)


async def test_an_async_task_in_a_copied_scope_loads_afresh() -> None:
    @warm
    async def load(name: str) -> Model:
        return Model(name)

    model = await load("a")
    with disabled():
        task = asyncio.create_task(load("a"))
    assert await load("a") is model
    assert await task is not model


def test_hits_run_generated_code_again_once_the_last_copy_of_the_scope_is_gone() -> None:
    load = loader()
    load("a")
    a_hit = calls_made_by(lambda: load("a"))
    with disabled():
        inside = contextvars.copy_context()
    load("a")
    assert a_hit < calls_made_by(lambda: load("a")), "somebody may still be in the scope"

    del inside
    gc.collect()
    load("a")
    # The least of several, for a weak reference may be cleared meanwhile.
    assert a_hit == min(calls_made_by(lambda: load("a")) for _ in range(3))


def test_scopes_leave_nothing_behind() -> None:
    for _ in range(10):
        with disabled(), no_load():
            pass
    gc.collect()
    assert not warmcache._core.state.hot_paths.SCOPES


def test_a_scope_may_be_a_decorator() -> None:
    load = loader()

    @disabled()
    def use() -> Iterator[Any]:
        return load("a")  # type: ignore[no-any-return]

    assert use() is not use() and load("a") is load("a")
