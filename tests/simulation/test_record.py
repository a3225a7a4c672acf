"""Recording: what a live process asks for, as a trace that can be replayed."""

from __future__ import annotations

import asyncio
import threading
import time
from pathlib import Path
from typing import Any

import cachetools
import pytest
from gates import waiting

import warmcache
from warmcache import cli, warm
from warmcache._observe import recording as _record
from warmcache._simulation.trace_file import read_trace
from warmcache.testing import ManualClock

CAP = 5


class Value:
    pass


def keys(path: Path) -> list[str]:
    return read_trace(path).keys


def test_every_call_is_a_line_hits_included_and_in_order(tmp_path: Path) -> None:
    path = tmp_path / "trace.csv"
    clock = ManualClock()

    @warm(policy="lru", maxsize=30, size=10, timer=clock, record=path)
    def load(name: str, seconds: float) -> Value:
        clock.advance(seconds)
        return Value()

    for name, seconds in [("a", 2), ("a", 2), ("b", 0.5), ("a", 2), ("b", 0.5)]:
        load(name, seconds)
    load.cache.close()
    read = read_trace(path)
    assert [f"load('{n}', {s})" for n, s in [("a", 2), ("b", 0.5)]] == [*read.sizes]
    a, b = read.sizes
    assert [a, a, b, a, b] == read.keys
    assert {a: 10, b: 10} == read.sizes
    assert {a: 2, b: 0.5} == read.seconds
    assert sorted(read.times) == read.times


def test_it_can_be_simulated(tmp_path: Path, capsys: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    # Hits are dated evenly up to a write, and may pass a load that is under way then.
    monkeypatch.setattr(_record, "_PERIOD", 3600)
    path = tmp_path / "trace.csv.gz"

    @warm(policy="lru", maxsize=4)
    def load(n: int) -> Value:
        return Value()

    with load.cache.record(path):
        for n in range(200):
            load(n * n % 13)
    assert 0 == cli.main(["simulate", str(path), "--budget", "4", "--policy", "lru"])
    row = capsys.readouterr().out.splitlines()[3].split()
    assert f"{load.cache.stats().misses / 200:.1%}" == row[5]
    assert str(sum(load.cache.stats().removals.values())) == row[6]


def test_stopping_gives_the_hit_path_its_old_code_back(tmp_path: Path) -> None:
    @warm
    def load(n: int) -> Value:
        return Value()

    load(1)
    plain = load.__code__  # type: ignore[attr-defined]
    recording = load.cache.record(tmp_path / "trace.csv")
    assert plain is not load.__code__  # type: ignore[attr-defined]
    load(1)
    recording.stop()
    recording.stop()
    assert plain is load.__code__  # type: ignore[attr-defined]
    load(1)
    assert ["load(1)"] == keys(tmp_path / "trace.csv")
    assert (1, 0) == (recording.written, recording.dropped)
    assert 2 == load.cache.stats().hits


class Kinds:
    @warm
    def method(self, n: int) -> Value:
        return Value()

    @warm
    @classmethod
    def of_class(cls, n: int) -> Value:
        return Value()


def test_methods_and_async_loaders_and_leases_are_recorded_too(tmp_path: Path) -> None:
    thing = Kinds()
    for name, call in [("method", thing.method), ("of_class", Kinds.of_class)]:
        path = tmp_path / f"{name}.csv"
        with call.cache.record(path):
            call(1)
            call(1)
            with call.lease(1):
                pass
        assert 3 == len(keys(path))

    @warm
    async def load(n: int) -> Value:
        return Value()

    async def use() -> None:
        await asyncio.gather(load(1), load(1))
        await load(1)
        async with load.lease(1):
            pass

    with load.cache.record(tmp_path / "async.csv"):
        asyncio.run(use())
    assert 4 == len(keys(tmp_path / "async.csv"))


def test_a_loader_that_comes_while_its_cache_is_recorded_is_recorded(tmp_path: Path) -> None:
    cache: warmcache.LRUCache[Any, Any] = warmcache.LRUCache(4)
    with cache.record(tmp_path / "trace.csv"):

        @warm(cache=cache)
        def load(n: int) -> Value:
            return Value()

        load(1), load(1)
    assert 2 == len(keys(tmp_path / "trace.csv"))


@pytest.mark.race
def test_all_who_wait_for_one_load_have_asked(tmp_path: Path) -> None:
    began, go_on = threading.Event(), threading.Event()

    @warm(maxsize=4, policy="lru")
    def load() -> Value:
        began.set()
        assert go_on.wait(CAP)
        return Value()

    with load.cache.record(tmp_path / "trace.csv"):
        threads = [threading.Thread(target=load) for _ in range(3)]
        for thread in threads:
            thread.start()
        assert began.wait(CAP)
        waiting(load.cache, 2)
        go_on.set()
        for thread in threads:
            thread.join(CAP)
    assert 3 == len(keys(tmp_path / "trace.csv"))


def test_a_load_is_recorded_as_of_when_it_was_asked_for(tmp_path: Path) -> None:
    began: list[float] = []

    @warm(maxsize=4, policy="lru")
    def load() -> Value:
        began.append(time.monotonic())
        return Value()

    events: list[Any] = []
    with load.cache.record(tmp_path / "trace.csv") as recording:
        load()
        events += recording._buffer
    [stored] = events
    assert stored.asked[0] <= began[0] <= stored.at


def test_a_bare_mapping_is_recorded(tmp_path: Path) -> None:
    cache = warmcache.LRUCache[str, Any](9, getsizeof=len)
    with cache.record(tmp_path / "trace.csv"):
        cache["key"] = "abc"
        cache["key"], cache.get("key"), cache.get("not there")
        cache["key"] = cache["key"]
        with cache.lease("key"):
            pass
        cached = cachetools.cached(cache, key=str)(lambda n: str(n))
        cached(7), cached(7)
    read = read_trace(tmp_path / "trace.csv")
    assert ["key"] * 6 + ["7", "7"] == read.keys
    assert {"key": 3, "7": 1} == read.sizes


def test_what_was_warm_before_it_began_is_known_with_its_size(tmp_path: Path) -> None:
    @warm(policy="lru", maxsize=10, size=7)
    def load(n: int) -> Value:
        return Value()

    load(1)
    with load.cache.record(tmp_path / "trace.csv"):
        load(1)
    assert {"load(1)": 7} == read_trace(tmp_path / "trace.csv").sizes


# -- keys as text ----------------------------------------------------------------------


class Same:
    def __repr__(self) -> str:
        return "same"


class Broken:
    def __repr__(self) -> str:
        raise ZeroDivisionError


@pytest.mark.parametrize(
    "odd",
    [
        ["a,b", 'say "x"', "two\nlines", "\r", "", " ", "\ud800", "é", "\0", "#", "'"],
        [1, "1", 1.5, None, (1, "1")],
        [Same(), Same(), "same", "same #2"],
        [Broken(), Broken()],
        ["x" * 10_000, "x" * 10_001, "x" * 10_000 + "y"],
    ],
)
def test_any_keys_become_texts_that_can_be_told_apart(odd: list[Any], tmp_path: Path) -> None:
    cache = warmcache.LRUCache[Any, Any](99)
    with cache.record(tmp_path / "trace.csv"):
        for key in odd:
            cache[key] = 1
        for key in odd:
            cache[key]
    read = keys(tmp_path / "trace.csv")
    assert read[: len(odd)] == read[len(odd) :]
    assert len(odd) == len(set(read))
    assert all(len(key) < 300 for key in read)
