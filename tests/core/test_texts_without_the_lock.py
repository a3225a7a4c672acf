"""Whatever is said of a key is said without the lock: its text is its author's code."""

from __future__ import annotations

import pickle
from collections.abc import Iterator
from typing import Any

import pytest

from warmcache import LRUCache, MemoryCache, no_load, warm
from warmcache.errors import CapacityError, LoadCycleError, WarmMissError
from warmcache.testing import FakeProbe


class Watched:
    """A key that notes whether the lock of its cache is held as its text is made."""

    cache: Any = None

    def __init__(self, name: str = "it") -> None:
        self.name = name
        self.held: list[bool] = []

    def __repr__(self) -> str:
        self.held.append(self.cache._store.lock._is_owned())
        return self.name

    def was_said_without_the_lock(self) -> bool:
        return bool(self.held) and not any(self.held)

    def __getstate__(self) -> Any:
        return {"name": self.name, "held": []}


@pytest.fixture
def key() -> Watched:
    return Watched()


def watch(monkeypatch: pytest.MonkeyPatch, cache: Any) -> None:
    monkeypatch.setattr(Watched, "cache", cache)


def test_of_what_is_parked(key: Watched, monkeypatch: pytest.MonkeyPatch) -> None:
    cache: MemoryCache[Any, Any] = MemoryCache(
        16, probe=FakeProbe(100), host=16, headroom=0, order="lru", confirm=0
    )
    watch(monkeypatch, cache)
    other = Watched("other")

    @warm(cache=cache, size=12, park=(lambda value: value, lambda value: value))
    def load(name: Any) -> list[Any]:
        return [name.name]

    for each in (key, other, key, other):
        load(each)
    assert cache.stats().host.parks  # type: ignore[union-attr]
    assert key.was_said_without_the_lock()
    assert other.was_said_without_the_lock()


def test_of_who_is_in_the_way(key: Watched, monkeypatch: pytest.MonkeyPatch) -> None:
    cache: LRUCache[Any, Any] = LRUCache(1, wait=0)
    watch(monkeypatch, cache)
    cache[key] = 1
    with cache.lease(key), pytest.raises(CapacityError) as refused:
        cache["b"] = 2
    assert not key.held, "its text was made, and nobody had asked for it"
    [holder] = refused.value.holders
    assert holder.startswith("it leased by thread")
    assert key.was_said_without_the_lock()
    assert refused.value.holders == pickle.loads(pickle.dumps(refused.value)).holders


def test_of_what_is_loading_in_the_way(key: Watched, monkeypatch: pytest.MonkeyPatch) -> None:
    @warm(maxsize=1, wait=0)
    def load(name: Any) -> Any:
        return load("other") if name is key else name

    watch(monkeypatch, load.cache)
    with pytest.raises(CapacityError, match=r"load\(it\) being loaded by"):
        load(key)
    assert key.was_said_without_the_lock()


def test_of_what_may_not_be_loaded(key: Watched, monkeypatch: pytest.MonkeyPatch) -> None:
    @warm
    def load(name: object) -> object:
        return name

    watch(monkeypatch, load.cache)
    with no_load(), pytest.raises(WarmMissError, match=r"load\(it\) is not warm"):
        load(key)
    assert key.was_said_without_the_lock()


def test_of_what_waits_for_itself(key: Watched, monkeypatch: pytest.MonkeyPatch) -> None:
    @warm
    def load(name: object) -> object:
        return load(name)

    watch(monkeypatch, load.cache)
    with pytest.raises(LoadCycleError, match=r"loading load\(it\) waits for itself"):
        load(key)
    assert key.was_said_without_the_lock()


def test_of_a_batch_that_waits_for_itself(key: Watched, monkeypatch: pytest.MonkeyPatch) -> None:
    @warm(batch="names")
    def load(names: list[Any]) -> list[Any]:
        return [load([key])]

    watch(monkeypatch, load.cache)
    with pytest.raises(LoadCycleError, match=r"waits for itself"):
        load([key])
    assert key.was_said_without_the_lock()


def test_of_a_batch_that_may_not_be_loaded(key: Watched, monkeypatch: pytest.MonkeyPatch) -> None:
    @warm(batch="names")
    def load(names: list[Any]) -> list[Any]:
        return names

    watch(monkeypatch, load.cache)
    with no_load(), pytest.raises(WarmMissError, match="is not warm"):
        load([key])
    assert key.was_said_without_the_lock()


def test_of_what_cannot_be_detached(key: Watched, monkeypatch: pytest.MonkeyPatch) -> None:
    @warm
    def load(name: Any) -> Iterator[Any]:
        yield name.name

    watch(monkeypatch, load.cache)
    load(key)
    with pytest.raises(TypeError, match=r"load\(it\) cannot be detached"):
        load.cache.detach(load.cache_key(key))
    assert load.contains(key)
    assert key.was_said_without_the_lock()
