"""What other threads hold or do while a process forks stops no child."""

from __future__ import annotations

from pathlib import Path

import pytest
from processes import needs_fork, run

pytestmark = [needs_fork, pytest.mark.race]

LOCKS = {
    "store": ("load.cache._store.lock", "load(2)"),
    "a store that is leased from": ("held._cache.store.lock", "held.__exit__(None, None, None)"),
    "named": (
        "warmcache.policies.shared_caches._guard.lock",
        "warmcache.cache('other', policy='lru', maxsize=1)",
    ),
    "scopes": ("warmcache._core.state.hot_paths._guard.lock", "warm(lambda: 1)()"),
    "by value": ("warmcache._by_value.loader_names._guard.lock", "warm(lambda: 1)()"),
    "foreign caches": (
        "warmcache._by_value.recipe._guard.lock",
        "warmcache._by_value.recipe.recipe_of(load.cache)",
    ),
    "registry": (
        "warmcache.policies.registry._lock.lock",
        "warmcache.policies.register('x')(Mine)",
    ),
    "janitor": ("warmcache._process.janitor.janitor._starting", "expires()"),
    "recording": ("recording._writing", "recording.stop(), recording.flush()"),
    "learned": ("memory._MemoryCache__learned._lock.lock", "grow(1)"),
    "the file of what was learned": ("warmcache.memory.learned_sizes._writing.lock", "grow(1)"),
    "the look at a device": (
        "memory._MemoryCache__watcher._looking",
        "memory._MemoryCache__watcher._looking.locked() and say('the child failed')",
    ),
    "probe": ("memory.probe._lock.lock", "grow(1)"),
    "clock": ("clock._lock.lock", "clock.advance(1)"),
}


@pytest.mark.parametrize("held", LOCKS)
def test_a_lock_that_another_thread_holds_stops_no_child(held: str, tmp_path: Path) -> None:
    lock, use = LOCKS[held]
    said = run(
        tmp_path,
        f"""
        from warmcache.testing import FakeProbe, ManualClock
        class Mine(warmcache.Cache):
            pass
        @warm(teardown="close")
        def load(name):
            return Value(name)
        clock = ManualClock()
        memory = warmcache.MemoryCache(2**30, probe=FakeProbe(2**30), learn=sys.argv[1] + '.json')
        @warm(cache=memory)
        def grow(name):
            memory.probe.allocate(2**20)
            return object()
        def expires():
            gone = threading.Event()
            cache = warmcache.TTLCache(9, ttl=0.01, on_removal=lambda _: gone.set())
            cache[1] = 1
            gone.wait(10) or say("there is no janitor")
        held = load.lease(1)
        held.__enter__().closed = True  # or what is torn down would be told
        load(1)
        recording = load.cache.record(sys.argv[1])
        is_held, go = threading.Event(), threading.Event()
        def hold():
            with {lock}:
                is_held.set()
                go.wait(20)
        thread = in_thread(hold)
        is_held.wait(20)
        child = os.fork()
        if not child:
            {use}
            say("done")
            os._exit(0)
        ended(child)
        go.set()
        thread.join()
        os._exit(0)
        """,
        str(tmp_path / "trace.csv"),
    )
    assert "done" == said[-1]
    assert "there is no janitor" not in said and "the child failed" not in said


def test_what_other_threads_load_lease_and_tear_down_is_not_waited_for(tmp_path: Path) -> None:
    said = run(
        tmp_path,
        """
        begun, go = threading.Semaphore(0), threading.Event()
        def wait():
            begun.release()
            if who() == "parent":
                go.wait(20)
        def close(value):
            value.closed = True
            if value.name == "parent's dying":
                wait()
            say(who(), "closes", value.name)
        @warm(policy="lru", maxsize=3, teardown=close, wait=0)
        def load(name):
            if name == "loading":
                wait()
            return Value(name)
        def lease():
            with load.lease("leased"):
                wait()
        load("dying")
        threads = [in_thread(work) for work in (
            lambda: load("loading"), lambda: load.evict("dying"), lease)]
        for _ in threads:
            begun.acquire(timeout=20)
        child = os.fork()
        if not child:
            say([load(name).name for name in ("loading", "dying", "leased")])
            load("more")
            sys.exit()
        ended(child)
        go.set()
        for thread in threads:
            thread.join()
        """,
    )
    names = [f"child's {name}" for name in ("loading", "dying", "leased")]
    by_child = [f"child closes child's {name}" for name in ("loading", "more", "leased", "dying")]
    assert [str(names), *by_child] == said[:5]
    assert {f"parent closes parent's {name}" for name in ("dying", "leased", "loading")} == {
        *said[5:]
    }
    assert 8 == len(said)


def test_a_thread_that_forks_takes_its_lock_along_and_can_leave_it(tmp_path: Path) -> None:
    said = run(
        tmp_path,
        """
        forked = []
        class Forking(warmcache.Cache):
            def rank(self, entry):  # the one user code that runs under the lock
                if not forked:
                    forked.append(None)
                    forked.append(os.fork())
                return entry.loaded
        cache = Forking(1)
        def fork():
            cache[1] = 1
            cache[2] = 2
            if not forked[1]:
                cache[1], cache[3] = 1, 3
                say(list(cache))
                os._exit(0)
            ended(forked[1])
            say(list(cache))
        in_thread(fork).join()
        """,
    )
    assert ["[3]", "[2]"] == said


def test_who_waits_in_the_parent_is_woken_by_nothing_in_the_child(tmp_path: Path) -> None:
    said = run(
        tmp_path,
        """
        cache = warmcache.LRUCache(1, wait=60)
        cache["a"] = "a"
        lease = cache.lease("a")
        in_thread(lease.__enter__).join()
        waiter = in_thread(lambda: cache.__setitem__("b", "b"))
        while not cache._store.ledger.waiting:
            pass
        store = cache._store
        child = os.fork()
        if not child:
            say(len(store.ledger.waiting), "wait in the child")
            os._exit(0)
        ended(child)
        lease.__exit__(None, None, None)
        waiter.join()
        say(*cache)
        """,
    )
    assert ["0 wait in the child", "b"] == said
