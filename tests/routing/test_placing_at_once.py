"""Router: each request is placed as it comes, and takes its turn on its worker."""

from __future__ import annotations

import pytest
from routers import UNTOLD, router


def test_with_no_workers_nothing_can_be_placed() -> None:
    with pytest.raises(LookupError, match="no worker"):
        router(0).pick("a")


def test_a_hot_key_gets_replicas_and_pins_none() -> None:
    of = router(10)
    loads = [0] * 10
    for _ in range(1000):
        loads[of.pick("hot").worker] += 1
    assert min(loads) > 0
    assert max(loads) - min(loads) <= UNTOLD + 1


def test_a_request_waits_for_its_key_no_longer_than_a_load_is_worth() -> None:
    of = router(2)
    first = [of.pick("a").worker for _ in range(5)]
    assert 1 == len({*first})  # 4 to load it, and 5 uses: 9
    assert first[0] != of.pick("a").worker


def test_all_homes_of_a_hot_key_are_used() -> None:
    of = router(16)
    for worker in range(16):
        of.changed(worker, warmed=["hot"])
    assert set(range(16)) == {of.pick("hot").worker for _ in range(16)}


def test_what_is_cold_goes_to_the_least_work_where_none_is_idle() -> None:
    of = router(2)
    placements = [of.pick(key) for key in "abcdefg"]
    heavier = placements[-1].worker
    of.pick(next(p.key for p in placements if p.worker != heavier))  # and it is known to be heavier
    for placement in placements[:-1]:
        if placement.worker == heavier:
            of.done(placement)
    assert heavier == of.pick("h").worker


def test_requests_for_one_key_share_a_turn_on_their_worker() -> None:
    of = router(1)
    turns: dict[str, set[int]] = {}
    for key in "abcabcaabbcc":
        turns.setdefault(key, set()).add(of.pick(key).turn)
    assert [1, 1, 1] == [len(numbers) for numbers in turns.values()]
    assert sorted(turns.values(), key=min) == [turns[key] for key in "abc"]


def test_no_request_is_overtaken_in_turn_by_more_than_a_turn_may_have() -> None:
    of = router(1)
    for _ in range(10):
        of.pick("hot")
    cold = of.pick("cold")
    later = [of.pick("hot").turn for _ in range(1000)]
    assert 0 < sum(turn < cold.turn for turn in later) <= 64
