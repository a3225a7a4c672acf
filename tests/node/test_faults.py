"""What a node's ledger makes of records it cannot read, full disks, and folders that are gone."""

from __future__ import annotations

import errno
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from node_members import Member, Start, until

from warmcache._node.record import (
    SIZE,
    Account,
    Pledge,
    Quote,
    Record,
    Wait,
    pack,
    unpack,
)

FULL = Account(
    *range(1, 11),
    gone=True,
    name="models",
    quotes=(Quote(1, 0.5),),
    waits=(Wait(5, 7, True),),
    pledges=(Pledge(1, 2, 3),),
)


@pytest.fixture(autouse=True)
def nothing_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("warmcache._node.membership._told", [])


@pytest.fixture
def record(tmp_path: Path) -> Record:
    made = Record(os.open(tmp_path / "record", os.O_RDWR | os.O_CREAT))
    made.fill()
    return made


def test_what_is_written_is_read_again(record: Record) -> None:
    for account in (FULL, Account(), replace(FULL, name="é" * 60)):
        record.write(account)
        found = unpack(os.pread(record.descriptor, SIZE, 0))
        assert found is not None
        assert replace(account, name="") == replace(found[0], name="")
    assert found[0].name.startswith("é" * 31)


def test_the_most_that_an_account_can_have_fits_into_half_a_record() -> None:
    many = replace(FULL, quotes=FULL.quotes * 99, waits=FULL.waits * 99, pledges=FULL.pledges * 99)
    assert len(pack(many, 1)) <= SIZE // 2


@pytest.mark.parametrize("torn", [0, 5, 20, 60, 100])
def test_of_a_write_that_was_interrupted_nothing_counts(torn: int, record: Record) -> None:
    record.write(replace(FULL, committed=70))
    half = pack(replace(FULL, committed=20), 2)
    os.pwrite(record.descriptor, half[:torn], 0)
    assert 70 == Record(record.descriptor).read().committed


@pytest.mark.parametrize("data", [b"", b"x", bytes(SIZE), b"\xff" * SIZE])
def test_what_cannot_be_read_is_not_taken_for_nothing(data: bytes, tmp_path: Path) -> None:
    (tmp_path / "record").write_bytes(data)
    found = Record(os.open(tmp_path / "record", os.O_RDWR)).read()
    assert not found.readable


def test_a_living_process_that_cannot_be_read_has_all_until_it_writes_again(
    tmp_path: Path, start: Start, member: Callable[..., Member]
) -> None:
    other, one = start(tmp_path), member()
    other.tell("lease", 10)
    [path] = tmp_path.glob("*.rec")
    path.write_bytes(b"\xff" * SIZE)
    assert "cannot be read" in one.lease(1, wait=0)
    other.tell("shrink", 1)
    assert "granted" == one.lease(91, wait=0)


def test_a_dead_process_that_cannot_be_read_has_had_all(
    tmp_path: Path, start: Start, member: Callable[..., Member]
) -> None:
    other, one = start(tmp_path), member(confirm=0.4)
    other.tell("lease", 10)
    [path] = tmp_path.glob("*.rec")
    path.write_bytes(b"")
    other.kill()
    assert "100 B of dead processes" in one.lease(1, wait=0)
    assert "granted" == one.lease(100)
    assert not path.exists()


@pytest.mark.parametrize("name", ["0123456789abcdef.rec", "other.rec", "note.txt"])
def test_what_is_no_record_is_no_process(
    name: str, tmp_path: Path, member: Callable[..., Member]
) -> None:
    (tmp_path / name).mkdir()
    assert "granted" == member().lease(100)


def test_what_was_killed_as_it_joined_is_cleared_away(
    tmp_path: Path, member: Callable[..., Member]
) -> None:
    left = [tmp_path / name for name in (".0123456789abcdef", "0123456789abcdef.sock")]
    for path in left:
        path.write_bytes(b"")
    member().lease(1)
    assert [False, False] == [path.exists() for path in left]


