"""A loader over a cache by name: what of its definition travels, and when it is looked up there."""

from __future__ import annotations

from typing import Any

import cloudpickle
import pytest
from by_value import cell, sent

import warmcache
from warmcache.policies import shared_caches

pytestmark = pytest.mark.usefixtures("a_process_that_knows_of_no_loader")

NAME = "named cache that travels"
CELL = f"""
from warmcache import warm
@warm(cache={NAME!r}{{}})
def load(x):
    return [x]
"""


@pytest.fixture(autouse=True)
def another_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shared_caches, "_caches", {})


def arrived(data: bytes) -> Any:
    shared_caches._caches.clear()
    return cloudpickle.loads(data)


def test_what_a_loader_defines_travels_with_it() -> None:
    load = arrived(sent(CELL.format(", policy='lfu', maxsize=3, reclaim=lambda: None")))
    assert [1] == load(1)
    assert 3 == warmcache.cache(NAME).maxsize and 1 == len(warmcache.cache(NAME))


def test_what_is_defined_after_the_loader_travels_too() -> None:
    names = cell(CELL.format(""))
    warmcache.cache(NAME, policy="lfu", maxsize=3)
    load = arrived(cloudpickle.dumps(names.pop("load")))
    assert [1] == load(1)
    assert 3 == warmcache.cache(NAME).maxsize


def test_what_is_defined_nowhere_is_looked_up_there() -> None:
    load = arrived(sent(CELL.format("")))
    with pytest.raises(ValueError, match="there is no cache 'named cache that travels' yet"):
        load(1)
    warmcache.cache(NAME, maxsize=2)
    assert load(1) is load(1) and 2 == load.cache.maxsize


def test_what_is_defined_there_already_is_what_it_is() -> None:
    data = sent(CELL.format(", maxsize=3"))
    load = arrived(data)
    cache = warmcache.cache(NAME, maxsize=2)
    assert [1] == load(1) and load.cache is cache


def test_a_loader_is_the_same_before_and_after_its_cache_is_defined() -> None:
    names = cell(CELL.format(""))
    before = cloudpickle.dumps(names["load"])
    warmcache.cache(NAME, maxsize=3)
    after = cloudpickle.dumps(names.pop("load"))
    names.clear()
    first = arrived(after)
    value = first(1)
    assert cloudpickle.loads(before)(1) is value


@pytest.mark.parametrize("first", [True, False])
def test_a_cache_travels_as_that_of_its_loader(first: bool) -> None:
    """As all that are a loader's do, for what is warm in it stays where it is."""
    names = {} if first else cell(CELL.format(""))
    warmcache.cache(NAME, maxsize=3, teardown="clear")
    load = (names or cell(CELL.format(""))).pop("load")
    load(1)
    data = cloudpickle.dumps((load, load.cache))
    names.clear()
    del load
    there, cache = arrived(data)
    assert 3 == cache.maxsize and [1] == there(1) and 1 == len(cache)
