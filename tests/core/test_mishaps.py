"""What goes wrong half-way leaves nothing half-done."""

from __future__ import annotations

import operator
import os
import signal
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

import pytest

import warmcache
from warmcache import LRUCache, warm
from warmcache._process.janitor import Janitor
from warmcache.testing import ManualClock, assert_consistent

CAP = 5.0


class Moody(warmcache.Cache[Any, Any]):
    """A cache whose rank fails for one key."""

    fails_for: Any = None

    def rank(self, entry: warmcache.Entry) -> int:
        if entry.key == self.fails_for:
            raise ZeroDivisionError
        return entry.used


@pytest.mark.parametrize("teardown", [None, "close"])
@pytest.mark.parametrize("door", ["store", "evict", "replace"])
def test_a_rank_that_fails_on_a_later_victim_takes_nothing(teardown: Any, door: str) -> None:
    class Value(int):
        def close(self) -> None:
            """End it."""

    cache = Moody(3, getsizeof=int, teardown=teardown)
    for key in "zabc":
        cache[key] = Value(key != "z")
    cache.evict(1)  # so that all have been ranked
    cache.fails_for = "b"
    with pytest.raises(ZeroDivisionError):
        if door == "store":
            cache["d"] = Value(3)
        elif door == "replace":
            cache["c"] = Value(3)
        else:
            cache.evict(3)
    cache.fails_for = None
    left = ["b", "c"] if door == "evict" else ["a", "b", "c"]
    assert left == list(cache) == cache.victims()
    assert_consistent(cache)
    cache["e"] = Value(3)
    assert ["e"] == list(cache), "what was taken off the order is back in it"


@pytest.mark.parametrize("where", ["reclaim", "on_removal"])
def test_an_interrupt_after_a_teardown_ends_its_entry_and_the_others(where: str) -> None:
    torn_down: list[int] = []
    interrupts = [KeyboardInterrupt()]

    def interrupt(*_: object) -> None:
        if interrupts:
            raise interrupts.pop()

    options: Any = {where: interrupt}
    cache: LRUCache[int, int] = LRUCache(3, teardown=torn_down.append, **options)
    cache.update({1: 1, 2: 2, 3: 3})
    with pytest.raises(KeyboardInterrupt):
        cache.clear()
    assert [3, 2, 1] == torn_down
    assert_consistent(cache)
    assert 0 == cache.stats().dying


def test_a_value_detached_while_it_grows_leaves_the_ledger_right() -> None:
    value = [1]

    def tear_down(other: object) -> None:
        if "grows" in cache:
            cache.detach("grows")

    cache: LRUCache[str, list[int]] = LRUCache(3, getsizeof=len, teardown=tear_down)
    cache["victim"] = [1, 2]
    cache["grows"] = value
    value += [2, 3]
    cache["grows"] = value
    assert_consistent(cache)
    assert cache["grows"] is value if "grows" in cache else cache.currsize == 0


@pytest.mark.race
def test_a_leased_value_that_shrinks_lets_a_waiter_in() -> None:
    value = [1, 2]
    cache: LRUCache[str, list[int]] = LRUCache(2, getsizeof=len, wait=60)
    cache["shrinks"] = value
    with ThreadPoolExecutor() as pool, cache.lease("shrinks"):
        waiter = pool.submit(cache.__setitem__, "new", [1])
        while not cache.stats().waits:
            assert not waiter.done()
        value.pop()
        cache["shrinks"] = value
        waiter.result(CAP)
    assert {"shrinks", "new"} == set(cache)
    assert_consistent(cache)


@pytest.mark.race
@pytest.mark.parametrize("teardown_first", [True, False])
def test_a_cycle_through_a_teardown_in_another_thread_is_an_error_not_a_hang(
    teardown_first: bool,
) -> None:
    tearing, loading, errors = threading.Event(), threading.Event(), []

    def tear_down(name: str) -> None:
        if name == "a" and not loading.is_set():
            tearing.set()
            assert loading.wait(CAP)
            try:
                load("b")
            except warmcache.LoadCycleError as error:
                errors.append(error)

    @warm(policy="lru", maxsize=9, teardown=tear_down)
    def load(name: str) -> str:
        if name == "b":
            loading.set()
            return load("a")
        return name

    load("a")
    with ThreadPoolExecutor() as pool:
        evicting = pool.submit(load.evict, "a")
        assert tearing.wait(CAP)
        asking = pool.submit(load, "b")
        error = asking.exception(CAP)
        evicting.result(CAP)
    assert errors or isinstance(error, warmcache.LoadCycleError)
    assert_consistent(load.cache)


