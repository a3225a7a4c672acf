"""A trace replayed through the real caches misses what independent simulators miss."""

from __future__ import annotations

import gzip
from pathlib import Path
from typing import Any

import pytest
from replays import paid

import warmcache
from warmcache._simulation.replay import ReplayError, replay
from warmcache._simulation.trace_file import Trace, TraceError, read_trace

SHARES = [0.05, 0.1, 0.2, 0.4]

# What libcachesim 0.3.5 misses with as many bytes; test_oracle.py asks it again.
MISSES = {
    ("azfunc2019_100apps", "lru"): [34716, 32913, 24219, 5858],
    ("azfunc2019_100apps", "fifo"): [34694, 32665, 23499, 7655],
    ("synth_hub60", "lru"): [24993, 20857, 16211, 9952],
    ("synth_hub60", "fifo"): [25982, 22268, 17838, 11443],
    ("semi_azpop300", "lru"): [136485, 132868, 116908, 36799],
    ("semi_azpop300", "fifo"): [136443, 132518, 112899, 49586],
}
# Load seconds of LRU, and of FIFO relative to it, by another simulator.
SECONDS = {
    "azfunc2019_100apps": ([80365, 76068, 54734, 12821], [1.00, 0.99, 0.98, 1.34]),
    "synth_hub60": ([151862, 124079, 88440, 54129], [1.02, 1.04, 1.09, 1.14]),
}


@pytest.mark.oracle
@pytest.mark.traces
@pytest.mark.parametrize(("name", "policy"), MISSES)
def test_lru_and_fifo_miss_exactly_what_libcachesim_misses(name: str, policy: str) -> None:
    assert MISSES[name, policy] == [paid(name, policy, share).misses for share in SHARES]


@pytest.mark.oracle
@pytest.mark.parametrize("name", SECONDS)
def test_lru_and_fifo_pay_the_load_seconds_of_the_reference(name: str) -> None:
    lru, fifo = SECONDS[name]
    ours = [paid(name, "lru", share).load_seconds for share in SHARES]
    assert lru == [round(seconds) for seconds in ours]
    theirs = [paid(name, "fifo", share).load_seconds for share in SHARES]
    assert fifo == [round(f / seconds, 2) for f, seconds in zip(theirs, ours, strict=True)]


def small(*requests: str, sizes: dict[str, float] | None = None) -> Trace:
    sizes = sizes or dict.fromkeys(requests, 1.0)
    seconds = {key: float(n) for n, key in enumerate(sizes, 1)}
    return Trace("small", [float(n) for n in range(len(requests))], [*requests], sizes, seconds)


def test_an_outcome_counts_misses_bytes_seconds_and_evictions() -> None:
    outcome = replay(small("a", "b", "a", "c", "b", sizes={"a": 1, "b": 2, "c": 3}), "lru", 3)
    assert (5, 4, 3) == (outcome.requests, outcome.misses, outcome.evictions)
    assert 1 + 2 + 3 + 2 == outcome.load_seconds
    assert 4 / 5 == outcome.miss_ratio
    assert 8 / 9 == outcome.byte_miss_ratio
    assert 3 / 6 == outcome.share


def test_what_is_larger_than_the_budget_is_loaded_every_time_and_evicts_nothing() -> None:
    outcome = replay(small("a", "huge", "a", "huge", sizes={"a": 1, "huge": 9}), "lru", 4)
    assert (3, 0) == (outcome.misses, outcome.evictions)


def test_the_clock_is_that_of_the_trace() -> None:
    class Minute(warmcache.TTLCache[Any, Any]):
        def __init__(self, maxsize: float, *, timer: Any) -> None:
            super().__init__(maxsize, 60, timer)

    warmcache.policies.register("minute")(Minute)
    try:
        late = Trace("late", [0, 59, 61, 62], ["a"] * 4, {"a": 1}, {"a": 1})
        outcome = replay(late, "minute", 4)
    finally:
        warmcache.policies.unregister("minute")
    assert (2, 1) == (outcome.misses, outcome.evictions)


def test_a_time_to_live_goes_with_every_policy() -> None:
    late = Trace("late", [0, 59, 61, 62], ["a"] * 4, {"a": 1}, {"a": 1})
    for policy in ("lru", "cost", "gdsf", "ttl"):
        assert [4, 2] == [replay(late, policy, 4, ttl=ttl).misses for ttl in (1, 60)]
    assert 1 == replay(late, "lru", 4).misses


@pytest.mark.parametrize("policy", ["ram", "gpu", "auto"])
def test_the_policy_of_a_memory_cache_is_that_by_which_its_entries_go(policy: str) -> None:
    asked_for = small(*"abacbcaabbc", sizes={"a": 1, "b": 2, "c": 3})
    assert replay(asked_for, "cost", 3).misses == replay(asked_for, policy, 3).misses


