"""``teardown_in="loading-thread"``: who opened it closes it, wherever it was removed."""

from __future__ import annotations

import asyncio
import gc
import os
import sqlite3
import subprocess
import sys
import textwrap
import threading
import weakref
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextvars import ContextVar
from functools import partial
from typing import Any

import pytest
from c_threads import in_a_c_thread
from gates import Gate, waiting
from owned import in_a_thread

import warmcache
from warmcache import CapacityError, LRUCache, RemovalCause, TTLCache, warm
from warmcache._core.drivers import handed_over, mending, threads
from warmcache._core.plans import remove
from warmcache._core.state import loading_threads
from warmcache._core.state.one_shot import OneShot
from warmcache._process.janitor import janitor
from warmcache.testing import ManualClock, assert_consistent

CAP = 5.0


class Worker:
    """A thread that does one thing after the other, when it is told to."""

    def __init__(self, name: str = "worker") -> None:
        self._pool = ThreadPoolExecutor(1, thread_name_prefix=name)
        self.ident: int = self.do(threading.get_ident)

    def begin(self, work: Callable[..., Any], *args: Any) -> Future[Any]:
        return self._pool.submit(work, *args)

    def do(self, work: Callable[..., Any], *args: Any) -> Any:
        return self.begin(work, *args).result(CAP)

    def end(self) -> None:
        self._pool.shutdown()


@pytest.fixture
def worker() -> Iterator[Worker]:
    it = Worker()
    yield it
    it.end()
    assert {} == loading_threads.HANDED_OVER


class Connections:
    """Connections of sqlite3, which can be closed only by the thread that opened them."""

    def __init__(self, **options: Any) -> None:
        self.closed_in: list[int] = []
        self.causes: list[RemovalCause] = []
        own = {
            "policy": "lru",
            "maxsize": 1,
            "teardown": self.close,
            "teardown_in": "loading-thread",
            "on_removal": lambda removal: self.causes.append(removal.cause),
        }
        self.connect: Any = warm(**{**own, **options})(self._connect)

    def _connect(self, name: str) -> sqlite3.Connection:
        return sqlite3.connect(":memory:")

    def close(self, connection: sqlite3.Connection) -> None:
        connection.close()  # which raises in any other thread
        self.closed_in.append(threading.get_ident())

    def is_well(self) -> None:
        stats = self.connect.cache.stats()
        assert (0, 0) == (stats.teardown_failures, stats.dying)
        assert_consistent(self.connect.cache)


def test_what_its_own_thread_removes_goes_at_once(worker: Worker) -> None:
    here = Connections()
    here.connect("a"), here.connect("b")
    here.connect.evict("b")
    assert [threading.get_ident()] * 2 == here.closed_in
    here.is_well()


def test_what_another_removes_waits_for_the_next_call_of_its_thread(worker: Worker) -> None:
    it, other = Connections(), warm(maxsize=1)(lambda name: name)
    worker.do(it.connect, "a")
    assert [RemovalCause.EXPLICIT] == [removal.cause for removal in it.connect.evict("a")]
    assert [] == it.closed_in and not it.connect.contains("a")
    assert 1 == it.connect.cache.stats().dying
    assert_consistent(it.connect.cache)
    other(1)  # of this thread, which can do nothing
    worker.do(other, 1)  # a hit, which does nothing but that
    assert [] == it.closed_in
    worker.do(other, 2)  # of another loader, in another cache
    assert [worker.ident] == it.closed_in
    it.is_well()


@pytest.mark.parametrize("act", ["miss", "lease", "evict", "put", "metered"])
def test_any_call_is_one_that_is_no_hit(worker: Worker, act: str) -> None:
    it = Connections()
    cache: LRUCache[Any, Any] = LRUCache(2, teardown=id)
    load = warm(cache=cache, ttl=9 if act == "metered" else None)(lambda: 5)

    def lease() -> None:
        with load.lease():
            pass

    acts: dict[str, Callable[[], object]] = {
        "miss": load,
        "lease": lease,
        "evict": load.cache_clear,
        "put": lambda: cache.__setitem__("a", 1),
        "metered": load,
    }
    if act == "lease":
        load()
    worker.do(it.connect, "a")
    it.connect.evict("a")
    worker.do(acts[act])
    assert [worker.ident] == it.closed_in


