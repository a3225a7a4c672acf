"""Every option of all that is made with options is refused where it is given, if it is wrong.

The table is complete: an option that has no row in it fails a test, and so does a public
class that nobody makes here.
"""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable
from concurrent.futures import Executor
from datetime import timedelta
from functools import partial
from typing import Any, NamedTuple

import cachetools
import pytest

import warmcache
from warmcache import caches, executors, memory, policies, routing
from warmcache._loaders.loader_options import LoaderOptions
from warmcache._registry import options_of
from warmcache.caches.options import CacheOptions, CommonOptions, Setup
from warmcache.testing import FakeProbe


class Unsayable:
    """What has no text."""

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        raise ValueError("it has none")


NOTHING = [[], Unsayable(), b"1", 1j]
NO_NUMBER = [*NOTHING, "x", True, False, math.nan, -1, -math.inf, 10**400]
SECONDS = [*NO_NUMBER, None]
NO_SIZE = [*NO_NUMBER, "", "3 apples", "-1", "9" * 400, object()]
NO_FUNCTION = [*NOTHING, 5, True, "not called"]
NO_COUNT = [*NO_NUMBER, 0, 1.5, math.inf]
NO_PATH = [*NOTHING, 5, True, "", "a\0b"]
NO_TEXT = [*NOTHING, 5, True, ""]

WRONG: dict[str, list[Any]] = {
    "batch": [*NO_TEXT, "nobody", "names"],
    "below": [*NO_NUMBER, None, 0, 1.01, math.inf],
    "budget": [*NO_SIZE, math.inf, 2.0, 80.0],
    "cache": [*NO_TEXT, {}],
    "choice": [*NO_FUNCTION, None, lambda: 1],
    "code": [*NOTHING, 1, None, "yes"],
    "codec": [*NOTHING, 5, None, "json", dict, object()],
    "confirm": SECONDS,
    "device": [*NOTHING, True, None, -1, 10**400, 1.5, math.nan, "cpu", "9" * 400],
    "disk": [*NOTHING, 5, True, "", "./a\0b", dict],
    "footprint": [*NO_FUNCTION, None, lambda: 1],
    "freeze": [*NOTHING, 1, None, "yes"],
    "getsizeof": [*NO_FUNCTION, lambda: 1],
    "give_back": [*NO_FUNCTION, None, lambda it: 1],
    "floor": [*NO_SIZE, math.inf, 2.0, 80.0],
    "headroom": [*NO_SIZE, math.inf, 2.0, 80.0],
    "host": [*NO_SIZE, math.inf, 2.0, 80.0, warmcache.HostTier],
    "high": [*NO_NUMBER, None, 0, 1.01, math.inf],
    "idle_ttl": [*NO_NUMBER, 0],
    "initargs": [*NOTHING, 5, "x", None],
    "initializer": NO_FUNCTION,
    "keep_uses": [*NOTHING, 1, None, "yes"],
    "key": [*NOTHING, 5, "name", {"nobody": None}, {"name": 5}],
    "learn": NO_PATH,
    "loop_bound": [*NOTHING, 1, None, "yes"],
    "loading": [*NO_NUMBER, math.inf],
    "low": [*NO_NUMBER, None, 0, 1.01, math.inf],
    "max_workers": NO_COUNT,
    "maxsize": NO_SIZE,
    "min_residency": [each for each in SECONDS if each is not None],
    "mp_context": [*NOTHING, 5, "spawn"],
    "name": NO_TEXT,
    "node": [5, "", "a\0b"],
    "on_load": [*NO_FUNCTION, lambda: 1],
    "on_removal": [*NO_FUNCTION, lambda: 1],
    "page_locked": [*NOTHING, 1, None, "yes"],
    "park": [*NOTHING, 5, True, "sleep", max, (max,), (max, 5), [max, max], (lambda: 1, max)],
    "patience": [*SECONDS, 0],
    "persist": [*NO_TEXT, None, "exit", "always"],
    "out_files": [*NOTHING, 5, True, "", "no name", ["loc", 5]],
    "per": [*NOTHING, 5, True, "", "not a name", "nobody", lambda it: 1],
    "order": [*NO_TEXT, dict, caches.LRUCache(1), "gpu", memory.HostMemoryCache],
    "policy": [*NO_TEXT, dict, caches.LRUCache(1), cachetools.LRUCache],
    "poll": SECONDS,
    "probe": [*NOTHING, 5, "x", FakeProbe, object()],
    "retain": [*NOTHING, 1, None, "yes"],
    "reclaim": [*NO_FUNCTION, lambda it: 1],
    "record": NO_PATH,
    "seconds": [*NO_NUMBER, math.inf],
    "size": [*NO_SIZE, math.inf, lambda: 1],
    "size_hint": [*NO_SIZE, math.inf],
    "slots": [Unsayable(), 5, "x", True, [], [object()]],
    "tags": [*NOTHING[1:], 5, True, None, "text", b"text", [1], [[]], [""], ["a", ""]],
    "teardown_in": [*NO_TEXT, "lopp", "main-thread"],
    "teardown": [*NOTHING, 5, True, "", "not a name", "close()", lambda: 1],
    "timer": [*NO_FUNCTION, None, lambda it: 1],
    "ttl": [*NO_NUMBER, timedelta(1)],
    "ttu": [*NO_FUNCTION, None, lambda it: 1],
    "typed": [*NOTHING, 1, None, "yes"],
    "validate": [*NO_FUNCTION, lambda: 1],
    "validate_errors": [
        None,
        5,
        "x",
        [ValueError],
        (ValueError, None),
        BaseException,
        ValueError(),
    ],
    "version": [[], {}, Unsayable()],
    "wait": SECONDS,
}


