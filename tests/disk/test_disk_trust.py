"""What others may have put into a folder is refused, or a miss, and counted."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from disk_stores import (
    FILE,
    FOLDER,
    INLINE,
    KINDS,
    commit_file,
    descriptors,
    expected,
    flip,
    key_of,
    payload_file,
    read,
    write,
)

from warmcache._disk.store import DiskStore

OTHER = 54321  # a user


def _become(user: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: user)


# -- the folder --------------------------------------------------------------------------


@pytest.mark.parametrize("mode", [0o720, 0o702, 0o777])
@pytest.mark.parametrize("part", ["", "o", "tmp", "locks"])
def test_a_folder_that_others_may_write_to_is_refused(part: str, mode: int, folder: Path) -> None:
    (folder / part).mkdir(parents=True)
    (folder / part).chmod(mode)
    with pytest.raises(PermissionError, match=f"others may write.*mode {mode:o}.*chmod 700"):
        DiskStore(folder)


def test_a_folder_of_another_user_is_refused(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    DiskStore(folder).close()
    _become(OTHER, monkeypatch)
    with pytest.raises(PermissionError, match=f"belongs to user {os.getuid()}.*{OTHER}"):
        DiskStore(folder)


@pytest.mark.parametrize("part", ["", "o", "tmp", "locks"])
def test_a_link_in_the_place_of_a_folder_is_refused(part: str, tmp_path: Path) -> None:
    DiskStore(tmp_path / "store").close()
    (tmp_path / "elsewhere").mkdir()
    place = tmp_path / "store" / part
    shutil.rmtree(place)
    place.symlink_to(tmp_path / "elsewhere")
    with pytest.raises((ValueError, PermissionError), match="symbolic link|no folder"):
        DiskStore(tmp_path / "store")
    assert [] == [*(tmp_path / "elsewhere").iterdir()]


def test_what_is_no_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(ValueError, match="no folder"):
        DiskStore(tmp_path / "file")


def test_a_refused_folder_leaves_no_descriptor_open(folder: Path) -> None:
    folder.mkdir(mode=0o777)
    folder.chmod(0o777)
    before = descriptors()
    for _ in range(3):
        with pytest.raises(PermissionError):
            DiskStore(folder)
    assert before == descriptors()


def test_a_folder_that_cannot_be_made_says_so(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*args: object, **options: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(os, "mkdir", fail)
    with pytest.raises(PermissionError, match="cannot be made.*give another path"):
        DiskStore(folder)


@pytest.mark.parametrize("how", ["link", "open to others"])
def test_a_folder_of_keys_that_was_tampered_with_is_refused(
    how: str, folder: Path, tmp_path: Path, opened: Any
) -> None:
    write(opened(), 1)
    shard = commit_file(folder, 1).parent
    if how == "link":
        shard.rename(tmp_path / "elsewhere")
        shard.symlink_to(tmp_path / "elsewhere")
    else:
        shard.chmod(0o777)
    store = opened()
    assert read(store, 1) is None
    assert 1 == store.counts.refused
    with pytest.raises(PermissionError):
        write(store, "new", key=1)
    assert [] == [*store.entries()]
    store.evict()
    assert (0, 0) == store.check()[:2]
    [left] = (tmp_path / "elsewhere" if how == "link" else shard).iterdir()
    assert key_of(1) == left.name


# -- files -------------------------------------------------------------------------------


def _first_file(payload: Path) -> Path:
    return payload if payload.is_file() else payload / "one"


def _in_the_header(folder: Path) -> None:
    flip(commit_file(folder, 1), 40)


def _in_the_length(folder: Path) -> None:
    flip(commit_file(folder, 1), 9)


def _in_the_magic_number(folder: Path) -> None:
    flip(commit_file(folder, 1), 0)


def _of_another_key(folder: Path) -> None:
    shutil.copy(commit_file(folder, 2), commit_file(folder, 1))


def _emptied(folder: Path) -> None:
    commit_file(folder, 1).write_bytes(b"")


def _cut(folder: Path) -> None:
    data = commit_file(folder, 1).read_bytes()
    commit_file(folder, 1).write_bytes(data[:-1])


def _longer(folder: Path) -> None:
    with commit_file(folder, 1).open("ab") as file:
        file.write(b"x")


def _endless(folder: Path) -> None:
    with commit_file(folder, 1).open("r+b") as file:
        file.truncate(2**40)


DAMAGES = [
    *(_in_the_header, _in_the_length, _in_the_magic_number, _of_another_key),
    *(_emptied, _cut, _longer, _endless),
]


@pytest.mark.parametrize("damage", DAMAGES)
@pytest.mark.parametrize("kind", KINDS)
def test_a_commit_file_that_is_not_what_was_written_is_a_miss_and_removed(
    kind: str, damage: Callable[[Path], None], folder: Path, store: DiskStore
) -> None:
    write(store, 1, kind)
    write(store, 2, kind)
    damage(folder)
    assert read(store, 1) is None
    assert (1, 1) == (store.counts.damaged, store.counts.misses)
    assert not commit_file(folder, 1).exists()
    assert 1 == store.totals().entries
    write(store, 3, kind, key=1)
    assert expected(3, kind) == read(store, 1)
    assert expected(2, kind) == read(store, 2)


@pytest.mark.parametrize("at", range(0, 1300, 23))
def test_no_flipped_byte_of_an_inline_entry_is_served(
    at: int, folder: Path, store: DiskStore
) -> None:
    write(store, 1)
    flip(commit_file(folder, 1), at)
    assert read(store, 1) is None


@pytest.mark.parametrize("kind", [FILE, FOLDER])
def test_a_payload_of_another_length_is_a_miss_at_once(
    kind: str, folder: Path, store: DiskStore
) -> None:
    write(store, 1, kind)
    with _first_file(payload_file(folder, 1)).open("ab") as file:
        file.write(b"x")
    assert read(store, 1) is None
    assert 1 == store.counts.damaged
    assert [] == [*commit_file(folder, 1).parent.iterdir()]


@pytest.mark.parametrize("kind", [FILE, FOLDER])
def test_a_flipped_byte_of_a_payload_is_found_by_who_always_looks_and_by_a_check(
    kind: str, folder: Path, opened: Any
) -> None:
    for look in (lambda: read(opened(verify="always"), 1), lambda: opened().check().damaged - 1):
        write(opened(), 1, kind)
        flip(_first_file(payload_file(folder, 1)), 99)
        assert not look()
        assert not commit_file(folder, 1).exists()


def test_a_payload_that_is_gone_is_a_miss(folder: Path, store: DiskStore) -> None:
    write(store, 1, FILE)
    payload_file(folder, 1).unlink()
    assert read(store, 1) is None
    assert 1 == store.counts.damaged
    assert (0, 0) == store.totals()


def test_a_link_in_the_place_of_a_commit_file_is_refused(
    folder: Path, tmp_path: Path, store: DiskStore
) -> None:
    write(store, 1)
    commit_file(folder, 1).rename(tmp_path / "good")
    commit_file(folder, 1).symlink_to(tmp_path / "good")
    assert read(store, 1) is None
    assert 1 == store.counts.refused
    assert (tmp_path / "good").exists()
    assert not commit_file(folder, 1).is_symlink()


@pytest.mark.parametrize("kind", [FILE, FOLDER])
def test_a_link_in_the_place_of_a_payload_is_refused(
    kind: str, folder: Path, tmp_path: Path, store: DiskStore
) -> None:
    write(store, 1, kind)
    payload = payload_file(folder, 1)
    payload.rename(tmp_path / "good")
    payload.symlink_to(tmp_path / "good")
    assert read(store, 1) is None
    assert 1 == store.counts.refused
    assert (tmp_path / "good").exists()


def test_a_link_inside_of_a_payload_is_damage(
    folder: Path, tmp_path: Path, store: DiskStore
) -> None:
    write(store, 1, FOLDER)
    inside = payload_file(folder, 1) / "one"
    inside.rename(tmp_path / "good")
    inside.symlink_to(tmp_path / "good")
    assert read(store, 1) is None
    assert 1 == store.counts.damaged


@pytest.mark.parametrize("kind", [FILE, FOLDER])
def test_a_payload_of_the_other_kind_is_refused(kind: str, folder: Path, store: DiskStore) -> None:
    write(store, 1, kind)
    payload = payload_file(folder, 1)
    if kind == FILE:
        data = payload.read_bytes()
        payload.unlink()
        payload.mkdir()
        (payload / "one").write_bytes(data)
    else:
        shutil.rmtree(payload)
        payload.write_bytes(b"".join(expected(1, FOLDER).values()))
    assert read(store, 1) is None
    assert 1 == store.counts.refused


@pytest.mark.timeout(20)
def test_a_pipe_or_a_folder_in_the_place_of_a_commit_file_holds_nobody_up(
    folder: Path, store: DiskStore
) -> None:
    write(store, 1)
    for make in (os.mkfifo, os.mkdir):
        store.remove(key_of(1))
        make(commit_file(folder, 1))
        assert read(store, 1) is None
        assert not commit_file(folder, 1).exists()
        write(store, 1)
        assert expected(1, INLINE) == read(store, 1)


@pytest.mark.parametrize("kind", KINDS)
def test_a_file_of_another_user_is_refused(
    kind: str, folder: Path, store: DiskStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(store, 1, kind)
    assert expected(1, kind) == read(store, 1)
    with monkeypatch.context() as as_other:
        _become(OTHER, as_other)
        assert store._folder.header(key_of(1)) is None
        assert read(store, 1) is None
    assert 1 == store.counts.refused


@pytest.mark.parametrize("name", ["../../../secret", "/etc/passwd", "x", "{key}.", "{key}.1/../y"])
def test_a_header_that_names_a_payload_elsewhere_is_damage(
    name: str, folder: Path, tmp_path: Path, store: DiskStore
) -> None:
    from test_store import _rewrite

    write(store, 1, FILE)
    (tmp_path / "secret").write_bytes(payload_file(folder, 1).read_bytes())
    named = name.format(key=key_of(1))
    _rewrite(commit_file(folder, 1), lambda said: said.update(payload=named))
    assert read(store, 1) is None
    assert 1 == store.counts.damaged
    assert (tmp_path / "secret").exists()


@pytest.mark.parametrize(
    "change",
    [
        {"size": "many"},
        {"tags": "abc"},
        {"payload": 1},
        {"made": None},
        {"key": key_of(2)},
        {"text": ["x"]},
    ],
    ids=str,
)
def test_a_header_with_fields_of_other_kinds_is_damage(
    change: dict[str, Any], folder: Path, store: DiskStore
) -> None:
    from test_store import _rewrite

    write(store, 1)
    _rewrite(commit_file(folder, 1), lambda said: said.update(change))
    assert read(store, 1) is None
    assert 1 == store.counts.damaged


# -- shared ------------------------------------------------------------------------------


def test_a_shared_folder_and_all_in_it_is_for_its_group_whatever_the_umask(tmp_path: Path) -> None:
    before = os.umask(0o077)
    try:
        store = DiskStore(tmp_path / "above" / "store", shared=True)
        for name, kind in enumerate(KINDS):
            write(store, name, kind)
        store.close()
    finally:
        os.umask(before)
    found = {each: each.stat().st_mode & 0o777 for each in (tmp_path / "above").rglob("*")}
    assert {0o770} == {mode for each, mode in found.items() if each.is_dir()}
    assert {0o660} == {mode for each, mode in found.items() if each.is_file()}


def test_a_shared_folder_takes_other_users_and_no_strangers(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = DiskStore(folder, shared=True)
    write(one, 1, FILE)
    _become(OTHER, monkeypatch)
    other = DiskStore(folder, shared=True)
    assert expected(1, FILE) == read(other, 1)
    with pytest.raises(PermissionError, match="shared=True"):
        DiskStore(folder)
    folder.chmod(0o777)
    with pytest.raises(PermissionError, match="chmod 770"):
        DiskStore(folder, shared=True)


def test_two_users_of_a_group_share_a_folder() -> None:
    """As root: else both are the user who runs the tests."""
    program = f"""