def test_a_generator_goes_on_in_its_thread(worker: Worker) -> None:
    ran_in: list[int] = []

    @warm(maxsize=1, teardown_in="loading-thread")
    def connect() -> Iterator[sqlite3.Connection]:
        connection = sqlite3.connect(":memory:")
        yield connection
        connection.close()
        ran_in.append(threading.get_ident())

    worker.do(connect)
    connect.evict()
    assert [] == ran_in
    worker.do(connect)
    assert [worker.ident] == ran_in
    worker.do(connect.evict)
    assert 0 == connect.cache.stats().teardown_failures


def test_the_teardown_of_the_cache_does_so_too(worker: Worker) -> None:
    it = Connections()
    cache: LRUCache[Any, Any] = LRUCache(1, teardown=it.close)
    connect = warm(cache=cache, teardown_in="loading-thread")(it._connect)
    worker.do(connect, "a")
    connect.evict("a")
    assert [] == it.closed_in
    worker.do(connect.cache_clear)
    assert [worker.ident] == it.closed_in


def test_the_end_of_a_lease_elsewhere_hands_it_over(worker: Worker) -> None:
    it = Connections()
    worker.do(it.connect, "a")
    with it.connect.lease("a"):
        worker.do(it.connect.evict, "a")
        assert [] == it.closed_in
    assert [] == it.closed_in
    worker.do(it.connect.cache_clear)
    assert [worker.ident] == it.closed_in
    it.is_well()


def test_what_expires_waits_for_its_thread_and_not_for_the_janitor(worker: Worker) -> None:
    clock = ManualClock()
    cache: TTLCache[Any, Any] = TTLCache(9, 5, timer=clock)
    it = Connections()
    connect = warm(cache=cache, teardown=it.close, teardown_in="loading-thread")(it._connect)
    worker.do(connect, "a")
    clock.advance(6)
    done = threading.Event()
    janitor.defer(cache.expire_now), janitor.defer(done.set)
    assert done.wait(CAP)
    assert [] == it.closed_in and 1 == cache.stats().dying
    worker.do(connect, "b")
    assert [worker.ident] == it.closed_in
    worker.do(connect.cache_clear)


# -- its end ---------------------------------------------------------------------------------


def test_what_was_handed_over_goes_as_the_thread_ends(worker: Worker) -> None:
    it, short = Connections(), Worker()
    short.do(it.connect, "a")
    it.connect.evict("a")
    short.end()
    assert [short.ident] == it.closed_in
    assert [RemovalCause.EXPLICIT] == it.causes
    it.is_well()


def test_what_is_warm_of_a_thread_goes_as_that_ends(worker: Worker) -> None:
    it, short = Connections(maxsize=3), Worker()
    worker.do(it.connect, "a")
    short.do(it.connect, "b"), short.do(it.connect, "c")
    short.end()
    assert [short.ident] * 2 == it.closed_in
    assert [RemovalCause.CLOSED] * 2 == it.causes
    assert it.connect.contains("a") and not it.connect.contains("b")
    worker.do(it.connect.cache_clear)
    it.is_well()


def test_as_a_thread_ends_its_teardowns_see_it_as_it_was_and_leave_no_other_behind() -> None:
    seen: list[threading.Thread] = []

    def teardown(_: Any) -> None:
        seen.append(threading.current_thread())

    load, ident = warm(teardown=teardown, teardown_in="loading-thread")(lambda: 5), list[int]()
    thread = threading.Thread(target=lambda: (load(), ident.append(threading.get_ident())))
    thread.start()
    thread.join(CAP)
    assert [thread] == seen
    assert ident[0] not in {each.ident for each in threading.enumerate()}


