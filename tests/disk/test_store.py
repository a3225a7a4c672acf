"""What is stored is there, whole, and what is removed is not."""

from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
import zlib
from pathlib import Path
from typing import Any

import pytest
from disk_stores import (
    FILE,
    FOLDER,
    HEADER,
    INLINE,
    KINDS,
    bytes_of,
    commit_file,
    content,
    expected,
    files,
    flip,
    key_of,
    payload_file,
    read,
    value_of,
    write,
)

from warmcache._disk import commit_file as format_
from warmcache._disk import payload
from warmcache._disk.filters import Filter
from warmcache._disk.records import Header
from warmcache._disk.store import DiskStore
from warmcache.testing import ManualClock

each_kind = pytest.mark.parametrize("kind", KINDS)


@each_kind
def test_what_is_written_is_read_by_any_store_of_the_folder(
    kind: str, folder: Path, store: DiskStore
) -> None:
    header = write(store, 1, kind, tags=("a", "b"))
    found = DiskStore(folder).read(key_of(1))
    assert found is not None
    assert header == found.header
    assert expected(1, kind) == content(found)
    assert ("load(1)", "app.load", ("a", "b"), 1000.0) == (
        *(found.header.text, found.header.loader, found.header.tags, found.header.made),
    )


def test_what_was_never_written_is_a_miss(store: DiskStore) -> None:
    assert read(store, 1) is None
    assert (0, 1) == (store.counts.hits, store.counts.misses)


@pytest.mark.parametrize("size", [0, 1, format_.INLINE, format_.INLINE + 1, 10**6])
def test_bytes_lie_inside_of_the_commit_file_if_they_are_few(
    size: int, folder: Path, store: DiskStore
) -> None:
    store.write(key_of(1), HEADER, value_of(1, size))
    assert {"": value_of(1, size)} == read(store, 1)
    assert (1 if size <= format_.INLINE else 2) == len(files(folder))


@each_kind
@pytest.mark.parametrize("before", KINDS)
def test_what_is_written_replaces_what_was_there_and_leaves_nothing_of_it(
    before: str, kind: str, folder: Path, store: DiskStore
) -> None:
    write(store, "old", before, key=1)
    write(store, "new", kind, key=1)
    assert expected("new", kind) == read(store, 1)
    assert (1, bytes_of(folder)) == store.totals()
    assert {INLINE: 1, FILE: 2, FOLDER: 3}[kind] == len(files(folder))
    assert [] == files(folder, "tmp")


@each_kind
def test_what_is_removed_is_gone(kind: str, folder: Path, store: DiskStore) -> None:
    write(store, 1, kind)
    assert store.remove(key_of(1))
    assert not store.remove(key_of(1))
    assert read(store, 1) is None
    assert [] == files(folder)
    assert (0, 0) == store.totals()


def test_a_file_that_is_mapped_survives_that_it_is_evicted_and_replaced(
    folder: Path, store: DiskStore
) -> None:
    import mmap

    write(store, 1, FILE)
    with payload_file(folder, 1).open("rb") as opened:
        mapped = mmap.mmap(opened.fileno(), 0, access=mmap.ACCESS_READ)
    write(store, "new", FILE, key=1)
    store.evict()
    assert expected(1, FILE)[""] == mapped[:]
    mapped.close()


def test_files_of_two_versions_of_an_entry_never_lie_in_one_folder(
    folder: Path, store: DiskStore
) -> None:
    write(store, "old", FOLDER, key=1)
    stored = store.read(key_of(1))
    assert stored is not None and stored.path is not None
    write(store, "new", FOLDER, key=1)
    assert not stored.path.exists()  # who is in the midst of reading finds nothing, and looks again
    assert expected("new", FOLDER) == read(store, 1)


def test_a_failing_payload_changes_nothing_and_is_raised_as_it_is(
    folder: Path, store: DiskStore
) -> None:
    write(store, "old", FILE, key=1)

    def fail(path: Path) -> None:
        path.write_bytes(b"half")
        raise ZeroDivisionError

    for size in (None, 10):
        with pytest.raises(ZeroDivisionError):
            store.write(key_of(1), HEADER, fail, size)
    assert expected("old", FILE) == read(store, 1)
    assert [] == files(folder, "tmp")
    assert (1, bytes_of(folder)) == store.totals()