class Maker(NamedTuple):
    """What is made, and of which options."""

    make: Callable[..., object]
    options: set[str]


class AskedTooSoon(FakeProbe):
    """A device that nobody may ask before all options are known to be right."""

    def sample(self) -> Any:
        pytest.fail("the device was asked")


NEEDED: dict[str, Any] = {"maxsize": 1, "ttl": 1, "ttu": min, "probe": AskedTooSoon(1)}


def _cache_class(cls: Any) -> Maker:
    taken = _options(cls)
    needed = {name: value for name, value in NEEDED.items() if name in taken}
    return Maker(lambda **options: cls(**{**needed, **options}), taken)


def _options(cls: Any) -> set[str]:
    taken = options_of(cls)
    assert taken is not None
    return taken


def _warm(**options: Any) -> object:
    def load(name: str) -> None: ...

    return warmcache.warm(**options)(load)


def _policy(name: str) -> Maker:
    _, taken = _cache_class(policies.get(name))
    needed = {option: NEEDED[option] for option in taken & {"maxsize", "ttl", "ttu"}}
    return Maker(lambda **options: _warm(policy=name, **{**needed, **options}), taken)


def _router(make: Any) -> dict[str, Maker]:
    def done(**options: Any) -> None:
        router = make()
        router.add("worker")
        placement = router.pick("key") if hasattr(router, "pick") else None
        if placement is None:
            router.submit("key")
            placement = router.take()
        router.done(placement, **options)

    return {
        f"{make.__name__}.add": Maker(partial(_add, make), {"slots"}),
        f"{make.__name__}.done": Maker(done, {"seconds", "loading"}),
    }


def _add(make: Any, slots: Any) -> None:
    router = make()
    try:
        router.add("worker", 0 if slots == 5 else slots)
    finally:
        assert not router.workers


def _classes(module: Any, base: type) -> list[Any]:
    found = [getattr(module, name) for name in module.__all__]
    return [each for each in found if isinstance(each, type) and issubclass(each, base)]


CLASSES = {
    cls.__name__: cls
    for module in (warmcache, caches, memory)
    for cls in _classes(module, caches.Cache)
}
EXECUTORS = {cls.__name__: cls for cls in _classes(executors, Executor)}

WITHIN_A_BUDGET = {"budget", "probe", *memory.MemoryOptions.__optional_keys__} - {"order"}

