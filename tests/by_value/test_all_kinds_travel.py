"""Loaders of a notebook, a script or a closure, in another process: all kinds of them."""

from __future__ import annotations

import asyncio
import gc
import inspect

import by_value
import cloudpickle
import dill
import pytest
from by_value import cell, journal, sent
from travellers import in_another_function
from with_dill import needs_dill

import warmcache
from warmcache._by_value import local_loader

pytestmark = pytest.mark.usefixtures("a_process_that_knows_of_no_loader")


def test_recursive_loaders_and_those_that_use_each_other() -> None:
    source = """
    from warmcache import warm
    @warm
    def even(n):
        note(n)
        return [n == 0 or odd(n - 1)[0]]
    @warm
    def odd(n):
        return [n != 0 and even(n - 1)[0]]
    @warm
    def factorial(n):
        return [n * factorial(n - 1)[0] if n else 1]
    """
    even, odd, factorial = cloudpickle.loads(sent(source, "even, odd, factorial"))
    assert even(4) == [True] and odd(3) == [True] and factorial(5) == [120]
    assert [4, 2, 0] == journal and 3 == even.cache_info().misses
    assert 6 == factorial.cache_info().currsize


def test_loaders_as_arguments_and_in_containers() -> None:
    call = lambda load, name: load(name)  # noqa: E731
    shipped_call, shipped = cloudpickle.loads(cloudpickle.dumps((call, in_another_function())))
    value = shipped_call(shipped, "a")
    once, more = cloudpickle.loads(cloudpickle.dumps({"x": [shipped, shipped]}))["x"]
    assert once("a") is more("a") is value


def test_methods_of_all_kinds() -> None:
    source = """
    from warmcache import warm
    class Zoo:
        @warm(maxsize=5)
        def method(self, n):
            note("method", super().__init__ is not None)
            return [self, n]
        @warm
        @classmethod
        def of_class(cls, n):
            note("class method")
            return [cls, n]
        @warm
        @staticmethod
        def static(n):
            note("static")
            return [n]
        @warm
        async def later(self, n):
            note("later")
            return [n]
    """
    payload = sent(source, "Zoo")
    for _ in range(2):
        zoo_class = cloudpickle.loads(payload)
        assert zoo_class.of_class(1) is zoo_class.of_class(1)
        assert zoo_class.static(1) is zoo_class.static(1)
    zoo = zoo_class()
    assert zoo.method(1) is zoo.method(n=1) and zoo is zoo.method(1)[0]
    assert 5 == zoo.method.cache.maxsize and zoo.method.contains(1)
    assert zoo_class.method(zoo, 1) is zoo.method(1)
    assert asyncio.run(zoo.later(1)) == [1]
    again = cloudpickle.loads(cloudpickle.dumps(zoo_class))
    assert again.of_class(1) is zoo_class.of_class(1)
    assert ["class method", "static", ("method", True), "later"] == journal


KINDS = {
    "method": "@warm(**how)\n        def load(self, n)",
    "class method": "@warm(**how)\n        @classmethod\n        def load(cls, n)",
    "static method": "@staticmethod\n        @warm(**how)\n        def load(n)",
}


@pytest.mark.parametrize("kind", KINDS)
def test_an_edited_methods_predecessors_values_go_first(kind: str) -> None:
    source = f"""
    from warmcache import warm
    how = dict(teardown=lambda value: note("close", value))
    class Zoo:
        {KINDS[kind]}:
            return [n, VERSION]
    """
    old, new = (cloudpickle.loads(sent(source, "Zoo", VERSION=version))() for version in (1, 2))
    assert [1, 1] == old.load(1) and [] == journal
    assert [1, 2] == new.load(1) and [("close", [1, 1])] == journal


STATIC = """
from warmcache import warm
class Zoo:
    @staticmethod
    @warm(teardown=lambda value: note("close", value))
    def load(name):
        note("load", name)
        return [name, VERSION]
"""


