"""``@warm`` on methods, class methods and static methods."""

from __future__ import annotations

import gc
import threading
import typing
import weakref
from collections.abc import Callable
from functools import cached_property, wraps
from pathlib import Path
from typing import Any

import pytest
from processes import run

import warmcache
from warmcache import LRUCache, Removal, RemovalCause, warm
from warmcache.testing import assert_consistent

CAP = 5.0


class Model:
    def __init__(self, name: Any = None) -> None:
        self.name = name


class Zoo:
    """Loaders of every kind."""

    loaded: typing.ClassVar[list[Any]] = []

    def __init__(self, where: str = "here") -> None:
        self.where = where

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Zoo)

    def __hash__(self) -> int:
        return 7

    @warm(policy="lru", maxsize=9)
    def load(self, name: str, dtype: str = "fp16") -> Model:
        """Load a model of this zoo."""
        Zoo.loaded.append((self.where, name, dtype))
        return Model((self.where, name))

    @warm
    def __hidden(self, name: str) -> Model:
        return Model(name)

    def hidden(self, name: str) -> tuple[Model, Any]:
        return self.__hidden(name), self.__hidden


class Annex(Zoo):
    @warm
    def load(self, name: str, dtype: str = "fp16") -> Model:
        return Model(("annex", super().load(name, dtype)))


@pytest.fixture(autouse=True)
def _clean() -> None:
    Zoo.loaded.clear()


# -- instances ---------------------------------------------------------------------


def test_to_clear_one_instances_leaves_the_counts_of_all_as_they_are() -> None:
    class Shelf:
        @warm(policy="lru", maxsize=9)
        def load(self, name: str) -> list[str]:
            return [name]

    a, b = Shelf(), Shelf()
    for each in (a, a, b, b, b):
        each.load("m")
    a.load.cache_clear()
    assert (3, 2) == b.load.cache_info()[:2] == a.load.cache_info()[:2]
    assert b.load.contains("m") and not a.load.contains("m")


async def test_to_clear_one_instances_leaves_the_counts_of_all_async_ones_too() -> None:
    class Shelf:
        @warm(policy="lru", maxsize=9)
        async def load(self, name: str) -> list[str]:
            return [name]

    a, b = Shelf(), Shelf()
    for each in (a, b, b):
        await each.load("m")
    await a.load.cache_clear()
    assert (1, 2) == b.load.cache_info()[:2]


def test_each_instance_has_its_own_values_though_instances_are_equal() -> None:
    a, b = Zoo("a"), Zoo("b")
    assert a == b and hash(a) == hash(b)

    model = a.load("m")
    assert a.load("m") is model is a.load(name="m", dtype="fp16") is Zoo.load(a, "m")
    assert b.load("m") is not model and ("b", "m") == b.load("m").name
    assert [("a", "m", "fp16"), ("b", "m", "fp16")] == Zoo.loaded
    assert a.load.contains("m") and not a.load.contains("n") and b.load.peek("m") is b.load("m")


def test_the_api_of_a_bound_method_is_for_its_instance() -> None:
    a, b = Zoo("a"), Zoo("b")
    a.load.warm_up(["m", ("n", "fp32")])
    kept = b.load("m")
    with a.load.lease("m") as model:
        assert model is a.load("m")
        assert [1] == [entry.leases for entry in Zoo.load.cache.entries() if entry.leases]
    assert a.load.cache is b.load.cache is Zoo.load.cache and isinstance(a.load.cache, LRUCache)
    assert "load(<Zoo>, 'm', 'fp16')" == repr(a.load.cache_key("m"))
    assert a.load.cache_key("m") != b.load.cache_key("m") == Zoo.load.__get__(b).cache_key("m")
    assert 9 == a.load.cache_parameters()["maxsize"] == a.load.cache_info().maxsize

    [removal] = a.load.evict("m")
    assert RemovalCause.EXPLICIT is removal.cause and not a.load.contains("m")
    a.load.cache_clear()
    assert not a.load.contains("n", "fp32") and b.load("m") is kept
    with pytest.raises(AttributeError, match=r"lease\(\) of a warm method is reached through"):
        Zoo.load.lease(a, "m")


def test_counts_of_methods_are_of_all_instances() -> None:
    class Small:
        @warm
        def load(self, x: int) -> Model:
            return Model()

    a, b = Small(), Small()
    a.load(1), a.load(1), b.load(1), b.load(1), b.load(1)
    assert (3, 2, 128, 2) == a.load.cache_info() == b.load.cache_info()


def test_what_an_instance_loaded_is_torn_down_when_it_dies() -> None:
    gone = threading.Event()
    removals: list[Removal] = []
    torn_down_in: list[str] = []

    def note(removal: Removal) -> None:
        removals.append(removal)
        if len(removals) == 2:
            gone.set()

    class Small:
        @warm(
            policy="lru",
            maxsize=9,
            on_removal=note,
            teardown=lambda model: torn_down_in.append(threading.current_thread().name),
        )
        def load(self, x: int) -> Model:
            return Model()

    dying, staying = Small(), Small()
    dying.load(1), dying.load(2), staying.load(1)
    cache, watch = dying.load.cache, weakref.ref(dying)
    del dying

    assert watch() is None, "the cache holds it weakly"
    assert gone.wait(CAP)
    assert [RemovalCause.CLOSED] * 2 == [removal.cause for removal in removals]
    assert {"warmcache-janitor"} == set(torn_down_in)
    assert 1 == len(cache) and staying.load.contains(1)
    assert_consistent(cache)


