"""After a removal nothing here keeps the value alive."""

from __future__ import annotations

import asyncio
import gc
import logging
import sys
import threading
import weakref
from collections.abc import Iterator
from typing import Any

import pytest

import warmcache
from warmcache import warm
from warmcache._core.state.entry import Entry
from warmcache.testing import ManualClock, assert_consistent

CAP = 5.0

pytestmark = pytest.mark.usefixtures("collector_off")


class Model:
    """Something expensive that can be watched."""

    def close(self) -> None:
        """End it."""


def loader(**options: Any) -> Any:
    @warm(policy="lru", maxsize=1, **options)
    def load(name: str) -> Model:
        return Model()

    return load


def watched(load: Any, name: str = "a") -> weakref.ref[Model]:
    return weakref.ref(load(name))


def test_nothing_keeps_the_key_of_what_weighs_nothing() -> None:
    key = Model()
    gone = weakref.ref(key)
    cache = warmcache.LRUCache[Model, Model](1, getsizeof=lambda value: 0, teardown="close")
    cache[key] = Model()
    cache[key] = Model()
    del cache[key], key
    assert gone() is None
    assert_consistent(cache)


@pytest.mark.parametrize(
    "leave",
    [
        lambda load: load("b"),
        lambda load: load.evict("a"),
        lambda load: load.cache_clear(),
        lambda load: load.cache.evict(1),
        lambda load: load.cache.evict(where=lambda entry: True),
        lambda load: load.cache.pop(load.cache_key("a")),
        lambda load: load.cache.popitem(),
        lambda load: load.cache.__setitem__(load.cache_key("a"), Model()),
        lambda load: load.cache.close(),
    ],
)
def test_nothing_keeps_a_value_after_its_removal(leave: Any) -> None:
    load = loader(teardown="close")
    value = watched(load)
    assert value() is not None
    leave(load)
    assert value() is None


def test_nothing_keeps_a_value_when_its_memory_is_reclaimed() -> None:
    alive: list[bool] = []
    values: list[weakref.ref[Model]] = []
    load = loader(teardown="close", reclaim=lambda: alive.append(values[-1]() is not None))
    for leave in (
        lambda: load("b"),
        lambda: load.evict("a"),
        lambda: load.cache_clear(),
        lambda: load.cache.__delitem__(load.cache_key("a")),
        lambda: load.cache.evict(1),
    ):
        load.cache.clear()
        alive.clear()
        values.append(watched(load))
        leave()
        assert [False] == alive


def test_nothing_keeps_a_value_after_a_leased_removal() -> None:
    load = loader()
    with load.lease("a") as model:
        value = weakref.ref(model)
        del model
        load.evict("a")
        assert value() is not None
    assert value() is None


def test_nothing_keeps_a_value_whose_teardown_failed(caplog: pytest.LogCaptureFixture) -> None:
    def explode(model: Model) -> None:
        raise OSError("cannot close")

    load = loader(teardown=explode)
    value = watched(load)
    with caplog.at_level(logging.ERROR):
        load.evict("a")
    assert "cannot close" in caplog.text
    assert value() is None
    other = watched(load)
    with pytest.raises(ExceptionGroup) as caught:
        load.cache.close()
    assert other() is None, "not even the exception that close() raised"
    assert 1 == len(caught.value.exceptions)


def test_nothing_keeps_a_value_that_expired() -> None:
    clock, gone = ManualClock(), threading.Event()

    @warm(policy="ttl", maxsize=2, ttl=10, timer=clock, on_removal=lambda _: gone.set())
    def load(name: str) -> Model:
        return Model()

    value = watched(load)
    clock.advance(10)
    assert gone.wait(CAP)
    assert value() is None, "the janitor waits for its next job without it"


def test_nothing_keeps_what_a_generator_loader_yielded() -> None:
    @warm(policy="lru", maxsize=1)
    def load(name: str) -> Iterator[Model]:
        model = Model()
        yield model
        model.close()

    value = watched(load)
    load.evict("a")
    assert value() is None


def test_a_failed_load_keeps_nothing_of_what_it_had_built() -> None:
    built: list[weakref.ref[Model]] = []

    @warm(policy="lru", maxsize=1)
    def load(name: str) -> Model:
        model = Model()
        built.append(weakref.ref(model))
        raise ConnectionError("down")

    for _ in range(2):
        try:
            load("a")
        except ConnectionError:
            pass
        assert built[-1]() is None


