"""What holds where threads run at once: these hold with the GIL, too, where it proves little."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import pytest

from warmcache import warm
from warmcache._core.state.use_clock import last_tick, tick
from warmcache.testing import assert_consistent

pytestmark = pytest.mark.race

CAP = 30
THREADS, TIMES = 4, 20_000


def at_once(work: Callable[[int], None]) -> None:
    """Run ``work`` in several threads, each given its number."""
    start, errors = threading.Barrier(THREADS), list[BaseException]()

    def run(number: int) -> None:
        try:
            start.wait(CAP)
            work(number)
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=run, args=(number,)) for number in range(THREADS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(CAP)
    assert not any(thread.is_alive() for thread in threads)
    assert [] == errors


def test_no_tick_is_lost_or_given_twice_and_the_clock_never_goes_back() -> None:
    before = last_tick()
    ticks: list[list[int]] = [[] for _ in range(THREADS)]

    def work(number: int) -> None:
        ticks[number] = [tick() for _ in range(TIMES)]

    at_once(work)
    assert all(each == sorted(each) for each in ticks)
    assert set(range(int(before) + 1, int(before) + 1 + THREADS * TIMES)) == set().union(*ticks)
    assert before + THREADS * TIMES == last_tick()


@pytest.mark.parametrize("keys", [1, THREADS])
def test_every_hit_counts(keys: int) -> None:
    load = warm(lambda key: [key])
    for key in range(keys):
        load(key)

    def work(number: int) -> None:
        for _ in range(TIMES):
            load(number % keys)

    at_once(work)
    assert THREADS * TIMES == load.cache_info().hits
    assert THREADS * TIMES + keys == sum(entry.uses for entry in load.cache._live.values())


def test_a_hit_is_dated_between_those_before_and_those_after_it() -> None:
    load = warm(policy="lru", maxsize=99)(lambda key: [key])
    for key in range(20):
        load(key)
    before = last_tick()

    def work(number: int) -> None:
        for _ in range(TIMES // 10):
            for key in range(10, 20):
                load(key)

    at_once(work)
    used = {entry.key[1]: entry.used for entry in load.cache._live.values()}
    assert all(used[key] <= before for key in range(10))
    # A thread that was held up may have put an older stamp over a newer one, but one of its own.
    assert all(before < used[key] <= last_tick() for key in range(10, 20))
    later = [13, 17, 10, 19, 11, 15, 12, 18, 14, 16]
    for key in later:
        load(key)
    assert [*range(10), *later] == [key[1] for key in load.cache.victims()]


def test_what_is_loaded_used_and_evicted_at_once_is_torn_down_once_each() -> None:
    loaded: list[Any] = []
    torn_down: list[Any] = []

    @warm(policy="lru", maxsize=3, teardown=torn_down.append)
    def load(key: int) -> list[int]:
        value = [key]
        loaded.append(value)
        return value

    def work(number: int) -> None:
        for i in range(TIMES // 10):
            key = (i * (number + 1)) % 5
            assert load(key) == [key]
            if i % 7 == number:
                with load.lease(key) as value:
                    assert value == [key] and not any(value is each for each in torn_down[-9:])
            if i % 11 == number:
                load.evict(key)

    at_once(work)
    assert_consistent(load.cache)
    load.cache_clear()
    assert len(loaded) == len(torn_down)
    assert {id(value) for value in loaded} == {id(value) for value in torn_down}
