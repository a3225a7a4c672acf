"""A forked child begins anew: it forgets what its parent has warm, and destroys none of it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from processes import run

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")

# -- what is warm ----------------------------------------------------------------------

KINDS = {
    "function": """
        @warm(teardown="close")
        def load(name):
            return Value(name)
        get = load
    """,
    "one whose arguments are not hashable": """
        @warm(teardown="close")
        def load(names):
            return Value(*names)
        def get(name):
            return load([name])
    """,
    "class": """
        @warm(teardown="close")
        class Warm(Value):
            pass
        get = Warm
    """,
    "method": """
        class Server:
            @warm(teardown="close")
            def load(self, name):
                return Value(name)
        server = Server()
        get = server.load
    """,
    "class method": """
        class Server:
            @warm(teardown="close")
            @classmethod
            def load(cls, name):
                return Value(name)
        get = Server.load
    """,
    "generator": """
        @warm
        def get(name):
            value = Value(name)
            try:
                yield value
            finally:
                value.close()
    """,
    "async function": """
        @warm(teardown="close")
        async def load(name):
            return Value(name)
        def get(name):
            return asyncio.run(load(name))
    """,
    "async generator": """
        @warm
        async def load(name):
            value = Value(name)
            try:
                yield value
            finally:
                value.close()
        def get(name):
            return asyncio.run(load(name))
    """,
    "mapping": """
        cache = warmcache.TTLCache(8, ttl=100, teardown="close")
        def get(name):
            if name not in cache:
                cache[name] = Value(name)
            return cache[name]
    """,
    "named cache": """
        warmcache.cache("models", policy="gdsf", maxsize=8, teardown="close")
        @warm(cache="models")
        def get(name):
            return Value(name)
    """,
    "memory cache": """
        from warmcache.testing import FakeProbe
        cache = warmcache.MemoryCache("1GiB", probe=FakeProbe(2**30), teardown="close")
        @warm(cache=cache, size="1MiB")
        def get(name):
            return Value(name)
    """,
    "random order": """
        @warm(policy="rr", maxsize=8, teardown="close")
        def get(name):
            return Value(name)
    """,
}


@pytest.mark.parametrize("kind", KINDS)
def test_a_child_loads_what_it_wants_itself_and_tears_down_that_alone(
    kind: str, tmp_path: Path
) -> None:
    said = run(
        tmp_path,
        KINDS[kind].replace("\n        ", "\n")
        + """
first = get("a"), get("b")
again = get("a")
child = os.fork()
if not child:
    say(get("b").name, "is warm")
    del first, again
    sys.exit()
ended(child)
say(get("b").name, "is warm", first[1] is get("b"))
del first, again
""",
    )
    of_child = ["child's b is warm", "child closes child's b"]
    of_parent = ["parent's b is warm True", "parent closes parent's b", "parent closes parent's a"]
    assert of_child + of_parent == said


INHERITED = {
    "value": """
        cache = warmcache.LRUCache(8)
        cache["a"] = Value("a")
    """,
    "leased value of a cache that is gone": """
        cache = warmcache.LRUCache(8)
        cache["a"] = Value("a")
        lease = cache.lease("a")
        lease.__enter__()
        cache = None
    """,
    "generator": """
        @warm
        def load(name):
            try:
                yield name
            finally:
                say(who(), "ends")
        cache = load.cache
        load("a")
    """,
    "generator outside of any cache": """
        @warm
        def load(name):
            try:
                yield name
            finally:
                say(who(), "ends")
        cache = load.cache
        with warmcache.disabled():
            load("a")
    """,
    "lease outside of any cache": """
        load = warm(Value)
        cache = load.cache
        with warmcache.disabled():
            lease = load.lease("a")
        lease.__enter__()
    """,
}


@pytest.mark.parametrize("what", INHERITED)
def test_what_a_child_inherits_is_not_even_collected_as_the_child_ends(
    what: str, tmp_path: Path
) -> None:
    said = run(
        tmp_path,
        INHERITED[what].replace("\n        ", "\n")
        + """
import gc
child = os.fork()
if not child:
    if "lease" in globals():
        lease.__exit__(None, None, None)
        del lease
    del cache
    if "load" in globals():
        del load
    gc.collect()
    sys.exit()