def test_a_payload_that_writes_nothing_is_an_error(folder: Path, store: DiskStore) -> None:
    with pytest.raises(FileNotFoundError):
        store.write(key_of(1), HEADER, lambda path: None)
    assert (0, 0) == store.totals()
    assert [] == files(folder, "tmp")


def test_links_are_no_payload(folder: Path, store: DiskStore) -> None:
    def link(path: Path) -> None:
        path.mkdir()
        (path / "link").symlink_to("/etc/passwd")

    with pytest.raises(ValueError, match="neither a file nor a folder"):
        store.write(key_of(1), HEADER, link)
    with pytest.raises(ValueError, match="neither a file nor a folder"):
        store.write(key_of(1), HEADER, lambda path: path.symlink_to("/etc/passwd"))
    assert [] == files(folder, "tmp")


@pytest.mark.parametrize("key", ["", "abc", "ABCDEF", "../../etc", "ab/cdef", "abcd\n", "f" * 129])
def test_what_is_no_digest_is_no_key(key: str, store: DiskStore) -> None:
    for ask in (store.read, store.remove, lambda key: store.alone(key, 0)):
        with pytest.raises(ValueError, match="hex digits"):
            ask(key)
    with pytest.raises(ValueError, match="hex digits"):
        store.write(key, HEADER, b"")


def test_texts_of_a_header_may_have_any_characters(store: DiskStore) -> None:
    text = "load('\ud800 \0 é 模')"
    store.write(key_of(1), Header(text=text), b"")
    found = store.read(key_of(1))
    assert found is not None and text == found.header.text


def test_a_header_of_megabytes_is_refused(folder: Path, store: DiskStore) -> None:
    with pytest.raises(ValueError, match="more than 1 MiB"):
        write(store, 1, text="x" * 2**21)
    assert [] == files(folder, "tmp")


# -- time --------------------------------------------------------------------------------


def test_a_time_to_live_counts_from_the_load_and_not_from_the_write(opened: Any) -> None:
    clock = ManualClock()
    clock.advance(1000)
    store = opened(ttl=10, clock=clock)
    write(store, 1, made=995.0)
    clock.advance(4.9)
    assert expected(1, INLINE) == read(store, 1)
    clock.advance(0.1)
    assert read(store, 1) is None
    assert 1 == store.counts.expired
    assert (0, 0) == store.totals()


def test_a_load_without_a_time_was_just_now(opened: Any) -> None:
    clock = ManualClock()
    clock.advance(7)
    written = opened(clock=clock).write(key_of(1), Header(), b"")
    assert 7 == written.made


# -- a reboot ----------------------------------------------------------------------------


def _reboot(monkeypatch: pytest.MonkeyPatch, boot: str = "another") -> None:
    for module in ("store", "writer"):
        monkeypatch.setattr(f"warmcache._disk.{module}.boot_id", lambda: boot)


