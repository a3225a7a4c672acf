"""Closed by the end or by ``close_all()``, a cache says so; a child has all caches, and empty."""

from __future__ import annotations

from pathlib import Path

import pytest
from processes import needs_fork, run


def test_after_close_all_a_cache_says_where_that_was_called_and_what_to_call(
    tmp_path: Path,
) -> None:
    said = run(
        tmp_path,
        """
        @warm(teardown="close")
        def load(name):
            return Value(name)
        load("a")
        warmcache.close_all()  # here
        try:
            load("a")
        except warmcache.ClosedError as error:
            say(error)
        """,
    )
    text = (tmp_path / "program.py").read_text().splitlines()
    line = 1 + next(number for number, each in enumerate(text) if "# here" in each)
    assert [
        "parent closes parent's a",
        f"LRUCache '__main__.load' was closed by close_all() at {tmp_path}/program.py:{line}; "
        f"a program that goes on calls clear_all() instead, which leaves caches open",
    ] == said


CLOSES = {
    "no teardown": "warm(policy='lru', maxsize=3)",
    "a weight": "warm(policy='lru', maxsize='1MiB', size=1)",
    "memory": "warm(policy='ram', budget='1MiB')",
    "a listener": "warm(maxsize=3, on_removal=lambda removal: say(removal.cause.value))",
    "a reclaim": "warm(maxsize=3, reclaim=lambda: say('reclaim'))",
    "a teardown": "warm(maxsize=3, teardown=lambda value: say('teardown'))",
    "a name": "warm(cache=warmcache.cache('shared', maxsize=3))",
}
TOLD = {
    "a listener": ["closed"],
    "a reclaim": ["reclaim"],
    "a teardown": ["teardown"],
}


@pytest.mark.parametrize("what", CLOSES)
def test_close_all_closes_whatever_is_warm_and_lets_it_go(what: str, tmp_path: Path) -> None:
    said = run(
        tmp_path,
        f"""
        import gc, weakref
        class Model: pass
        @{CLOSES[what]}
        def load(name):
            return Model()
        model = weakref.ref(load("a"))
        warmcache.close_all()
        gc.collect()
        say(model(), len(load.cache), warmcache.all_caches())
        try:
            load("a")
        except warmcache.ClosedError:
            say("refused")
        """,
    )
    assert [*TOLD.get(what, []), "None 0 []", "refused"] == said


def test_close_all_closes_what_was_never_used(tmp_path: Path) -> None:
    said = run(
        tmp_path,
        """
        load = warm(maxsize=3)(len)
        cache = warmcache.LRUCache(3)
        warmcache.close_all()
        for use in (lambda: load("a"), lambda: cache.update(a=1)):
            try:
                use()
            except warmcache.ClosedError as error:
                say(str(error).partition(" at ")[0])
        say(warmcache.all_caches())
        """,
    )
    by = "was closed by close_all()"
    assert [f"LRUCache 'builtins.len' {by}", f"LRUCache {by}", "[]"] == said


def test_a_program_that_ends_may_use_what_needs_no_teardown_until_then(tmp_path: Path) -> None:
    said = run(
        tmp_path,
        """
        import atexit
        @atexit.register
        def last():
            say(load("b"))
        @warm(teardown="close")
        def other(name):
            return Value(name)
        @warm
        def load(name):
            return [name]
        load("a"), other("a")
        """,
    )
    assert ["parent closes parent's a", "['b']"] == said


def test_at_the_end_a_cache_says_that_it_is_the_end(tmp_path: Path) -> None:
    said = run(
        tmp_path,
        """
        import atexit
        @atexit.register
        def last():
            try:
                load("b")
            except warmcache.ClosedError as error:
                say(error)
        @warm(teardown="close")
        def load(name):
            return Value(name)
        load("a")
        """,
    )
    assert [
        "parent closes parent's a",
        "LRUCache '__main__.load' was closed by the end of the process",
    ] == said


def test_a_lifespan_that_clears_all_begins_again(tmp_path: Path) -> None:
    said = run(
        tmp_path,
        """
        @warm(teardown="close")
        def load(name):
            return Value(name)
        for _ in range(2):
            load("a")
            warmcache.clear_all()
        """,
    )
    assert ["parent closes parent's a"] * 2 == said


@needs_fork
def test_a_forked_child_lists_its_own_caches_and_clears_nothing_of_its_parents(
    tmp_path: Path,
) -> None:
    said = run(
        tmp_path,
        """
        @warm(teardown="close")
        def load(name):
            return Value(name)
        load("a")
        shared = warmcache.cache("shared", maxsize=3)
        child = os.fork()
        if not child:
            warmcache.clear_all()
            load("b")
            say([(each.name, len(each)) for each in warmcache.all_caches()])
            warmcache.clear_all()
            os._exit(0)
        ended(child)
        say([(each.name, len(each)) for each in warmcache.all_caches()])
        """,
    )
    assert [
        "[('__main__.load', 1), ('shared', 0)]",
        "child closes child's b",
        "[('__main__.load', 1), ('shared', 0)]",
        "parent closes parent's a",
    ] == said