def test_a_static_method_and_what_was_taken_of_it_alone_are_one_loader() -> None:
    lease = cloudpickle.loads(sent(STATIC, "Zoo.load.lease", VERSION=1))
    zoo = cloudpickle.loads(sent(STATIC, "Zoo", VERSION=1))
    for load in (zoo.load, cloudpickle.loads(cloudpickle.dumps(zoo.load))):
        with lease("a") as value:
            assert load("a") is value
    assert [("load", "a")] == journal and zoo.load.cache is lease.__self__.cache
    again, cache = cloudpickle.loads(cloudpickle.dumps((zoo.load.lease, zoo.load.cache)))
    with again("a") as same:
        assert same is value is cache[zoo.load.cache_key("a")]


def test_an_edited_static_methods_predecessor_goes_though_it_was_taken_alone() -> None:
    lease = cloudpickle.loads(sent(STATIC, "Zoo.load.lease", VERSION=1))
    with lease("a"):
        pass
    assert ["a", 2] == cloudpickle.loads(sent(STATIC, "Zoo", VERSION=2)).load("a")
    assert [("load", "a"), ("close", ["a", 1]), ("load", "a")] == journal


def test_a_static_method_that_is_defined_there_takes_turns_before_and_after_it_is_called(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    one, two = (sent(STATIC, "Zoo", VERSION=version) for version in (1, 2))
    monkeypatch.setattr(local_loader, "_this_process", "another")  # which runs the same script
    own = cell(STATIC, VERSION=1)["Zoo"]
    arrived = cloudpickle.loads(one)
    assert not arrived.load.contains("a")
    value = own.load("a")
    assert arrived.load("a") is value
    assert ["a", 2] == cloudpickle.loads(two).load("a")
    assert [("load", "a"), ("close", ["a", 1]), ("load", "a")] == journal
    assert own.load("a") is not value and ("close", ["a", 2]) == journal[-2]


@pytest.mark.parametrize("base", ["", "(abc.ABC)"])
def test_warm_classes(base: str) -> None:
    source = f"""
    import abc
    from warmcache import warm
    @warm(maxsize=1, teardown="close")
    class Model{base}:
        def __init__(self, name):
            super().__init__()
            note("load", name)
        def close(self):
            note("close")
    class Sub(Model):
        pass
    """
    payload = sent(source, "Model, Sub")
    model_class, sub = cloudpickle.loads(payload)
    model = model_class("a")
    assert cloudpickle.loads(payload)[0]("a") is model and isinstance(model, model_class)
    assert sub("b") is not sub("b")
    assert model_class.contains("a") and 1 == model_class.cache.maxsize
    model_class("c")
    assert [("load", "a"), ("load", "b"), ("load", "b"), "close", ("load", "c")] == journal


@needs_dill
def test_dill_ships_a_warm_class() -> None:
    @warmcache.warm(maxsize=3)
    class Local:
        def __init__(self, name: str) -> None:
            by_value.note("load", name)

    payload = dill.dumps(Local)
    del Local
    gc.collect()
    one, two = dill.loads(payload), dill.loads(payload)
    assert one("a") is one("a") and 3 == one.cache.maxsize
    assert two("a") is one("a") and [("load", "a")] == journal


ENDS = """
from warmcache import warm

@warm
def generated(name):
    note("load", name)
    yield [name]
    note("close", name)

@warm
async def later(name):
    note("load", name)
    return [name]

@warm
async def generated_later(name):
    note("load", name)
    yield [name]
    note("close", name)
"""


def test_generator_loaders() -> None:
    payload = sent(ENDS, "generated")
    load = cloudpickle.loads(payload)
    assert cloudpickle.loads(payload)("a") is load("a")
    load.evict("a")
    assert [("load", "a"), ("close", "a")] == journal


async def test_async_loaders() -> None:
    payload = sent(ENDS, "later, generated_later")
    later, generated = cloudpickle.loads(payload)
    assert inspect.iscoroutinefunction(later)
    again, generated_again = cloudpickle.loads(payload)
    assert await again("a") is await later("a")
    assert await generated("b") is await generated_again("b")
    async with generated.lease("b") as value:
        assert ["b"] == value
    new = cloudpickle.loads(sent(ENDS.replace("[name]", "(name,)"), "generated_later"))
    assert ("b",) == await new("b")
    assert [("load", "a"), ("load", "b"), ("close", "b"), ("load", "b")] == journal
    await generated_again.evict("b")