def test_a_teardown_that_exits_leaves_no_other_undone(caplog: pytest.LogCaptureFixture) -> None:
    def leave(_: Any) -> None:
        raise SystemExit

    load, short = warm(maxsize=4, teardown=leave, teardown_in="loading-thread")(id), Worker()
    for number in range(4):
        short.do(load, number)
    load.evict(0), load.evict(1)
    short.end()
    stats = load.cache.stats()
    assert (0, 0, 4) == (len(load.cache), stats.dying, stats.teardown_failures)
    assert {} == loading_threads.HANDED_OVER and short.ident not in loading_threads.LOADING
    assert 4 == len(caplog.records)


@pytest.mark.filterwarnings("ignore:unclosed database:ResourceWarning")
def test_what_outlives_its_thread_goes_where_it_is_removed_and_the_log_says_so(
    caplog: pytest.LogCaptureFixture,
) -> None:
    it, short = Connections(), Worker("short-lived")
    short.do(it.connect, "a")
    with it.connect.lease("a"):
        short.end()
        assert [] == it.closed_in
    [failed] = [each for each in caplog.records if each.levelname == "ERROR"]
    assert "SQLite objects created in a thread can only be used in that" in failed.getMessage()
    [said] = [each.getMessage() for each in caplog.records if each.levelname == "WARNING"]
    here = threading.current_thread().name
    assert f"_connect('a') is torn down in thread {here!r}: thread 'short-lived_0'" in said
    assert "has ended" in said
    assert 0 == it.connect.cache.stats().dying
    assert_consistent(it.connect.cache)
    caplog.clear()  # which has the connection that nobody could close
    gc.collect()


def test_a_thread_that_ended_keeps_nothing_alive() -> None:
    it, short = Connections(), Worker()
    short.do(it.connect, "a")
    short.end()
    assert short.ident not in loading_threads.LOADING


def test_its_thread_object_is_not_kept_by_what_it_has_loaded() -> None:
    it = Connections()
    thread = threading.Thread(target=it.connect, args=("a",))
    reference = weakref.ref(thread)
    thread.start()
    thread.join(CAP)
    del thread
    gc.collect()
    assert reference() is None


# -- who waits for its room ------------------------------------------------------------------


@pytest.mark.race
def test_a_load_waits_for_the_room_until_the_thread_comes(worker: Worker) -> None:
    it = Connections()
    worker.do(it.connect, "a")
    with ThreadPoolExecutor(1) as pool:
        loading = pool.submit(it.connect, "b")
        waiting(it.connect.cache, 1)
        assert not loading.done() and [] == it.closed_in
        worker.do(warm(lambda: 5))
        loading.result(CAP)
        assert [worker.ident] == it.closed_in
        pool.submit(it.connect.cache_clear).result(CAP)
    it.is_well()


@pytest.mark.parametrize("plan", [{}, {"size": lambda _: 1, "size_hint": 1}], ids=["once", "plan"])
def test_a_load_that_waits_too_long_is_refused_and_says_for_whom(
    worker: Worker, plan: dict[str, Any]
) -> None:
    it = Connections(wait=0.01, **plan)
    worker.do(it.connect, "a")
    with pytest.raises(CapacityError) as refused:
        it.connect("b")
    assert "_connect('a') to be torn down by thread 'worker_0', which loaded it" in str(
        refused.value
    )
    assert "have thread 'worker_0' call any loader, or end" in refused.value.remedies
    assert_consistent(it.connect.cache)
    worker.do(it.connect, "c")
    assert [worker.ident] == it.closed_in
    worker.do(it.connect.cache_clear)


def test_a_load_of_the_same_key_waits_no_longer_either(worker: Worker) -> None:
    it = Connections(wait=0.01, maxsize=9)
    worker.do(it.connect, "a")
    it.connect.evict("a")
    with pytest.raises(CapacityError, match="to be torn down by thread 'worker_0'"):
        it.connect("a")
    worker.do(it.connect, "a")
    worker.do(it.connect.cache_clear)
    it.is_well()


async def test_nor_does_a_task(worker: Worker) -> None:
    cache: LRUCache[Any, Any] = LRUCache(1, wait=0.01)
    it = Connections()
    connect = warm(cache=cache, teardown=it.close, teardown_in="loading-thread")(it._connect)

    @warm(cache=cache)
    async def other() -> int:
        return 5

    worker.do(connect, "a")
    with pytest.raises(CapacityError, match="to be torn down by thread 'worker_0'"):
        await other()
    worker.do(connect.cache_clear)
    assert 5 == await other()
    assert [worker.ident] == it.closed_in