@pytest.fixture
def looked(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """The payloads that were read whole."""
    found, checksum = list[Path](), payload.checksum

    def note(path: Path, kind: str) -> int:
        found.append(path)
        return checksum(path, kind)

    monkeypatch.setattr(payload, "checksum", note)
    return found


@pytest.mark.parametrize("kind", [FILE, FOLDER])
def test_a_payload_is_read_whole_at_the_first_read_after_a_reboot_and_then_no_more(
    kind: str, opened: Any, looked: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    write(opened(), 1, kind)
    assert read(opened(), 1)
    assert [] == looked
    _reboot(monkeypatch)
    assert read(opened(), 1)
    assert 1 == len(looked)
    store = opened()  # as another process, which is told by the index
    assert read(store, 1) and read(store, 1)
    assert 1 == len(looked)
    _reboot(monkeypatch, "a third")
    assert read(opened(), 1)
    assert 2 == len(looked)


def test_without_an_index_each_process_looks_once_after_a_reboot(
    opened: Any, looked: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    write(opened(), 1, FILE)
    _reboot(monkeypatch)
    store = opened()

    def fail(*args: object) -> None:
        raise OSError

    monkeypatch.setattr(store._index, "run", fail)
    assert read(store, 1) and read(store, 1)
    assert 1 == len(looked)


def test_a_payload_that_was_torn_by_a_reboot_is_a_miss(
    folder: Path, opened: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(opened(), 1, FILE)
    flip(payload_file(folder, 1))
    _reboot(monkeypatch)
    store = opened()
    assert read(store, 1) is None
    assert 1 == store.counts.damaged
    assert [] == files(folder)


def test_always_means_each_read(folder: Path, opened: Any) -> None:
    store = opened(verify="always")
    write(store, 1, FILE)
    assert read(store, 1)
    flip(payload_file(folder, 1))
    assert read(store, 1) is None


def test_where_the_system_does_not_say_when_it_was_started_a_process_looks_itself(
    folder: Path, opened: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    _reboot(monkeypatch, "")
    write(opened(), 1, FILE)
    flip(payload_file(folder, 1))
    assert read(opened(), 1) is None


def test_a_durable_write_syncs_the_file_its_payload_and_their_folders(
    folder: Path, opened: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    store, fsync, synced = opened(durable=True), os.fsync, set()

    def note(opened: int) -> None:
        synced.add(Path(f"/proc/self/fd/{opened}").readlink().name.partition(".")[0])
        fsync(opened)

    monkeypatch.setattr(os, "fsync", note)
    write(store, 1, FOLDER)
    key = key_of(1)
    assert {key, "one", "two", "inner", key[:2], "o"} == synced


# -- the format --------------------------------------------------------------------------


def _rewrite(file: Path, change: Any) -> None:
    """Change what a commit file says, as somebody would who knows its format."""
    data = file.read_bytes()
    start = format_._START
    magic, length, _ = start.unpack_from(data)
    said = json.loads(data[start.size : start.size + length])
    change(said)
    text = json.dumps(said).encode()
    rest = data[start.size + length :]
    file.write_bytes(start.pack(magic, len(text), zlib.crc32(text)) + text + rest)


def test_fields_of_later_versions_are_kept_and_missing_ones_have_defaults(
    folder: Path, store: DiskStore
) -> None:
    write(store, 1)

    def change(said: dict[str, Any]) -> None:
        said["colour"] = {"name": "red"}
        del said["tags"], said["signature"]

    _rewrite(commit_file(folder, 1), change)
    found = store.read(key_of(1))
    assert found is not None
    assert {"colour": {"name": "red"}} == found.header.more
    assert ((), "") == (found.header.tags, found.header.signature)
    store.write(key_of(1), found.header, b"again")
    again = store.read(key_of(1))
    assert again is not None and found.header.more == again.header.more


def test_a_file_of_another_format_is_a_miss_and_stays(folder: Path, store: DiskStore) -> None:
    write(store, 1)
    data = commit_file(folder, 1).read_bytes()
    commit_file(folder, 1).write_bytes(data[:7] + b"2" + data[8:])
    assert read(store, 1) is None
    assert 0 == store.counts.damaged
    assert 0 == store.check().damaged
    assert commit_file(folder, 1).exists()


# -- all of it ---------------------------------------------------------------------------


def test_entries_come_from_the_files(folder: Path, store: DiskStore) -> None:
    for name in range(5):
        write(store, name, KINDS[name % 3])
    (folder / "index.db").unlink()
    assert {key_of(name) for name in range(5)} == {each.key for each in store.entries()}
    assert (5, bytes_of(folder)) == store.totals()


def test_entries_are_evicted_by_loader_by_tag_and_by_age(opened: Any) -> None:
    clock = ManualClock()
    clock.advance(100)
    store = opened(clock=clock)
    write(store, 1, loader="a", tags=("x", "y"), made=10.0)
    write(store, 2, loader="b", tags=("y",), made=50.0)
    write(store, 3, loader="b", made=90.0)
    assert [key_of(2)] == [each.key for each in store.evict(Filter("b", ("y",)))]
    assert [key_of(1)] == [each.key for each in store.evict(Filter(older=40))]
    told: list[tuple[int, int]] = []
    store.evict_all([*store.entries()], lambda *of: told.append(of))
    assert [(1, 1)] == told
    assert 3 == store.counts.evicted
    assert (0, 0) == store.totals()


def test_a_check_removes_what_is_damaged_or_nobodys_and_counts_anew(
    folder: Path, store: DiskStore
) -> None:
    for name in range(6):
        write(store, name, KINDS[name % 3])
    flip(commit_file(folder, 0))
    flip(payload_file(folder, 1))
    commit_file(folder, 4).unlink()
    (folder / "tmp" / f"{key_of(9)}.{'0' * 16}").touch()
    (folder / "tmp" / f"{key_of(9)}.{'0' * 16}.p").mkdir()
    told: list[tuple[int, int]] = []
    report = store.check(lambda *of: told.append(of))
    assert (3, bytes_of(folder), 2, 3) == report
    assert (5, 5) == told[-1]
    assert report[:2] == store.totals()
    assert [expected(name, KINDS[name % 3]) for name in (2, 3, 5)] == [
        read(store, name) for name in (2, 3, 5)
    ]
    assert [] == files(folder, "tmp")


def test_what_is_not_ours_in_the_folder_is_left_alone(folder: Path, store: DiskStore) -> None:
    write(store, 1)
    others = [folder / "README", folder / "o" / "notes.txt", folder / "o" / "ab" / "ABC"]
    for each in others:
        each.parent.mkdir(exist_ok=True)
        each.write_text("mine")
    store.check()
    store.evict()
    assert all(each.exists() for each in others)


def test_a_store_can_be_used_after_it_was_closed(store: DiskStore) -> None:
    write(store, 1)
    store.close()
    write(store, 2)
    assert (2, read(store, 1)) == (store.totals().entries, expected(1, INLINE))


def test_uses_are_written_many_at_a_time_and_at_the_end(
    store: DiskStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in range(70):
        write(store, name)
    ran, run = [], store._index.run
    monkeypatch.setattr(store._index, "run", lambda work: ran.append(work) or run(work))
    for name in range(63):
        store.used(key_of(name))
        store.used(key_of(name))
    assert 0 == len(ran)
    store.used(key_of(63))
    assert 1 == len(ran)
    store.used(key_of(1))
    store.close()
    rows = run(lambda rows: rows.all())
    assert [4, 3, 2] == [rows[key_of(name)].uses for name in (1, 2, 63)]
    assert 1 == rows[key_of(64)].uses


def test_what_is_open_is_only_for_its_owner_whatever_the_umask(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        store = DiskStore(tmp_path / "above" / "store")
        write(store, 1, FILE)
    finally:
        os.umask(before)
        store.close()
    modes = {each.stat().st_mode & 0o777 for each in tmp_path.rglob("*") if each.is_dir()}
    assert {0o700} == modes
    assert stat.S_IMODE(commit_file(store.path, 1).stat().st_mode) == 0o600


def test_a_store_without_filelock_says_what_to_install() -> None:
    program = (
        "import sys; sys.modules['filelock'] = None\n"
        "from warmcache._disk.store import DiskStore; DiskStore('/nowhere')"
    )
    ran = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=50
    )
    assert 'needs filelock, which is not installed: pip install "warmcache[disk]"' in ran.stderr


@pytest.mark.parametrize(
    "wrong",
    [
        {"maxsize": -1},
        {"maxsize": "many"},
        {"min_free": None},
        {"policy": "fifo"},
        {"verify": "never"},
        {"durable": 1},
        {"shared": "yes"},
    ],
    ids=str,
)
def test_a_wrong_option_is_refused_before_anything_is_made(
    wrong: dict[str, Any], folder: Path
) -> None:
    with pytest.raises((TypeError, ValueError), match=next(iter(wrong))):
        DiskStore(folder, **wrong)
    assert not folder.exists()