MAKERS: dict[str, Maker] = {
    "warm": Maker(_warm, {*LoaderOptions._fields, "policy", "cache"}),
    "cache": Maker(
        lambda **options: warmcache.cache(**{"name": "x", "maxsize": 1, **options}),
        {"name", "policy"},
    ),
    "close_all": Maker(warmcache.close_all, {"patience"}),
    "close_on_sigterm": Maker(warmcache.close_on_sigterm, {"patience"}),
    **{name: _cache_class(cls) for name, cls in CLASSES.items()},
    **{f"policy {name}": _policy(name) for name in policies.names()},
    "lru within a budget": Maker(
        lambda **options: _warm(policy="lru", **{"probe": NEEDED["probe"], **options}),
        WITHIN_A_BUDGET,
    ),
    "HostTier": Maker(
        lambda **options: warmcache.HostTier(**{"budget": 1, **options}),
        {"below", "budget", "page_locked", "retain"},
    ),
    "ttl of a loader": Maker(lambda ttl: _warm(cache=caches.LRUCache(1), ttl=ttl), {"ttl"}),
    **{name: Maker(cls, set(inspect.signature(cls).parameters)) for name, cls in EXECUTORS.items()},
    **_router(routing.Router),
    **_router(routing.Backlog),
}
ROWS = [(name, option) for name, maker in MAKERS.items() for option in sorted(maker.options)]


def test_the_table_knows_every_option() -> None:
    assert {"LRUCache", "TTLCache", "GPUMemoryCache", "WarmProcessPool", "policy auto"} <= {*MAKERS}
    assert set() == {option for _, option in ROWS} - {*WRONG}
    assert set() == {*WRONG} - {option for _, option in ROWS}


@pytest.mark.parametrize(("name", "option"), ROWS)
def test_what_an_option_must_not_be_is_refused_by_name(name: str, option: str) -> None:
    make = MAKERS[name].make
    for value in WRONG[option]:
        with pytest.raises((TypeError, ValueError)) as refused:
            make(**{option: value})
        message = str(refused.value)
        assert option in message.split(", got ")[0], message
        assert len(message) < 600
        assert "got" in message or option == "key"


@pytest.mark.parametrize("policy", ["gpu", "auto"])
def test_a_gpu_is_not_the_machine(policy: str) -> None:
    with pytest.raises(ValueError, match="^device must be a GPU.*; policy='ram' is the machine's"):
        _warm(policy=policy, device="cpu")


@pytest.mark.parametrize("policy", ["lru", "cost", caches.FIFOCache])
def test_a_device_is_a_gpu_or_the_machine(policy: Any) -> None:
    for device in [each for each in WRONG["device"] if each != "cpu"]:
        with pytest.raises((TypeError, ValueError), match="^device must be a GPU"):
            _warm(policy=policy, device=device)


def test_a_cache_by_name_has_one() -> None:
    with pytest.raises(TypeError, match="^name must be"):
        warmcache.cache(None, maxsize=1)  # type: ignore[call-overload]


def test_a_ttl_is_not_left_out_where_the_class_is_one_of_time() -> None:
    with pytest.raises(TypeError, match="^ttl must be seconds"):
        caches.TTLCache(1, None)


def test_what_is_right_at_the_edge_is_taken() -> None:
    _warm(maxsize=1, ttl=None), _warm(maxsize=1, ttl=0), _warm(maxsize=1, ttl=math.inf)
    _warm(policy="ttl", maxsize=0, ttl=0, idle_ttl=math.inf, wait=math.inf, tags=iter("ab"))
    _warm(maxsize=math.inf, size=0, size_hint="0.5GiB", version=math.nan, key={"name": None})
    memory.MemoryCache(1, probe=FakeProbe(10), headroom=0, high=1, low=1, poll=math.inf)


def test_what_is_made_with_a_ttl_of_its_own_takes_all_else_that_every_cache_takes() -> None:
    others = {**CommonOptions.__annotations__, "ttl": Any}
    assert others == CacheOptions.__annotations__
    assert {*others} == {*inspect.signature(Setup.of).parameters} - {"timer"}