def test_who_takes_the_place_of_a_loader_does_not_wait_for_it(worker: Worker) -> None:
    it = Connections()
    worker.do(it.connect, "a")
    it.connect.evict("a")
    view = it.connect.cache._view
    [[entry]] = it.connect.cache._store.dying.values()
    threads.run(remove.replaced(view, entry.provenance.source), view)
    assert [] == it.closed_in
    worker.do(it.connect.cache_clear)


def test_a_thread_that_waits_for_its_own_tears_it_down_first(worker: Worker) -> None:
    it = Connections()
    worker.do(it.connect, "a")
    it.connect.evict("a")
    worker.do(it.connect, "b")
    assert [worker.ident] == it.closed_in
    worker.do(it.connect.cache_clear)
    it.is_well()


@pytest.mark.race
def test_a_thread_that_waits_already_is_woken_for_it(worker: Worker) -> None:
    it = Connections(maxsize=2)
    gate = Gate()
    with ThreadPoolExecutor(2) as pool:
        held = it.connect.lease("held")
        pool.submit(held.__enter__).result(CAP)
        worker.do(it.connect, "a")
        lease = it.connect.lease("a")
        pool.submit(lease.__enter__).result(CAP)
        loading = worker.begin(it.connect, "b")  # all is leased
        waiting(it.connect.cache, 1)
        it.connect.evict("a")
        pool.submit(lease.__exit__, None, None, None).result(CAP)  # which hands it over
        loading.result(CAP)
        assert [worker.ident] == it.closed_in
        pool.submit(held.__exit__, None, None, None).result(CAP)
        gate.open()
    worker.do(it.connect.cache_clear)


@pytest.mark.race
def test_a_thread_that_waits_for_anothers_load_is_woken_for_it(worker: Worker) -> None:
    it = Connections()
    gate = Gate()

    @warm(maxsize=1)
    def slow() -> int:
        gate.wait()
        return 5

    worker.do(it.connect, "a")
    with ThreadPoolExecutor(1) as pool:
        loading = pool.submit(slow)
        gate.until_reached()
        joined = worker.begin(slow)
        waiting(slow.cache, 1)
        it.connect("b")  # which waits for the room of "a", and that for the worker
        assert [worker.ident] == it.closed_in and not joined.done()
        gate.open()
        assert (5, 5) == (loading.result(CAP), joined.result(CAP))
    it.connect.cache_clear()
    it.is_well()


