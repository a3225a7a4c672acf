"""Two definitions of a shared cache are one if they mean the same, however they are written."""

from __future__ import annotations

import datetime
import functools
import operator
import types
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import warmcache
from warmcache import LRUCache, warm
from warmcache.testing import FakeProbe, ManualClock

GiB = 2**30
PROBE = FakeProbe(8 * GiB)
CLOCK = ManualClock()
MEMORY = {"probe": PROBE, "poll": 0}


class Heaviest(warmcache.Cache[Any, Any]):
    """A policy of one's own."""


class Pool:
    """What has a method that gives memory back."""

    def flush(self, *_: object) -> None:
        """Do nothing."""

    @classmethod
    def flush_all(cls) -> None:
        """Do nothing."""


POOL = Pool()


def now() -> datetime.datetime:
    return datetime.datetime(2026, 1, 1)


def told(removal: object) -> None:
    pass


def told_of(number: int, removal: object) -> None:
    pass


@pytest.fixture
def name() -> str:
    return f"gpu-{uuid.uuid4()}"


SAME: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "no policy and the default": ({"maxsize": 1}, {"policy": "lru", "maxsize": 1}),
    "a policy's name and its class": (
        {"policy": "lru", "maxsize": 1},
        {"policy": LRUCache, "maxsize": 1},
    ),
    "whole numbers and floats": ({"maxsize": 1, "wait": 5}, {"maxsize": 1.0, "wait": 5.0}),
    "a size and its bytes": ({"maxsize": "1GiB"}, {"maxsize": GiB}),
    "two texts of one size": ({"maxsize": "1GiB"}, {"maxsize": "1024 MiB"}),
    "no limit": ({"maxsize": None}, {"maxsize": float("inf")}),
    "a default written out": ({"maxsize": 1}, {"maxsize": 1, "wait": 60.0, "idle_ttl": None}),
    "a policy's own default": (
        {"policy": "gdsf", "maxsize": 1},
        {"policy": "gdsf", "maxsize": 1, "keep_uses": False},
    ),
    "spans of one length": (
        {"maxsize": 1, "timer": now, "ttl": datetime.timedelta(seconds=60)},
        {"maxsize": 1, "timer": now, "ttl": datetime.timedelta(minutes=1)},
    ),
    "a path and its text": (
        {"maxsize": 1, "record": "uses.csv"},
        {"maxsize": 1, "record": Path("uses.csv")},
    ),
    "a budget and its bytes": (
        {"policy": "ram", "budget": "1GiB", **MEMORY},
        {"policy": "ram", "budget": GiB, **MEMORY},
    ),
    "an order by name and by class": (
        {"policy": "ram", "order": "lru", **MEMORY},
        {"policy": "ram", "order": LRUCache, **MEMORY},
    ),
    "an order and the policy that it is": (
        {"policy": "ram", "order": "lru", "budget": GiB, "poll": 0},
        {"policy": "lru", "device": "cpu", "budget": GiB, "poll": 0},
    ),
    "defaults of memory": (
        {"policy": "ram", **MEMORY},
        {"policy": "ram", "order": "cost", "high": 0.9, "budget": 0.9, **MEMORY},
    ),
    "a partial made twice": (
        {"maxsize": 1, "on_removal": functools.partial(told_of, 1)},
        {"maxsize": 1, "on_removal": functools.partial(told_of, 1)},
    ),
    "a method of one object": (
        {"maxsize": 1, "reclaim": POOL.flush},
        {"maxsize": 1, "reclaim": POOL.flush},
    ),
    "a method of a class": (
        {"maxsize": 1, "reclaim": Pool.flush_all},
        {"maxsize": 1, "reclaim": Pool.flush_all},
    ),
    "a getter made twice": (
        {"maxsize": 1, "getsizeof": operator.attrgetter("nbytes")},
        {"maxsize": 1, "getsizeof": operator.attrgetter("nbytes")},
    ),
}

OTHER: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "a limit": ({"maxsize": 1}, {"maxsize": 2}),
    "one byte and the whole device": (
        {"policy": "ram", "budget": 1, **MEMORY},
        {"policy": "ram", "budget": 1.0, **MEMORY},
    ),
    "an order": (
        {"policy": "ram", "order": "lru", **MEMORY},
        {"policy": "ram", "order": "lfu", **MEMORY},
    ),
    "a device": (
        {"policy": "ram", "budget": GiB, "poll": 0},
        {"policy": "ram", "budget": GiB, **MEMORY},
    ),
    "a default that is none": ({"maxsize": 1}, {"maxsize": 1, "wait": 5}),
    "a clock": (
        {"maxsize": 1, "timer": CLOCK},
        {"maxsize": 1, "timer": ManualClock()},
    ),
    "a function": (
        {"maxsize": 1, "on_removal": told},
        {"maxsize": 1, "on_removal": print},
    ),
    "what a partial is of": (
        {"maxsize": 1, "on_removal": functools.partial(told_of, 1)},
        {"maxsize": 1, "on_removal": functools.partial(told_of, 2)},
    ),
    "whose method it is": (
        {"maxsize": 1, "reclaim": POOL.flush},
        {"maxsize": 1, "reclaim": Pool().flush},
    ),
    "which list is appended to": (
        {"maxsize": 1, "on_removal": [].append},
        {"maxsize": 1, "on_removal": [].append},
    ),
    "what a getter gets": (
        {"maxsize": 1, "getsizeof": operator.attrgetter("nbytes")},
        {"maxsize": 1, "getsizeof": operator.attrgetter("size")},
    ),
    "what a lambda does": (
        {"maxsize": 1, "reclaim": lambda: POOL.flush(1)},
        {"maxsize": 1, "reclaim": lambda: POOL.flush(2)},
    ),
}