@pytest.mark.parametrize("code", ["ENOSPC", "EROFS", "EMFILE", "EDQUOT"])
@pytest.mark.parametrize("call", ["open", "pwrite", "mkdir"])
def test_where_the_disk_fails_a_process_works_alone_and_says_so_once(
    call: str,
    code: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    def fail(*args: object, **options: object) -> None:
        raise OSError(getattr(errno, code), os.strerror(getattr(errno, code)))

    with monkeypatch.context() as failing:
        failing.setattr(os, call, fail)
        one = Member(tmp_path / "node")
        assert "granted" == one.load(60)
        assert "granted" == one.lease(100)  # for which its own goes
        assert "granted" != one.lease(1, wait=0)
    one.shrink(100)
    assert 0 == one.ledger.status().committed
    one.close()
    assert 1 == caplog.text.count("goes on alone")


def test_an_interrupt_as_it_joins_is_the_callers_though_the_disk_fails(
    member: Callable[..., Member], monkeypatch: pytest.MonkeyPatch
) -> None:
    one, rename, unlink = member(), os.rename, os.unlink

    def is_interrupted(name: str, *names: str, **folders: int) -> None:
        monkeypatch.setattr(os, "unlink", is_broken)
        raise KeyboardInterrupt

    def is_broken(*names: str, **folders: int) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(os, "rename", is_interrupted)
    with pytest.raises(KeyboardInterrupt):
        one.ledger.grow(10, 0)
    monkeypatch.setattr(os, "rename", rename)
    monkeypatch.setattr(os, "unlink", unlink)
    assert one.ledger.grow(10, 0) is None
    assert 10 == one.ledger.committed


def test_a_disk_that_fills_up_later_costs_the_company_and_no_room(
    tmp_path: Path,
    start: Start,
    member: Callable[..., Member],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    one, other = member(), start(tmp_path)
    one.lease(30)

    def fail(*args: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as failing:
        failing.setattr(os, "pwrite", fail)
        assert "granted" == one.lease(20)
    assert "granted" == one.lease(50)
    assert "granted" != one.lease(1, wait=0)
    assert "No space left on device" in caplog.text
    assert "granted" != other.tell("lease", 71, 0)  # what was said of oneself still counts


def test_a_limit_on_the_size_of_files_is_a_full_disk(tmp_path: Path) -> None:
    program = f"""
import logging, resource, sys
from warmcache._node.ledger import NodeLedger
logging.basicConfig(stream=sys.stdout)
resource.setrlimit(resource.RLIMIT_FSIZE, (100, 100))
ledger = NodeLedger(
    {str(tmp_path / "node")!r}, budget=9, quotes=list, reclaim=int, available=int
)
print(ledger.grow(9, 0), ledger.grow(1, 0) is not None)
ledger.close()
"""
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert "" == ran.stderr
    assert ran.stdout.endswith("None True\n")
    assert 1 == ran.stdout.count("goes on alone")


def test_where_the_folder_is_deleted_in_use_a_process_works_alone(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    one = Member(tmp_path / "node")
    one.lease(30)
    shutil.rmtree(tmp_path / "node")
    assert "granted" == one.lease(70)
    assert "granted" != one.lease(1, wait=0)
    assert "the folder was removed while it was in use" in caplog.text
    one.close()


def test_where_only_the_gates_file_is_deleted_all_go_on(
    tmp_path: Path, start: Start, member: Callable[..., Member]
) -> None:
    one, other = member(), start(tmp_path)
    one.lease(30)
    other.tell("load", 60)
    (tmp_path / "lock").unlink()
    assert "granted" == one.lease(60)
    until((tmp_path / "lock").exists)
    assert [50] == other.tell("gave")


def test_a_process_whose_record_lost_its_name_still_counts_for_those_who_know_it(
    tmp_path: Path, start: Start, member: Callable[..., Member]
) -> None:
    one, other = member(), start(tmp_path)
    other.tell("lease", 60)
    [path] = tmp_path.glob("*.rec")
    one.lease(30)
    path.unlink()
    assert "granted" != one.lease(20, wait=0)
