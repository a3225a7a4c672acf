"""With ``per=threading.current_thread`` each thread has its own values, and they go with it."""

from __future__ import annotations

import _thread
import asyncio
import gc
import threading
import weakref
from contextvars import ContextVar
from typing import Any

import pytest
from c_threads import in_a_c_thread
from gates import CAP, Gate
from owned import Loads, in_a_thread, janitor_done

from warmcache import ClosedError, Context, RemovalCause, disabled, warm
from warmcache._loaders import owner_ends
from warmcache._process.janitor import janitor


def of_threads(**options: Any) -> Loads:
    return Loads(threading.current_thread, **options)


def test_each_thread_has_its_own_values() -> None:
    loads = of_threads()
    mine = loads.load("a")
    assert mine is loads.load(name="a")
    assert mine is not in_a_thread(lambda: loads.load("a"))
    assert mine is loads.load("a")
    assert 2 == loads.loads


def test_what_a_thread_loaded_goes_as_that_ends_the_last_loaded_first() -> None:
    loads = of_threads()
    loads.load("mine")

    def work() -> None:
        loads.load("a"), loads.load("b"), loads.load("a")

    in_a_thread(work)
    janitor_done()
    assert ["b", "a"] == loads.names
    assert [RemovalCause.CLOSED] * 2 == loads.causes
    assert loads.load.contains("mine")


def test_nobody_looks_whether_a_thread_has_ended() -> None:
    loads = of_threads()
    thread = threading.Thread(target=lambda: loads.load("a"))
    thread.start()
    thread.join(CAP)
    assert not owner_ends._others._known
    janitor_done()
    assert ["a"] == loads.names
    assert thread.ident is not None, "it is still referred to"


def test_so_it_is_with_a_thread_that_python_did_not_begin() -> None:
    loads, ended = of_threads(), threading.Event()

    class Last:
        def __del__(self) -> None:
            ended.set()

    def work(last: Last) -> None:
        loads.load("a")

    _thread.start_new_thread(work, (Last(),))
    assert ended.wait(CAP)
    for _ in range(5_000):
        janitor_done()
        if loads.names:
            break
        ended.wait(0.001)
    assert ["a"] == loads.names


def test_a_thread_of_cs_owns_what_it_loads_until_it_leaves_python() -> None:
    loads = of_threads()
    for name in ("a", "b"):
        assert [name] == in_a_c_thread(lambda name=name: loads.load(name))
        janitor_done()
    assert ["a", "b"] == loads.names


def test_what_is_leased_by_another_thread_goes_with_its_last_lease() -> None:
    loads, gate = of_threads(), Gate()
    leases: list[Any] = []

    def work() -> None:
        leases.append(loads.load.lease("a"))
        leases[0].__enter__()

    in_a_thread(work)
    janitor_done()
    assert [] == loads.names
    leases[0].__exit__(None, None, None)
    assert ["a"] == loads.names
    gate.open()


def test_a_lease_is_of_the_thread_that_asks_for_it() -> None:
    loads = of_threads()
    mine = loads.load("a")
    with loads.load.lease("a") as value:
        assert mine is value
    assert in_a_thread(lambda: loads.load.peek("a")) is None


def test_a_thread_that_another_names_is_looked_after() -> None:
    loads, gate = Loads("owner"), Gate()
    thread = threading.Thread(target=gate.wait)
    loads.load(thread, "before it has begun")
    thread.start()
    loads.load(thread, "as it runs")
    janitor.look_at_all()
    janitor_done()
    assert [] == loads.names
    gate.open()
    thread.join(CAP)
    janitor.look_at_all()
    janitor_done()
    janitor_done()
    assert ["as it runs", "before it has begun"] == loads.names
    with pytest.raises(ClosedError, match="the thread that it belongs to has ended"):
        loads.load(thread, "a")
    assert not owner_ends._others._known


def test_threads_that_are_equal_are_two() -> None:
    class Equal(threading.Thread):
        def __hash__(self) -> int:
            return 5

        def __eq__(self, other: object) -> bool:
            return True

    loads, gates = Loads("owner"), (Gate(), Gate())
    threads = [Equal(target=gate.wait) for gate in gates]
    for thread in threads:
        thread.start()
        loads.load(thread, "a")
    for gate, thread in zip(gates, threads, strict=True):
        gate.open()
        thread.join(CAP)
    janitor.look_at_all()
    janitor_done(), janitor_done()
    assert ["a", "a"] == loads.names


def test_a_thread_that_has_ended_is_refused() -> None:
    loads = Loads("owner")
    thread = threading.Thread(target=lambda: None)
    thread.start()
    thread.join(CAP)
    with pytest.raises(ClosedError, match="the thread that it belongs to has ended"):
        loads.load(thread, "a")
    assert 0 == loads.loads


def test_a_living_cache_does_not_keep_a_thread() -> None:
    loads = of_threads(teardown=None)
    thread = threading.Thread(target=lambda: loads.load("a"))
    thread.start()
    thread.join(CAP)
    gone = weakref.ref(thread)
    del thread
    gc.collect()
    assert None is gone()


# -- any callable ----------------------------------------------------------------------


def test_any_callable_says_who() -> None:
    current: ContextVar[Context] = ContextVar("current")
    loads = Loads(current.get)
    with pytest.raises(LookupError):
        loads.load("a")
    here, there = Context(), Context()
    current.set(here)
    value = loads.load("a")
    assert value is loads.load("a")
    current.set(there)
    assert value is not loads.load("a")
    here.close()
    assert ["a"] == loads.names
    current.set(here)
    with pytest.raises(ClosedError):
        loads.load("a")


def test_who_it_is_is_asked_once() -> None:
    asked: list[int] = []
    ctx = Context()

    def who() -> Context:
        asked.append(1)
        return ctx

    def asked_once(call: Any, name: str) -> None:
        asked.clear()
        call(name)
        assert [1] == asked

    load, keeps_nothing = Loads(who).load, Loads(who, maxsize=0).load

    def lease(name: str) -> None:
        with load.lease(name):
            pass

    for call in load, lease:
        asked_once(call, call.__name__)
        asked_once(call, call.__name__)  # a hit
        with disabled():
            asked_once(call, "a")
    asked_once(keeps_nothing, "a")


def test_who_it_is_is_asked_once_by_an_async_one() -> None:
    asked: list[int] = []
    ctx = Context()

    def who() -> Context:
        asked.append(1)
        return ctx

    @warm(per=who)
    async def load() -> int:
        return 5

    for _ in "miss", "hit":
        asked.clear()
        asyncio.run(load())
        assert [1] == asked


def test_what_it_raises_is_the_callers_and_no_miss() -> None:
    def who() -> object:
        raise KeyError("nobody is there")

    loads = Loads(who)
    with pytest.raises(KeyError, match="nobody is there"):
        loads.load("a")
    assert 0 == loads.loads


def test_an_owner_is_no_part_of_a_key() -> None:
    with pytest.raises(TypeError, match=r"key=\{'ctx': ...\} does not go with per='ctx': an owner"):
        warm(per="ctx", key={"ctx": id})(lambda ctx: 1)
    assert 1 == warm(per="ctx", key={"name": len})(lambda ctx, name: 1)(Context(), "a")


def test_it_must_not_be_async() -> None:
    async def who() -> object: ...

    with pytest.raises(TypeError, match="per must not be async"):
        warm(per=who)(lambda: 1)


def test_what_it_says_must_be_fit_to_be_an_owner() -> None:
    with pytest.raises(TypeError, match="cannot be referenced weakly, as per= must"):
        Loads(lambda: 5).load("a")
