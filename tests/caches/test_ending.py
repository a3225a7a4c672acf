"""Closing a cache that others use still: what is idle goes one by one, as somebody likes."""

from __future__ import annotations

import threading
from collections.abc import Callable

import pytest

from warmcache import Cache, ClosedError, Removal, RemovalCause
from warmcache._process.at_exit import Overdue
from warmcache.caches.leftovers import all_of, idle_of
from warmcache.testing import assert_consistent

CAP = 5.0  # seconds, after which something hangs


class Rig:
    """A cache with ``"a"`` and ``"b"``, and what was torn down of it."""

    def __init__(self) -> None:
        self.torn_down: list[str] = []
        self.meanwhile: dict[str, Callable[[], object]] = {}
        self.told: list[Removal] = []
        self.cache: Cache[str, str] = Cache(
            maxsize=9, teardown=self.tear_down, on_removal=self.told.append
        )
        self.cache.update(a="a", b="b")

    def tear_down(self, value: str) -> None:
        self.meanwhile.pop(value, lambda: None)()
        self.torn_down.append(value)

    def close_idle(self, patience: float = CAP) -> None:
        for each in sorted(
            idle_of(self.cache._view, patience, "it was closed"), key=lambda each: -each.loaded
        ):
            each.let_go()


@pytest.fixture
def rig() -> Rig:
    return Rig()


def test_what_awaits_its_turn_can_be_leased_no_more(rig: Rig) -> None:
    def lease() -> None:
        with pytest.raises(KeyError), rig.cache.lease("a"):
            leased.append("a")

    leased: list[str] = []
    rig.meanwhile["b"] = lease
    rig.close_idle()
    assert ["b", "a"] == rig.torn_down
    assert not leased


def test_what_is_leased_goes_with_its_lease(rig: Rig) -> None:
    with rig.cache.lease("b"):
        rig.close_idle()
        assert ["a"] == rig.torn_down
    assert ["a", "b"] == rig.torn_down
    with pytest.raises(ClosedError):
        rig.cache["c"] = "c"


def test_all_are_removed_once_and_as_closed(rig: Rig) -> None:
    rig.close_idle()
    rig.close_idle()
    assert [("b", RemovalCause.CLOSED), ("a", RemovalCause.CLOSED)] == [
        (removal.key, removal.cause) for removal in rig.told
    ]
    stats = rig.cache.stats()
    assert 0 == stats.live == stats.retired == stats.dying
    assert_consistent(rig.cache)


def test_the_end_of_the_process_takes_over_what_awaits_its_turn(rig: Rig) -> None:
    def end() -> None:
        for each in all_of(rig.cache._view, 0, "it was closed"):
            if each.key == "a":
                each.let_go()

    rig.meanwhile["b"] = end
    rig.close_idle()
    assert ["a", "b"] == rig.torn_down


@pytest.mark.race
def test_what_another_thread_does_not_get_torn_down_is_overdue(rig: Rig) -> None:
    begun, go = threading.Event(), threading.Event()
    rig.meanwhile["a"] = lambda: (begun.set(), go.wait(CAP))
    other = threading.Thread(target=rig.cache.evict, kwargs={"key": "a"})
    other.start()
    assert begun.wait(CAP)
    with pytest.raises(Overdue, match="another thread"):
        rig.close_idle(patience=0)
    assert ["b"] == rig.torn_down
    go.set()
    other.join(CAP)
    assert ["b", "a"] == rig.torn_down
