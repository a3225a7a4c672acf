"""Copies that threads call at once make one loader, and stop nobody who defines another."""

from __future__ import annotations

import gc
import threading
from typing import Any

import by_value
import cloudpickle
import dill
import pytest
from by_value import cell, journal, sent
from travellers import CELL, in_another_function
from with_dill import needs_dill

import warmcache

pytestmark = pytest.mark.usefixtures("a_process_that_knows_of_no_loader")


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