@pytest.mark.parametrize("bad", [float("nan"), -1])
def test_a_weight_that_is_none_is_refused_and_poisons_nothing(bad: float) -> None:
    cache: LRUCache[str, float] = LRUCache(3, getsizeof=lambda value: value)
    with pytest.raises(ValueError, match="size"):
        cache["a"] = bad
    cache["b"] = 3
    assert 3 == cache.currsize
    assert_consistent(cache)


def test_an_end_that_is_no_time_is_refused_and_poisons_nothing() -> None:
    torn_down: list[str] = []
    cache: Any = warmcache.TLRUCache(3, ttu=lambda key, value, now: None, teardown=torn_down.append)

    @warm(cache=cache)
    def load(name: str) -> str:
        return name

    with pytest.raises(TypeError):
        load("a")
    assert (["a"], 0) == (torn_down, len(cache))
    assert_consistent(cache)


@pytest.mark.race
def test_the_process_waits_for_a_teardown_that_the_janitor_has_begun() -> None:
    script = (
        "import threading, warmcache\n"
        "begun, go_on = threading.Event(), threading.Event()\n"
        "def down(value):\n"
        "    begun.set(); go_on.wait(5); print('down', value)\n"
        "def main():\n"
        "    cache = warmcache.LRUCache(2, teardown=down)\n"
        "    cache.update(a=1, b=2)\n"
        "main()\n"
        "assert begun.wait(5)\n"
        "threading.Timer(0.05, go_on.set).start()\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=30, env=os.environ
    )
    assert ["down 2", "down 1"] == done.stdout.splitlines(), done.stderr


def test_where_no_thread_can_be_started_everything_else_goes_on(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def refuse(thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr("warmcache.caches.cache.janitor", Janitor())
    clock, torn_down = ManualClock(), []

    @warm(policy="ttl", maxsize=2, ttl=10, timer=clock, teardown=torn_down.append)
    def load(name: str) -> str:
        return name

    with monkeypatch.context() as patched:
        patched.setattr(threading.Thread, "start", refuse)
        with load.lease("a") as value:
            assert "a" == value
        load("b")
    assert "the janitor cannot start: can't start new thread" in caplog.text
    clock.advance(11)
    assert ([], False) == (list(load.cache), load.contains("a"))
    assert 0 == len(load.cache) and ["a", "b"] == sorted(torn_down)
    assert_consistent(load.cache)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_forked_child_has_a_janitor_of_its_own() -> None:
    script = (
        "import os, threading, warmcache\n"
        "cache = warmcache.TTLCache(9, ttl=0.01)\n"
        "gone = threading.Event()\n"
        "cache['parent'] = 1\n"
        "pid = os.fork()\n"
        "if pid == 0:\n"
        "    cache = warmcache.TTLCache(9, ttl=0.01, on_removal=lambda _: gone.set())\n"
        "    cache['child'] = 2\n"
        "    os._exit(0 if gone.wait(5) else 3)\n"
        "raise SystemExit(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))\n"
    )
    assert 0 == subprocess.run([sys.executable, "-c", script], timeout=30, check=False).returncode


def test_a_clock_that_fails_after_a_load_leaves_nothing_loaded() -> None:
    torn_down: list[str] = []

    works = True

    def clock() -> float:
        if not works:
            raise ZeroDivisionError
        return 0.0

    cache: LRUCache[Any, Any] = LRUCache(2, timer=clock)

    @warm(cache=cache, teardown=torn_down.append)
    def load(name: str) -> str:
        nonlocal works
        works = False
        return name

    with pytest.raises(ZeroDivisionError):
        load("a")
    works = True
    assert ["a"] == torn_down
    assert [] == cache.entries()
    assert_consistent(cache)


def _handler(*_: object) -> None:
    raise TypeError


@pytest.mark.parametrize(
    "raises",
    [
        pytest.param(operator.neg, id="C code"),
        pytest.param(partial(signal.raise_signal, signal.SIGINT), id="a signal's handler"),
    ],
)
def test_an_error_in_the_midst_of_our_own_code_is_mended(
    monkeypatch: pytest.MonkeyPatch, raises: Any
) -> None:
    cache: LRUCache[str, str] = LRUCache(2, teardown=lambda value: None)
    cache["a"] = "a"
    lease = cache.lease("a")
    lease.__enter__()
    before = signal.signal(signal.SIGINT, _handler)
    monkeypatch.setattr(cache._store, "timer", raises)
    with pytest.raises(TypeError):
        lease.__exit__(None, None, None)
    monkeypatch.undo()
    signal.signal(signal.SIGINT, before)
    assert [0] == [info.leases for info in cache.entries()]
    assert_consistent(cache)
