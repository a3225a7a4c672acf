"""A value that refers to its cache, its loader or a lease does not hold what is warm there."""

from __future__ import annotations

import importlib
import inspect
import pkgutil
import types
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from footprints import size

import warmcache
from warmcache import EntryInfo, LRUCache, Removal, RemovalCause, warm
from warmcache._core.state.entry import Entry, Provenance, Source, new_entry
from warmcache.caches.lease import Lease
from warmcache.demo._journal import Sample
from warmcache.demo._spec import Spec
from warmcache.executors import WarmProcessPool
from warmcache.keys import CallKey
from warmcache.memory.footprint import footprint
from warmcache.routing import Backlog, Router
from warmcache.testing import FakeBlock, FakeProbe

LARGE = bytes(5000)


class Value:
    """A value that refers to ``thing``."""

    def __init__(self, thing: object) -> None:
        self.thing = thing


def entry() -> Entry:
    return new_entry("key", LARGE, 1, Provenance(Source("loader"), 0.0), 0.0)


def cache() -> LRUCache[Any, Any]:
    filled: LRUCache[Any, Any] = LRUCache(4)
    filled["key"] = LARGE
    return filled


class OfOnesOwn(LRUCache[Any, Any]):
    """A policy that somebody else has written."""


def cache_of_ones_own() -> OfOnesOwn:
    filled = OfOnesOwn(4)
    filled["key"] = LARGE
    return filled


def lease() -> Any:
    held = cache().lease("key")
    held.__enter__()
    return held


def loader() -> Any:
    load = warm(policy="lru", maxsize=4)(lambda number: LARGE * number)
    load(1), load(1)
    return load


def loader_of_bytes() -> Any:
    load = warm(policy="lru", maxsize=4)(len)
    load(LARGE), load(LARGE)
    return load


def method() -> Any:
    class Store:
        @warm(policy="lru", maxsize=4)
        def load(self, number: int) -> bytes:
            return LARGE * number

    load = Store().load
    load(1), load(1)
    return load


def leased_by_a_loader() -> Any:
    held = loader().lease(2)
    held.__enter__()
    return held


def recording(folder: Path) -> Iterator[Any]:
    recorded = cache()
    with recorded.record(folder / "trace.csv") as writing:
        recorded[LARGE] = 1
        recorded.get(LARGE)
        yield writing


def router() -> Router[Any, Any]:
    made: Router[Any, Any] = Router()
    made.add("worker", warm=[LARGE])
    return made


def backlog() -> Backlog[Any, Any]:
    made: Backlog[Any, Any] = Backlog()
    made.submit(LARGE)
    return made


def pool() -> WarmProcessPool:
    made = object.__new__(WarmProcessPool)  # one that was made has processes
    made.__dict__["calls"] = [LARGE]
    return made


OURS: dict[str, Callable[[], object]] = {
    "an entry": entry,
    "what is told of one": lambda: EntryInfo(LARGE, 1, 1, 0.0, 0.0, 0.0, 0, "live"),
    "a removal": lambda: Removal(LARGE, RemovalCause.SIZE, 1, 0.0),
    "a key": lambda: CallKey((LARGE,)),
    "a cache": cache,
    "a cache of one's own": cache_of_ones_own,
    "a lease": lease,
    "a loader": loader,
    "a loader that was given what is large": loader_of_bytes,
    "a loader that is a method": method,
    "a lease of a loader": leased_by_a_loader,
    "a router": router,
    "a backlog": backlog,
    "an executor": pool,
}


@pytest.mark.parametrize("what", OURS)
def test_what_is_ours_is_not_entered(what: str) -> None:
    thing = OURS[what]()
    assert size(Value(thing)) is None
    assert 5000 == size([Value(thing), bytes(5000)])
    if isinstance(thing, Lease):
        thing.__exit__()


def test_a_recording_is_not_entered(tmp_path: Path) -> None:
    for writing in recording(tmp_path):
        assert size(Value(writing)) is None


def test_a_warm_method_holds_its_instance_as_any_method_does() -> None:
    class Store:
        def __init__(self) -> None:
            self.weights = bytearray(6000)

        @warm(policy="lru", maxsize=4)
        def load(self, number: int) -> bytes:
            return LARGE * number

    load = Store().load
    load(1), load(1)
    assert 6000 == size(Value(load))


def block() -> FakeBlock:
    made = FakeBlock(10)
    made.weights = np.zeros(5000, np.uint8)  # type: ignore[attr-defined]
    return made


def probe() -> FakeProbe:
    made = FakeProbe(10)
    made.weights = LARGE  # type: ignore[attr-defined]
    return made


VALUES: dict[str, Callable[[], object]] = {
    "a block of tests": block,
    "a device of tests": probe,
    "a record of the demo": lambda: Sample(0.0, {"name": LARGE}, None),  # type: ignore[dict-item]
    "what the demo knows of a model": lambda: Spec("name", 1, lambda name: LARGE, needs=(LARGE,)),
}


@pytest.mark.parametrize("what", VALUES)
def test_what_the_demo_and_tests_load_is_entered(what: str) -> None:
    assert 5000 == size(Value(VALUES[what]()))


@pytest.mark.models
@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # TorchScript is one
def test_the_demos_models_are_seen_to_weigh_what_they_say() -> None:
    from warmcache.demo._libraries import import_all
    from warmcache.demo._models import specs

    import_all()
    for spec in specs():
        if spec.name != "tokenizer":  # it has no tensors
            model = spec.load("cpu")
            found = footprint(model, "cpu")
            assert found is not None
            assert model.weigh() == found.nbytes + found.mapped, spec.name


def classes() -> Iterator[type]:
    """Yield all classes of the package, as far as what they need is installed."""
    for info in pkgutil.walk_packages(warmcache.__path__, "warmcache."):
        try:
            module = importlib.import_module(info.name)
        except Exception:  # an extra is missing
            continue
        yield from (
            kind
            for kind in vars(module).values()
            if inspect.isclass(kind) and str(kind.__module__).startswith("warmcache")
        )


def test_no_class_of_ours_was_forgotten() -> None:
    entered, seen = set(), set()
    for kind in {*classes()}:
        if issubclass(kind, BaseException | types.ModuleType):
            continue
        try:
            made = object.__new__(kind)
            vars(made)["large"] = LARGE
        except TypeError:  # it is abstract, or has slots
            continue
        seen.add(kind)
        if size(made) is not None:
            entered.add(kind.__module__.split(".")[1])
    assert len(seen) > 30
    assert {"demo", "testing"} == entered
