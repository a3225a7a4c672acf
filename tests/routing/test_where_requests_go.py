"""Both routers: which worker a request goes to, and what is booked there."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from routers import ANY, UNTOLD, Anything, kept, place

# -- where requests go ----------------------------------------------------------------


@ANY
def test_a_request_goes_where_its_key_is_warm(make: Callable[[], Anything]) -> None:
    of = make()
    for worker in range(20):
        of.add(worker, warm=[f"model {worker}"])
    for number in (3, 17, 3, 0):
        placement = place(of, f"model {number}")
        assert (number, False) == (placement.worker, placement.cold)
        of.done(placement)


@ANY
def test_a_request_follows_one_for_the_same_key_that_still_loads(
    make: Callable[[], Anything],
) -> None:
    of = make()
    for worker in range(5):
        of.add(worker, slots=2)
    first, second = place(of, "a"), place(of, "a")
    assert (True, False) == (first.cold, second.cold)
    assert first.worker == second.worker


@ANY
def test_a_cold_key_goes_to_an_idle_worker(make: Callable[[], Anything]) -> None:
    of = make()
    for worker in range(50):
        of.add(worker)
    placements = [place(of, f"model {number}") for number in range(50)]
    assert set(range(50)) == {placement.worker for placement in placements}


@ANY
def test_cold_keys_spread_over_the_workers_though_one_at_a_time(
    make: Callable[[], Anything],
) -> None:
    of = make()
    for worker in range(10):
        of.add(worker)
    chosen = []
    for number in range(10):
        placement = place(of, f"model {number}")
        chosen.append(placement.worker)
        of.done(placement)
    assert set(range(10)) == set(chosen)


@ANY
def test_a_load_throws_out_what_has_a_copy_elsewhere(make: Callable[[], Anything]) -> None:
    of = make()
    of.add("single", warm=["a"])
    of.add("double", warm=["b"])
    of.add("other", warm=["b"])
    for worker in ("single", "double", "other"):
        of.changed(worker, evicted=["x"], warmed=["x"])
        of.changed(worker, evicted=["x"])
    assert place(of, "new").worker != "single"


@ANY
@pytest.mark.parametrize("asked", ["baca", "cbab", "abcb"])
def test_a_load_throws_out_what_was_asked_for_longest_ago(
    make: Callable[[], Anything], asked: str
) -> None:
    of = make()
    for key in "abc":
        of.add(f"has {key}", warm=[key, "x"])
        of.changed(f"has {key}", evicted=["x"])
    for key in asked:
        of.done(place(of, key))
    assert f"has {asked[0]}" == place(of, "new").worker


@ANY
def test_two_loads_at_once_go_to_two_workers(make: Callable[[], Anything]) -> None:
    of = make()
    for worker, key in enumerate("ab"):
        of.add(worker, slots=2, warm=[key, "x"])
        of.changed(worker, evicted=["x"])
    of.done(place(of, "b"))
    assert {0, 1} == {place(of, "c").worker, place(of, "d").worker}


@ANY
def test_what_is_used_last_on_a_worker_is_not_its_next_victim(make: Callable[[], Anything]) -> None:
    of = make()
    for worker, keys in enumerate(["ab", "cd"]):
        of.add(worker, warm=[*keys, "x"])
        of.changed(worker, evicted=["x"])
    for key in "bcda":  # next to go: b, and c, which was asked for later
        of.done(place(of, key))
    assert 0 == place(of, "new").worker


@ANY
def test_a_load_goes_first_to_who_has_thrown_nothing_out_yet(make: Callable[[], Anything]) -> None:
    of = make()
    of.add("full", warm=["a", "x"])
    of.changed("full", evicted=["a", "x"])
    of.add("roomy", warm=["b", "c", "d"])
    assert "roomy" == place(of, "new").worker


@ANY
def test_what_a_worker_evicted_is_no_longer_sought_there(make: Callable[[], Anything]) -> None:
    of = make()
    of.add(0, warm=["a", "b"])
    of.add(1, warm=["c"])
    of.changed(0, evicted=["a"])
    assert place(of, "a").cold
    of.report(0, ["a"])
    assert place(of, "b").cold


@ANY
def test_a_report_of_what_is_there_is_the_whole_of_it(make: Callable[[], Anything]) -> None:
    of = make()
    of.add(0, warm=["a", "b"])
    of.add(1)
    of.report(0, ["c"])
    assert [0] == [worker.name for worker in of._models["c"].homes]
    assert {"c"} == {*of._models}


@ANY
def test_a_report_does_not_take_away_what_is_placed_there(make: Callable[[], Anything]) -> None:
    of = make()
    of.add(0, slots=2)
    of.add(1, slots=2)
    first = place(of, "a")
    of.report(first.worker, [])
    second = place(of, "a")
    assert (first.worker, False) == (second.worker, second.cold)


@ANY
def test_what_a_worker_did_not_keep_is_not_sought_there(make: Callable[[], Anything]) -> None:
    of = make()
    of.add(0)
    of.done(place(of, "a"), warm=False)
    assert place(of, "a").cold


@ANY
def test_reports_of_workers_that_have_gone_change_nothing(make: Callable[[], Anything]) -> None:
    of = make()
    of.add(0)
    of.remove(0)
    of.report(0, ["a"])
    of.changed(0, ["a"], ["b"])
    assert {"models": {}} == kept(of)


@ANY
@pytest.mark.parametrize("slots", [0, -1])
def test_a_worker_has_a_slot_at_least(make: Callable[[], Anything], slots: int) -> None:
    with pytest.raises(ValueError, match="slots must be a whole number, 1 or more"):
        make().add(0, slots)


@ANY
def test_a_worker_takes_part_once(make: Callable[[], Anything]) -> None:
    of = make()
    of.add("w")
    with pytest.raises(ValueError, match="'w' takes part already"):
        of.add("w")
    with pytest.raises(KeyError):
        of.remove("v")


# -- the books ------------------------------------------------------------------------


@ANY
def test_the_books_are_empty_once_all_is_done_and_evicted(make: Callable[[], Anything]) -> None:
    of = make()
    of.add(0, slots=3)
    placements = [place(of, key) for key in "aab"]
    for placement in placements:
        of.done(placement, seconds=1.0)
    of.report(0, [])
    assert {"models": {}, "of 0": (0, {}, 0)} == kept(of)


@ANY
def test_done_twice_counts_once(make: Callable[[], Anything]) -> None:
    of = make()
    of.add(0, slots=2)
    first, _ = place(of, "a"), place(of, "a")
    for _ in range(3):
        of.done(first)
    assert 1 == len(of._workers[0].placed)


@ANY
def test_who_comes_back_owes_nothing_for_what_it_had_before(make: Callable[[], Anything]) -> None:
    of = make()
    of.add(0)
    before = place(of, "a")
    assert [before] == of.remove(0)
    of.add(0)
    after = place(of, "b")
    of.done(before)
    assert [after] == [*of._workers[0].placed]
    assert after.cold


@ANY
def test_what_a_load_costs_is_learned_from_what_was_done(make: Callable[[], Anything]) -> None:
    of = make()
    of.add(0)
    assert UNTOLD == of.patience
    of.done(place(of, "a"), seconds=3.5, loading=3.0)
    for _ in range(3):
        of.done(place(of, "a"), seconds=0.5)
    assert 2 * 3.0 / 0.5 == of.patience


@ANY
def test_what_a_load_costs_is_learned_anew_when_it_changes(make: Callable[[], Anything]) -> None:
    of = make()
    of.add(0)
    for use, load in [(1.0, 100.0), (1.0, 10.0)]:
        for _ in range(5000):
            of.done(place(of, "a"), seconds=use + load, loading=load)
    assert 20.0 == pytest.approx(of.patience, rel=0.01)