def test_a_failing_teardown_is_logged_and_counted(
    worker: Worker, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(_: Any) -> None:
        raise OSError("it does not close")

    load = warm(maxsize=1, teardown=fail, teardown_in="loading-thread")(lambda: 5)
    worker.do(load)
    load.evict()
    worker.do(load)
    assert 1 == load.cache.stats().teardown_failures
    assert "it does not close" in caplog.text
    worker.do(load.cache_clear)


def test_a_teardown_may_call_loaders_and_is_not_begun_again_by_that(worker: Worker) -> None:
    other = warm(maxsize=1)(lambda name: name)
    calls: list[Any] = []

    def teardown(value: Any) -> None:
        other(len(calls)), other.cache_clear()
        calls.append((value, load.cache.stats().dying))

    load: Any = warm(maxsize=2, teardown=teardown, teardown_in="loading-thread")(lambda name: name)
    worker.do(load, "a"), worker.do(load, "b")
    load.evict("a"), load.evict("b")
    worker.do(other, 0)
    assert [("b", 2), ("a", 1)] == calls  # begun while the first was under way
    assert_consistent(load.cache)


@pytest.mark.race
def test_what_its_thread_tears_down_is_nobody_elses_to_mend(worker: Worker) -> None:
    gate = Gate()
    load: Any = warm(maxsize=1, teardown=lambda _: gate.wait(), teardown_in="loading-thread")(id)
    worker.do(load, 1)
    load.evict(1)
    tearing_down = worker.begin(load.cache_clear)
    gate.until_reached()
    mending.mend(load.cache._view)  # as after an interrupt of who has handed it over
    assert 1 == load.cache.stats().dying
    gate.open()
    tearing_down.result(CAP)
    assert 0 == load.cache.stats().dying


@pytest.mark.race
def test_what_its_thread_has_begun_is_its_own_though_who_handed_it_over_was_interrupted(
    worker: Worker, monkeypatch: pytest.MonkeyPatch
) -> None:
    gate, begun = Gate(), list[Future[Any]]()
    load: Any = warm(maxsize=1, teardown=lambda _: gate.wait(), teardown_in="loading-thread")(id)
    worker.do(load, 1)
    take, tear_down = loading_threads.LoadingThread.take, mending.tear_down

    def interrupted(*args: Any) -> None:
        take(*args)
        raise KeyboardInterrupt

    def once_it_has_begun(*args: Any) -> Any:
        monkeypatch.undo()
        begun.append(worker.begin(load.cache_clear))
        gate.until_reached()
        return tear_down(*args)

    monkeypatch.setattr(loading_threads.LoadingThread, "take", interrupted)
    monkeypatch.setattr(mending, "tear_down", once_it_has_begun)
    with pytest.raises(KeyboardInterrupt):
        load.evict(1)
    assert 1 == load.cache.stats().dying
    gate.open()
    begun[0].result(CAP)
    assert (0, 1) == (load.cache.stats().dying, load.cache.stats().removals["explicit"])
    assert_consistent(load.cache)


@pytest.mark.race
def test_what_comes_while_its_thread_ends_is_still_torn_down_there() -> None:
    gate, short = Gate(), Worker()
    torn_down: list[tuple[str, int]] = []

    def teardown(name: str) -> None:
        torn_down.append((name, threading.get_ident()))
        if name == "a":
            gate.wait()

    load: Any = warm(maxsize=2, teardown=teardown, teardown_in="loading-thread")(lambda name: name)
    short.do(load, "a"), short.do(load, "b")
    with ThreadPoolExecutor(1) as pool:
        with load.lease("b"):
            load.evict("a"), load.evict("b")
            ending = pool.submit(short.end)
            gate.until_reached()
        gate.open()
        ending.result(CAP)
    assert [("a", short.ident), ("b", short.ident)] == torn_down
    assert short.ident not in loading_threads.LOADING
    assert_consistent(load.cache)


def test_what_woke_the_wait_of_a_teardown_wakes_the_one_around_it_too(worker: Worker) -> None:
    load: Any = warm(maxsize=2, teardown=lambda name: teardown(name), teardown_in="loading-thread")(
        lambda name: name
    )
    outer = OneShot()

    class HandedOverAsItHappens(OneShot):
        def call_back(self, callback: Callable[[], object]) -> None:
            in_a_thread(lambda: load.evict("b"))
            self.happen()

    def teardown(name: str) -> None:
        if name == "a":
            handed_over.wait(HandedOverAsItHappens(), None)
        else:
            outer.happen()

    worker.do(load, "a"), worker.do(load, "b")
    load.evict("a")
    assert worker.begin(handed_over.wait, outer, 2 * CAP).result(CAP)
    assert_consistent(load.cache)


def test_a_thread_of_cs_ends_for_us_each_time_that_it_leaves_python() -> None:
    it = Connections()
    in_a_c_thread(lambda: it.connect("a"))
    assert 1 == len(it.closed_in) and not it.connect.contains("a")
    in_a_c_thread(lambda: it.connect("b"))
    assert 2 == len(it.closed_in) and threading.get_ident() not in it.closed_in
    it.is_well()


# -- asyncio ---------------------------------------------------------------------------------


async def test_a_task_on_its_thread_tears_down_there_and_a_task_elsewhere_hands_over(
    worker: Worker,
) -> None:
    it = Connections(maxsize=2)
    it.connect("a"), worker.do(it.connect, "b")
    await warmcache.clear_all_async()
    assert [threading.get_ident()] == it.closed_in
    worker.do(warm(lambda: 5))
    assert [threading.get_ident(), worker.ident] == it.closed_in
    it.is_well()


@pytest.mark.parametrize("plan", [{}, {"ttl": 9}], ids=["at once", "by plan"])
async def test_a_call_of_an_async_loader_is_one_too(worker: Worker, plan: dict[str, int]) -> None:
    it = Connections()

    @warm(maxsize=1, **plan)
    async def other() -> int:
        return 5

    it.connect("a")
    worker.do(it.connect.evict, "a")
    assert [] == it.closed_in
    await other()
    assert [threading.get_ident()] == it.closed_in


@pytest.mark.race
@pytest.mark.parametrize("plan", [{}, {"ttl": 9}], ids=["at once", "by plan"])
@pytest.mark.parametrize("loaded", ["on its loop", "before it"])
def test_a_thread_that_runs_a_loop_tears_down_while_it_awaits_whatever_it_likes(
    worker: Worker, loaded: str, plan: dict[str, int]
) -> None:
    it, gate = Connections(wait=CAP), Gate()
    ends: list[Callable[[], object]] = []

    @warm(maxsize=1, **plan)
    async def other() -> int:
        return 5

    async def main() -> None:
        if loaded == "on its loop":
            it.connect("a")
        else:
            await other()
        end = asyncio.Event()
        ends.append(partial(asyncio.get_running_loop().call_soon_threadsafe, end.set))
        gate.arrived.set()
        await asyncio.wait_for(end.wait(), CAP)

    if loaded == "before it":
        worker.do(it.connect, "a")
    running = worker.begin(lambda: asyncio.run(main()))
    gate.until_reached()
    it.connect("b")  # which waits for the room of "a", and that for the worker
    assert [worker.ident] == it.closed_in and not running.done()
    ends[0]()
    running.result(CAP)
    it.connect.cache_clear()
    worker.do(it.connect, "c")
    it.connect.cache_clear()  # which finds a loop that is closed
    worker.do(it.connect, "d"), worker.do(it.connect.cache_clear)
    assert [worker.ident, threading.get_ident(), worker.ident, worker.ident] == it.closed_in
    it.is_well()


@pytest.mark.race
def test_what_is_torn_down_on_a_loop_is_in_no_context_of_who_removed_it(worker: Worker) -> None:
    who, gate, seen = ContextVar[str]("who", default="nobody"), Gate(), list[str]()

    async def main() -> None:
        torn_down = asyncio.Event()

        def teardown(_: int) -> None:
            seen.append(who.get())
            torn_down.set()

        load = warm(maxsize=1, teardown=teardown, teardown_in="loading-thread")(lambda: 5)
        load()
        evicts.append(load.evict)
        gate.arrived.set()
        await asyncio.wait_for(torn_down.wait(), CAP)

    evicts: list[Callable[[], object]] = []
    running = worker.begin(lambda: asyncio.run(main()))
    gate.until_reached()
    who.set("who removes it")
    evicts[0]()
    running.result(CAP)
    assert ["nobody"] == seen


async def test_alease_is_refused_for_its_thread_ends_at_once() -> None:
    it = Connections()
    with pytest.raises(TypeError, match="alease loads in a thread that ends at once"):
        it.connect.alease("a")


def test_what_other_threads_would_carry_out_is_refused_beside_it(tmp_path: Any) -> None:
    roomy: Any = {"policy": "ram", "budget": 9, "headroom": 0}
    for others in (
        {"maxsize": 1, "park": (id, id)},
        {"maxsize": 1, "persist": "evict", "disk": tmp_path / "disk"},
        {**roomy, "host": 9},
        {"cache": warmcache.HostMemoryCache(9, headroom=0, host=9)},
    ):
        options: Any = {**others, "teardown_in": "loading-thread"}
        with pytest.raises(TypeError, match="does not go with"):
            warm(**options)(lambda: 5)
    assert 5 == warm(**roomy, size=1, teardown_in="loading-thread")(lambda: 5)()


def test_async_loaders_refuse_it() -> None:
    async def load() -> None: ...

    async def generate() -> Any:
        yield 1

    for each in (load, generate):
        with pytest.raises(TypeError, match=r"'loading-thread' is for loaders that are not async"):
            warm(teardown_in="loading-thread")(each)


# -- the end of the process, and forks -----------------------------------------------------------

PROGRAM = """
    import logging, os, sqlite3, threading
    from warmcache import warm
    from warmcache._core.state import loading_threads

    logging.basicConfig(format="%(message)s")

    def close(connection):
        connection.close()
        print("closed in", threading.current_thread().name, flush=True)

    @warm(maxsize=4, teardown=close, teardown_in="loading-thread", wait=0.1)
    def connect(name):
        return sqlite3.connect(":memory:")

    def elsewhere(work, *args, **options):
        thread = threading.Thread(target=work, args=args, name="other", **options)
        thread.start()
        return thread
"""


def run(program: str) -> subprocess.CompletedProcess[str]:
    text = textwrap.dedent(PROGRAM) + textwrap.dedent(program)
    return subprocess.run(
        [sys.executable, "-W", "ignore::DeprecationWarning", "-c", text],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_the_main_thread_tears_down_what_is_its_own_as_the_process_ends() -> None:
    ran = run("""
        connect("a"), connect("b")
        elsewhere(connect.evict, "a").join()
        print("ends", flush=True)
    """)
    assert ("ends\n" + "closed in MainThread\n" * 2, "", 0) == (
        ran.stdout,
        ran.stderr,
        ran.returncode,
    )


def test_a_thread_that_outlasts_the_main_one_tears_down_what_is_its_own() -> None:
    ran = run("""
        import queue
        jobs = queue.SimpleQueue()
        def work():
            connect("a")
            jobs.put(None)
            threading.main_thread().join()
        elsewhere(work)
        jobs.get()
    """)
    assert ("closed in other\n", "", 0) == (ran.stdout, ran.stderr, ran.returncode)


def test_what_a_daemon_thread_never_comes_for_is_said_to_be_left() -> None:
    ran = run("""
        import warmcache._process.at_exit as at_exit
        at_exit.PATIENCE = 0.1
        loaded = threading.Event()
        def work():
            connect("a")
            loaded.set()
            threading.Event().wait()
        elsewhere(work, daemon=True)
        loaded.wait()
    """)
    assert ("", 0) == (ran.stdout, ran.returncode)
    assert "not torn down in time, and left as the process closes: connect('a')" in ran.stderr


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork")
def test_a_forked_child_tears_down_nothing_of_its_parents_threads() -> None:
    ran = run("""
        connect("a")
        ready, done = threading.Event(), threading.Event()
        def work():
            connect("b")
            ready.set()
            done.wait()
        thread = elsewhere(work)
        ready.wait()
        connect.evict("b")  # handed over
        elsewhere(connect.evict, "a").join()
        child = os.fork()
        if not child:
            try:
                print(len(loading_threads.LOADING), len(loading_threads.HANDED_OVER))
                connect("c")
                connect.evict("c")
                print("child", flush=True)
            finally:
                os._exit(0)
        os.waitpid(child, 0)
        connect("d")
        print("parent", flush=True)
        done.set(), thread.join()
    """)
    expected = [
        *("0 0", "closed in MainThread", "child"),  # "c"
        *("closed in MainThread", "parent"),  # "a"
        "closed in other",
        "closed in MainThread",  # "d"
    ]
    assert (expected, "", 0) == (ran.stdout.splitlines(), ran.stderr, ran.returncode)


def test_a_loop_is_told_what_was_handed_over_without_the_lock() -> None:
    locked = list[bool]()

    class Loop(asyncio.SelectorEventLoop):
        def call_soon_threadsafe(self, *args: Any, **options: Any) -> Any:
            if threading.current_thread() is other:
                locked.append(load.cache._store.lock._is_owned())
            return super().call_soon_threadsafe(*args, **options)

    @warm(maxsize=1, teardown=lambda value: None, teardown_in="loading-thread")
    def load(name: str) -> list[str]:
        return [name]

    other = threading.Thread(target=load.evict, args=("a",))

    async def main() -> None:
        load("a")
        handed_over.tear_down_what_is_mine()
        other.start()
        await asyncio.to_thread(other.join, 5)
        assert not other.is_alive()

    loop = Loop()
    loop.run_until_complete(main())
    loop.close()
    assert locked and not any(locked)
