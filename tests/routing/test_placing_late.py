"""Backlog: requests wait for a slot, go in rounds, and none starves."""

from __future__ import annotations

from routers import UNTOLD, backlog, taken


def test_requests_wait_while_no_slot_is_free() -> None:
    of = backlog(1)
    for number in range(3):
        of.submit("a", number)
    assert ([0], 2) == ([p.request for p in taken(of)], len(of))


def test_requests_wait_while_there_are_no_workers() -> None:
    of = backlog(0)
    of.submit("a", 1)
    assert (None, 1) == (of.take(), len(of))
    of.add("w", warm=["a"])
    assert [("w", 1)] == [(p.worker, p.request) for p in taken(of)]


def test_requests_for_one_key_start_in_order() -> None:
    of, order = backlog(1), []
    for number in range(5):
        of.submit("a", number)
    while len(order) < 5:
        for placement in taken(of):
            order.append(placement.request)
            of.done(placement)
    assert [0, 1, 2, 3, 4] == order


def test_a_request_waits_for_a_busy_worker_that_has_its_key_warm() -> None:
    of = backlog(2)
    of.submit("a")
    [first] = taken(of)
    of.submit("a")
    assert [] == taken(of)
    of.done(first)
    [second] = taken(of)
    assert (first.worker, False) == (second.worker, second.cold)


def test_a_key_that_many_wait_for_gets_another_worker() -> None:
    of = backlog(3)
    for _ in range(6):  # one runs; four may wait, 2 * sqrt(4)
        of.submit("hot")
    assert [True, True] == [placement.cold for placement in taken(of)]


def test_what_becomes_warm_on_an_idle_worker_starts_there() -> None:
    of = backlog(1)
    of.submit("a")
    [busy] = taken(of)
    of.submit("a")
    of.add("new", warm=["b"])
    assert [] == taken(of)
    of.changed("new", warmed=["a"])
    assert ["new"] == [placement.worker for placement in taken(of)]
    assert busy.worker == 0


def test_what_is_evicted_from_a_busy_worker_starts_on_an_idle_one() -> None:
    of = backlog(1)
    of.add("busy", warm=["a", "b"])
    of.submit("b")
    [first] = taken(of)
    of.submit("a")
    assert ("busy", []) == (first.worker, taken(of))
    of.changed("busy", evicted=["a"])
    assert [0] == [placement.worker for placement in taken(of)]


def test_what_a_lost_worker_ran_starts_before_what_came_later() -> None:
    of = backlog(1)
    for number in range(4):
        of.submit("a", number)
    taken(of)
    of.submit("b", 4)
    [lost] = of.remove(0)
    of.again(lost)
    of.add("new")
    order = []
    while len(of):
        for placement in taken(of):
            order.append(placement.request)
            of.done(placement)
    assert [0, 1, 2, 3, 4] == order


def test_what_starts_again_takes_its_key_to_its_old_place_in_line() -> None:
    of = backlog(1)
    of.submit("a", 1)
    [lost] = taken(of)
    of.remove(0)
    of.submit("b", 2)
    of.submit("a", 3)
    of.again(lost)
    of.add("new")
    assert [1] == [placement.request for placement in taken(of)]


def test_after_a_round_the_oldest_goes_first_though_it_is_warm() -> None:
    of = backlog(1)
    of.submit("a")
    [running] = taken(of)
    for _ in range(20):
        of.submit("a")
        of.done(running)
        [running] = taken(of)
    of.submit("a", "older")
    of.submit("b", "in line")
    of.done(running)
    assert ["older"] == [placement.request for placement in taken(of)]


def test_who_withdraws_does_not_start() -> None:
    of = backlog(1)
    requests = [object() for _ in range(3)]
    for request in requests:
        of.submit("a", request)
    [first] = taken(of)
    assert of.withdraw("a", requests[1])
    assert not of.withdraw("a", requests[1])
    assert not of.withdraw("a", requests[0])
    assert not of.withdraw("b", requests[2])
    of.done(first)
    assert [requests[2]] == [placement.request for placement in taken(of)]


def test_with_fewer_slots_than_keys_requests_are_grouped_by_key() -> None:
    of, loads = backlog(2), 0
    for number in range(120):
        of.submit(f"model {number % 6}")
    while len(of):
        for placement in taken(of):
            loads += placement.cold
            of.report(placement.worker, [placement.key])  # it keeps one
            of.done(placement)
    assert loads <= 8


def test_a_flood_of_a_warm_key_does_not_starve_a_cold_one() -> None:
    of = backlog(1)
    of.submit("hot")
    [running] = taken(of)
    of.submit("cold", "cold")
    passed = 0
    while running.request != "cold":
        of.submit("hot", "hot")
        of.done(running)
        [running] = taken(of)
        passed += 1
    assert UNTOLD + 1 == passed


def test_a_flood_of_new_keys_does_not_starve_a_warm_one() -> None:
    of = backlog(1)
    of.submit("warm")
    [running] = taken(of)
    of.submit("warm", "warm")
    for number in range(50):
        of.submit(f"model {number}", number)
    of.done(running)
    assert ["warm"] == [placement.request for placement in taken(of)]
