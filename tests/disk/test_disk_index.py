"""The index may be lost at any time: what is read does not need it, and it is made anew."""

from __future__ import annotations

import shutil
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from disk_stores import FILE, HEADER, KINDS, LARGE, bytes_of, expected, key_of, read, write

from warmcache._disk.store import DiskStore


def _deleted(file: Path) -> None:
    file.unlink()


def _emptied(file: Path) -> None:
    file.write_bytes(b"")


def _zeroed(file: Path) -> None:
    file.write_bytes(bytes(file.stat().st_size))


def _garbage(file: Path) -> None:
    file.write_bytes(b"garbage " * 1000)


def _garbage_behind_its_first_page(file: Path) -> None:
    data = file.read_bytes()
    file.write_bytes(data[:4096] + b"\xa5" * (len(data) - 4096))


def _of_another_version(file: Path) -> None:
    with sqlite3.connect(file) as database:
        database.execute("pragma user_version = 999")
    database.close()


def _another_database(file: Path) -> None:
    file.unlink()
    with sqlite3.connect(file) as database:
        database.execute("create table entries(what text)")
        database.execute("pragma user_version = 1")
    database.close()


def _a_link(file: Path) -> None:
    shutil.move(file, file.with_name("moved"))
    file.symlink_to(file.with_name("moved"))


LOSSES = [
    *(_deleted, _emptied, _zeroed, _garbage, _garbage_behind_its_first_page),
    *(_of_another_version, _another_database, _a_link),
]
each_loss = pytest.mark.parametrize("lose", LOSSES)


@each_loss
@pytest.mark.parametrize("with_journal", [False, True], ids=["", "and its journal"])
def test_an_index_that_is_lost_in_use_is_made_anew_from_the_files(
    lose: Callable[[Path], None], with_journal: bool, folder: Path, opened: Any
) -> None:
    store, other = opened(maxitems=7), opened(maxitems=7)
    for name in range(6):
        write(store, name, KINDS[name % 3])
    assert 6 == other.totals().entries
    lose(folder / "index.db")
    if with_journal and (folder / "index.db-journal").exists():
        _garbage(folder / "index.db-journal")
    for name in range(6):
        assert expected(name, KINDS[name % 3]) == read(store, name)
    write(store, 6)
    assert (7, bytes_of(folder)) == store.totals() == other.totals() == opened().totals()
    write(other, 7)
    assert (7, bytes_of(folder)) == store.totals() == other.totals()
    assert not (folder / "index.db").is_symlink()


@each_loss
def test_what_was_being_written_meanwhile_is_in_the_new_index(
    lose: Callable[[Path], None], folder: Path, opened: Any
) -> None:
    store, other = opened(), opened()
    write(other, 0)

    def dump(path: Path) -> None:
        path.write_bytes(bytes(LARGE))
        lose(folder / "index.db")
        write(other, 2)

    for size in (None, LARGE):
        assert store.write(key_of(1), HEADER, dump, size)
        assert (3, bytes_of(folder)) == store.totals() == other.totals()


def test_one_that_is_lost_between_room_and_commit_knows_of_it_all_the_same(
    folder: Path, opened: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    from warmcache._disk.writing import Writing

    store, other = opened(), opened()
    commit = Writing.commit

    def lose_and_commit(self: Writing, data: bytes, **options: Any) -> None:
        monkeypatch.setattr(Writing, "commit", commit)
        (folder / "index.db").unlink()
        write(other, 2)
        commit(self, data, **options)

    monkeypatch.setattr(Writing, "commit", lose_and_commit)
    write(store, 1)
    assert (2, bytes_of(folder)) == store.totals() == other.totals()


def test_the_uses_survive_a_reboot_and_what_the_files_do_not_have_does_not(
    folder: Path, opened: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = opened()
    for name in range(3):
        write(store, name)
        store.used(key_of(name))
    store.close()
    key = key_of(0)
    (folder / "o" / key[:2] / key).unlink()  # as a loss of power may have it
    monkeypatch.setattr("warmcache._disk.store.boot_id", lambda: "another")
    store = opened()
    rows = store._index.run(lambda rows: rows.all())
    assert {key_of(1): 2, key_of(2): 2} == {key: row.uses for key, row in rows.items()}
    assert (2, bytes_of(folder)) == store.totals()


def test_an_index_is_compared_once_a_boot(opened: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    from warmcache._disk import checking

    compared, compare = [], checking.compare
    monkeypatch.setattr(checking, "compare", lambda *args: compared.append(1) or compare(*args))
    for _ in range(3):
        write(opened(), 1)
    assert [1] == compared


def test_threads_of_a_process_share_an_index(folder: Path, opened: Any) -> None:
    store = opened(maxsize=20 * LARGE)
    errors: list[BaseException] = []

    def work(who: int) -> None:
        try:
            for number in range(15):
                name = f"{who} {number}"
                write(store, name, KINDS[number % 3], size=LARGE)
                assert read(store, name) in (None, expected(name, KINDS[number % 3]))
                store.used(key_of(name))
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=work, args=(who,)) for who in range(6)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    assert [] == errors
    assert bytes_of(folder) == store.totals().bytes <= 20 * LARGE


def test_a_stopped_process_inside_of_it_holds_others_up_for_a_while_only(
    folder: Path, store: DiskStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(store, 1)
    program = f"""
import sqlite3, sys
database = sqlite3.connect({str(folder / "index.db")!r}, isolation_level=None)
database.execute("begin immediate")
print("inside", flush=True)
sys.stdin.read()
"""
    monkeypatch.setattr("warmcache._disk.index._PATIENCE", 0.05)
    with subprocess.Popen([sys.executable, "-c", program], stdin=-1, stdout=-1) as process:
        assert process.stdout is not None and process.stdin is not None
        process.stdout.readline()
        with pytest.raises(OSError, match="locked"):
            write(store, 2)
        assert expected(1, "inline") == read(store, 1)
        process.stdin.close()
    assert write(store, 2)


def test_a_check_of_ten_thousand_entries_is_whole(store: DiskStore) -> None:
    for name in range(300):
        write(store, name, FILE if name % 10 == 0 else "inline")
    assert 300 == store.check().entries
