"""``@warm`` on generator functions: what follows the ``yield`` is the teardown."""

from __future__ import annotations

import gc
import logging
import threading
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from warmcache import LRUCache, RemovalCause, warm
from warmcache.testing import ManualClock, assert_consistent

CAP = 5.0


class Model:
    def __init__(self, name: Any) -> None:
        self.name = name


def logged(events: list[Any], **options: Any) -> Any:
    @warm(policy="lru", **{"maxsize": 2, **options})
    def load(name: Any) -> Iterator[Model]:
        events.append(("up", name))
        try:
            yield Model(name)
        finally:
            events.append(("down", name))

    return load


def test_a_call_gives_what_was_yielded_and_keeps_it_warm() -> None:
    events: list[Any] = []
    load = logged(events)
    model = load("a")

    assert "a" == model.name and load("a") is model is load.peek("a")
    with load.lease("a") as leased:
        assert leased is model
    assert [("up", "a")] == events and (2, 1) == load.cache_info()[:2]


def test_the_rest_runs_once_by_every_door() -> None:
    for door in (
        lambda load: load.evict("a"),
        lambda load: load.cache_clear(),
        lambda load: load.cache.pop(load.cache_key("a")),
        lambda load: load.cache.popitem(),
        lambda load: load.cache.clear(),
        lambda load: load.cache.close(),
        lambda load: (load("b"), load("c")),
        lambda load: load.cache.__setitem__(load.cache_key("a"), Model("new")),
    ):
        events: list[Any] = []
        load = logged(events)
        load("a")
        door(load)
        assert [("up", "a"), ("down", "a")] == [event for event in events if event[1] == "a"]
        assert_consistent(load.cache)


def test_the_rest_runs_before_the_next_load_begins() -> None:
    events: list[Any] = []
    load = logged(events, maxsize=1)
    load("a"), load("b")

    assert [("up", "a"), ("down", "a"), ("up", "b")] == events


def test_a_lease_puts_the_rest_off() -> None:
    events: list[Any] = []
    load = logged(events)
    with load.lease("a"):
        load.evict("a")
        assert [("up", "a")] == events
    assert [("up", "a"), ("down", "a")] == events


def test_expiry_runs_the_rest_though_nobody_comes() -> None:
    clock, down, causes = ManualClock(), threading.Event(), []
    events: list[Any] = []

    @warm(
        policy="ttl",
        maxsize=2,
        ttl=5,
        timer=clock,
        on_removal=lambda removal: (causes.append(removal.cause), down.set()),
    )
    def load(name: str) -> Iterator[str]:
        yield name
        events.append("down")

    load("a")
    clock.advance(5)

    assert down.wait(CAP)
    assert ["down"] == events and [RemovalCause.EXPIRED] == causes


def test_the_frames_value_is_let_go_of() -> None:
    @warm
    def load(name: str) -> Iterator[Model]:
        model = Model(name)
        yield model

    watch = weakref.ref(load("a"))
    gc.disable()
    try:
        load.evict("a")
        assert watch() is None
    finally:
        gc.enable()


def test_a_context_manager_can_be_the_whole_body() -> None:
    events: list[str] = []

    @contextmanager
    def connection(name: str) -> Iterator[str]:
        events.append("open")
        yield name
        events.append("closed")

    @warm
    def load(name: str) -> Iterator[str]:
        with connection(name) as opened:
            yield opened

    assert "a" == load("a")
    load.evict("a")
    assert ["open", "closed"] == events


def test_failing_before_the_yield_is_a_failed_load() -> None:
    @warm
    def load(name: str) -> Iterator[str]:
        if name:
            raise OSError("no file")
        yield name

    with pytest.raises(OSError, match="no file"):
        load("a")
    assert not load.contains("a") and load("") == ""
    assert_consistent(load.cache)


def test_failing_after_the_yield_is_a_failed_teardown(caplog: pytest.LogCaptureFixture) -> None:
    @warm(policy="lru", maxsize=1)
    def load(name: str) -> Iterator[str]:
        yield name
        raise OSError("cannot close")

    load("a")
    with caplog.at_level(logging.ERROR, "warmcache"):
        load("b")

    assert load.contains("b") and not load.contains("a")
    assert 1 == load.cache.stats().teardown_failures
    assert "cannot close" in caplog.text and "load('a')" in caplog.text
    with pytest.raises(ExceptionGroup) as caught:
        load.cache.close()
    assert ["cannot close"] == [str(error) for error in caught.value.exceptions]


@pytest.mark.parametrize("body", [lambda: iter(()), lambda: iter((1, 2))])
def test_a_generator_yields_exactly_once(body: Any, caplog: pytest.LogCaptureFixture) -> None:
    @warm
    def load() -> Iterator[int]:
        yield from body()

    if not list(body()):
        with pytest.raises(RuntimeError, match=r"load\(\) yielded nothing to keep warm"):
            load()
        return
    assert 1 == load()
    with caplog.at_level(logging.ERROR, "warmcache"):
        load.evict()
    assert "yielded a second time" in caplog.text
    assert 1 == load.cache.stats().teardown_failures and not load.contains()


def test_a_teardown_beside_the_generators_own_is_refused() -> None:
    with pytest.raises(TypeError, match="is a generator: what follows its yield is the teardown"):

        @warm(teardown="close")
        def load() -> Iterator[int]:
            yield 1


def test_a_caches_teardown_is_not_run_on_what_a_generator_yielded() -> None:
    events: list[Any] = []
    cache: LRUCache[Any, Any] = LRUCache(2, teardown=lambda value: events.append("cache"))

    @warm(cache=cache)
    def load() -> Iterator[str]:
        yield "value"
        events.append("rest")

    load()
    cache.clear()

    assert ["rest"] == events


def test_what_a_generator_yielded_cannot_be_detached() -> None:
    load = logged([])
    load("a")
    with pytest.raises(TypeError, match="its generator is its teardown"):
        load.cache.detach(load.cache_key("a"))
    assert load.contains("a")


def test_the_rest_runs_when_the_loader_itself_is_garbage() -> None:
    down = threading.Event()

    @warm
    def load() -> Iterator[list[int]]:
        yield [1]
        down.set()

    load()
    del load
    gc.collect()

    assert down.wait(CAP)


def test_generators_of_methods_bring_their_instance() -> None:
    events: list[Any] = []

    class Zoo:
        def __init__(self, name: str) -> None:
            self.name = name

        @warm(policy="lru", maxsize=1)
        def load(self, x: int) -> Iterator[str]:
            yield f"{self.name}{x}"
            events.append((self.name, x))

    a, b = Zoo("a"), Zoo("b")
    assert ("a1", "a1", "b1") == (a.load(1), a.load(1), b.load(1))
    assert [("a", 1)] == events