@pytest.mark.race
def test_a_waiters_exception_keeps_neither_the_value_nor_another_waiters_frame() -> None:
    gate, begun = threading.Event(), threading.Event()
    errors: list[BaseException] = []
    locals_of_waiters: list[weakref.ref[Model]] = []

    @warm(policy="lru", maxsize=1)
    def load(name: str) -> Model:
        begun.set()
        assert gate.wait(CAP)
        raise ConnectionError("down")

    def wait_for_it(keep: bool) -> None:
        mine = Model()
        locals_of_waiters.append(weakref.ref(mine))
        try:
            load("a")
        except ConnectionError as error:
            if keep:
                errors.append(error)

    threads = [threading.Thread(target=wait_for_it, args=(n == 0,)) for n in range(4)]
    threads[0].start()
    assert begun.wait(CAP)
    for thread in threads[1:]:
        thread.start()
    while load.cache.stats().waits < 3:
        begun.wait(0.001)
        assert threads[0].is_alive()
    gate.set()
    for thread in threads:
        thread.join(CAP)
    assert [True, False, False, False] == [kept() is not None for kept in locals_of_waiters]
    errors.clear()
    assert [False] * 4 == [kept() is not None for kept in locals_of_waiters]


def test_a_value_too_large_for_the_cache_is_not_kept_by_the_error() -> None:
    built: list[weakref.ref[Model]] = []

    @warm(policy="lru", maxsize=1, size=lambda model: 2, teardown="close")
    def load(name: str) -> Model:
        model = Model()
        built.append(weakref.ref(model))
        return model

    with pytest.raises(warmcache.CapacityError) as caught:
        load("a")
    assert built[0]() is None
    assert 2 == caught.value.needed


def test_nothing_keeps_a_value_after_an_asynchronous_removal() -> None:
    @warm(policy="lru", maxsize=1, teardown="close")
    async def load(name: str) -> Model:
        return Model()

    async def main() -> None:
        value = weakref.ref(await load("a"))
        await load("b")
        assert value() is None
        value = weakref.ref(await load("b"))
        await load.evict("b")
        assert value() is None

    asyncio.run(main())


def test_a_cache_and_its_loader_are_not_kept_by_the_library() -> None:
    gc.enable()
    load = loader()
    load("a")
    cache, function = weakref.ref(load.cache), weakref.ref(load)
    del load
    gc.collect()
    assert (None, None) == (cache(), function())


def test_a_hit_adds_no_reference() -> None:
    load = loader()
    model = load("a")
    before = sys.getrefcount(model)
    for _ in range(100):
        load("a")
    assert before == sys.getrefcount(model)


def test_what_needs_no_teardown_goes_with_its_loader() -> None:
    load = warm(lambda: Model())
    value = weakref.ref(load())
    load()  # a hit, from the hit path
    del load
    assert value() is None


def records() -> int:
    """Return how many entries there are in this process, those included that have left."""
    gc.collect()
    return sum(type(each) is Entry for each in gc.get_objects())


def test_the_records_of_what_others_have_evicted_do_not_heap_up_on_a_hit_path() -> None:
    cache: Any = warmcache.LRUCache(1)
    load = warm(cache=cache)(lambda number: Model())
    before = records()
    for number in range(500):
        load(number)
        load(number)
        cache["another"] = Model()
    assert records() - before < 200


@pytest.mark.parametrize("teardown", [None, "close"])
@pytest.mark.parametrize(
    "options", [{}, {"ttl": 1_000}, {"idle_ttl": 1_000}], ids=["untimed", "ttl", "idle_ttl"]
)
@pytest.mark.parametrize("leave", ["evicted", "deleted"])
def test_the_records_of_what_has_left_do_not_heap_up_behind_what_stays(
    teardown: str | None, options: dict[str, Any], leave: str
) -> None:
    class_ = warmcache.TTLCache if "ttl" in options else warmcache.LRUCache
    cache: Any = class_(2, timer=ManualClock(), teardown=teardown, **options)
    before = records()
    cache["stays"] = Model()
    for number in range(1_000):
        cache[number] = Model()
        if leave == "deleted":
            del cache[number]
        assert cache["stays"]
    assert records() - before < 200


def test_a_loader_with_owners_goes_as_soon_as_nobody_refers_to_it() -> None:
    @warm(per="owner")
    def load(owner: Model) -> Model:
        return Model()

    owner = Model()
    load(owner)
    gone = weakref.ref(load.cache)
    del load
    assert None is gone()
