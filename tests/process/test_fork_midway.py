"""A child that is forked in the midst of something ends nothing of its parent's."""

from __future__ import annotations

from pathlib import Path

import pytest
from processes import needs_fork, run

pytestmark = needs_fork

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


def test_a_child_that_a_teardown_has_forked_may_end_inside_of_it(tmp_path: Path) -> None:
    said = run(
        tmp_path,
        """
        def close(value):
            child = os.fork()
            if not child:
                sys.exit()
            ended(child)
        cache = warmcache.LRUCache(1, teardown=close)
        cache["a"] = "a"
        cache.clear()
        say(who(), "goes on")
        """,
    )
    assert ["parent goes on"] == said


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


def test_a_victim_of_the_parent_is_not_torn_down_in_a_child_that_its_rank_has_forked(
    tmp_path: Path,
) -> None:
    said = run(
        tmp_path,
        """
        children = []
        class Forking(warmcache.Cache):
            def rank(self, entry):
                if not children:
                    children.append(os.fork())
                return entry.loaded
        cache = Forking(1, teardown=Value.close)
        cache["a"] = Value("a")
        try:
            cache["b"] = Value("b")
        except warmcache.ClosedError as error:
            say(error)
            os._exit(0)
        ended(children[0])
        cache.clear()
        """,
    )
    of_parent = ["parent closes parent's a", "parent closes parent's b"]
    assert ["this was begun before the process was forked; ask again"] == [
        line for line in said if line not in of_parent
    ]
    assert of_parent == [line for line in said if line in of_parent]


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


def test_what_a_batch_of_the_parent_is_loading_the_child_loads_itself(tmp_path: Path) -> None:
    said = run(
        tmp_path,
        """
        loading, go = threading.Event(), threading.Event()
        @warm(batch="names")
        def load(names):
            loading.set()
            if who() == "parent":
                go.wait()
            say(who(), "loads", *names)
            return names
        thread = in_thread(lambda: load(["a", "b"]))
        loading.wait()
        child = os.fork()
        if not child:
            load(["b", "c"])
            sys.exit()
        ended(child)
        go.set()
        thread.join()
        load(["a", "b"])
        """,
    )
    assert ["child loads b c", "parent loads a b"] == said


def test_a_batch_that_forks_gives_both_its_values_and_stores_them_in_the_parent_alone(
    tmp_path: Path,
) -> None:
    said = run(
        tmp_path,
        """
        @warm(batch="names")
        def load(names):
            load.child = os.fork()
            return [name + name for name in names]
        values = load(["a", "b"])
        say(who(), *values, load.contains("a"))
        if not load.child:
            sys.exit()
        ended(load.child)
        """,
    )
    assert {"child aa bb False", "parent aa bb True"} == {*said}
