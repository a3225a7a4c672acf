"""A cache by name that was closed: its loaders go on in the one that is defined anew."""

from __future__ import annotations

import gc
import threading
import types
import uuid
import weakref
from pathlib import Path
from typing import Any

import pytest

import warmcache
from warmcache import warm
from warmcache._process.janitor import janitor
from warmcache.errors import ClosedError


@pytest.fixture
def name() -> str:
    return f"gpu-{uuid.uuid4()}"


def loader(name: str, **options: Any) -> Any:
    @warm(cache=name, **options)
    def load(x: object) -> list[object]:
        return [x]

    return load


def test_a_closed_one_is_closed_until_another_is_defined(name: str) -> None:
    load = loader(name, maxsize=1)
    load(1)
    load.cache.close()
    with pytest.raises(ClosedError, match=name):
        load(1)
    with pytest.raises(ValueError, match=r"no cache '.*' any more \(LRUCache .* was closed by"):
        warmcache.cache(name)


def test_its_loaders_go_on_in_the_one_that_is_defined_anew(name: str) -> None:
    loads = [loader(name, maxsize=1), loader(name)]
    loads[0](1)
    warmcache.cache(name).close()
    third = loader(name, policy="lfu", maxsize=5)

    for load in (*loads, third):
        assert load(1) is load(1)
        assert load.cache is third.cache is warmcache.cache(name)
    assert (1, 1, 5, 1) == loads[0].cache_info(), "counted anew"


def test_a_cache_that_was_given_as_an_object_is_followed_by_none(name: str) -> None:
    load: Any = warm(cache=warmcache.cache(name, maxsize=1))(lambda x: [x])
    load.cache.close()
    warmcache.cache(name, maxsize=1)
    with pytest.raises(ClosedError):
        load(1)


def test_what_is_leased_meanwhile_goes_by_the_teardown_that_it_came_with(name: str) -> None:
    torn: list[tuple[str, object]] = []
    old, new = lambda it: torn.append(("old", it)), lambda it: torn.append(("new", it))
    warmcache.cache(name, maxsize=1, teardown=old)
    load = loader(name)
    with load.lease(1):
        warmcache.cache(name).close()
        warmcache.cache(name, maxsize=1, teardown=new)
        load(2)
        assert [] == torn
    assert [("old", [1])] == torn
    load.cache.clear()
    assert [("old", [1]), ("new", [2])] == torn


def test_a_cell_that_is_run_again_goes_on_with_what_is_warm(name: str) -> None:
    cell = types.ModuleType("cell_of_a_named_cache")
    source = f"""
from warmcache import warm
@warm(cache={name!r}, policy="lru", maxsize=2, reclaim=lambda: None)
def load(x):
    return [x]
"""
    exec(compile(source, "<cell>", "exec"), vars(cell))
    value = cell.load(1)
    exec(compile(source, "<cell>", "exec"), vars(cell))
    assert cell.load(1) is value

    warmcache.cache(name).close()
    exec(compile(source.replace("maxsize=2", "maxsize=3"), "<cell>", "exec"), vars(cell))
    assert cell.load(1) is not value and cell.load(1) is cell.load(1)
    assert 3 == cell.load.cache.maxsize


def test_an_edited_loader_has_its_predecessor_s_values_torn_down_after_a_move(name: str) -> None:
    torn: list[object] = []
    cell = types.ModuleType("cell_of_another_named_cache")
    cell.torn = torn  # type: ignore[attr-defined]
    source = f"""
from warmcache import warm
@warm(cache={name!r}, policy="lru", maxsize=9, teardown=torn.append)
def load(x):
    return [x, 1]
"""
    exec(compile(source, "<cell>", "exec"), vars(cell))
    cell.load(1)
    warmcache.cache(name).close()
    warmcache.cache(name, "lru", maxsize=9)
    cell.load(2)
    exec(compile(source.replace("x, 1", "x, 2"), "<cell>", "exec"), vars(cell))
    cell.load(3)
    assert [[1, 1], [2, 1]] == torn


def test_a_loader_over_a_name_dies_with_its_last_reference(name: str) -> None:
    gc.collect()
    gc.disable()
    try:
        load = loader(name)
        warmcache.cache(name, maxsize=1)
        load(1)
        died = weakref.ref(load)
        del load
        assert died() is None
    finally:
        gc.enable()


def test_what_records_the_old_one_has_no_say_in_the_new(name: str, tmp_path: Path) -> None:
    load = loader(name, maxsize=1)
    old = load.cache
    recording = old.record(tmp_path / "old.csv")
    old._store.close("another thread, which has not come to its recorder yet")
    with warmcache.cache(name, maxsize=1, record=tmp_path / "new.csv"):
        load(1)
        recording.stop()
        load(1)
    lines = (tmp_path / "new.csv").read_text().splitlines()
    assert 2 == sum("load(1)" in line for line in lines)


def test_an_instance_of_a_method_has_its_values_torn_down_in_the_new_one(name: str) -> None:
    class Server:
        @warm(cache=name, maxsize=2)
        def load(self, x: object) -> list[object]:
            return [x]

    server = Server()
    server.load(1)
    Server.load.cache.close()
    cache = warmcache.cache(name, maxsize=2)
    assert server.load(1) is server.load(1) and 1 == len(cache)
    del server
    gc.collect()
    done = threading.Event()
    janitor.defer(done.set)  # jobs run in order
    assert done.wait(5) and 0 == len(cache)
