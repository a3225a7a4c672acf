"""What the next load of a key may take, where loads of one key vary."""

from __future__ import annotations

import random

import pytest

from warmcache.caches.known_keys import new_key
from warmcache.caches.load_seconds import LoadSeconds


def learned(draw: random.Random, *, sigma: float) -> tuple[LoadSeconds, list[float]]:
    """Load 400 keys twice; return what was learned, and two sums over the dearest tenth.

    What is expected of them, and their plain means, each beside what they really take.
    """
    seconds, records = LoadSeconds(), [new_key(key) for key in range(400)]
    truths = [draw.lognormvariate(0, 1) for _ in records]
    for _ in range(2):
        for record, truth in zip(records, truths, strict=True):
            seconds.learn(record, truth * draw.lognormvariate(-sigma * sigma / 2, sigma))
    dearest = sorted(zip(records, truths, strict=True), key=lambda pair: -pair[0].seconds)[:40]
    expected = sum(seconds.expected(record) for record, _ in dearest)
    plain = sum(record.seconds for record, _ in dearest)
    return seconds, [each / sum(truth for _, truth in dearest) for each in (expected, plain)]


def test_where_keys_take_the_same_each_time_that_is_what_is_expected() -> None:
    _, (expected, plain) = learned(random.Random(0), sigma=0)
    assert 1 == pytest.approx(expected, abs=1e-12)
    assert 1 == pytest.approx(plain, abs=1e-12)


def test_what_was_dear_is_expected_to_have_been_so_by_chance_in_part() -> None:
    for seed in range(5):
        _, (expected, plain) = learned(random.Random(seed), sigma=0.7)
        assert plain > 1.1
        assert 0.7 < expected < 1.05


def test_where_they_hardly_vary_hardly_anything_is_drawn_to_the_mean() -> None:
    _, (expected, plain) = learned(random.Random(1), sigma=0.01)
    assert abs(expected - plain) < 0.001


def test_of_a_key_that_was_never_loaded_the_mean_is_expected() -> None:
    seconds, _ = learned(random.Random(2), sigma=0.7)
    assert seconds.mean == seconds.expected(new_key("new"))
    assert 1 == LoadSeconds().expected(new_key("new"))
