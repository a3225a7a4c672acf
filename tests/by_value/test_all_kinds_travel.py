"""Loaders of a notebook, a script or a closure, in another process: they reconnect."""

from __future__ import annotations

import asyncio
import copy
import gc
import inspect
import pickle
import sys
import textwrap
import threading
import types
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import by_value
import cloudpickle
import dill
import pytest
from by_value import cell, journal, sent
from with_dill import DILL_DUMPS, needs_dill

import warmcache
from warmcache._by_value import loader_names, local_loader
from warmcache._process.janitor import janitor

CELL = """
from warmcache import warm

FACTOR = 1

class Model:
    def __init__(self, name):
        note("load", name)
        self.name = name * FACTOR

    def close(self):
        note("close", self.name)

def size(model):
    return 1

@warm(policy="lru", maxsize=2, teardown="close")
def load(name, suffix=""):
    # How it loads.
    return Model(name + suffix)

def task(name):
    return load(name).name
"""


@pytest.fixture(autouse=True)
def _a_process_that_knows_of_no_loader() -> Iterator[None]:
    gc.collect()  # what other tests have left tears something down
    janitor.drain(5.0)
    loader_names._names.clear()
    journal.clear()
    yield
    for name in in_turns():
        name.cache.close()
    loader_names._names.clear()


def in_turns() -> list[Any]:
    """Return the names that loaders of this process take turns in."""
    return [name for name in loader_names._names.values() if name.cache is not None]


def known() -> dict[tuple[str, str], Any]:
    """Return what is known of each name: cache, whose turn it is, how many loaders."""
    return {
        key: (name.cache, name.holder, len(name.loaders))
        for key, name in loader_names._names.items()
    }


def changed(old: str, new: str) -> str:
    assert 1 == CELL.count(old)
    return CELL.replace(old, new)


def in_another_function(part: object = None) -> Any:
    """Return a loader that even dill does not take for one of the main module."""

    @warmcache.warm(maxsize=2, teardown="close")
    def load(name: str) -> Any:
        by_value.note("load", name, *[part][1:])
        return Closing(name)

    return load


class Closing:
    def __init__(self, name: str) -> None:
        self.name = name

    def close(self) -> None:
        by_value.note("close", self.name)


# -- the same loader ------------------------------------------------------------------


def test_the_loader_of_every_payload_is_the_same_and_loads_once() -> None:
    payloads = [sent(CELL), sent(CELL), sent("# moved\n\n" + CELL)]
    loaders = [cloudpickle.loads(payload) for payload in [*payloads, payloads[0]]]
    assert 1 == len({id(load("a")) for load in loaders})
    assert [("load", "a")] == journal
    assert 1 == len({id(load.cache) for load in loaders})
    assert (3, 1, 2, 1) == loaders[0].cache_info()


def test_it_stays_warm_when_a_task_and_all_it_came_with_is_gone() -> None:
    for _ in range(3):
        task = cloudpickle.loads(sent(CELL, "task"))
        assert "a" == task("a")
        del task
        gc.collect()
    assert [("load", "a")] == journal


@needs_dill
def test_dill_ships_a_loader_of_a_function() -> None:
    load = in_another_function()
    payload = dill.dumps(load)
    del load
    gc.collect()
    first, second = dill.loads(payload), dill.loads(payload)
    assert first("a") is second("a") and [("load", "a")] == journal
    assert second.contains("a")


@needs_dill
def test_two_picklers_ship_one_loader() -> None:
    load = in_another_function()
    payloads = cloudpickle.dumps(load), dill.dumps(load), pickle.dumps(warmcache.task(load))
    del load
    gc.collect()
    for payload in payloads:
        pickle.loads(payload)("a")
    assert [("load", "a")] == journal


@needs_dill
def test_back_where_it_came_from_it_is_the_loader_there() -> None:
    load = cell(CELL)["load"]
    value = load("a")
    for twin in (cloudpickle.loads(cloudpickle.dumps(load)), dill.loads(dill.dumps(load))):
        assert twin("a") is value and twin.cache is load.cache
    assert [] == in_turns()


