"""Recording: what a live process asks for, as a trace that can be replayed."""

from __future__ import annotations

import asyncio
import gc
import gzip
import logging
import os
import subprocess
import sys
import textwrap
import threading
import weakref
from pathlib import Path
from typing import Any

import cachetools
import pytest

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


def test_it_can_be_simulated(tmp_path: Path, capsys: Any) -> None:
    path = tmp_path / "trace.csv.gz"

    @warm(policy="lru", maxsize=4)
    def load(n: int) -> Value:
        return Value()

    with load.cache.record(path):
        for n in range(200):
            load(n * n % 13)
    assert 0 == cli.main(["simulate", str(path), "--budget", "4B", "--policy", "lru"])
    row = capsys.readouterr().out.splitlines()[3].split()
    assert f"{load.cache.stats().misses / 200:.1%}" == row[6]
    assert str(sum(load.cache.stats().removals.values())) == row[8]


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
        while load.cache.stats().misses < 3:
            pass
        go_on.set()
        for thread in threads:
            thread.join(CAP)
    assert 3 == len(keys(tmp_path / "trace.csv"))


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


# -- bounds, ends and failures ---------------------------------------------------------


def test_what_does_not_fit_the_buffer_is_dropped_and_the_log_says_how_much(
    tmp_path: Path, monkeypatch: Any, caplog: Any
) -> None:
    monkeypatch.setattr(_record, "BUFFER", 100)
    monkeypatch.setattr(_record, "_PERIOD", 3600)

    @warm
    def load(n: int) -> Value:
        return Value()

    load(0)
    with load.cache.record(tmp_path / "trace.csv") as recording:
        for _ in range(250):
            load(0)
    assert (100, 150) == (recording.written, recording.dropped)
    assert 100 == len(keys(tmp_path / "trace.csv"))
    assert "150 requests are missing" in caplog.text


def test_the_janitor_writes_while_it_goes_on(tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.setattr(_record, "_PERIOD", 0.001)
    written = threading.Event()
    plain = _record.Recording._append

    def append(self: Any, requests: Any) -> None:
        plain(self, requests)
        if self.written:
            written.set()

    monkeypatch.setattr(_record.Recording, "_append", append)
    cache = warmcache.LRUCache[int, int](2)
    with cache.record(tmp_path / "trace.csv"):
        cache[1] = 1
        assert written.wait(CAP)
        assert ["1"] == keys(tmp_path / "trace.csv")


def test_no_value_is_kept_alive(tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.setattr(_record, "_PERIOD", 3600)
    cache = warmcache.LRUCache[int, Value](1)
    with cache.record(tmp_path / "trace.csv"):
        cache[1] = Value()
        dead = weakref.ref(cache[1])
        cache[2] = Value()
        gc.collect()
        assert dead() is None


def test_a_cache_that_is_collected_ends_its_recording_and_nothing_is_lost(tmp_path: Path) -> None:
    stopped = threading.Event()
    cache = warmcache.LRUCache[int, int](2)
    recording = cache.record(tmp_path / "trace.csv")
    cache[1] = 1
    plain = recording.flush

    def flush() -> None:
        plain()
        stopped.set()

    recording.flush = flush  # type: ignore[method-assign]
    gone = weakref.ref(cache)
    del cache
    assert gone() is None
    assert stopped.wait(CAP)
    assert ["1"] == keys(tmp_path / "trace.csv")
    assert recording not in _record._running


@pytest.mark.parametrize("recorded", [False, True])
def test_a_loader_that_is_dropped_takes_its_cache_along_at_once(
    recorded: bool, tmp_path: Path
) -> None:
    @warm
    def load(n: int) -> Value:
        return Value()

    gone = weakref.ref(load.cache)
    load(1)
    gc.disable()
    try:
        if recorded:
            with load.cache.record(tmp_path / "trace.csv"):
                load(1)
        del load
        assert gone() is None
    finally:
        gc.enable()


def test_a_cache_is_recorded_once_at_a_time(tmp_path: Path) -> None:
    cache = warmcache.LRUCache[int, int](2)
    with cache.record(tmp_path / "one.csv"):
        with pytest.raises(RuntimeError, match="recorded already, in .*one.csv"):
            cache.record(tmp_path / "two.csv")
    with cache.record(tmp_path / "two.csv"):
        pass
    assert "t_s,key,size_bytes,load_s\n" == (tmp_path / "two.csv").read_text()


def test_a_folder_that_is_not_there_fails_at_once(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="no folder .*nix"):
        warmcache.LRUCache[int, int](2, record=tmp_path / "nix" / "trace.csv")
    with pytest.raises(OSError):
        warmcache.LRUCache[int, int](2).record(tmp_path)


def test_a_disk_that_fails_ends_the_recording_and_not_the_process(
    tmp_path: Path, monkeypatch: Any, caplog: Any
) -> None:
    caplog.set_level(logging.ERROR)
    cache = warmcache.LRUCache[int, int](2)
    recording = cache.record(tmp_path / "trace.csv")

    def full(self: Any, requests: Any) -> None:
        raise OSError("no space left")

    monkeypatch.setattr(_record.Recording, "_append", full)
    cache[1] = 1
    assert recording.expire_now() is None
    assert "no space left" in caplog.text
    assert () == cache._store.observers


def test_only_what_is_asked_for_makes_a_file_of_an_option(tmp_path: Path) -> None:
    path = tmp_path / "trace-{pid}.csv"

    @warm(policy="lru", maxsize=2, record=path)
    def load(n: int) -> Value:
        return Value()

    load.cache.close()
    assert [] == list(tmp_path.iterdir())
    load = warm(policy="lru", maxsize=2, record=path)(load.__wrapped__)
    load(1)
    load.cache.close()
    assert [f"trace-{os.getpid()}.csv"] == [file.name for file in tmp_path.iterdir()]


def test_gzipped_it_is_whole_after_each_write(tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.setattr(_record, "_PERIOD", 3600)
    cache = warmcache.LRUCache[int, int](2)
    recording = cache.record(tmp_path / "trace.csv.gz")
    for n in range(3):
        cache[n] = n
        recording.flush()
        with gzip.open(tmp_path / "trace.csv.gz", "rt") as file:
            assert n + 2 == len(file.readlines())
    recording.stop()


PROGRAM = """
    import os, sys
    from warmcache import warm
    @warm(policy="lru", maxsize=2, record=sys.argv[1])
    def load(n):
        return object()
    load(1), load(1)
    if sys.argv[2] == "fork":
        load.cache._store.observers[0].flush()
        child = os.fork()
        if not child:
            load(1), load(2)
            sys.exit(0)
        os.waitpid(child, 0)
        load(3)
"""


@pytest.mark.parametrize("how", ["end", "fork"])
def test_the_end_of_the_process_writes_the_rest_and_a_fork_writes_nothing(
    how: str, tmp_path: Path
) -> None:
    path = tmp_path / "trace.csv"
    program = [sys.executable, "-W", "ignore", "-c", textwrap.dedent(PROGRAM), str(path), how]
    ran = subprocess.run(program, capture_output=True, text=True, timeout=50, check=False)
    assert ("", 0) == (ran.stderr, ran.returncode)
    expected = ["load(1)", "load(1)"] + (["load(3)"] if how == "fork" else [])
    assert expected == keys(path)
