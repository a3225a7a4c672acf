"""Routing: where requests go, what is booked, what waits, and for how long."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from warmcache.routing import Backlog, Placement, Router

Anything = Router[Any, Any] | Backlog[Any, Any]
ANY = pytest.mark.parametrize("make", [Router, Backlog])
UNTOLD = 8.0  # patience before anything is known


def router(workers: int = 2, slots: int = 1) -> Router[int, str]:
    made: Router[int, str] = Router()
    for worker in range(workers):
        made.add(worker, slots)
    return made


def backlog(workers: int = 2, slots: int = 1) -> Backlog[int, str]:
    made: Backlog[int, str] = Backlog()
    for worker in range(workers):
        made.add(worker, slots)
    return made


def taken(of: Backlog[Any, Any]) -> list[Placement[Any, Any]]:
    return list(iter(of.take, None))


def place(of: Anything, key: Any) -> Placement[Any, Any]:
    """Return where a request for ``key`` runs that nothing holds up."""
    if isinstance(of, Router):
        return of.pick(key)
    of.submit(key)
    placement = of.take()
    assert placement is not None
    return placement


def kept(of: Anything) -> dict[str, Any]:
    """Return what is left in the books."""
    left: dict[str, Any] = {"models": dict(of._models)}
    for worker in of._workers.values():
        left[f"of {worker.name}"] = (len(worker.placed), dict(worker.booked), worker.loading)
    return left


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
    with pytest.raises(ValueError, match="one slot or more"):
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


# -- placing at once ------------------------------------------------------------------


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


# -- placing late ---------------------------------------------------------------------


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


# -- against naive models ---------------------------------------------------------------

WORKERS, KEYS = st.integers(0, 4), st.sampled_from("abcdef")


class Books(RuleBasedStateMachine):
    """What both routers promise, against sets that are scanned."""

    def __init__(self) -> None:
        super().__init__()
        self.router: Anything = self.made()
        self.warm: dict[int, set[str]] = {}
        self.slots: dict[int, int] = {}
        self.ever: list[Placement[Any, Any]] = []
        self.running: list[Placement[Any, Any]] = []
        self.submitted = self.ended = 0

    def made(self) -> Anything:
        raise NotImplementedError

    def at(self, worker: int) -> list[Placement[Any, Any]]:
        return [placement for placement in self.running if placement.worker == worker]

    def free(self) -> set[int]:
        return {worker for worker in self.warm if len(self.at(worker)) < self.slots[worker]}

    def note(self, placement: Placement[Any, Any]) -> None:
        assert placement.cold == (placement.key not in self.warm[placement.worker])
        self.warm[placement.worker].add(placement.key)
        self.running.append(placement)
        self.ever.append(placement)

    @rule(worker=WORKERS, slots=st.integers(1, 3), warm=st.sets(KEYS))
    def add(self, worker: int, slots: int, warm: set[str]) -> None:
        if worker not in self.warm:
            self.router.add(worker, slots, warm)
            self.warm[worker], self.slots[worker] = set(warm), slots

    @rule(worker=WORKERS, warmed=st.sets(KEYS), evicted=st.sets(KEYS))
    def changed(self, worker: int, warmed: set[str], evicted: set[str]) -> None:
        self.router.changed(worker, warmed, evicted)
        self.now_warm(worker, warmed | (self.warm.get(worker, set()) - evicted))

    @rule(worker=WORKERS, warm=st.sets(KEYS))
    def report(self, worker: int, warm: set[str]) -> None:
        self.router.report(worker, warm)
        self.now_warm(worker, warm)

    def now_warm(self, worker: int, warm: set[str]) -> None:
        if worker in self.warm:
            self.warm[worker] = warm | {placement.key for placement in self.at(worker)}

    @precondition(lambda self: self.ever)
    @rule(data=st.data(), warm=st.booleans())
    def done(self, data: st.DataObject, warm: bool) -> None:
        placement = data.draw(
            st.sampled_from(self.running or self.ever) | st.sampled_from(self.ever)
        )
        self.router.done(placement, warm=warm)
        if placement in self.running:
            self.running.remove(placement)
            self.ended += 1
            if not warm and all(p.key != placement.key for p in self.at(placement.worker)):
                self.warm[placement.worker].discard(placement.key)

    @rule(worker=WORKERS)
    def remove(self, worker: int) -> None:
        if worker in self.warm:
            lost = self.router.remove(worker)
            assert self.at(worker) == lost
            self.running = [p for p in self.running if p.worker != worker]
            del self.warm[worker], self.slots[worker]
            self.lost(worker, lost)

    def lost(self, worker: int, lost: list[Placement[Any, Any]]) -> None:
        raise NotImplementedError

    @invariant()
    def the_books_are_right(self) -> None:
        fleet = self.router
        assert self.warm == {
            name: {model.key for model in worker.warm} for name, worker in fleet._workers.items()
        }
        for key, model in fleet._models.items():
            assert key == model.key
            assert model.homes or model.waiting
            assert model.slots == sum(worker.slots for worker in model.homes)
            assert [*range(len(model.homes))] == [w.warm[model] for w in model.homes]
        for name, worker in fleet._workers.items():
            assert self.at(name) == [*worker.placed]
            booked = [model.key for model, count in worker.booked.items() for _ in range(count)]
            assert sorted(p.key for p in self.at(name)) == sorted(booked)
            assert sum(p.cold for p in self.at(name)) == worker.loading
            assert sum(p.cost for p in self.at(name)) == pytest.approx(worker.work)
        assert [*range(len(fleet._idle))] == [worker.place for worker in fleet._idle]
        assert {worker.name for worker in fleet._idle} <= self.free()
        assert all(w.turns.keys() <= w.warm.keys() for w in fleet._workers.values())


class RouterMachine(Books):
    def made(self) -> Router[int, str]:
        return Router()

    def density(self, worker: int) -> float:
        return sum(placement.cost for placement in self.at(worker)) / self.slots[worker]

    @precondition(lambda self: self.warm)
    @rule(key=KEYS)
    def pick(self, key: str) -> None:
        assert isinstance(self.router, Router)
        density = {worker: self.density(worker) for worker in self.warm}
        free, least = self.free(), min(density.values())
        homes = {worker for worker in self.warm if key in self.warm[worker]}
        near = {w for w in homes if density[w] <= least + self.router.patience + 1e-9}
        chosen = self.router.pick(key)
        if near and len(homes) <= 4:
            assert chosen.worker in near, "it is warm on one that is not too busy"
            assert density[chosen.worker] <= min(density[w] for w in near) + 1e-9
        elif near:
            assert chosen.worker in near | free or density[chosen.worker] <= least + 1e-9
        elif free - homes:
            assert chosen.worker in free - homes
        else:
            assert density[chosen.worker] <= least + 1e-9
        self.submitted += 1
        self.note(chosen)

    def lost(self, worker: int, lost: list[Placement[Any, Any]]) -> None:
        for placement in lost:
            self.submitted -= 1
            if self.warm:
                self.pick(placement.key)

    @invariant()
    def no_request_is_lost(self) -> None:
        assert self.submitted == self.ended + len(self.running)


class BacklogMachine(Books):
    def made(self) -> Backlog[int, str]:
        self.waiting: list[tuple[int, str]] = []  # requests are numbers: the order they came in
        self.rounds: dict[int, tuple[int, int]] = {}  # the last that waited, how many were served
        return Backlog()

    @rule(keys=st.lists(KEYS, min_size=1, max_size=8))
    def submit(self, keys: list[str]) -> None:
        assert isinstance(self.router, Backlog)
        for key in keys:
            self.submitted += 1
            self.router.submit(key, self.submitted)
            self.waiting.append((self.submitted, key))

    @rule(at=st.integers(0, 20))
    def withdraw(self, at: int) -> None:
        assert isinstance(self.router, Backlog)
        if at < len(self.waiting):
            number, key = self.waiting.pop(at)
            assert self.router.withdraw(key, number)
            self.ended += 1

    def lost(self, worker: int, lost: list[Placement[Any, Any]]) -> None:
        assert isinstance(self.router, Backlog)
        self.rounds.pop(worker, None)
        for placement in lost:
            self.router.again(placement)
            self.waiting.append((placement.request, placement.key))

    def oldest(self, keys: Iterable[str]) -> int | None:
        among = {*keys}
        return min((number for number, key in self.waiting if key in among), default=None)

    def wanting(self) -> set[str]:
        """Return the keys that more wait for than those who have them are for."""
        keys = [key for _, key in self.waiting]
        slots = {k: sum(self.slots[w] for w in self.warm if k in self.warm[w]) for k in keys}
        return {key for key in keys if keys.count(key) > UNTOLD / 2 * slots[key]}

    @rule()
    def take(self) -> None:
        assert isinstance(self.router, Backlog)
        free, wanting = self.free(), self.wanting()
        chosen = self.router.take()
        if chosen is None:
            for worker in free:
                assert self.oldest(self.warm[worker]) is None, "it is warm on a free slot"
                assert wanting <= self.warm[worker], "a slot is idle, and a key wants one"
            return
        worker = chosen.worker
        assert worker in free
        assert chosen.request == self.oldest([chosen.key]), "those of one key go in order"
        warm, line = self.oldest(self.warm[worker]), self.oldest(wanting)
        if chosen.cold:
            assert chosen.request == line, "not the oldest in line"
            assert warm is None or chosen.request < warm, "passes what is warm there"
            self.rounds[worker] = (self.submitted, 0)
        else:
            last, served = self.rounds.get(worker, (0, 0))
            assert chosen.request == warm, "not the oldest of those that are warm there"
            if line is not None and line < chosen.request:
                assert chosen.request <= last or served < UNTOLD, "passes one in line"
            self.rounds[worker] = (last, served + 1)
        self.waiting.remove((chosen.request, chosen.key))
        self.note(chosen)

    @rule()
    def take_all(self) -> None:
        before = -1
        while before != (before := len(self.waiting)):
            self.take()

    @invariant()
    def no_request_is_lost(self) -> None:
        assert isinstance(self.router, Backlog)
        assert len(self.waiting) == len(self.router)
        assert self.submitted == self.ended + len(self.running) + len(self.waiting)


for _machine in (RouterMachine, BacklogMachine):
    _case = _machine.TestCase
    _case.settings = settings(max_examples=100, stateful_step_count=50, deadline=None)
TestRouter = RouterMachine.TestCase
TestBacklog = BacklogMachine.TestCase