import os, sys
sys.path[:0] = {sys.path!r}
import filelock, sqlite3
from disk_stores import *
DiskStore(sys.argv[2] + "/own").write(key_of(0), HEADER, b"")  # which imports all it needs
if os.getuid() == 0:
    os.setgroups([]); os.setgid({OTHER}); os.setuid(int(sys.argv[1]))
os.umask(0o077)
store = DiskStore(sys.argv[2] + "/store", shared=True, maxitems=3)
for name, kind in enumerate(KINDS):
    assert read(store, name) in (None, expected(name, kind)), name
    with store.alone(key_of(name), 5) as alone:
        assert alone
        assert write(store, name, kind)
    assert read(store, name) == expected(name, kind)
write(store, "more")
assert store.check().damaged == 0
"""
    with tempfile.TemporaryDirectory() as above:
        Path(above).chmod(0o755)
        folder = Path(above) / "store"
        folder.mkdir()
        if os.getuid() == 0:
            os.chown(folder, OTHER, OTHER)
        folder.chmod(0o770)
        for user in (OTHER, OTHER + 1, OTHER):
            command = [sys.executable, "-c", program, str(user), above]
            ran = subprocess.run(command, capture_output=True, text=True, timeout=50)
            assert (0, "") == (ran.returncode, ran.stderr)
