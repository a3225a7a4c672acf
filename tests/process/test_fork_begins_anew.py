"""A forked child begins anew: it forgets what its parent has warm, and destroys none of it."""

from __future__ import annotations

from pathlib import Path

import pytest
from processes import needs_fork, run

pytestmark = needs_fork

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
        @warm(teardown="close", loop_bound=False)
        async def load(name):
            return Value(name)
        def get(name):
            return asyncio.run(load(name))
    """,
    "async generator": """
        @warm(loop_bound=False)
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
    "named cache that its loader defines": """
        @warm(cache="models", policy="gdsf", maxsize=8, teardown="close")
        def get(name):
            return Value(name)
    """,
    "named cache that is defined later": """
        @warm(cache="models")
        def get(name):
            return Value(name)
        warmcache.cache("models", maxsize=8, ttl=100, teardown="close")
    """,
    "memory cache": """
        from warmcache.testing import FakeProbe
        cache = warmcache.MemoryCache("1GiB", probe=FakeProbe(2**30), teardown="close")
        @warm(cache=cache, size="1MiB")
        def get(name):
            return Value(name)
    """,
    "memory cache in another order": """
        from warmcache.testing import FakeProbe
        cache = warmcache.MemoryCache("1GiB", probe=FakeProbe(2**30), order="gdsf", ttl=100)
        @warm(cache=cache, size="1MiB", teardown="close")
        def get(name):
            return Value(name)
    """,
    "time of its own": """
        @warm(cache=warmcache.LRUCache(8), ttl=100, teardown="close")
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
