"""The garbage collector may run in the midst of anything, and finalizers with it."""

from __future__ import annotations

import gc
import math
import weakref
from collections.abc import Callable, Iterator
from typing import Any

import pytest

import warmcache
from warmcache._process.janitor import Janitor

MANY = 200


class Dying:
    """Garbage, once it is let go, whose finalizer does something, and leaves more of its kind."""

    def __init__(self, act: Callable[[int], object], number: int = 0) -> None:
        self.act, self.number, self.cycle = act, number, self

    def __del__(self) -> None:
        self.act(self.number)
        if self.number < MANY:
            Dying(self.act, self.number + 1)


@pytest.fixture
def collected_at_every_turn() -> Iterator[Callable[[Callable[[int], object]], None]]:
    """Return what has something done whenever the collector may run, many times."""
    before = gc.get_threshold()
    gc.collect()

    def begin(act: Callable[[int], object]) -> None:
        Dying(act)
        gc.set_threshold(1)

    yield begin
    gc.set_threshold(*before)
    gc.collect()


class Watched:
    def expire_now(self) -> None:
        return None


def test_the_janitor_looks_on_though_finalizers_have_it_watch_something_meanwhile(
    collected_at_every_turn: Any,
) -> None:
    janitor = Janitor()
    watched = [Watched() for _ in range(2 * MANY)]
    for each in watched[:MANY]:
        janitor._due[id(each)] = math.inf, weakref.ref(each)
    more = watched[MANY:]
    collected_at_every_turn(
        lambda number: janitor._due.__setitem__(number, (math.inf, weakref.ref(more[0])))
    )
    assert math.inf == janitor._sweep()


def test_a_cache_is_iterated_over_though_finalizers_store_something_meanwhile(
    collected_at_every_turn: Any,
) -> None:
    cache: warmcache.LRUCache[Any, Any] = warmcache.LRUCache(10 * MANY)
    for number in range(MANY):
        cache[number] = number
    keys = iter(cache)
    collected_at_every_turn(lambda number: cache.__setitem__(-1 - number, number))
    found = list(keys)
    assert {*range(MANY)} <= {*found} and -1 in cache
