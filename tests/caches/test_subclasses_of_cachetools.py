"""Each cache of a name that cachetools has is one of cachetools' class, and none of its methods."""

from __future__ import annotations

import copy
import pickle
from typing import Any

import cachetools
import pytest

import warmcache
from warmcache import RRCache, TLRUCache, TTLCache, caches

NAMES = ["Cache", "FIFOCache", "LFUCache", "LRUCache", "RRCache", "TLRUCache", "TTLCache"]
# What cachetools' base class has that is ours as well: a limit, a weight, a miss of a mapping.
TAKEN = {"__missing__", "getsizeof", "maxsize"}
OF_TIME = {TTLCache: 60, TLRUCache: lambda key, value, now: now + 60}


def _made(name: str, maxsize: int = 2) -> Any:
    cls = getattr(warmcache, name)
    return cls(maxsize, OF_TIME[cls]) if cls in OF_TIME else cls(maxsize)


def _is_theirs(cls: type) -> bool:
    return cls.__module__.partition(".")[0] == "cachetools"


@pytest.mark.parametrize("name", NAMES)
def test_it_is_one_of_cachetools_class_of_that_name(name: str) -> None:
    cache = _made(name)
    assert isinstance(cache, getattr(cachetools, name))
    assert 2 == cache.maxsize and 0 == cache.currsize


def test_each_class_that_cachetools_has_is_known_here() -> None:
    theirs = {each for each in vars(cachetools) if each.endswith("Cache") and each[0].isupper()}
    assert {*NAMES} == theirs - {"MRUCache"}  # which 6.0 dropped


@pytest.mark.parametrize("name", NAMES)
def test_every_method_that_cachetools_has_there_is_one_of_ours(name: str) -> None:
    ours = getattr(warmcache, name)
    strange = []
    for theirs in filter(_is_theirs, ours.__mro__):
        hidden = f"_{theirs.__name__.lstrip('_')}__"  # what only their own methods call
        for attribute, thing in vars(theirs).items():
            if isinstance(thing, type) or attribute.startswith(hidden):
                continue
            if not (callable(thing) or hasattr(thing, "__get__")):
                continue
            owner = next(cls for cls in ours.__mro__ if attribute in vars(cls))
            if _is_theirs(owner) and attribute not in TAKEN | {"__dict__", "__weakref__"}:
                strange.append(f"{theirs.__name__}.{attribute}")
    assert [] == strange


@pytest.mark.parametrize("name", NAMES)
def test_of_what_their_initializers_set_there_is_only_the_base_class(name: str) -> None:
    marks = {attribute.partition("__")[0] for attribute in vars(_made(name)) if "__" in attribute}
    assert marks <= {"_Cache"}


@pytest.mark.parametrize("name", [name for name in NAMES if name != "TLRUCache"])
@pytest.mark.parametrize("twin_of", [copy.copy, lambda cache: pickle.loads(pickle.dumps(cache))])
def test_it_is_copied_as_ours(name: str, twin_of: Any) -> None:
    cache = _made(name)
    cache["a"], cache["b"] = 1, 2
    twin = twin_of(cache)
    assert type(twin) is type(cache)
    assert twin.pop("b") == 2 and ["a", "b"] == sorted(cache) and ["a"] == list(twin)


def test_what_is_made_of_theirs_is_a_policy_all_the_same() -> None:
    assert isinstance(RRCache(1), cachetools.RRCache)
    assert all(issubclass(getattr(caches, name), warmcache.Cache) for name in NAMES)


# -- what a subclass may not override -------------------------------------------------------


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("method", ["popitem", "__delitem__"])
def test_a_subclass_that_wants_to_see_evictions_there_is_refused(name: str, method: str) -> None:
    with pytest.raises(TypeError) as refused:
        type("Sees", (getattr(warmcache, name),), {method: lambda self, *args: None})

    message = str(refused.value)
    assert message.startswith(f"Sees overrides {method}(), which no eviction calls")
    assert all(word in message for word in ("rank()", "teardown=", "on_removal="))


def test_that_is_seen_behind_a_class_beside_it_too() -> None:
    class Logs:
        def popitem(self) -> Any: ...

    with pytest.raises(TypeError, match="Both overrides popitem"):
        type("Both", (Logs, warmcache.LRUCache), {})
    with pytest.raises(TypeError, match="Theirs overrides popitem"):
        type("Theirs", (cachetools.LRUCache, warmcache.Cache), {})


def test_whatever_else_a_subclass_has_is_its_business() -> None:
    class Counts(warmcache.TTLCache[str, int]):
        def __missing__(self, key: str) -> int:
            self[key] = value = len(key)
            return value

    cache = Counts(2, 60)
    assert 3 == cache["ada"] and ["ada"] == list(cache)


def test_a_class_without_a_rank_gives_up_what_was_stored_first() -> None:
    class Plain(warmcache.Cache[str, int]):
        pass

    cache = Plain(2)
    cache["a"], cache["b"] = 1, 2
    assert 1 == cache["a"] and ["a", "b"] == cache.victims()
    cache["c"] = 3
    assert ["b", "c"] == list(cache)

    load = warmcache.warm(policy=Plain, maxsize=2)(lambda x: [x])
    load(1), load(2), load(1), load(3)
    assert [False, True, True] == [load.contains(x) for x in (1, 2, 3)]
