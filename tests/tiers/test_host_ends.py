"""What is parked when a process forks or ends."""

from __future__ import annotations

from pathlib import Path

import pytest
from processes import METHODS, needs_fork, run

PARKED = """
import weakref
from warmcache import MemoryCache, close_all
from warmcache.testing import FakeProbe

device = FakeProbe(100)

class Engine(Value):
    def __init__(self, name):
        super().__init__(name)
        self.block = device.block(12)

    def sleep(self):
        self.block = None
        return self

    def wake(self):
        self.block = device.block(12)
        say(who(), "wakes", self.name)
        return self

    def close(self):
        say(who(), "finds", self.name, "parked" if self.block is None else "warm")
        super().close()

cache = MemoryCache(16, probe=device, host=2**20, headroom=0, poll=0, order="lru")

@warm(cache=cache, size=12, park=(Engine.sleep, Engine.wake), teardown="close")
def load(name):
    return Engine(name)
"""


def test_the_end_of_the_process_tears_down_what_is_parked_as_it_is(tmp_path: Path) -> None:
    said = run(tmp_path, PARKED + "load('a'), load('b'), load('c')")
    assert [
        "parent finds parent's c warm",
        "parent closes parent's c",
        "parent finds parent's b parked",
        "parent closes parent's b",
        "parent finds parent's a parked",
        "parent closes parent's a",
    ] == said


def test_closing_all_reaches_what_is_parked(tmp_path: Path) -> None:
    said = run(tmp_path, PARKED + "load('a'), load('b'); close_all(); say('closed')")
    assert 1 == said.count("parent closes parent's a")
    assert "closed" == said[-1]


@needs_fork
def test_a_forked_child_sees_nothing_of_what_is_parked(tmp_path: Path) -> None:
    said = run(
        tmp_path,
        PARKED
        + """
load("a"), load("b")
child = os.fork()
if not child:
    assert [] == cache.entries()
    assert 0 == cache.stats().host.bytes
    own = load("a")
    load("c")
    assert load("a") is own  # it parks what is its own
    os._exit(0)
ended(child)
load("a")
""",
    )
    assert "child wakes child's a" in said
    assert "parent wakes parent's a" in said
    assert not [each for each in said if each.startswith("child") and "parent's" in each]


@pytest.mark.parametrize("method", METHODS)
def test_it_is_torn_down_in_processes_of_multiprocessing(tmp_path: Path, method: str) -> None:
    said = run(
        tmp_path,
        PARKED
        + f"METHOD = {method!r}"
        + """
import multiprocessing

def work():
    load("a"), load("b")

if __name__ == "__main__":
    child = multiprocessing.get_context(METHOD).Process(target=work)
    child.start(), child.join()
""",
    )
    assert ["child finds child's b warm", "child closes child's b"] == said[:2]
    assert ["child finds child's a parked", "child closes child's a"] == said[2:]
