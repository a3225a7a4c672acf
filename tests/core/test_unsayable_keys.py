"""A key whose text cannot be told breaks no message, and nothing that has to go."""

from __future__ import annotations

import threading
from typing import Any

import pytest
from rigs import Rig

from warmcache import CapacityError, LRUCache, RemovalCause, no_load, warm
from warmcache.errors import LoadCycleError, WarmMissError


class Unsayable:
    """What can be a key, and has no text."""

    def __repr__(self) -> str:
        raise RuntimeError("it has no text")


class Value:
    def close(self) -> None:
        raise OSError("it would not close")


def test_a_failing_teardown_is_logged_and_the_room_is_free(
    caplog: pytest.LogCaptureFixture,
) -> None:
    @warm(maxsize=1, teardown="close")
    def load(name: object) -> Value:
        return Value()

    load(Unsayable())
    load("b")

    assert "teardown of load(<" in caplog.text
    assert "Unsayable object at" in caplog.text
    assert 1 == load.cache.stats().live
    assert 0 == load.cache.stats().dying


def test_a_failing_listener_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    heard: list[RemovalCause] = []

    def listen(removal: Any) -> None:
        heard.append(removal.cause)
        raise OSError("it would not listen")

    cache: LRUCache[Any, int] = LRUCache(1, on_removal=listen)
    cache[Unsayable()] = 1
    cache["b"] = 2

    assert [RemovalCause.SIZE] == heard
    assert "listener failed on <" in caplog.text


def test_a_refusal_names_who_is_in_the_way_as_far_as_it_can() -> None:
    cache: LRUCache[Any, int] = LRUCache(1, wait=0)
    key = Unsayable()
    cache[key] = 1
    with cache.lease(key), pytest.raises(CapacityError, match="Unsayable object at .* leased by"):
        cache[Unsayable()] = 2


def test_no_load_and_a_cycle_say_what_they_are_about() -> None:
    @warm
    def load(name: object) -> object:
        return load(name)

    key = Unsayable()
    with no_load(), pytest.raises(WarmMissError, match=r"load\(<.*>\) is not warm"):
        load(key)
    with pytest.raises(LoadCycleError, match=r"loading load\(<"):
        load(key)


def test_each_entry_and_key_has_a_repr() -> None:
    @warm
    def load(name: object, names: list[object]) -> object:
        return name

    key = load.cache_key(Unsayable(), [Unsayable()])
    assert repr(key).startswith("load(<")
    load(Unsayable(), [1])
    assert "load(<" in repr(load.cache.entries()[0].key)


def test_what_does_not_come_back_is_named(caplog: pytest.LogCaptureFixture) -> None:
    rig = Rig(confirm=0)
    load, key = rig.loader(), Unsayable()
    held = load(key, 1)
    load.evict(key, 1)
    load("b", 1)

    assert held is not None
    while "Unsayable object at" not in caplog.text:  # the janitor may be the one who says it
        threading.Event().wait(0.001)