ended(child)
say("parent goes on")
""",
    )
    assert "parent goes on" == said[0]
    assert 2 == len(said) and said[1].startswith(("parent drops", "parent ends"))


def test_a_cache_that_is_dropped_in_the_child_lets_go_of_what_that_has_loaded_alone(
    tmp_path: Path,
) -> None:
    said = run(
        tmp_path,
        """
        from warmcache.testing import FakeProbe
        probe = FakeProbe(2**30)
        gone = threading.Event()
        def told(removal):
            say(who(), "is told of", removal.key)
            gone.set()
        cache = warmcache.MemoryCache(
            2**29, probe=probe, confirm=3600, poll=0, teardown="close", on_removal=told)
        @warm(cache=cache, size='1MiB')
        def load(name):
            return probe.block(2**20) if name == "lingers" else Value(name)
        Block = type(probe.block(0))
        Block.close = lambda block: say(who(), "closes a block")
        load("lingers"), load("a")
        probe.lag = float("inf")
        load.evict("lingers")
        child = os.fork()
        if not child:
            load("b")
            del load, cache
            gone.wait(20)
            sys.exit()
        ended(child)
        """,
    )
    by_child = [line for line in said if line.startswith("child")]
    assert ["child closes child's b", "child is told of load('b')"] == by_child


def test_a_loader_that_is_dropped_in_the_child_lets_go_of_what_it_has_there(
    tmp_path: Path,
) -> None:
    said = run(
        tmp_path,
        """
        gone = threading.Event()
        def close(value):
            value.close()
            gone.set()
        @warm(teardown=close)
        def load(name):
            return Value(name)
        child = os.fork()
        if not child:
            load("a")
            del load
            gone.wait(20)
            os._exit(0)
        ended(child)
        """,
    )
    assert ["child closes child's a"] == said


def test_counts_begin_anew(tmp_path: Path) -> None:
    said = run(
        tmp_path,
        """
        @warm(maxsize=4)
        def load(name):
            return object()
        load(1), load(1), load(2)
        child = os.fork()
        if not child:
            say(load.cache_info(), load.cache.stats() == warmcache.LRUCache(4).stats())
            load(1), load(1)
            say(load.cache_info())
            os._exit(0)
        ended(child)
        say(load.cache_info())
        """,
    )
    assert [
        "CacheInfo(hits=0, misses=0, maxsize=4, currsize=0) True",
        "CacheInfo(hits=1, misses=1, maxsize=4, currsize=1)",
        "CacheInfo(hits=1, misses=2, maxsize=4, currsize=2)",
    ] == said


def test_a_closed_cache_stays_closed(tmp_path: Path) -> None:
    said = run(
        tmp_path,
        """
        cache = warmcache.LRUCache(4)
        cache.close()
        child = os.fork()
        if not child:
            try:
                cache[1] = 1
            except warmcache.ClosedError:
                say("closed")
            os._exit(0)
        ended(child)
        """,
    )
    assert ["closed"] == said


# -- other threads ---------------------------------------------------------------------

LOCKS = {
    "store": ("load.cache._store.lock", "load(2)"),
    "a store that is leased from": ("held._cache.store.lock", "held.__exit__(None, None, None)"),
    "named": (
        "warmcache.policies.shared_caches._guard",
        "warmcache.cache('other', policy='lru', maxsize=1)",
    ),
    "scopes": ("warmcache._core.state.hot_paths._guard", "warm(lambda: 1)()"),
    "by value": ("warmcache._by_value.loader_names._guard", "warm(lambda: 1)()"),
    "foreign caches": (
        "warmcache._by_value.recipe._guard",
        "warmcache._by_value.recipe.recipe_of(load.cache)",
    ),
    "registry": ("warmcache.policies.registry._lock", "warmcache.policies.register('x')(Mine)"),
    "janitor": ("warmcache._process.janitor.janitor._starting", "expires()"),
    "recording": ("recording._writing", "recording.stop(), recording.flush()"),
    "learned": ("memory._learned._lock", "grow(1)"),
    "the file of what was learned": ("warmcache.memory.learned_sizes._writing", "grow(1)"),
    "the look at a device": (
        "memory._watcher._looking",
        "memory._watcher._looking.locked() and say('the child failed')",
    ),
    "probe": ("memory.probe._lock", "grow(1)"),
    "clock": ("clock._lock", "clock.advance(1)"),
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


# -- in the midst of something ---------------------------------------------------------

LEASES = {
    "live": ("load", "load.lease('a')", ""),
    "of a hit": ("load", "load.lease('a')", "load('a')"),
    "of the mapping": ("load", "load.cache.lease(load.cache_key('a'))", "load('a')"),
    "retired": ("load", "load.lease('a')", "load.evict('a')"),
    "unowned": ("load", "unowned()", ""),
}


@pytest.mark.parametrize("lease", LEASES)
def test_leaving_a_lease_of_the_parent_ends_nothing(lease: str, tmp_path: Path) -> None:
    _, take, act = LEASES[lease]
    before, inside = ("", act) if lease == "retired" else (act, "")
    said = run(
        tmp_path,
        f"""
        @warm(policy="lru", maxsize=1, teardown="close", wait=0)
        def load(name):
            return Value(name)
        from warmcache.testing import assert_consistent
        def unowned():
            with warmcache.disabled():
                return load.lease("a")
        {before}
        with {take}:
            {inside}
            child = os.fork()
        if not child:
            load("b")  # there is room, and nothing else goes for it
            say(load.cache.stats().live, load.cache.stats().retired)
            assert_consistent(load.cache)
            load("c")
            sys.exit()
        ended(child)
        """,
    )
    of_parent = "parent closes parent's a"
    child = ["1 0", "child closes child's b", "child closes child's c"]
    assert child == [line for line in said if line != of_parent]
    assert 1 == said.count(of_parent)


def test_leaving_an_asynchronous_lease_of_the_parent_ends_nothing(tmp_path: Path) -> None:
    said = run(
        tmp_path,
        """
        async def close(value):
            value.close()
        @warm(teardown=close)
        async def load(name):
            return Value(name)
        async def main():
            async with load.lease("a"):
                await load.evict("a")
                child = os.fork()
            if not child:
                say("left")
                os._exit(0)
            ended(child)
        asyncio.run(main())
        """,
    )
    assert ["left", "parent closes parent's a"] == sorted(said)


@pytest.mark.parametrize("how", ["call", "lease"])
def test_a_load_that_forks_gives_the_child_its_value_but_keeps_it_warm_in_the_parent_alone(
    how: str, tmp_path: Path
) -> None:
    said = run(
        tmp_path,
        """
        children = []
        @warm(policy="lru", maxsize=1, teardown="close")
        def load(name):
            if name == "a" and not children:
                children.append(os.fork())
                if children[0]:
                    ended(children[0])
            return Value(name)
        if sys.argv[1] == "lease":
            with load.lease("a") as value:
                pass
        else:
            value = load("a")
        if not children[0]:
            say(value.name, load.contains("a"), load("b").name)
            children.append(1)
            say(load("a") is value, load("a").name)
            value.closed = True  # nobody's to close
            del value
            sys.exit()
        say(value.name, load("a") is value)
        """,
        how,
    )
    child = ["child's a False child's b", "child closes child's b"]
    child += ["False child's a", "child closes child's a"]
    assert [*child, "parent's a True", "parent closes parent's a"] == said


FORKING_TEARDOWN = """
        children = []
        def close(value):
            value.close()
            if not children:
                children.append(None)
                children.append(os.fork())
                if children[1]:
                    ended(children[1])