def test_a_policy_of_ones_own_ranks_by_the_size_and_load_seconds_of_the_trace() -> None:
    class Dearest(warmcache.Cache[Any, Any]):
        def rank(self, entry: warmcache.Entry) -> float:
            return entry.load_seconds / entry.weight

    warmcache.policies.register("dearest")(Dearest)
    try:
        sizes = {"slow": 2.0, "slower": 2.0, "slowest": 2.0}  # by 1, 2 and 3 seconds
        outcome = replay(small("slowest", "slow", "slower", "slowest", sizes=sizes), "dearest", 4)
    finally:
        warmcache.policies.unregister("dearest")
    assert 3 == outcome.misses


def test_a_policy_that_is_not_there_or_wants_more_is_one_line() -> None:
    with pytest.raises(ReplayError, match=r"no policy 'lrv'; did you mean 'lru'") as unknown:
        replay(small("a"), "lrv", 1)
    with pytest.raises(ReplayError, match="'ttl' cannot be simulated.*ttl") as lacking:
        replay(small("a"), "ttl", 1)
    for raised in (unknown, lacking):
        assert "\n" not in str(raised.value)


# -- reading ---------------------------------------------------------------------------


def test_sizes_and_seconds_may_be_in_the_same_file(tmp_path: Path) -> None:
    path = tmp_path / "one.csv"
    path.write_text('load_s,key,t_s,size_bytes,more\n2,"a,b",5,10,x\n,"a,b",1,,\n4,"a,b",3,12,\n')
    read = read_trace(path)
    assert ("one", [1, 3, 5], ["a,b"] * 3) == (read.name, read.times, read.keys)
    assert ({"a,b": 12}, {"a,b": 3}, 12) == (read.sizes, read.seconds, read.footprint)


def test_sizes_and_seconds_may_be_in_a_file_beside_it_gzipped_or_not(tmp_path: Path) -> None:
    with gzip.open(tmp_path / "two.csv.gz", "wt") as file:
        file.write("t_s,key\n0,a\n")
    objects = tmp_path / "two_objects.csv"
    objects.write_text("key,size_bytes,load_s\na,7,1.5\nnever asked for,9,1\n")
    read = read_trace(tmp_path / "two.csv.gz")
    assert (["a"], {"a": 7}, {"a": 1.5}) == (read.keys, read.sizes, read.seconds)
    assert 7 == read.footprint


GOOD = "t_s,key,size_bytes,load_s\n0,a,1,1\n"
BAD = {
    "nothing": ("", "columns t_s, key, size_bytes, load_s missing"),
    "no requests": ("t_s,key,size_bytes,load_s\n", "no requests"),
    "a column that is missing": ("t_s,key,size_bytes\n0,a,1\n", "column load_s missing.*beside"),
    "no time": ("key,size_bytes,load_s\na,1,1\n", "column t_s missing"),
    "a time that is none": (GOOD + "x,a,1,1\n", "row 3: t_s is 'x', not a number"),
    "a negative size": (GOOD + "0,a,-1,1\n", "row 3: size_bytes is -1, and must not be"),
    "negative seconds": (GOOD + "0,a,1,-1\n", "row 3: load_s is -1, and must not be"),
    "an endless size": (GOOD + "0,a,inf,1\n", "row 3: size_bytes is 'inf'"),
    "half a row": (GOOD + "0,a\n", "row 3: 2 fields where 4 are needed"),
    "a size that is nowhere": (GOOD + "0,b,,\n", "nothing says the size of key 'b'"),
    "an open quote": (GOOD + '0,"a', "not a CSV file"),
}


@pytest.mark.parametrize("kind", BAD)
def test_what_is_no_trace_is_one_line_that_says_where(kind: str, tmp_path: Path) -> None:
    text, message = BAD[kind]
    path = tmp_path / "bad.csv"
    path.write_text(text)
    with pytest.raises(TraceError, match=message) as raised:
        read_trace(path)
    assert "bad.csv" in str(raised.value) and "\n" not in str(raised.value)


def test_a_file_that_is_not_there_or_not_gzipped_or_not_text_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "no.csv.gz").write_text("t_s,key\n")
    (tmp_path / "bytes.csv").write_bytes(b"t_s,key\xff\xfe\n")
    (tmp_path / "cut.csv.gz").write_bytes(gzip.compress(GOOD.encode() * 99)[:-20])
    for name in ("missing.csv", "no.csv.gz", "bytes.csv", "cut.csv.gz"):
        with pytest.raises(TraceError, match=name) as raised:
            read_trace(tmp_path / name)
        assert "\n" not in str(raised.value)


def test_a_key_that_is_described_twice_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "two.csv").write_text("t_s,key\n0,a\n")
    (tmp_path / "two_objects.csv").write_text("key,size_bytes,load_s\na,7,1.5\na,8,1.5\n")
    with pytest.raises(TraceError, match="two_objects.csv, row 3: key 'a'"):
        read_trace(tmp_path / "two.csv")
