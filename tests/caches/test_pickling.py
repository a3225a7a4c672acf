"""A loader is pickled by name, and never carries what it has warm."""

from __future__ import annotations

import asyncio
import copy
import pickle
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import warmcache
from warmcache import CapacityError, LRUCache, warm
from warmcache.caches import cache
from warmcache.testing import assert_consistent

PROTOCOLS = range(pickle.HIGHEST_PROTOCOL + 1)


class Warm:
    """A value that must not travel."""

    def __init__(self, *args: Any) -> None:
        self.args = args

    def __reduce__(self) -> Any:
        raise AssertionError("a warm object was pickled")


@warm(policy="lru", maxsize=3, teardown=lambda value: None)
def load(name: str, dtype: str = "fp16") -> Warm:
    return Warm(name, dtype)


@warm
def generate(name: str) -> Iterator[Warm]:
    yield Warm(name)


@warm
async def load_async(name: str) -> Warm:
    return Warm(name)


@warm
async def generate_async(name: str) -> AsyncIterator[Warm]:
    yield Warm(name)


@warm(cache=LRUCache(2), key=lambda name: name, size=1, validate=lambda value: True)
def with_everything(name: str) -> Warm:
    return Warm(name)


class Outer:
    class Loaders:
        @warm
        def method(self, name: str) -> Warm:
            return Warm(name)

        @warm
        async def async_method(self, name: str) -> Warm:
            return Warm(name)

        @warm
        @staticmethod
        def static(name: str) -> Warm:
            return Warm(name)

        @staticmethod
        @warm
        def static_inside(name: str) -> Warm:
            return Warm(name)

        @warm
        @classmethod
        def of_class(cls, name: str) -> Warm:
            return Warm(cls, name)

    @warm
    class Model:
        def __init__(self, name: str) -> None:
            self.name = name


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize(
    "loader",
    [
        load,
        generate,
        load_async,
        generate_async,
        with_everything,
        Outer.Loaders.static,
        Outer.Loaders.static_inside,
        Outer.Loaders.method,
        Outer.Loaders.async_method,
        Outer.Model,
    ],
    ids=lambda loader: loader.__qualname__,
)
def test_an_importable_loader_is_itself_again(loader: Any, protocol: int) -> None:
    if loader in (load, generate, with_everything, Outer.Model):
        loader("a")
    pickled = pickle.dumps(loader, protocol)

    assert pickle.loads(pickled) is loader
    assert len(pickled) < 150, "a name, and nothing else"
    assert copy.copy(loader) is loader is copy.deepcopy(loader)


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_a_bound_loader_is_itself_bound_again(protocol: int) -> None:
    class_method = Outer.Loaders.of_class
    class_method("a")
    assert pickle.loads(pickle.dumps(class_method, protocol)) == class_method

    loaders = Outer.Loaders()
    value = loaders.method("a")
    same_owner, method = pickle.loads(pickle.dumps((loaders, loaders.method), protocol))
    assert method == same_owner.method and method.__func__ is Outer.Loaders.method
    assert method("a") is not value is loaders.method("a")
    assert loaders.method == copy.copy(loaders.method)
    assert copy.deepcopy(loaders.method).__self__ is not loaders


def local_loader() -> Any:
    @warm(maxsize=2)
    def local(name: str) -> Warm:
        return Warm(name)

    local("a")
    return local


@pytest.mark.parametrize(
    "thing",
    [
        lambda: local_loader(),
        lambda: local_loader().lease,
        lambda: load.lease("a"),
    ],
)
def test_what_cannot_be_named_is_refused_rather_than_sent(thing: Callable[[], Any]) -> None:
    load("a")
    with pytest.raises((TypeError, AttributeError, pickle.PicklingError)):
        pickle.dumps(thing())


def test_pickling_by_value_is_refused_with_the_remedy() -> None:
    caller = local_loader().lease.__self__  # what picklers by value come across
    with pytest.raises(TypeError, match=r"local\(\) cannot be pickled by value.*can import it"):
        pickle.dumps(caller)