def test_where_there_is_one_of_the_same_meaning_it_is_that_one() -> None:
    payload = sent(CELL)
    own = cell(CELL)["load"]
    assert cloudpickle.loads(payload)("a") is own("a")
    assert [("load", "a")] == journal


def test_where_there_is_another_of_that_name_both_are_left_alone() -> None:
    payload = sent(CELL)
    own = cell(changed("FACTOR = 1", "FACTOR = 2"))["load"]
    value = own("a")
    assert "a" == cloudpickle.loads(payload)("a").name
    assert "aa" == value.name and own.contains("a")


@pytest.mark.parametrize("dumps", [cloudpickle.dumps, DILL_DUMPS])
def test_one_that_is_defined_there_takes_turns_with_those_that_come(
    monkeypatch: pytest.MonkeyPatch, dumps: Any
) -> None:
    payload = sent(CELL, dumps=dumps)
    edited = sent(changed("FACTOR = 1", "FACTOR = 2"), dumps=dumps)
    monkeypatch.setattr(local_loader, "_this_process", "another")  # which runs the same script
    own = cell(CELL)["load"]
    for _ in range(2):
        assert pickle.loads(payload)("a") is own("a")
        twin = pickle.loads(edited)
        assert "aa" == twin("a").name
        assert own.cache is twin.cache
    first, second = [("load", "a"), ("close", "a")], [("load", "a"), ("close", "aa")]
    assert [*first, *second] * 2 == [*journal, ("close", "aa")]


