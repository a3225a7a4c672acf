"""Who is lowest under cost, as of a look that was a moment ago or is due again."""

from __future__ import annotations

import random

import pytest
from leashed import Replay, Resident

from warmcache._core.state.hit_counts import HitCount
from warmcache.caches.ranking import LASTS, LOOKS


def unleashed(limit: float = 1000) -> Replay:
    """A replay whose leash is so long that the rank alone decides."""
    replay = Replay(limit, exact=True)
    replay.leash.lru = 1e12
    return replay


def evicted(replay: Replay) -> Resident:
    record = replay.choice.victim()
    assert record is not None
    resident: Resident = record.stamps
    replay.choice.evicted(record)
    replay.gone(resident)
    return resident


def test_what_arrives_below_all_that_were_ranked_goes_next() -> None:
    replay = unleashed()
    for number in range(20):
        replay.ask(f"dear {number}", 1, 100 + number)
    assert "dear 0" == evicted(replay).key
    replay.ask("cheap", 1, 1)
    assert "cheap" == evicted(replay).key


def test_what_is_used_or_leased_after_it_was_ranked_stays() -> None:
    replay = unleashed()
    for number in range(20):
        replay.ask(number, 1, 100 + 2 * number)
    assert 0 == evicted(replay).key
    used, leased = replay.live[1], replay.live[2]
    replay.now += 1
    used.hits, used.used = HitCount(1), replay.now  # as a hit does, and nobody is told
    leased.leases = ("a lease",)
    assert 3 == evicted(replay).key


def test_one_after_the_other_the_lowest_go_though_more_than_were_ranked_at_once() -> None:
    replay = unleashed()
    for number in range(4 * LOOKS):
        replay.ask(number, 1, 100 + number)
    assert [*range(3 * LOOKS)] == [evicted(replay).key for _ in range(3 * LOOKS)]


def test_some_uses_later_they_are_ranked_anew() -> None:
    replay = unleashed()
    for number in range(LOOKS):
        replay.ask(number, 1, 1e9)
    replay.ask("older", 1, 4)
    for _ in range(200):
        replay.ask(0, 1, 1e9)
    replay.ask("newer", 1, 1)  # worth more for now, and decays faster
    replay.ask("cheap", 1, 1e-9)
    assert "cheap" == evicted(replay).key
    assert "older" == lowest_of(replay).key
    for _ in range(100):
        replay.ask(0, 1, 1e9)
    assert "newer" == lowest_of(replay).key == evicted(replay).key


@pytest.mark.oracle
@pytest.mark.parametrize("seed", range(20))
def test_at_the_latest_then_the_lowest_of_all_goes(seed: int) -> None:
    draw = random.Random(seed)
    replay, names = unleashed(), iter(range(10_000))
    for _ in range(100):
        while len(replay.live) < LOOKS:
            replay.ask(next(names), 1, draw.choice([1, 1.5, 3]))
        for _ in range(draw.choice([LASTS, 100])):
            replay.ask(draw.choice([*replay.live]), 1, 1)
        assert lowest_of(replay) is evicted(replay)


def test_more_are_looked_at_in_turn_if_anything_was_used_since_the_last_load() -> None:
    replay = Replay(1000)

    def unnoticed() -> int:
        return sum(record.unnoticed > 0 for record in replay.choice.known.residents.values())

    for key in [*range(20), *range(20)]:
        replay.ask(key, 1, 1)
    assert 20 == unnoticed()
    replay.ask("after uses", 1, 1)
    assert 20 - 4 == unnoticed()
    replay.ask("at once", 1, 1)
    assert 20 - 4 - 1 == unnoticed()
    replay.ask("at once", 1, 1)
    replay.ask("after a use", 1, 1)
    assert 20 - 4 - 1 - 4 + 1 == unnoticed()


def test_what_has_left_is_dropped_as_it_comes_up_in_turn_and_so_are_keys() -> None:
    replay = unleashed(100)
    for number in range(90):
        replay.ask(f"dear {number}", 1, 1e9)
    for number in range(5_000):
        replay.ask(number, 1, 1)
    assert len(replay.choice._turns) <= 3 * 100


def test_what_has_left_as_all_is_looked_at_has_a_turn_again_once_it_is_back() -> None:
    replay = Replay(10)
    for number in range(20):
        replay.ask(number, 1, 1)
    replay.choice.look()
    for number in range(20):
        replay.ask(number, 1, 1)
        assert {*replay.choice.known.residents.values()} <= {*replay.choice._turns}


def lowest_of(replay: Replay) -> Resident:
    worth, residents = replay.choice.worth, replay.choice.known.residents
    worth.show()
    return min(replay.live.values(), key=lambda each: (worth.rank(residents[each]), each.loaded))
