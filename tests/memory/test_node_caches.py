"""Caches of several processes share one budget of a node: who gives, who gets, who is refused."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import pytest
from node_caches import NAME, CacheProcess, Sharer, Value
from node_members import Member, until

from warmcache import CapacityError, RemovalCause, warm
from warmcache.testing import FakeProbe

CAP = 5.0
Make = Callable[..., Sharer]
Other = Callable[..., CacheProcess]


def ledger(tmp_path: Path) -> Path:
    """Return the folder in which the processes of these tests meet."""
    return next(each for each in tmp_path.iterdir() if each.is_dir())


# -- who gives -------------------------------------------------------------------------


def test_what_is_idle_in_another_process_goes_as_an_eviction_of_the_node(
    sharer: Make, other: Other
) -> None:
    a, b = other(), sharer()
    a.tell("load", "a", 90)
    assert "" == b.load("b", 50)
    until(lambda: [["a", "NODE"]] == a.tell("gone"))  # which is told afterwards
    assert RemovalCause.NODE.evicted
    assert (2, 50, 100, 0) == b.node() == (*a.tell("node"),)


@pytest.mark.race
def test_a_load_begins_only_when_the_teardown_in_the_other_process_has_returned(
    sharer: Make, other: Other
) -> None:
    a, b = sharer(), other()
    entered, go_on = threading.Event(), threading.Event()

    def teardown(value: Value) -> None:
        entered.set()
        assert go_on.wait(CAP)

    a.loader(90, teardown=teardown)("a")
    b.begin("load", "b", 50)
    assert entered.wait(CAP)
    assert 90 == a.node()[1] and 1 == a.node()[3]
    go_on.set()
    assert "" == b.answer()
    assert 50 == a.node()[1]


@pytest.mark.parametrize("cheap", ["ours", "theirs"])
def test_the_cheapest_entry_over_all_processes_goes(cheap: str, sharer: Make, other: Other) -> None:
    here, there = sharer(), other()
    here.load("ours", 50, 0.001 if cheap == "ours" else 1e6)
    there.tell("load", "theirs", 50, 1.0)
    assert "" == here.load("new", 50)
    until(lambda: [["theirs", "NODE"]] * (cheap == "theirs") == there.tell("gone"))
    assert [("ours", "NODE")] * (cheap == "ours") == here.gone()


def test_a_device_that_shows_what_other_processes_have_keeps_nobody_from_asking_them(
    sharer: Make, other: Other
) -> None:
    here, there = sharer(probe=FakeProbe(100, name=NAME), wait=1.0), other()
    there.tell("load", "theirs", 90)
    here.probe.foreign = 90
    assert "" == here.load("new", 50)
    until(lambda: [["theirs", "NODE"]] == there.tell("gone"))
    here.probe.foreign = 60  # somebody's who takes no part
    assert here.load("newer", 60)


def test_what_goes_of_ones_own_says_what_it_goes_for(sharer: Make, other: Other) -> None:
    here, there = sharer(), other()
    here.load("ours", 50), there.tell("lease", "theirs", 50)
    here.load("new", 50)
    assert "load('new')" == str(here.removals[0].wanted_by)


def test_nothing_goes_where_all_that_is_idle_would_not_do(sharer: Make, other: Other) -> None:
    here, there = sharer(wait=0.3), other()
    here.load("ours", 20), there.tell("lease", "held", 60), there.tell("load", "theirs", 10)
    assert here.load("new", 60)
    assert [] == here.gone() == there.tell("gone")


def test_a_floor_is_never_asked_for(sharer: Make, other: Other) -> None:
    here, there = sharer(wait=0.5), other(floor=60)
    there.tell("load", "a", 30), there.tell("load", "b", 60)
    assert "" == here.load("c", 40)
    until(lambda: [["a", "NODE"]] == there.tell("gone"))
    assert here.load("d", 50) and ["b"] == there.tell("warm")


@pytest.mark.parametrize("protected", [dict(floor=60), dict(min_residency=3600)])
def test_what_protects_an_entry_from_others_does_not_protect_it_from_its_own_cache(
    protected: dict[str, Any], sharer: Make, other: Other
) -> None:
    here, there = sharer(wait=0.5, **protected), other()
    there.tell("lease", "theirs", 40), here.load("ours", 60)
    assert "" == here.load("new", 40)
    assert [("ours", "NODE")] == here.gone()


def test_what_another_cache_of_the_process_protects_is_not_asked_for(
    sharer: Make, other: Other
) -> None:
    there = other()
    there.tell("lease", "theirs", 40)
    protected = sharer(floor=60)
    protected.load("kept", 60)
    assert sharer(probe=protected.probe, wait=0.3).load("new", 10)
    assert ["kept"] == protected.warm()


def test_several_entries_go_where_one_does_not_do_and_no_more_than_are_needed(
    sharer: Make, other: Other
) -> None:
    a, b = other(), sharer()
    for key in "vwxyz":
        a.tell("load", key, 20)
    assert "" == b.load("b", 50)
    until(lambda: 3 == len(a.tell("gone")))
    assert 2 == len(a.tell("warm"))


def test_two_processes_that_ask_at_once_both_get_room(sharer: Make, other: Other) -> None:
    owner, one, two = sharer(), other(), other()
    for key in "abcde":
        owner.load(key, 20)
    one.begin("load", "one", 40), two.begin("load", "two", 40)
    assert "" == one.answer() and "" == two.answer()
    assert 1 == len(owner.warm()) and 100 == owner.node()[1]


def test_a_ledger_that_is_no_cache_gets_room_too(tmp_path: Path, sharer: Make) -> None:
    here = sharer()
    here.load("a", 90)
    member = Member(ledger(tmp_path))
    try:
        assert "granted" == member.lease(50)
    finally:
        member.close()
    until(lambda: [("a", "NODE")] == here.gone())


# -- who is refused ----------------------------------------------------------------------


def test_where_all_is_leased_the_error_names_processes_and_bytes(
    sharer: Make, other: Other
) -> None:
    here, there = sharer(wait=0.3), other()
    there.tell("lease", "theirs", 70), here.lease("ours", 20)
    text = here.load("new", 50)
    assert "'new'" in text and "needs 50" in text
    assert f"process {there.pid} has 70" in text and f"process {os.getpid()} has 20" in text
    assert "of 100" in text and "for all of this node" in text
    assert "wait=" in text
    assert (2, 90, 100, 0) == here.node()  # nobody waits any more


def test_a_lease_that_ends_in_another_process_lets_who_waits_go_on(
    sharer: Make, other: Other
) -> None:
    here, there = sharer(), other()
    here.lease("ours", 70)
    there.begin("load", "theirs", 50)
    until(lambda: here.node()[3])
    here.release("ours")
    assert "" == there.answer()
    until(lambda: [("ours", "NODE")] == here.gone())


def test_more_than_all_may_have_is_refused_at_once(sharer: Make, other: Other) -> None:
    here, there = sharer(), other(budget=60)
    there.tell("load", "a", 10)
    with pytest.raises(CapacityError) as refused:
        here.loader(80)("b")
    assert "more than all of them may have together" in str(refused.value)
    assert ["a"] == there.tell("warm")


def test_what_the_cache_itself_has_waited_for_counts_as_waited(
    sharer: Make, other: Other, start: Callable[..., Future[Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    here, there = sharer(wait=60.0), other()
    there.tell("lease", "theirs", 50)
    granted: list[float] = []
    member = here.cache._view.meter.member  # type: ignore[union-attr]
    agree = member.agree

    def noted(cache: Any, flight: Any, wait: float) -> Any:
        granted.append(wait)
        return agree(cache, flight, 0)

    monkeypatch.setattr(member, "agree", noted)
    here.lease("ours", 40)
    here.cache._view.wait = 2.0
    loading = start(here.load, "new", 80)
    until(lambda: here.cache.stats().waits)
    threading.Event().wait(0.02)
    here.release("ours")
    assert loading.result(CAP)
    assert granted[-1] <= 2.0 - 0.02


def test_an_owner_that_is_stopped_is_passed_over(sharer: Make, other: Other) -> None:
    stopped, awake, here = other(), other(), sharer()
    stopped.tell("load", "cheap", 50, 1.0), awake.tell("load", "dear", 50, 1e6)
    stopped.stop()
    assert "" == here.load("new", 40)
    until(lambda: [["dear", "NODE"]] == awake.tell("gone"))


def test_where_only_a_stopped_process_could_give_there_is_an_error_and_no_hang(
    sharer: Make, other: Other
) -> None:
    stopped, here = other(), sharer(wait=1.5)
    stopped.tell("load", "a", 60), stopped.tell("load", "b", 30)
    assert "" == here.load("old", 40)  # for which it says what else is idle
    stopped.stop()
    assert f"asked in vain: process {stopped.pid}" in here.load("new", 80)


def test_what_a_killed_process_had_is_room(sharer: Make, other: Other) -> None:
    killed, here = other(), sharer()
    killed.tell("lease", "a", 90)
    here.load("b", 10)
    killed.kill()
    assert "" == here.load("new", 90)


# -- one budget, and who sees it ---------------------------------------------------------


def test_the_least_budget_counts_and_is_warned_of_once(
    sharer: Make, other: Other, caplog: pytest.LogCaptureFixture
) -> None:
    here, there = sharer(), other(budget=60)
    there.tell("load", "a", 10)
    here.load("b", 10), here.load("c", 10)
    assert 60 == here.node()[2]
    assert 1 == caplog.text.count("have different budgets")


def test_without_node_a_cache_shares_nothing(tmp_path: Path, sharer: Make, other: Other) -> None:
    other().tell("lease", "a", 90)
    alone = sharer(node=False)
    assert "" == alone.load("b", 90)
    assert alone.cache.node is None
    assert sharer(node=None).cache.node is None


def test_true_means_the_folder_of_the_environment(
    tmp_path: Path, sharer: Make, other: Other, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WARMCACHE_NODE", str(tmp_path))
    there, here = other(), sharer(node=True)
    there.tell("load", "a", 90)
    here.load("b", 50)
    until(lambda: [["a", "NODE"]] == there.tell("gone"))


def test_devices_have_budgets_of_their_own(sharer: Make, other: Other) -> None:
    from warmcache.testing import FakeProbe

    other().tell("lease", "a", 90)
    assert "" == sharer(probe=FakeProbe(10_000, name=f"not {NAME}")).load("b", 90)


def test_a_hit_runs_the_same_code_with_a_node_as_without(sharer: Make) -> None:
    with_node, without = sharer().loader(10), sharer(node=False).loader(10)
    assert with_node.__code__ is without.__code__ or with_node.__code__ == without.__code__


def test_a_hit_asks_the_ledger_for_nothing(sharer: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    here = sharer()
    load = here.loader(10)
    first = load("a")
    opened: list[object] = []
    with monkeypatch.context() as within:
        inside = "warmcache._node.membership.Membership.inside"
        within.setattr(inside, lambda *_, **__: opened.append("inside"))
        assert first is load("a")
    assert [] == opened


def test_a_budget_of_the_machines_memory_is_shared_as_well(tmp_path: Path, other: Other) -> None:
    @warm(policy="ram", budget="1GiB", node=tmp_path, size="1MiB", wait=0)
    def load() -> bytes:
        return b""

    load()
    assert load.cache is not None
    status = load.cache.node
    assert status is not None and (1, 2**20, 2**30) == status[:3]
    load.cache.close()
