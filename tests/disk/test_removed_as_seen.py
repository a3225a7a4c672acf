"""What was seen is removed only if it is still that: others may have written it anew meanwhile."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from disk_stores import (
    FILE,
    INLINE,
    KINDS,
    commit_file,
    expected,
    key_of,
    payload_file,
    read,
    write,
)

from warmcache._disk.filters import Filter
from warmcache._disk.store import DiskStore
from warmcache._sizes import format_size
from warmcache.cli import main

each_kind = pytest.mark.parametrize("kind", KINDS)


class Anew:
    """Another store of the folder, which writes the entry of key 1 anew, the first time."""

    def __init__(self, opened: Callable[[], DiskStore], kind: str = FILE) -> None:
        self._store, self._kind, self.written = opened(), kind, False

    def write(self) -> None:
        if not self.written:
            self.written = True
            write(self._store, "new", self._kind, key=1, made=2_000.0)


@each_kind
def test_what_is_loaded_anew_once_it_was_listed_stays(
    kind: str, folder: Path, store: DiskStore, opened: Any
) -> None:
    write(store, 1, kind)
    write(store, 2, kind)
    listed = [each.header for each in store.listed()]
    Anew(opened, kind).write()
    assert {key_of(2)} == store.evict_all(listed)
    assert expected("new", kind) == read(store, 1)
    assert read(store, 2) is None
    assert 1 == store.counts.evicted
    assert store.totals() == store.check()[:2]


def test_what_somebody_else_has_removed_is_not_among_what_was(
    store: DiskStore, opened: Any
) -> None:
    write(store, 1)
    listed = [each.header for each in store.listed()]
    opened().remove(key_of(1))
    assert set() == store.evict_all(listed)
    assert (0, 0) == store.totals()


def test_so_it_is_where_all_that_is_meant_is_evicted(store: DiskStore, opened: Any) -> None:
    write(store, 1), write(store, 2)
    anew = Anew(opened)

    class Meant(Filter):
        def takes(self, header: Any, now: float) -> bool:
            if header.key == key_of(1):
                anew.write()
            return super().takes(header, now)

    assert [key_of(2)] == [each.key for each in store.evict(Meant())]
    assert expected("new", FILE) == read(store, 1)


def test_the_command_says_what_it_left(
    folder: Path, store: DiskStore, opened: Any, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    write(store, 1), write(store, 2)
    anew, listed = Anew(opened), DiskStore.listed

    def listed_before(self: DiskStore, *said: Any) -> Any:
        found = listed(self, *said)
        anew.write()
        return found

    size = format_size(commit_file(folder, 2).stat().st_size)
    monkeypatch.setattr(DiskStore, "listed", listed_before)
    assert 0 == main(["disk", "evict", str(folder)])
    assert [
        f"evicted 1 entry, {size}",
        "left 1 entry: loaded anew meanwhile, or gone",
    ] == capsys.readouterr().out.splitlines()
    assert expected("new", FILE) == read(store, 1)


@each_kind
def test_what_replaces_what_has_expired_stays(kind: str, store: DiskStore, opened: Any) -> None:
    write(store, 1, kind)
    anew = Anew(opened, kind)

    def clock() -> float:
        anew.write()
        return 2_005.0

    reading = opened(ttl=10, clock=clock)
    assert read(reading, 1) is None
    assert expected("new", kind) == read(reading, 1)


@pytest.mark.parametrize("damaged", [INLINE, FILE])
@pytest.mark.parametrize("kind", KINDS)
def test_what_replaces_what_is_damaged_stays(
    damaged: str, kind: str, folder: Path, store: DiskStore, opened: Any
) -> None:
    write(store, 1, damaged)
    if damaged == FILE:
        payload_file(folder, 1).write_bytes(b"short")
    else:
        commit_file(folder, 1).write_bytes(b"garbage")
    anew = Anew(opened, kind)

    class Said(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            anew.write()

    log, said = logging.getLogger("warmcache"), Said()
    log.addHandler(said)
    try:
        assert read(store, 1) is None
    finally:
        log.removeHandler(said)
    assert anew.written
    assert 1 == store.counts.damaged
    assert expected("new", kind) == read(store, 1)


@pytest.mark.parametrize("damaged", [INLINE, FILE])
@each_kind
def test_a_check_removes_what_it_has_found_and_nothing_that_replaced_it(
    damaged: str, kind: str, folder: Path, store: DiskStore, opened: Any
) -> None:
    for name in (1, 2):
        write(store, name, damaged)
        file = payload_file(folder, name) if damaged == FILE else commit_file(folder, name)
        file.write_bytes(b"garbage")
    found = store.find_damaged()
    assert 2 == len(found)
    Anew(opened, kind).write()
    report = store.check(found=found)
    assert (1, 1) == (report.entries, report.damaged)
    assert expected("new", kind) == read(store, 1)