def test_an_instance_in_a_cycle_is_let_go_of_too() -> None:
    gone = threading.Event()

    class Small:
        def __init__(self) -> None:
            self.me = self

        @warm(policy="lru", maxsize=9, on_removal=lambda removal: gone.set())
        def load(self, x: int) -> Model:
            return Model()

    small = Small()
    small.load(1)
    del small
    gc.collect()

    assert gone.wait(CAP)


def test_a_lease_outlives_the_instance() -> None:
    gone = threading.Event()
    closed: list[Any] = []

    class Small:
        @warm(maxsize=9, on_removal=lambda removal: gone.set(), teardown=closed.append)
        def load(self, x: int) -> Model:
            return Model()

    small = Small()
    cache = small.load.cache
    with small.load.lease(1) as model:
        del small
        retired = threading.Event()
        warmcache._process.janitor.janitor.defer(retired.set)  # jobs run in order
        assert retired.wait(CAP)
        assert ["retired"] == [entry.state for entry in cache.entries()] and not closed
    assert [model] == closed and gone.wait(CAP)


def test_a_new_instance_in_the_place_of_a_dead_one_inherits_nothing() -> None:
    class Small:
        @warm(policy="lru", maxsize=None)
        def load(self) -> Model:
            return Model()

    seen: dict[int, weakref.ref[Model]] = {}
    reused = 0
    for _ in range(200):
        small = Small()
        reused += id(small) in seen
        model = small.load()
        assert id(small) not in seen or seen[id(small)]() is not model
        seen[id(small)] = weakref.ref(model)
        del small, model
    assert reused, "the test saw no place used again"


def test_slots_without_weakref_are_refused_with_the_remedy() -> None:
    class Slotted:
        __slots__ = ()

        @warm
        def load(self, x: int) -> Model:
            return Model()

    class Better:
        __slots__ = ("__weakref__",)
        load = Slotted.load

    with pytest.raises(TypeError, match=r"Slotted objects.*add '__weakref__' to the __slots__"):
        Slotted().load(1)
    better = Better()
    assert better.load(1) is better.load(1)


def test_scopes_and_failures_work_as_on_functions() -> None:
    zoo = Zoo("z")
    warm_model = zoo.load("m")
    with warmcache.disabled():
        assert zoo.load("m") is not warm_model and ("z", "m") == zoo.load("m").name
    with warmcache.no_load(), pytest.raises(warmcache.WarmMissError, match="load"):
        zoo.load("other")
    assert zoo.load("m") is warm_model
    with pytest.raises(TypeError, match=r"missing 1 required positional argument: 'name'"):
        zoo.load()  # type: ignore[call-arg]


def test_key_options_of_a_method_leave_self_out() -> None:
    class Small:
        @warm(key=lambda name: name.lower())
        def by_call(self, name: str) -> Model:
            return Model()

        @warm(key={"name": str.lower})
        def by_name(this, name: str) -> Model:  # noqa: N805
            return Model()

    a, b = Small(), Small()
    assert a.by_call("A") is a.by_call("a") is not b.by_call("a")
    assert a.by_name("A") is a.by_name(name="a") is not b.by_name("a")
    with pytest.raises(TypeError, match="'self', which is no argument; there are: name"):

        class Bad:
            @warm(key={"self": None})
            def load(self, name: str) -> Model:
                return Model()


# -- overriding --------------------------------------------------------------------


def test_an_override_and_its_super_are_two_loaders() -> None:
    annex = Annex("x")
    model = annex.load("m")

    assert annex.load("m") is model and "annex" == model.name[0]
    assert Zoo.load(annex, "m") is model.name[1]
    assert Annex.load.cache is not Zoo.load.cache


def test_another_decorator_over_a_warm_method_still_holds_self_weakly() -> None:
    def noisy(function: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(function)
        def wrapper(*args: Any, **kwargs: Any) -> Any:
            return function(*args, **kwargs)

        return wrapper

    class Decorated:
        @property
        @warm
        def model(self) -> Model:
            return Model()

        @cached_property
        @warm
        def cached(self) -> Model:
            return Model()

        @noisy
        @warm
        def load(self, x: int) -> Model:
            return Model()

        def __eq__(self, other: object) -> bool:
            return True

        def __hash__(self) -> int:
            return 1

    a, b = Decorated(), Decorated()
    assert a.model is a.model is not b.model
    assert a.load(1) is a.load(1) is not b.load(1)
    assert a.cached is not b.cached
    watch = weakref.ref(a)
    del a
    assert watch() is None


def test_a_warm_bound_method_is_a_loader_like_any_other() -> None:
    class Owner:
        def __init__(self) -> None:
            self.load = warm(self._load)

        def _load(self, x: int) -> Model:
            return Model()

    owner = Owner()
    assert owner.load(1) is owner.load(1) is not owner.load(2)
    assert (1, 2) == owner.load.cache_info()[:2]


def test_an_instance_that_outlives_everything_does_not_keep_the_process(tmp_path: Path) -> None:
    """It dies as the interpreter ends, when no janitor can be started any more."""
    program = """
        import builtins

        class Zoo:
            @warm(teardown="close")
            def load(self, name):
                return Value(name)

        builtins.zoo = Zoo()
        zoo.load("a")
    """
    assert ["parent closes parent's a"] == run(tmp_path, program)
