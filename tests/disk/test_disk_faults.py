"""Whatever system call of a write fails, nothing wrong is read, nothing leaks, the next works."""

from __future__ import annotations

import errno
import io
import logging
import os
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from disk_stores import (
    FILE,
    HEADER,
    KINDS,
    LARGE,
    SMALL,
    bytes_of,
    descriptors,
    expected,
    files,
    key_of,
    read,
    value_of,
    write,
)

from warmcache._disk.store import DiskStore

CODES = [errno.ENOSPC, errno.EROFS, errno.EACCES, errno.EMFILE]
CALLS = [
    *("open", "read", "write", "fstat", "stat", "lstat", "mkdir", "rename", "unlink", "rmdir"),
    *("listdir", "scandir", "fsync", "chmod", "fchmod", "fstatvfs", "close"),
]


class Faults:
    """Has one system call fail, or all from that one on; or an interrupt come while it is done."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.code = self.at = self.count = 0
        self.interrupts = False
        self.on = self.lasting = self.hit = False
        monkeypatch.setattr(os, "fsync", lambda opened: None)  # it takes its time
        for name in CALLS:
            monkeypatch.setattr(os, name, self._failing(name, getattr(os, name)))
        monkeypatch.setattr(io, "open", self._failing("open", io.open))

    def _failing(self, name: str, call: Callable[..., Any]) -> Callable[..., Any]:
        def called(*args: Any, **options: Any) -> Any:
            # If close() fails, shutil closes again, and says that instead.
            if self.on and sys._getframe(1).f_code.co_filename != shutil.__file__:
                self.count += 1
                if self.count == self.at or (self.lasting and self.count > self.at):
                    self.hit = True
                    if self.interrupts:
                        call(*args, **options)
                        raise KeyboardInterrupt
                    if name == "close":  # which closes all the same
                        call(*args, **options)
                    raise OSError(self.code, os.strerror(self.code))
            return call(*args, **options)

        return called

    def each(self, code: int) -> Iterator[None]:
        """Have one call after the other fail, until there are no more."""
        for at in range(1, 1000):
            self.code, self.at, self.count = code, at, 0
            self.hit = False
            yield
            self.on = False
            if not self.hit:
                return
        raise AssertionError("there is no end of them")


@pytest.fixture
def faults(monkeypatch: pytest.MonkeyPatch) -> Faults:
    return Faults(monkeypatch)


@pytest.mark.parametrize(
    ("code", "lasting"),
    [*((code, False) for code in CODES), (errno.ENOSPC, True)],
    ids=lambda of: errno.errorcode.get(of) if of not in (True, False) else "lasting" * of,
)
@pytest.mark.parametrize("kind", KINDS)
def test_whichever_call_of_a_write_fails(
    kind: str, code: int, lasting: bool, folder: Path, opened: Any, faults: Faults
) -> None:
    store = opened(maxsize=4.5 * LARGE, durable=True, min_free=1)
    for name in range(4):
        write(store, f"old {name}", kind, key=name)
    faults.lasting = lasting
    failed: list[int | None] = []
    before = descriptors()
    for number, _ in enumerate(faults.each(code)):
        faults.on = True
        try:
            write(store, f"new {number}", kind, key=0, size=LARGE)
        except OSError as error:
            failed.append(error.errno)
        faults.on = False
        assert before == descriptors()
        # The one before may have gone for the room of the new one.
        assert read(store, 0) in (
            *(None, expected(f"new {number}", kind)),
            *(expected(f"old {name}", kind) for name in ("0", number)),
        )
        for name in (1, 2, 3):
            assert read(store, name) in (None, expected(f"old {name}", kind))
        assert write(store, f"old {number + 1}", kind, key=0, size=LARGE)
        assert expected(f"old {number + 1}", kind) == read(store, 0)
        for name in (1, 2, 3):
            write(store, f"old {name}", kind, key=name, size=LARGE)
        assert bytes_of(folder) <= store.totals().bytes <= 4.5 * LARGE
    assert len(failed) > 10
    assert {code} == {*failed}
    assert store.check().bytes == bytes_of(folder)
    assert [] == files(folder, "tmp")


@pytest.mark.parametrize("size", [SMALL, LARGE], ids=["inline", "file"])
def test_whichever_call_of_a_write_is_interrupted_once_it_is_done(
    size: int, folder: Path, opened: Any, faults: Faults
) -> None:
    store, interrupted = opened(min_free=1), 0
    old, new = ({"": value_of(name, size)} for name in ("old", "new"))
    faults.interrupts = True
    store.write(key_of(1), HEADER, old[""])
    for _ in faults.each(0):
        faults.on = True
        try:
            store.write(key_of(1), HEADER, new[""])
        except KeyboardInterrupt:
            interrupted += 1
        faults.on = False
        assert read(store, 1) in (old, new)
        assert not store.counts.damaged
        assert [] == files(folder, "tmp")
        store.write(key_of(1), HEADER, old[""])
        assert bytes_of(folder) == store.totals().bytes
    assert interrupted > 10
    assert (0, 0) == store.check()[2:]


@pytest.mark.parametrize("code", CODES, ids=errno.errorcode.get)
@pytest.mark.parametrize("kind", KINDS)
def test_whichever_call_of_a_first_write_into_an_empty_folder_fails(
    kind: str, code: int, tmp_path: Path, faults: Faults
) -> None:
    failed: set[int | None] = set()
    for number, _ in enumerate(faults.each(code)):
        store = DiskStore(tmp_path / str(number))
        before = descriptors()
        faults.on = True
        try:
            written = write(store, 1, kind)
        except OSError as error:
            failed.add(error.errno)
            written = None
        faults.on = False
        store.close()
        assert before >= descriptors()
        assert (expected(1, kind) if written else None) == read(store, 1)
        assert write(store, 1, kind)
        assert expected(1, kind) == read(store, 1)
        assert (1, bytes_of(store.path)) == store.check()[:2]
        store.close()
    assert number > 15
    assert {code} == failed


@pytest.mark.parametrize("code", CODES, ids=errno.errorcode.get)
@pytest.mark.parametrize("kind", KINDS)
def test_a_read_that_fails_is_an_error_and_not_damage(
    kind: str, code: int, opened: Any, faults: Faults
) -> None:
    store = opened(verify="always")
    write(store, 1, kind)
    before = descriptors()
    failed: set[int | None] = set()
    for _ in faults.each(code):
        faults.on = True
        try:
            store.read(key_of(1))
        except OSError as error:
            failed.add(error.errno)
        faults.on = False
        assert before == descriptors()
        assert expected(1, kind) == read(store, 1)
    assert {code} == failed
    assert 0 == store.counts.damaged + store.counts.refused


@pytest.mark.parametrize("code", CODES, ids=errno.errorcode.get)
def test_a_lock_that_cannot_be_had_is_done_without(
    code: int, store: DiskStore, faults: Faults
) -> None:
    before = descriptors()
    for _ in faults.each(code):
        faults.on = True
        with store.alone(key_of(1), 0) as alone:
            assert alone or faults.hit
        faults.on = False
        assert before == descriptors()
    with store.alone(key_of(1), 0) as alone:
        assert alone


# -- what SQLite says --------------------------------------------------------------------

MEANINGS = {
    sqlite3.SQLITE_FULL: errno.ENOSPC,
    sqlite3.SQLITE_READONLY: errno.EROFS,
    sqlite3.SQLITE_CANTOPEN: errno.EACCES,
    sqlite3.SQLITE_IOERR | 2 << 8: errno.EIO,
    sqlite3.SQLITE_BUSY: errno.EBUSY,
}
BROKEN = [
    *(sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_ERROR, sqlite3.SQLITE_SCHEMA),
    sqlite3.SQLITE_READONLY | 4 << 8,
]


class Failing(sqlite3.Connection):
    """A connection of which one statement fails."""

    left = -1  # statements until then
    code = 0

    def execute(self, *args: Any) -> sqlite3.Cursor:
        Failing.left -= 1
        if Failing.left == 0:
            error = sqlite3.OperationalError("it is made to fail")
            error.sqlite_errorcode = Failing.code
            raise error
        return super().execute(*args)


@pytest.fixture
def failing(monkeypatch: pytest.MonkeyPatch) -> Iterator[type[Failing]]:
    connect = sqlite3.connect
    monkeypatch.setattr(sqlite3, "connect", lambda *a, **o: connect(*a, factory=Failing, **o))
    monkeypatch.setattr("warmcache._disk.index._PATIENCE", 0)
    yield Failing
    Failing.left = -1


@pytest.mark.parametrize("code", MEANINGS)
def test_whichever_statement_fails_it_is_an_error_of_the_system(
    code: int, folder: Path, opened: Any, failing: type[Failing]
) -> None:
    store = opened(maxitems=3)
    for name in range(3):
        write(store, name, FILE)
    failing.code = code
    failed: set[int | None] = set()
    for at in range(1, 40):
        failing.left = at
        try:
            write(store, f"new {at}", FILE, key=0)
            expect = f"new {at}"
        except OSError as error:
            failed.add(error.errno)
            expect = None
        ended, failing.left = failing.left, -1
        if expect is not None:
            assert expected(expect, FILE) == read(store, 0)
        assert [] == files(folder, "tmp")
        if ended > 0:
            break
        assert write(store, 0, FILE)
        assert bytes_of(folder) <= store.totals().bytes
        for name in range(3):
            assert expected(name, FILE) == read(store, name)
    assert 5 < at < 39
    assert {MEANINGS[code]} == failed
    assert (3, bytes_of(folder)) == store.check()[:2] == store.totals()


@pytest.mark.parametrize("code", BROKEN)
def test_whichever_statement_finds_it_broken_the_index_is_made_anew(
    code: int, folder: Path, opened: Any, failing: type[Failing]
) -> None:
    store = opened(maxitems=3)
    for name in range(3):
        write(store, name, FILE)
    failing.code = code
    for at in range(1, 40):
        failing.left = at
        assert write(store, f"new {at}", FILE, key=0)
        ended, failing.left = failing.left, -1
        assert expected(f"new {at}", FILE) == read(store, 0)
        assert (3, bytes_of(folder)) == store.totals()
        if ended > 0:
            break
    assert 5 < at < 39


# -- the real thing ----------------------------------------------------------------------


@pytest.mark.parametrize("limit", [100, 5_000, 30_000])
def test_a_limit_on_the_size_of_files_is_a_full_disk(limit: int, folder: Path, opened: Any) -> None:
    store = opened()
    for name in range(3):
        write(store, name, KINDS[name])
    program = f"""