"""


def test_a_teardown_that_forks_runs_on_in_the_child_and_no_other_does(tmp_path: Path) -> None:
    said = run(
        tmp_path,
        FORKING_TEARDOWN
        + """
        def told(removal):
            say(who(), "is told of", removal.key)
        cache = warmcache.LRUCache(4, teardown=close, on_removal=told)
        cache["a"], cache["b"] = Value("a"), Value("b")
        cache.clear()
        if not children[1]:
            cache["c"] = Value("c")
            sys.exit()
        """,
    )
    assert [
        "parent closes parent's b",
        *("child closes child's c", "child is told of c"),
        *("parent is told of b", "parent closes parent's a", "parent is told of a"),
    ] == said


def test_room_that_a_teardown_of_the_parent_makes_is_not_waited_for(tmp_path: Path) -> None:
    said = run(
        tmp_path,
        FORKING_TEARDOWN
        + """
        @warm(policy="lru", maxsize=1, teardown=close)
        def load(name):
            return Value(name)
        load("a")
        try:
            load("b")
        except warmcache.ClosedError as error:
            say(error)
        if not children[1]:
            say(load("b").name)
            sys.exit()
        """,
    )
    assert [
        "parent closes parent's a",
        *("this was begun before the process was forked; ask again", "child's b"),
        *("child closes child's b", "parent closes parent's b"),
    ] == said


def test_a_child_that_the_janitor_has_forked_ends_with_the_job(tmp_path: Path) -> None:
    said = run(
        tmp_path,
        """
        over = threading.Event()
        def fork(value):
            child = os.fork()
            if child:
                ended(child)
                say("it has ended")
                over.set()
        cache = warmcache.TTLCache(4, ttl=0.01, teardown=fork)
        cache[1] = 1
        over.wait(20)
        """,
    )
    assert ["it has ended"] == said


# -- threads and memory ----------------------------------------------------------------


def test_a_child_has_no_janitor_before_it_keeps_something_that_needs_one(tmp_path: Path) -> None:
    said = run(
        tmp_path,
        """
        from warmcache.testing import FakeProbe
        probe = FakeProbe(2**30)
        cache = warmcache.MemoryCache("1GiB", probe=probe, teardown="close")
        @warm(cache=cache)
        def load(name):
            probe.allocate(2**20)
            return Value(name)
        threads = lambda: [thread.name for thread in threading.enumerate()][1:]
        load("a")
        say(threads(), cache.stats().live)
        child = os.fork()
        if not child:
            say(threads(), cache.stats().live)
            load("b")
            say(threads(), cache.stats().live)
            sys.exit()
        ended(child)
        """,
    )
    assert [
        "['warmcache-janitor'] 1048576",
        *("[] 0", "['warmcache-janitor'] 1048576", "child closes child's b"),
        "parent closes parent's a",
    ] == said


def test_a_child_neither_has_nor_writes_its_parents_recording(tmp_path: Path) -> None:
    path = tmp_path / "trace.csv"
    said = run(
        tmp_path,
        """
        @warm
        def load(name):
            return object()
        with load.cache.record(sys.argv[1]) as recording:
            load(1), load(1)
            child = os.fork()
            if not child:
                load(1), load(1), load(2)
                say(load.cache._store.observers, recording.written, str(recording)[-8:])
        if not child:
            load.cache.record(sys.argv[1] + ".child")
            load(3), load(3)
            sys.exit()
        ended(child)
        """,
        str(path),
    )
    assert ["() 0 stopped>"] == said
    rows = [line.split(",")[1] for line in path.read_text().splitlines()[1:]]
    assert ["load(1)", "load(1)"] == rows
    rows = [line.split(",")[1] for line in Path(f"{path}.child").read_text().splitlines()[1:]]
    assert ["load(3)", "load(3)"] == rows


def test_one_that_fails_to_begin_anew_is_logged_and_stops_no_other(tmp_path: Path) -> None:
    said = run(
        tmp_path,
        """
        import logging
        from warmcache._process import after_fork as _fork
        logging.basicConfig(stream=sys.stdout, format="%(message)s")
        class Failing:
            def begin_anew(self):
                raise RuntimeError("on purpose")
        failing = Failing()
        _fork.begins_anew_in_child(failing)
        load = warm(Value)
        load("a")
        child = os.fork()
        if not child:
            sys.stdout.flush()
            say(load("a").name)
            os._exit(0)
        ended(child)
        load("a").closed = True
        """,
    )
    assert "did not begin anew in a forked child" in said[0]
    assert ["RuntimeError: on purpose", "child's a"] == said[-2:]


# -- the ways to have children ---------------------------------------------------------

WORKERS = """
import multiprocessing
from concurrent.futures import ProcessPoolExecutor

