"""A store never takes more than its limits, and gives up what is worth least."""

from __future__ import annotations

import logging
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from disk_stores import (
    FILE,
    HEADER,
    INLINE,
    KINDS,
    LARGE,
    bytes_of,
    commit_file,
    expected,
    files,
    key_of,
    read,
    value_of,
    write,
)

from warmcache._disk.writing import Writing
from warmcache.testing import ManualClock

MIB = 2**20


def _there(store: Any, names: int) -> list[int]:
    return [name for name in range(names) if commit_file(store.path, name).exists()]


@pytest.mark.parametrize("kind", KINDS)
def test_the_bytes_of_all_files_never_exceed_the_limit(
    kind: str, folder: Path, opened: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    limit = 20_000 if kind == INLINE else 3.5 * LARGE
    store, most, begun = opened(maxsize=limit), [0], Writing.commit

    def commit(self: Writing, data: bytes, **options: Any) -> None:
        # What is prepared counts as well: it is about to be there.
        prepared = sum((folder / each).stat().st_size for each in files(folder, "tmp"))
        most.append(bytes_of(folder) + prepared + len(data))
        begun(self, data, **options)
        most.append(bytes_of(folder))

    monkeypatch.setattr(Writing, "commit", commit)
    for name in range(30 if kind == INLINE else 12):
        assert write(store, name, kind, size=LARGE)
        assert bytes_of(folder) == store.totals().bytes
    assert limit * 0.8 < max(most) <= limit


def test_a_limit_is_exact_to_the_byte(folder: Path, opened: Any) -> None:
    write(opened(), 1, FILE)
    write(opened(), 2)
    total = bytes_of(folder)
    assert [] != opened().evict()
    exact = opened(maxsize=total)
    write(exact, 1, FILE)
    write(exact, 2)
    assert (2, total) == exact.totals()
    exact.evict()
    less = opened(maxsize=total - 1)
    write(less, 1, FILE)
    write(less, 2)
    assert 1 == less.totals().entries


def test_there_are_never_more_entries_than_may_be(opened: Any) -> None:
    store = opened(maxitems=3, policy="lru", clock=_ticking())
    for name in range(5):
        write(store, name)
    assert [2, 3, 4] == _there(store, 5)
    write(store, "new", key=3)  # which is one as before
    assert [2, 3, 4] == _there(store, 5)


def _ticking() -> Any:
    clock = ManualClock()

    def tick() -> float:
        clock.advance(1)
        return clock()

    return tick


def test_what_a_store_without_limits_writes_counts_for_one_with_them(
    folder: Path, opened: Any
) -> None:
    free = opened()
    for name in range(3):
        write(free, name, FILE)
    assert (3, bytes_of(folder)) == free.totals()
    limited = opened(maxitems=4)
    assert (3, bytes_of(folder)) == limited.totals()
    write(free, 3, FILE)
    write(limited, 4, FILE)
    free.remove(key_of(4))
    write(limited, 5, FILE)
    write(limited, 6, FILE)
    assert (4, bytes_of(folder)) == limited.totals() == free.totals()
    assert (4, bytes_of(folder), 0, 0) == opened(maxitems=4).check()


@pytest.mark.parametrize(
    ("limits", "said"),
    [
        ({"maxsize": LARGE}, "maxsize=48.8 KiB"),
        ({"maxitems": 0}, "maxitems=0"),
        ({"min_free": "1000TiB", "maxitems": 2_000}, "maxitems=2,000, min_free=1024000.0 GiB"),
    ],
    ids=["maxsize", "maxitems", "min_free"],
)
def test_of_the_limits_those_are_said_that_there_are(
    limits: Any, said: str, opened: Any, caplog: pytest.LogCaptureFixture
) -> None:
    assert write(opened(**limits), 1, FILE) is None
    assert caplog.text.endswith(f"and no room can be made for that ({said})\n")


def test_what_is_too_large_is_refused_before_anything_goes_and_said_once(
    folder: Path, opened: Any, caplog: pytest.LogCaptureFixture
) -> None:
    store = opened(maxsize=100_000)
    write(store, 1, FILE)
    ran: list[int] = []
    with caplog.at_level(logging.WARNING):
        for _ in range(2):
            assert store.write(key_of(2), HEADER, ran.append, 100_000) is None
            assert store.write(key_of(2), HEADER, value_of(2, 100_000)) is None
    assert [] == ran
    assert expected(1, FILE) == read(store, 1)
    assert (4, 0) == (store.counts.too_large, store.counts.evicted)
    assert 1 == caplog.text.count("is not stored")
    assert "97.7 KiB" in caplog.text and "load(1)" in caplog.text
    assert [] == files(folder, "tmp")


def test_what_turns_out_larger_than_the_limit_is_removed_and_nothing_goes_for_it(
    folder: Path, opened: Any
) -> None:
    store = opened(maxsize=100_000)
    write(store, 1, FILE)
    for size in (None, 10):
        dumped = lambda path: path.write_bytes(value_of(2, 200_000))  # noqa: E731
        assert store.write(key_of(2), HEADER, dumped, size) is None
    assert expected(1, FILE) == read(store, 1)
    assert (1, bytes_of(folder)) == store.totals()


@pytest.mark.parametrize("size", [None, 1, LARGE, 4 * LARGE])
def test_an_estimate_is_corrected_once_the_size_is_known(
    size: int | None, folder: Path, opened: Any
) -> None:
    store = opened(maxsize=4.5 * LARGE)
    for name in range(6):
        assert write(store, name, FILE, size=size)
        assert bytes_of(folder) == store.totals().bytes <= 4.5 * LARGE


def test_where_there_is_no_room_for_both_a_predecessor_goes_first(
    folder: Path, opened: Any
) -> None:
    store = opened(maxsize=1.5 * LARGE)
    for name in "ab":
        for size in (LARGE, None):
            assert write(store, name, FILE, key=1, size=size)
            assert expected(name, FILE) == read(store, 1)
    assert (1, bytes_of(folder)) == store.totals()
    assert 0 == store.counts.evicted


def test_what_is_being_written_is_no_victim(folder: Path, opened: Any) -> None:
    store = opened(maxsize=1.5 * LARGE)
    within: list[object] = []

    def dump(path: Path) -> None:
        path.write_bytes(value_of(1, LARGE))
        within.append(write(store, 2, FILE, size=LARGE))

    assert store.write(key_of(1), HEADER, dump, LARGE) is not None
    assert [None] == within
    assert [1] == _there(store, 3)


def test_who_writes_what_somebody_else_is_writing_leaves_it_to_that_one(opened: Any) -> None:
    store = opened()
    within: list[object] = []

    def dump(path: Path) -> None:
        path.write_bytes(value_of(1, LARGE))
        within.append(write(store, "other", FILE, key=1))

    assert store.write(key_of(1), HEADER, dump, LARGE) is not None
    assert [None] == within
    assert {"": value_of(1, LARGE)} == read(store, 1)
    assert (1, 1) == (store.counts.joined, store.counts.writes)


def test_what_is_worth_least_goes_first_by_seconds_uses_and_bytes(opened: Any) -> None:
    store = opened(maxitems=4, clock=_ticking())
    write(store, 0, seconds=4.0)
    write(store, 1, FILE, seconds=40.0)  # forty times the bytes
    write(store, 2, seconds=3.0)
    write(store, 3, seconds=3.0)
    for _ in range(2):
        store.used(key_of(2))
    for gone, name in ((1, 4), (3, 5), (0, 6)):
        write(store, name, seconds=100.0)
        assert not commit_file(store.path, gone).exists()
    assert [2, 4, 5, 6] == _there(store, 7)


def test_of_equal_worth_the_least_recently_used_goes_first(opened: Any) -> None:
    store = opened(maxitems=3, clock=_ticking())
    for name in range(3):
        write(store, name, seconds=0.0)
    store.used(key_of(0))
    write(store, 3, seconds=0.0)
    assert [0, 2, 3] == _there(store, 4)


def test_the_least_recently_used_goes_first_under_lru_whatever_it_cost(opened: Any) -> None:
    store = opened(maxitems=3, policy="lru", clock=_ticking())
    for name in range(3):
        write(store, name, seconds=10.0**-name)
    store.used(key_of(0))
    write(store, 3)
    assert [0, 2, 3] == _there(store, 4)


def test_what_has_expired_goes_before_anything_else(opened: Any) -> None:
    clock = ManualClock()
    clock.advance(100)
    store = opened(maxitems=3, ttl=50, clock=clock)
    write(store, 0, seconds=1.0, made=99.0)
    write(store, 1, seconds=1000.0, made=40.0)
    write(store, 2, seconds=1.0, made=99.0)
    write(store, 3, made=99.0)
    assert [0, 2, 3] == _there(store, 4)


def test_so_much_of_the_file_system_is_left_free(
    opened: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = opened(min_free="1MiB", clock=_ticking())
    disk = 2 * MIB  # that the file system has, beside what others take

    def free() -> int:
        return disk - bytes_of(store.path)

    monkeypatch.setattr(store._folder, "free", free)
    for name in range(30):
        write(store, name, FILE, size=LARGE)
        assert free() >= MIB
    assert 18 < store.totals().entries < 30
    disk = MIB + LARGE // 2  # others fill it
    before = store.totals().entries
    assert write(store, 30, FILE, size=LARGE) is None
    assert before == store.totals().entries  # for nothing that could go would do


def test_what_a_dead_writer_had_reserved_is_free_where_room_is_short(
    folder: Path, opened: Any
) -> None:
    program = f"""
import os, signal, sys
sys.path[:0] = {sys.path!r}
from disk_stores import *
store = DiskStore({str(folder)!r}, maxsize={1.5 * LARGE})
store.write(key_of(1), HEADER, lambda path: os.kill(os.getpid(), signal.SIGKILL), {LARGE})
"""
    store = opened(maxsize=1.5 * LARGE)
    store.totals()
    assert -9 == subprocess.run([sys.executable, "-c", program], timeout=50).returncode
    assert 1 == store.totals().entries
    assert write(store, 2, FILE, size=LARGE)
    assert (1, bytes_of(folder)) == store.totals()
    assert [] == files(folder, "tmp")


def test_a_limit_holds_among_processes(folder: Path, opened: Any) -> None:
    limit = 10 * LARGE
    program = f"""
import sys
sys.path[:0] = {sys.path!r}
from disk_stores import *
store = DiskStore({str(folder)!r}, maxsize={limit})
who = sys.argv[1]
sys.stdin.readline()
for number in range(40):
    name = f"{{who}} {{number % 15}}"
    write(store, name, KINDS[number % 3], size=LARGE)
    found = read(store, name)
    assert found in (None, expected(name, KINDS[number % 3])), found
store.close()
"""
    running = [
        subprocess.Popen([sys.executable, "-c", program, str(who)], stdin=-1, text=True)
        for who in range(4)
    ]
    for each in running:
        assert each.stdin is not None
        each.stdin.write("go\n")
        each.stdin.flush()
    store, most = opened(), 0
    while any(_runs(each) for each in running):
        # While nobody is granted anything, so that it is a sum of one moment.
        nbytes, noted = store._index.run(lambda rows: (bytes_of(folder), rows.sums()[1]))
        assert nbytes <= noted <= limit
        most = max(most, nbytes)
    assert [0] * 4 == [each.wait() for each in running]
    for each in running:
        assert each.stdin is not None
        each.stdin.close()
    assert limit / 2 < most
    assert bytes_of(folder) == store.totals().bytes <= limit


def _runs(process: subprocess.Popen[str]) -> bool:
    try:
        process.wait(0.005)
    except subprocess.TimeoutExpired:
        return True
    return False
