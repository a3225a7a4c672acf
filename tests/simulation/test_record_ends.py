"""A recording is bounded, ends with its cache or its process, and fails alone."""

from __future__ import annotations

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

import pytest
from gates import Gate

import warmcache
from warmcache import warm
from warmcache._observe import recording as _record
from warmcache._simulation.trace_file import read_trace

CAP = 5


class Value:
    pass


def keys(path: Path) -> list[str]:
    return read_trace(path).keys


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


def test_a_closed_cache_cannot_be_recorded(tmp_path: Path) -> None:
    cache = warmcache.LRUCache[int, int](2)
    cache.close()
    with pytest.raises(warmcache.ClosedError, match="closed"):
        cache.record(tmp_path / "trace.csv")
    assert [] == [*tmp_path.iterdir()]


@pytest.mark.race
def test_while_the_file_is_opened_the_cache_works_and_is_recorded(
    tmp_path: Path, monkeypatch: Any
) -> None:
    gate, plain = Gate(), _record.Recording._append

    def append(self: Any, requests: Any) -> None:
        gate.wait()
        plain(self, requests)

    monkeypatch.setattr(_record.Recording, "_append", append)
    cache = warmcache.LRUCache[str, int](2)
    begun: list[Any] = []
    thread = threading.Thread(target=lambda: begun.append(cache.record(tmp_path / "one.csv")))
    thread.start()
    gate.until_reached()
    cache["a"] = 1
    with pytest.raises(RuntimeError, match="recorded already, in .*one.csv"):
        cache.record(tmp_path / "two.csv")
    gate.open()
    thread.join(CAP)
    begun[0].stop()
    assert ["a"] == keys(tmp_path / "one.csv")


def test_a_file_that_cannot_be_opened_leaves_the_cache_free_to_be_recorded(tmp_path: Path) -> None:
    cache = warmcache.LRUCache[int, int](2)
    with pytest.raises(IsADirectoryError):
        cache.record(tmp_path)
    assert () == cache._store.observers.all
    cache.record(tmp_path / "trace.csv").stop()


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
    assert () == cache._store.observers.all


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
        load.cache._store.observers.all[0].flush()
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
