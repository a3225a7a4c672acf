"""The bound is one: nobody pays less, not even who knows all requests and tries everything."""

from __future__ import annotations

import math
import random
from functools import cache

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from replays import paid, trace

from warmcache._simulation.offline_bound import offline_bound
from warmcache._simulation.trace_file import Trace


def made(keys: list[str], sizes: dict[str, float], seconds: dict[str, float]) -> Trace:
    return Trace("made", [float(n) for n in range(len(keys))], keys, sizes, seconds)


def least(trace: Trace, budget: float) -> float:
    """Return what the best of all ways to serve a tiny trace pays, by trying them."""
    keys, sizes = trace.keys, trace.sizes

    def parts(held: frozenset[str]) -> list[frozenset[str]]:
        """Return all that may be kept of it."""
        some = [frozenset[str]()]
        for key in held:
            some += [kept | {key} for kept in some]
        return [kept for kept in some if sum(sizes[key] for key in kept) <= budget]

    @cache
    def pay(at: int, held: frozenset[str]) -> float:
        if at == len(keys):
            return 0.0
        key = keys[at]
        missed = 0.0 if key in held else trace.seconds[key]
        return missed + min(pay(at + 1, kept) for kept in parts(held | {key}))

    return pay(0, frozenset())


@pytest.mark.oracle
@pytest.mark.property
@settings(max_examples=150)
@given(
    keys=st.lists(st.sampled_from("abcd"), min_size=1, max_size=12),
    sizes=st.lists(st.integers(0, 4), min_size=4, max_size=4),
    seconds=st.lists(st.integers(0, 9), min_size=4, max_size=4),
    budget=st.integers(0, 9),
)
def test_nobody_pays_less_than_the_bound(
    keys: list[str], sizes: list[int], seconds: list[int], budget: int
) -> None:
    tiny = made(
        keys,
        dict(zip("abcd", map(float, sizes), strict=True)),
        dict(zip("abcd", map(float, seconds), strict=True)),
    )
    bound = offline_bound(tiny, budget)
    assert bound <= least(tiny, budget) + 1e-9
    first = sum(tiny.seconds[key] for key in {*keys})
    assert first <= bound + 1e-6  # each has to be loaded once, and the bound knows


@pytest.mark.oracle
def test_with_things_of_one_size_the_bound_is_close_to_the_best_there_is() -> None:
    draw = random.Random(0)
    found = []
    for _ in range(20):
        keys = draw.choices("abcde", k=14)
        alike = made(keys, dict.fromkeys("abcde", 1.0), {k: draw.uniform(1, 9) for k in "abcde"})
        found.append(offline_bound(alike, 2) / least(alike, 2))
    assert max(found) <= 1 + 1e-9
    assert math.prod(found) ** (1 / len(found)) > 0.93


def test_what_has_room_is_loaded_once_and_what_has_none_each_time() -> None:
    keys = ["a", "b", "a", "b", "a"]
    both = made(keys, {"a": 2.0, "b": 3.0}, {"a": 5.0, "b": 7.0})
    assert 12 == pytest.approx(offline_bound(both, 5), abs=1e-6)
    assert 19 == pytest.approx(offline_bound(both, 2), abs=1e-6)  # "b" never fits
    assert 29 == pytest.approx(offline_bound(both, 1))


@pytest.mark.oracle
@pytest.mark.traces
@pytest.mark.parametrize("share", [0.05, 0.4])
@pytest.mark.parametrize("name", ["azfunc2019_100apps", "synth_hub60"])
def test_on_a_recorded_trace_no_policy_goes_below_it(name: str, share: float) -> None:
    bound = offline_bound(trace(name), int(trace(name).footprint * share))
    assert sum(trace(name).seconds.values()) < bound
    for policy in ("lru", "gdsf", "cost"):
        assert bound < paid(name, policy, share).load_seconds