def test_a_key_and_an_error_about_it_travel_as_text() -> None:
    key = load.cache_key("a", "fp32")
    assert "load('a', 'fp32')" == pickle.loads(pickle.dumps(key))

    large = warm(policy="lru", maxsize=1, size=2)(lambda name: Warm(name))
    with pytest.raises(CapacityError) as caught:
        large("a")
    error = pickle.loads(pickle.dumps(caught.value))
    assert (2, 1, 1, 0) == (error.needed, error.free, error.limit, error.leased)
    assert "<lambda>('a')" == error.key
    [removal] = load.evict("a") if load("a") else []
    assert "load('a', 'fp16')" == pickle.loads(pickle.dumps(removal)).key


MODULE = """
from warmcache import warm

@warm(teardown=lambda value: None)
def load(name):
    return ["loaded in", __name__, name]
"""
THERE = """
import pickle, sys
sys.path.insert(0, sys.argv[1])
load = pickle.loads(bytes.fromhex(sys.argv[2]))
import a_module_with_a_loader
assert load is a_module_with_a_loader.load
assert not load.contains("a") and load.cache_info() == (0, 0, 128, 0)
print(load("a"), load("a") is load("a"))
"""


def test_in_another_process_it_is_that_processs_own_and_cold(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "a_module_with_a_loader.py").write_text(MODULE)
    monkeypatch.syspath_prepend(tmp_path)
    import a_module_with_a_loader  # type: ignore[import-not-found]

    a_module_with_a_loader.load("a")
    pickled = pickle.dumps(a_module_with_a_loader.load).hex()
    monkeypatch.delitem(sys.modules, "a_module_with_a_loader")
    done = subprocess.run(
        [sys.executable, "-c", THERE, str(tmp_path), pickled],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert "['loaded in', 'a_module_with_a_loader', 'a'] True\n" == done.stdout, done.stderr


def test_hot_entries_travel_empty() -> None:
    hot = warmcache._core.state.hot_paths.HotEntries()
    hot.table["a"] = 1
    assert [{}, {}] == [pickle.loads(pickle.dumps(hot)).table, copy.copy(hot).table]
    assert asyncio.run(load_async("a")).args == ("a",)


class _WithSlots:
    __slots__ = ("note",)


class _Mixed(warmcache.LRUCache[Any, Any], _WithSlots):
    """A cache beside a class that has slots."""


class _Noted(warmcache.LRUCache[Any, Any]):
    """A cache that adds to its own state."""

    def __init__(self, maxsize: float) -> None:
        super().__init__(maxsize)
        self.note = "told"

    def __getstate__(self) -> dict[str, Any]:
        return {**super().__getstate__(), "more": 1}


def test_a_cache_may_have_a_base_with_slots() -> None:
    cache = _Mixed(2)
    cache["a"], cache.note = 1, "here"
    assert (1, "here") == (cache["a"], cache.note)


def test_what_a_class_adds_to_its_state_and_to_itself_is_copied_too() -> None:
    cache = _Noted(2)
    cache["a"] = 1
    for twin in (copy.copy(cache), pickle.loads(pickle.dumps(cache))):
        assert ({"a": 1}, "told", 1) == (dict(twin), twin.note, twin.more)
        assert twin._store is not cache._store
        assert_consistent(twin)


@pytest.mark.parametrize(
    "make",
    [
        lambda: warmcache.LRUCache(2),
        lambda: warmcache.RRCache(2, choice=min),
        lambda: warmcache.TLRUCache(2, lambda key, value, now: now),
        lambda: warmcache.GDSFCache(2),
        lambda: warmcache.CostCache(2),
        lambda: warmcache.HostMemoryCache(2**20),
    ],
)
def test_what_is_set_as_a_cache_opens_is_no_part_of_a_copy(
    make: Callable[[], Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    opened = cache.Cache._open

    def noting(self: Any, setup: Any) -> None:
        before = {*vars(self)}
        opened(self, setup)
        monkeypatch.setattr(cache, "was_set", {*vars(self)} - before, raising=False)

    monkeypatch.setattr(cache.Cache, "_open", noting)
    with make() as made:
        assert cache._RUNNING == cache.was_set  # type: ignore[attr-defined]
        assert not cache._RUNNING & made.__warm_digest__()[0].keys()


def test_in_a_copy_too_what_is_stored_under_a_loaders_key_is_that_loaders() -> None:
    first: LRUCache[Any, str] = LRUCache(100)

    @warm(cache=first, size=len)
    def text(length: int) -> str:
        return "x" * length

    key: Any = text.cache_key(1)
    first[key] = "x" * 7
    copied = copy.copy(first)
    copied[key] = "y" * 9
    assert 9 == copied.currsize
