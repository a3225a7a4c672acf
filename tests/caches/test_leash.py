"""The leash: at no moment of any trace more than its share beyond what LRU would have paid."""

from __future__ import annotations

import random
from typing import Any

import pytest
from generated_traces import KINDS, budgets, things
from leashed import Replay, TrueLRU, assert_on_its_leash

from warmcache.caches.known_keys import GHOSTS
from warmcache.caches.leash import WIDTH

LONG = 5_000  # requests from which on a lazy leash has to hold


def ratio(replay: Any, lru: TrueLRU) -> float:
    return float(replay.paid / lru.paid)


# -- exact: proven --------------------------------------------------------------------


@pytest.mark.oracle
@pytest.mark.parametrize("kind", KINDS)
def test_where_each_use_is_told_the_shadow_is_lru_and_the_leash_holds_at_every_step(
    kind: str,
) -> None:
    draw = random.Random(kind)
    keys = KINDS[kind](draw, 600)
    size = things(draw, keys, "lognormal")
    limit = budgets([each for each, _ in size.values()])[2]
    replay, lru = Replay(limit, exact=True), TrueLRU(limit)
    for key in keys:
        replay.ask(key, *size[key])
        lru.ask(key, *size[key])
        assert_on_its_leash(replay.leash)
        assert abs(replay.leash.lru - lru.paid) < 1e-9 * lru.paid
        assert abs(replay.leash.paid - replay.paid) < 1e-9 * replay.paid
        assert [*lru.held] == [record.key for record in replay.leash.shadow.in_order()]


class Adversary:
    """Asks for what true LRU holds and we lack, the dearest or any; else for something new."""

    def __init__(self, seed: int, *, exact: bool) -> None:
        self.draw = random.Random(seed)
        self.replay, self.lru = Replay(60, exact=exact), TrueLRU(60)
        self.things: dict[int, tuple[float, float]] = {}

    def ask(self) -> None:
        lacking = [key for key in self.lru.held if key not in self.replay.live]
        if lacking and self.draw.random() < 0.9:
            dearest = max(lacking, key=lambda key: self.things[key][1])
            key = dearest if self.draw.random() < 0.5 else self.draw.choice(lacking)
        else:  # bait: what was hammered, or will not come back
            key = self.draw.randrange(40 if self.draw.random() < 0.7 else 400)
        if key not in self.things:
            seconds = self.draw.lognormvariate(0, 1.5)
            self.things[key] = self.draw.choice([1, 2, 4, 8]), seconds
        for _ in range(self.draw.choice([1, 1, 1, 4])):
            self.replay.ask(key, *self.things[key])
            self.lru.ask(key, *self.things[key])


@pytest.mark.parametrize("seed", range(3))
def test_an_adversary_who_knows_what_lru_holds_is_paid_no_more_than_the_leash(seed: int) -> None:
    adversary = Adversary(seed, exact=True)
    for _ in range(700):
        adversary.ask()
        assert_on_its_leash(adversary.replay.leash)
        assert ratio(adversary.replay, adversary.lru) <= 1 + WIDTH + 1e-9


# -- lazy: measured ---------------------------------------------------------------------


def worst(kind: str, seed: int, costs: str, sigma: float, requests: int, every: int) -> float:
    """Return the most that was paid beside LRU, at any budget, from ``LONG`` requests on."""
    draw = random.Random(f"{kind} {seed}")
    keys = KINDS[kind](draw, requests)
    size = things(draw, keys, costs)
    most = 0.0
    for limit in budgets([each for each, _ in size.values()])[::every]:
        replay, lru = Replay(limit), TrueLRU(limit)
        for number, key in enumerate(keys, 1):
            weight, seconds = size[key]
            if sigma:
                seconds *= draw.lognormvariate(-sigma * sigma / 2, sigma)
            replay.ask(key, weight, seconds)
            lru.ask(key, weight, seconds)
            if number >= LONG:
                most = max(most, ratio(replay, lru))
        known = replay.choice.known
        assert len(known.lacking) + len(known.gone) <= GHOSTS * known._most
    return most


HARD = ["loop2", "loops", "churn", "trap", "recent3", "newest"]


@pytest.mark.oracle
@pytest.mark.parametrize("kind", HARD)
def test_hits_that_are_noticed_late_cost_no_more_than_a_twentieth(kind: str) -> None:
    assert worst(kind, 1, "mixed", 0, LONG, every=4) <= 1.05


@pytest.mark.oracle
@pytest.mark.traces
@pytest.mark.timeout(600)
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("costs", ["mixed", "lognormal", "few dear"])
def test_no_kind_of_trace_costs_more_than_a_twentieth_beyond_lru(kind: str, costs: str) -> None:
    for seed in (1, 2):
        assert worst(kind, seed, costs, 0, 8_000, every=2) <= 1.05


@pytest.mark.oracle
@pytest.mark.traces
@pytest.mark.timeout(600)
@pytest.mark.parametrize("kind", KINDS)
def test_nor_where_load_seconds_vary_from_load_to_load(kind: str) -> None:
    assert worst(kind, 1, "mixed", 0.7, 8_000, every=2) <= 1.05


@pytest.mark.traces
@pytest.mark.timeout(600)
@pytest.mark.parametrize("seed", range(6))
def test_nor_does_an_adversary_find_a_way(seed: int) -> None:
    adversary = Adversary(seed, exact=False)
    for number in range(8_000):
        adversary.ask()
        if number >= LONG:
            assert ratio(adversary.replay, adversary.lru) <= 1.05
