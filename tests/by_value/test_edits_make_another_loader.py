"""An edited loader is another one, and takes over from its predecessor."""

from __future__ import annotations

import gc
import pickle
import sys
import textwrap
import threading
import types

import by_value
import cloudpickle
import pytest
from by_value import journal, sent
from travellers import CELL, changed

import warmcache

pytestmark = pytest.mark.usefixtures("a_process_that_knows_of_no_loader")

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
