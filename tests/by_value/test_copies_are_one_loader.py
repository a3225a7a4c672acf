"""Copies of a loader, in another process, are one loader; to unpickle one changes nothing."""

from __future__ import annotations

import gc
import pickle
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import by_value
import cloudpickle
import dill
import pytest
from by_value import cell, journal, sent
from travellers import CELL, changed, in_another_function, in_turns
from with_dill import DILL_DUMPS, needs_dill

import warmcache
from warmcache._by_value import loader_names, local_loader

pytestmark = pytest.mark.usefixtures("a_process_that_knows_of_no_loader")


def known() -> dict[tuple[str, str], Any]:
    """Return what is known of each name: cache, whose turn it is, how many loaders."""
    return {
        key: (name.cache, name.holder, len(name.loaders))
        for key, name in loader_names._names.items()
    }


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


@needs_dill
def test_without_cloudpickle_a_bytes_form_says_what_is_missing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    load: Callable[..., Any] = in_another_function()
    monkeypatch.setitem(__import__("sys").modules, "cloudpickle", None)
    with pytest.raises(ImportError, match=r"pip install .warmcache\[byvalue\]"):
        dill.dumps(load)