import resource, sys
sys.path[:0] = {sys.path!r}
from disk_stores import *
store = DiskStore({str(folder)!r})
resource.setrlimit(resource.RLIMIT_FSIZE, ({limit}, {limit}))
for name in range(3):
    try:
        write(store, "new", KINDS[name], key=name)
    except OSError as error:
        print(type(error).__name__)
    assert read(store, name) in (expected(name, KINDS[name]), expected("new", KINDS[name]))
"""
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert ("", 0) == (ran.stderr, ran.returncode)
    assert "OSError" in ran.stdout
    for name in range(3):
        assert read(store, name) in (*(expected(name, KINDS[name]), expected("new", KINDS[name])),)
    assert [] == files(folder, "tmp")
    assert (3, bytes_of(folder)) == store.check()[:2]


def test_a_folder_that_cannot_be_written_is_read_all_the_same(
    folder: Path, opened: Any, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    first = opened()
    for name in range(3):
        write(first, name, KINDS[name])
    first.close()
    for each in ("index.db", "index.db-journal"):
        (folder / each).unlink()
    (folder / "tmp" / "left").touch()
    really = os.open

    def read_only(path: Any, flags: int, *args: Any, **options: Any) -> int:
        if flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT):
            raise OSError(errno.EROFS, "Read-only file system")
        return really(path, flags, *args, **options)

    def refuse(*args: Any, **options: Any) -> None:
        raise OSError(errno.EROFS, "Read-only file system")

    def no_database(*args: Any, **options: Any) -> None:
        error = sqlite3.OperationalError("unable to open database file")
        error.sqlite_errorcode = sqlite3.SQLITE_CANTOPEN
        raise error

    monkeypatch.setattr(os, "open", read_only)
    monkeypatch.setattr(sqlite3, "connect", no_database)
    for name in ("mkdir", "rename", "unlink", "rmdir", "chmod"):
        monkeypatch.setattr(os, name, refuse)
    store = opened()
    with caplog.at_level(logging.WARNING):
        for name in range(3):
            assert expected(name, KINDS[name]) == read(store, name)
            store.used(key_of(name))
        store.flush()
        assert 3 == len([*store.entries()])
        with store.alone(key_of(1), 60) as alone:
            assert not alone
        with pytest.raises(OSError, match="Read-only"):
            write(store, 9)
        store.close()
    assert "" == caplog.text
    assert not (folder / "index.db").exists()


def test_damage_that_cannot_be_removed_is_a_miss(
    folder: Path, store: DiskStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(store, 1)
    key = key_of(1)
    (folder / "o" / key[:2] / key).write_bytes(b"garbage")

    def refuse(*args: Any, **options: Any) -> None:
        raise OSError(errno.EROFS, "Read-only file system")

    monkeypatch.setattr(os, "unlink", refuse)
    for number in (1, 2):
        assert read(store, 1) is None
        assert number == store.counts.damaged


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("part", ["", "o", "tmp", "locks"])
def test_a_folder_that_is_removed_in_use_is_made_anew(
    part: str, kind: str, folder: Path, store: DiskStore
) -> None:
    write(store, 1, kind)
    shutil.rmtree(folder / part)
    assert (None if part in ("", "o") else expected(1, kind)) == read(store, 1)
    with store.alone(key_of(1), 0):
        pass
    write(store, 2, kind)
    assert expected(2, kind) == read(store, 2)
    with store.alone(key_of(1), 0) as alone:
        assert alone
    assert store.check().bytes == bytes_of(folder)


def test_a_folder_that_was_exchanged_in_use_for_a_link_is_refused(
    folder: Path, tmp_path: Path, store: DiskStore
) -> None:
    write(store, 1)
    folder.rename(tmp_path / "elsewhere")
    folder.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(PermissionError, match="symbolic link"):
        write(store, 2)
    assert 1 == len(files(tmp_path / "elsewhere"))