@pytest.mark.parametrize("case", SAME)
@pytest.mark.parametrize("turned", [False, True])
def test_what_is_written_otherwise_and_means_the_same_is_no_contradiction(
    name: str, case: str, turned: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    first, second = reversed(SAME[case]) if turned else SAME[case]
    with warmcache.cache(name, **first) as cache:
        assert cache is warmcache.cache(name, **second)


@pytest.mark.parametrize("case", OTHER)
@pytest.mark.parametrize("turned", [False, True])
def test_what_means_something_else_is_one(name: str, case: str, turned: bool) -> None:
    first, second = reversed(OTHER[case]) if turned else OTHER[case]
    with (
        warmcache.cache(name, **first),
        pytest.raises(ValueError, match=r"defined already, as \(.*\); it cannot be \(.*\) too"),
    ):
        warmcache.cache(name, **second)


SOURCE = """
import functools
from warmcache import Cache, warm


class Flush:
    @staticmethod
    def all():
        pass


class Mine(Cache):
    pass


def free():
    pass


def told(number, removal):
    pass


@warm(cache={name!r}, policy=Mine, maxsize=1, reclaim={reclaim},
      on_removal=functools.partial(told, 3))
def load(x):
    return [x]
"""


def run(name: str, reclaim: str, module: types.ModuleType | None = None) -> Any:
    """Run a module's source, as a cell that is run again and a reloaded module are."""
    module = module or types.ModuleType(f"cell_{uuid.uuid4().hex}")
    exec(SOURCE.format(name=name, reclaim=reclaim), vars(module))
    return module


@pytest.mark.parametrize("reclaim", ["free", "Flush.all", "Flush().all", "lambda: free()"])
def test_what_is_run_again_defines_the_same(name: str, reclaim: str) -> None:
    module = run(name, reclaim)
    cache = module.load.cache
    assert cache is run(f"{name}", f"\\\n\n{reclaim}", module).load.cache


def test_a_function_of_another_module_is_another(name: str) -> None:
    run(name, "free")
    with pytest.raises(ValueError, match=r"reclaim=cell_\w+\.free.*reclaim=cell_\w+\.free"):
        run(name, "free")


def made(number: int) -> tuple[Callable[[], object], Callable[[], object]]:
    """Return a lambda that closes over a number, and one that has it as a default."""
    return lambda: number, lambda number=number: number


@pytest.mark.parametrize("which", [0, 1])
def test_lambdas_are_the_same_that_know_the_same(name: str, which: int) -> None:
    cache = warmcache.cache(name, maxsize=1, reclaim=made(1)[which])
    assert cache is warmcache.cache(name, maxsize=1, reclaim=made(1)[which])
    with pytest.raises(ValueError, match=r"<lambda of .*, line \d+>"):
        warmcache.cache(name, maxsize=1, reclaim=made(2)[which])


def test_what_cannot_be_compared_is_not_the_same(name: str) -> None:
    class Unequal:
        def __call__(self) -> float:
            return 0.0

        def __eq__(self, other: object) -> bool:
            raise ValueError("ask for each element")

        __hash__ = None  # type: ignore[assignment]

    one = Unequal()
    cache = warmcache.cache(name, maxsize=1, timer=one)
    assert cache is warmcache.cache(name, maxsize=1, timer=one)
    with pytest.raises(ValueError, match="is defined already"):
        warmcache.cache(name, maxsize=1, timer=Unequal())


def test_what_is_the_loader_s_own_is_no_part_of_it(name: str) -> None:
    first = warm(cache=name, maxsize=4, size=1, ttl=5, teardown=print, tags=["a"])(lambda x: [x])
    second = warm(cache=name, maxsize=4, size=2, version=3, teardown_in=None)(lambda x: [x])
    assert first.cache is second.cache
    assert first.cache.ttl is None and 5 == first.cache_parameters()["ttl"]


def test_a_policy_that_needs_a_ttl_has_it_from_there(name: str) -> None:
    load = warm(cache=name, policy="ttl", maxsize=4, ttl=5)(lambda x: [x])
    other = warm(cache=name, policy="ttl", maxsize=4, ttl=5.0)(lambda x: [x])
    assert load.cache is other.cache and 5 == load.cache.ttl
    with pytest.raises(ValueError, match=r"ttl=5.*ttl=6"):
        warm(cache=name, policy="ttl", maxsize=4, ttl=6)(lambda x: [x])


def test_an_order_that_needs_a_ttl_does_too(name: str) -> None:
    options = dict(policy="ram", order="ttl", budget="1MiB", **MEMORY)
    load: Any = warm(cache=name, ttl=5, **options)(lambda x: [x])  # type: ignore[call-overload]
    assert 5 == load.cache.ttl


def test_an_option_that_only_one_may_say_is_explained(name: str) -> None:
    warmcache.cache(name, maxsize=1, ttl=60)
    with pytest.raises(ValueError, match=r"\(ttl= that is given to @warm .* is the loader's own\)"):
        warm(cache=name, maxsize=1, ttl=60)(lambda x: x)


def test_a_definition_with_loader_options_alone_has_the_usual_limit(name: str) -> None:
    load = warm(cache=name, on_removal=told)(lambda x: [x])
    assert 128 == load.cache.maxsize


def test_what_is_wrong_with_a_second_definition_is_said(name: str) -> None:
    warmcache.cache(name, maxsize=1)
    with pytest.raises(TypeError, match="has no option 'maxsise'; did you mean 'maxsize'"):
        warm(cache=name, maxsise=1)(lambda x: x)  # type: ignore[call-overload]