@warm(policy="lru", maxsize=4, teardown="close")
def load(name):
    return Value(name)

def work(name):
    return load(name).name, load(name) is load(name), load.cache_info()

def main():
    load("a")
    method, how = sys.argv[1:]
    context = multiprocessing.get_context(method)
    if how == "executor":
        with ProcessPoolExecutor(1, mp_context=context) as pool:
            done = [pool.submit(work, "a").result() for _ in range(2)]
    else:
        with context.Pool(1) as pool:
            done = pool.map(work, ["a", "a"])
            pool.close()
            pool.join()
    for name, same, info in done:
        say(name, same, info.hits, info.misses)

if __name__ == "__main__":
    main()
"""


@pytest.mark.parametrize("how", ["executor", "pool"])
@pytest.mark.parametrize("method", ["fork", "forkserver", "spawn"])
def test_a_worker_loads_once_for_all_its_tasks_and_tears_that_down_at_its_end(
    method: str, how: str, tmp_path: Path
) -> None:
    said = run(tmp_path, WORKERS, method, how)
    assert ["parent closes parent's a"] == said[-1:]
    assert ["child closes child's a"] == [line for line in said[:-1] if "closes" in line]
    assert ["child's a True 2 1", "child's a True 5 1"] == [line for line in said if "True" in line]


def test_workers_forked_by_a_thread_while_another_holds_the_lock_begin_anew(
    tmp_path: Path,
) -> None:
    said = run(
        tmp_path,
        WORKERS.replace("\n", "\n        ").replace("    main()\n", "    pass\n")
        + """
        held, go = threading.Event(), threading.Event()
        def hold():
            with load.cache._store.lock:
                held.set()
                go.wait(20)
        def fork():
            context = multiprocessing.get_context("fork")
            child = context.Process(target=work, args=("a",))
            child.start()
            child.join(20)
            say("ended with", child.exitcode)
        load("a")
        holder = in_thread(hold)
        held.wait(20)
        in_thread(fork).join()
        go.set()
        holder.join()
        """,
    )
    assert ["child closes child's a", "ended with 0", "parent closes parent's a"] == said