def test_one_that_was_sent_on_is_left_alone_where_it_was_defined(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    own = cell(CELL)["load"]
    payload, this = cloudpickle.dumps(own), local_loader.this_process()
    monkeypatch.setattr(local_loader, "_this_process", "another")
    sent_on = cloudpickle.dumps(cloudpickle.loads(payload))
    monkeypatch.setattr(local_loader, "_this_process", this)
    assert cloudpickle.loads(sent_on)("a") is own("a")
    assert [] == in_turns()


@needs_dill
def test_it_travels_on_as_it_came() -> None:
    load = cloudpickle.loads(sent(CELL))
    unused = cloudpickle.dumps(load)
    value = load("a")
    for payload in (unused, cloudpickle.dumps(load), dill.dumps(load)):
        twin = cloudpickle.loads(payload)
        assert twin("a") is value
        assert cloudpickle.loads(cloudpickle.dumps(twin))("a") is value
    assert len(cloudpickle.dumps(load)) < len(unused) + 100


@needs_dill
def test_it_travels_on_from_where_it_was_never_used() -> None:
    payload = dill.dumps(in_another_function())
    gc.collect()
    for _ in range(3):
        payload = cloudpickle.dumps(dill.loads(payload))
        payload = dill.dumps(cloudpickle.loads(payload))
    assert [] == in_turns() and "a" == dill.loads(payload)("a").name


# -- another loader -------------------------------------------------------------------

EDITS = {
    "body": ("Model(name + suffix)", "Model(suffix + name)"),
    "default": ('suffix=""', 'suffix="!"'),
    "global": ("FACTOR = 1", "FACTOR = 2"),
    "class": ("name * FACTOR", "FACTOR * name"),
    "limit": ("maxsize=2", "maxsize=3"),
    "policy": ('policy="lru"', 'policy="fifo"'),
    "teardown": ('teardown="close"', "teardown=lambda model: model.close()"),
    "version": ("maxsize=2", "maxsize=2, version=1"),
    "size": ("maxsize=2", "maxsize=2, size=size"),
}


@pytest.mark.parametrize("edit", EDITS)
def test_an_edited_loader_is_another_and_its_predecessors_values_go_first(edit: str) -> None:
    old = cloudpickle.loads(sent(CELL))
    old("a")
    new = cloudpickle.loads(sent(changed(*EDITS[edit])))
    assert not new.contains("a")
    journal.clear()
    assert new("a") is new("a")
    closed, loaded = journal
    assert ("close", "a") == closed and "load" == loaded[0]
    assert not old.contains("a") and new.contains("a")


def test_an_older_loader_that_is_called_again_takes_over_again() -> None:
    old, new = cloudpickle.loads(sent(CELL)), cloudpickle.loads(sent(changed("= 1", "= 2")))
    for load in (old, new, old):
        load("a")
    what = [entry[0] for entry in journal]
    assert ["load", "close", "load", "close", "load"] == what
    assert "a" == old("a").name and not new.contains("a")


def test_what_is_closed_over_makes_another_loader() -> None:
    source = """
    from warmcache import warm
    def make(k):
        @warm
        def load(n):
            note(k, n)
            return [k, n]
        return load
    """
    one, two = (cloudpickle.loads(sent(source, f"make({k})")) for k in (1, 2))
    assert [1, 0] == one(0) and [2, 0] == two(0)


def test_a_predecessors_leased_value_is_torn_down_when_its_lease_ends() -> None:
    old, new = cloudpickle.loads(sent(CELL)), cloudpickle.loads(sent(changed("= 1", "= 2")))
    with old.lease("a") as model:
        assert "aa" == new("a").name
        assert ("close", "a") not in journal and "a" == model.name
    assert ("close", "a") == journal[-1]


def test_predecessor_and_successor_share_one_budget() -> None:
    source = CELL.replace("maxsize=2", "maxsize=1, wait=0")
    old, new = (cloudpickle.loads(sent(source.replace("= 1\n", f"= {n}\n", 1))) for n in (1, 2))
    with old.lease("a"), pytest.raises(warmcache.CapacityError):
        new("a")
    assert "aa" == new("a").name
    assert old.cache is new.cache


def test_what_a_predecessor_was_loading_goes_too() -> None:
    loading, go = threading.Event(), threading.Event()
    by_value.gates = loading, go  # type: ignore[attr-defined]
    source = """
    import by_value
    from warmcache import warm
    SLOW = {slow}
    @warm(teardown=lambda value: note("close", value))
    def load(name):
        if SLOW:
            by_value.gates[0].set()
            by_value.gates[1].wait(5)
        return [name, SLOW]
    """
    old, new = (cloudpickle.loads(sent(source.format(slow=slow))) for slow in (True, False))
    thread = threading.Thread(target=old, args=["a"])
    thread.start()
    assert loading.wait(5)
    assert ["a", False] == new("a")
    go.set()
    thread.join(5)
    assert [("close", ["a", True])] == journal
    assert not old.contains("a") and new.contains("a")


# -- unpickling changes nothing -------------------------------------------------------


@needs_dill
def test_unpickling_loads_tears_down_and_makes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    old = cloudpickle.loads(sent(CELL))
    old("a")
    [made] = [name.cache for name in in_turns()]
    source = """
    import warmcache
    from warmcache import warm

    warmcache.cache("by value only", maxsize=1)

    @warm(cache="by value only")
    def named(n):
        return [n]

    @warm(policy="lru", maxsize=2)
    def load(n):
        return named(n)
    """
    payload = sent(source, "[load, named]")
    monkeypatch.delitem(warmcache.policies.shared_caches._caches, "by value only")
    before = known()
    threads = threading.enumerate()
    load, named = cloudpickle.loads(payload)
    dill.loads(sent(changed("= 1", "= 2"), dumps=dill.dumps))
    assert before == known()
    assert threads == threading.enumerate()
    assert "by value only" not in warmcache.policies.shared_caches._caches
    assert old.contains("a") and old.cache is made
    assert [("load", "a")] == journal
    assert load(1) is named(1)
    assert "by value only" in warmcache.policies.shared_caches._caches


@needs_dill
def test_payloads_do_not_grow_with_what_is_warm(tmp_path: Path) -> None:
    names = cell(CELL + "\nlater = warm(policy='ttl', ttl=60, maxsize=9)(load.__wrapped__)")
    for load in (names["load"], names["later"]):
        for dumps in (cloudpickle.dumps, dill.dumps, lambda f: pickle.dumps(warmcache.task(f))):
            cold = dumps(load)
            load("a"), load("a"), load("b")
            # With dill the clock of all uses goes along: a number, which has more digits later.
            assert len(cold) <= len(dumps(load)) <= len(cold) + 8 < 4000
            with load.cache.record(tmp_path / "recording.csv"):
                load("a" * 4000), load("a" * 4000)
                assert len(dumps(load)) < 4000  # its code is another meanwhile
            load.cache_clear()


# -- threads --------------------------------------------------------------------------


def test_two_tasks_that_come_at_once_load_once() -> None:
    loading, go = threading.Event(), threading.Event()
    by_value.gates = loading, go  # type: ignore[attr-defined]
    payload = sent(
        """
        import by_value
        from warmcache import warm
        @warm
        def load(name):
            note("load")
            by_value.gates[0].set()
            by_value.gates[1].wait(5)
            return [name]
        """
    )
    values: list[Any] = []
    start = threading.Barrier(8)

    def work() -> None:
        load = cloudpickle.loads(payload)
        start.wait(5)
        values.append(load("a"))

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    assert loading.wait(5)
    go.set()
    for thread in threads:
        thread.join(5)
    assert ["load"] == journal and 1 == len({id(value) for value in values}) and 8 == len(values)


class Gate:
    """A global that lets two threads pass at once when they look at what it means."""

    def __init__(self) -> None:
        self.barrier = threading.Barrier(2)
        self.open = False

    def __warm_digest__(self) -> str:
        if not self.open:
            self.barrier.wait(5)
            self.open = True
        return "gate"


def test_two_copies_that_find_no_loader_at_once_make_one() -> None:
    payload = sent(CELL)
    other = cell(CELL.replace("* FACTOR", "* GATE"), GATE=Gate())["load"]  # of the same name
    copies = [cloudpickle.loads(payload) for _ in range(2)]
    threads = [threading.Thread(target=copy, args=["a"]) for copy in copies]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(5)
    assert [("load", "a")] == journal and other.cache is not copies[0].cache
    assert copies[0].cache is copies[1].cache


class Gated(warmcache.LRUCache[Any, Any]):
    """A policy that has something to pass when a cache is made, as an import would be."""

    def __new__(cls, *args: Any, **kwargs: Any) -> Gated:
        by_value.pass_by()
        return super().__new__(cls)


class GatedPart:
    """The same of what a loader closes over, when it is unpacked."""

    def __reduce__(self) -> Any:
        return by_value.pass_by, ()


GATED = {
    "parts": lambda: in_another_function(GatedPart()),
    "policy": lambda: warmcache.warm(policy="gated", maxsize=1)(lambda n: [n]),
    "shared": lambda: warmcache.warm(cache=Gated(1))(lambda n: [n]),
    "named": lambda: warmcache.warm(cache="gated by value")(lambda n: [n]),
}


@needs_dill
@pytest.mark.parametrize("what", GATED)
def test_while_one_is_made_another_can_be_defined(
    monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    """As it has to be in a module that others import meanwhile, who wait for the import."""
    monkeypatch.setitem(warmcache.policies.registry._factories, "gated", Gated)
    monkeypatch.setattr(warmcache.policies.shared_caches, "_caches", {})
    if what == "named":
        warmcache.cache("gated by value", policy="gated", maxsize=1)
    payload = dill.dumps(GATED[what]())
    gc.collect()
    warmcache.policies.shared_caches._caches.clear()
    load = dill.loads(payload)

    making, defined, in_time = threading.Event(), threading.Event(), []

    def pass_by() -> None:
        if not making.is_set():
            making.set()
            in_time.append(defined.wait(5))

    monkeypatch.setattr(by_value, "gate", pass_by)
    thread = threading.Thread(target=load, args=["a"])
    thread.start()
    assert making.wait(5)
    warmcache.warm(cache=warmcache.LRUCache(1))(lambda n: [n])
    defined.set()
    thread.join(5)
    assert [True] == in_time and load.contains("a")


def test_of_two_that_are_made_at_once_one_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    copies = [cloudpickle.loads(sent(CELL)) for _ in range(2)]
    both = threading.Barrier(2)

    class Slow(warmcache.LRUCache[Any, Any]):
        def __init__(self, **options: Any) -> None:
            both.wait(5)
            super().__init__(**options)

    monkeypatch.setitem(warmcache.policies.registry._factories, "lru", Slow)
    threads = [threading.Thread(target=copy, args=["a"]) for copy in copies]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(5)
    assert [("load", "a")] == journal and copies[0]("a") is copies[1]("a")
    assert copies[0].cache is copies[1].cache


# -- all kinds of loaders -------------------------------------------------------------


def test_before_it_is_called_a_copy_offers_what_its_loader_does() -> None:
    payload = sent(CELL)
    cloudpickle.loads(payload)("a")

    def fresh() -> Any:
        return cloudpickle.loads(payload)

    assert fresh().contains("a") and "a" == fresh().peek("a").name
    assert (0, 1, 2, 1) == fresh().cache_info()
    assert 1 == len(fresh().cache) and fresh().cache_key("a") in fresh().cache
    assert ["load('a', '')"] == [str(key) for key in fresh().cache]
    assert "a" == fresh().cache[fresh().cache_key("a")].name
    assert 2 == fresh().cache.maxsize and 2 == fresh().cache_parameters()["maxsize"]
    assert "(name, suffix='')" == str(inspect.signature(fresh()))
    assert ("load", "load", "__main__") == tuple(
        getattr(fresh(), name) for name in ("__name__", "__qualname__", "__module__")
    )
    with fresh().lease("a") as model:
        assert "a" == model.name
    fresh().warm_up(["b"])
    assert fresh().contains("b") and 1 == len(fresh().evict("b"))
    fresh().cache_clear()
    assert not fresh().contains("a")
    with pytest.raises(TypeError, match=r"load\(\) missing 1 required"):
        fresh()()
    with pytest.raises(AttributeError):
        _ = fresh().cache.no_such_thing, fresh().nothing


def test_a_copys_methods_and_cache_travel_too() -> None:
    load, lease, cache = cloudpickle.loads(sent(CELL, "load, load.lease, load.cache"))
    with lease("a") as model:
        assert load("a") is model
    assert 1 == len(cache)
    lease, cache = cloudpickle.loads(cloudpickle.dumps((load.lease, load.cache)))
    assert 1 == len(cache) and lease("a").__enter__() is model


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


def test_options_travel() -> None:
    source = """
    from warmcache import warm
    @warm(
        policy="ttl", ttl=60, maxsize="4KiB", key={"verbose": None, "name": lambda name: name[0]},
        typed=True, size=lambda value: 1024, validate=lambda value: value[0] != "bad",
        tags=iter(["x"]), version=(1,), teardown=lambda value: note("close", value),
    )
    def load(name, verbose=False):
        note("load", name)
        return [name]
    """
    load = cloudpickle.loads(sent(source))
    value = load("bge")
    assert load("bge-large", verbose=True) is value
    assert (4096, 1024) == (load.cache.maxsize, load.cache_info().currsize)
    assert 60 == load.cache.ttl and ["x"] == load.cache_parameters()["tags"]
    value[0] = "bad"
    assert load("b") is not value
    assert [("load", "bge"), ("close", ["bad"]), ("load", "b")] == journal


def test_a_cache_that_loaders_share_is_shared_there() -> None:
    source = """
    import warmcache
    from warmcache import warm
    pool = warmcache.LRUCache(3, teardown=lambda value: note("close", value))
    warmcache.cache("shared by value", policy="lfu", maxsize=7)
    @warm(cache=pool)
    def one(n): return [n]
    @warm(cache=pool)
    def two(n): return [one(n)]
    @warm(cache="shared by value")
    def named(n): return [n]
    """
    two, one, named = cloudpickle.loads(sent(source, "two, one, named"))
    assert two(1)[0] is one(1) and 2 == len(one.cache)
    named(1)
    assert named.cache is warmcache.cache("shared by value") and 7 == named.cache.maxsize
    one(2), one(3)
    assert one.cache is two.cache and [("close", [[1]])] == journal


def test_a_memory_cache_is_shared_by_policy_or_by_name() -> None:
    source = """
    import warmcache
    from warmcache import warm
    options = dict(budget="64MiB", poll=0)
    @warm(policy="ram", size="1MiB", **options)
    def by_policy(n): return [n]
    @warm(cache=warmcache.cache("ram by value", policy="ram", **options), size=1)
    def by_name(n): return [n]
    @warm(cache=warmcache.HostMemoryCache(**options), size=1)
    def by_object(n): return [n]
    """
    by_policy, by_name = cloudpickle.loads(sent(source, "by_policy, by_name"))
    assert by_policy(1) is by_policy(1) and 2**26 == by_policy.cache.maxsize
    assert by_name(1) is by_name(1) and by_name.cache is warmcache.cache("ram by value")
    with pytest.raises(TypeError, match="cannot be sent by value: share the cache by name"):
        sent(source, "by_object")


def test_an_outer_wrapper_keeps_to_the_loader() -> None:
    source = """
    import functools
    from warmcache import warm
    @warm
    def load(n):
        note("load")
        return [n]
    @functools.wraps(load)
    def outer(*args):
        return load(*args)
    """
    outer, load = cloudpickle.loads(sent(source, "outer, load"))
    assert outer(1) is load(1) and outer.contains(1) and 1 == len(outer.cache)
    assert ["load"] == journal


def test_attributes_of_its_own_travel() -> None:
    load = cloudpickle.loads(sent(CELL + "\nload.note = [1]"))
    assert [1] == load.note


def test_a_loaders_attributes_can_be_copied() -> None:
    load = cell(CELL)["load"]
    for twin in (copy.copy(vars(load)), copy.deepcopy(vars(load))):
        assert load.cache is twin["cache"] and twin is not vars(load)
    assert load("a") is load("a")


def test_a_loader_is_not_taken_for_a_copy_of_itself() -> None:
    load = by_value.importable
    assert pickle.loads(pickle.dumps(vars(load))) is vars(load)
    assert load("a") is load("a")


# -- what it is made of ---------------------------------------------------------------


def test_dask_is_told_what_it_means() -> None:
    loads = [cell(source)["load"] for source in (CELL, "\n\n" + CELL, changed("= 1", "= 2"))]
    same, moved, other = [load.__dask_tokenize__() for load in loads]
    assert same == moved != other
    assert ("warmcache", "__main__", "load") == same[:3]
    assert same == cloudpickle.loads(sent(CELL)).__dask_tokenize__()


def test_an_importable_loader_travels_by_name() -> None:
    load = by_value.importable
    load("a")
    for module in (cloudpickle, dill):
        assert len(module.dumps(load)) < 150 and module.loads(module.dumps(load)) is load


def test_a_module_that_cloudpickle_takes_by_value_is_seen_to_be_edited(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    edited = types.ModuleType("edited")
    monkeypatch.setitem(sys.modules, "edited", edited)
    source = """
    from by_value import note
    from warmcache import warm

    def helper():
        return 1

    @warm(teardown=lambda value: note("close", value))
    def load():
        return helper()

    class Models:
        @classmethod
        @warm
        def load(cls):
            return helper()
    """
    payloads = []
    cloudpickle.register_pickle_by_value(edited)
    try:
        for version in "112":
            exec(textwrap.dedent(source.replace("return 1", f"return {version}")), vars(edited))
            payloads.append(cloudpickle.dumps((edited.load, edited.Models)))
    finally:
        cloudpickle.unregister_pickle_by_value(edited)
    monkeypatch.delitem(sys.modules, "edited")
    vars(edited).clear()
    gc.collect()
    journal.clear()
    sent = [pickle.loads(payload) for payload in payloads]
    assert [1, 1, 2] == [load() for load, _ in sent]
    assert [1, 1, 2] == [models.load() for _, models in sent]
    assert [("close", 1)] == journal


@needs_dill
def test_without_cloudpickle_a_bytes_form_says_what_is_missing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    load: Callable[..., Any] = in_another_function()
    monkeypatch.setitem(__import__("sys").modules, "cloudpickle", None)
    with pytest.raises(ImportError, match="pip install cloudpickle"):
        dill.dumps(load)
